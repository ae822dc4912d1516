"""Speech services asked over HTTP for a session: its secrets, its network, and what goes wrong.

What a session is given in place of the network (a test's stubs, a replay) answers here too.
"""

from __future__ import annotations

import attrs
import httpx

from voxpy.engine.http import HttpRequest, fetch
from voxpy.engine.session import Session
from voxpy.errors import SoundFailed
from voxpy.text import json
from voxpy.wire.speech import Asked, Sentence, SpeechService, Utterance, service_of

TIMEOUT_S = 20.0
CONNECT_S = 6.0
LARGEST_BYTES = 20_000_000
OK = 200


@attrs.frozen
class Hired:
    """A service with its key. ``rest`` is what stands behind its name: a voice, a language."""

    service: SpeechService
    rest: str
    key: str
    base: str

    async def hear(self, session: Session, said: Utterance) -> tuple[str, float]:
        """Return the words of an utterance and their confidence. Raises SoundFailed."""
        body = await self._post(session, self.service.hear(self.base, self.key, said))
        try:
            return self.service.words(json.loads(body))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise SoundFailed(self._odd(error)) from error

    async def say(self, session: Session, sentence: Sentence) -> bytes:
        """Return the sound of a text: 16 bit at 24 kHz. Raises SoundFailed."""
        body = await self._post(session, self.service.say(self.base, self.key, sentence))
        try:
            return self.service.sound(body)
        except (ValueError, KeyError, TypeError) as error:
            raise SoundFailed(self._odd(error)) from error

    def _odd(self, error: Exception) -> str:
        told = f"{type(error).__name__}: {error}"
        return f"{self.service.name} answered with something else than it documents ({told})"

    async def _post(self, session: Session, asked: Asked) -> bytes:
        request = HttpRequest(
            method="POST",
            url=httpx.URL(asked.url),
            headers=httpx.Headers(dict(asked.headers)),
            body=asked.body,
            raw_output=True,
            timeout_s=TIMEOUT_S,
            connect_s=CONNECT_S,
            limit_bytes=LARGEST_BYTES,
        )
        result = await (session.context.fetch or fetch)(request, None)
        data = result.data if result.data is not None else (result.text or "").encode()
        if result.code != OK:
            told = result.error or data[:200].decode("utf-8", "replace")
            where = f"{request.url.host}{request.url.path}"
            raise SoundFailed(f"{self.service.name}: {where} answered {result.code}: {told}")
        return data


def hire(session: Session, name: str) -> Hired | None:
    """Return the service that a voice or a profile names, if the session has a key for it.

    ``"openai/alloy"`` asks for the service and needs its key: raises SoundFailed without.
    VoxEngine's ``"ElevenLabs:…"`` only names a voice, which the host's own may take the place of.
    """
    found = service_of(name)
    if found is None:
        return None
    service, rest = found
    key = session.context.secrets.get(service.secret)
    if key is None and "/" in name:
        where = session.context.secrets.missing(service.secret)
        raise SoundFailed(f"{name!r} asks {service.name}: {where}")
    if key is None:
        return None
    base = session.context.secrets.get(service.base_secret) or service.base
    return Hired(service, rest, key, base.rstrip("/"))
