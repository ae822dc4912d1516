"""The sound of a text that is read out, and whose voice reads it: the host's, or a service's.

``voice="joe"`` is a speaker of the host's voice (``SessionContext.speech``), ``"openai/alloy"`` a
service's, asked over HTTP (``voxpy.wire.speech``). A package adds voices with an entry point of the
group ``voxpy.voices``: its name is what stands before the slash in ``voice="piper/joe"``, its value
a function without arguments that returns an object like ``voxpy.engine.speech.Speaks``. It is
called once in the life of the process, in a thread.
"""

from __future__ import annotations

import functools
import unicodedata
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any, TypeVar

import attrs
import numpy as np

from voxpy.audio.convert import encode
from voxpy.audio.frame import Samples, pcm16
from voxpy.constants import spoken_language
from voxpy.engine.session import Session
from voxpy.engine.speech import (
    ENGLISH,
    Speaks,
    SpeechEngines,
    has_language,
    load_engines,
)
from voxpy.errors import ScenarioError, SoundFailed, VoxpyError, nearest
from voxpy.players.services import hire
from voxpy.wire.speech import Sentence

LONGEST_TEXT = 1500
"""Characters. VoxEngine: createTTSPlayer, Call.say."""
VOICE_HZ = 24_000

# SSML 1.1, section 3.2.4 has these words for the rate; the numbers are ours.
_RATES = {"x-slow": 0.6, "slow": 0.8, "medium": 1.0, "fast": 1.2, "x-fast": 1.45, "default": 1.0}

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Spoken:
    """What to say and how. ``speed`` is a factor; ``unused`` names options of no use to voices."""

    text: str
    voice: str | None = None
    speed: float = 1.0
    progressive: bool = False
    unused: tuple[str, ...] = ()


def check_spoken(
    what: str,
    text: Any,
    *,
    voice: str | None,
    progressive: bool,
    tts_options: Mapping[str, Any] | None,
    request: Mapping[str, Any] | None,
) -> Spoken:
    """Return the arguments of ``say`` and its like. Raises ScenarioError naming ``what``."""
    if not isinstance(text, str):
        raise ScenarioError(f"{what}: the text must be a string, not {type(text).__name__}")
    given: Any = voice
    if given is not None and (not isinstance(given, str) or not given):
        raise ScenarioError(f"{what}: voice must be the name of a voice, not {voice!r}")
    options = dict(tts_options or {})
    speed = _speed(what, options.pop("speed", None), options.pop("rate", None))
    return Spoken(
        text=text,
        voice=voice,
        speed=speed,
        progressive=bool(progressive),
        unused=(*options, *(["request"] if request else [])),
    )


def _speed(what: str, speed: Any, rate: Any) -> float:
    if isinstance(rate, str) and rate in _RATES:
        rate = _RATES[rate]
    for value in (speed, rate):
        if value is not None:
            if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
                return float(value)
            words = ", ".join(_RATES)
            raise ScenarioError(
                f"{what}: speed and rate are factors above 0, rate also {words}; not {value!r}"
            )
    return 1.0


class SpeechSound:
    """A Sound. ``progressive``: it begins with the first sentence while the next is being made."""

    def __init__(self, session: Session, spoken: Spoken) -> None:
        self._session = session
        self._spoken = spoken
        self._engines: SpeechEngines | None = None
        self._sentences: Iterator[Samples] = iter(())
        self._made: deque[Samples] = deque()
        self.rate_hz = VOICE_HZ
        self.duration_ms: float | None = None

    async def open(self, rate_hz: int | None) -> None:
        """Synthesise the text, or its first sentence.

        Raises SoundFailed for a text that is empty or too long, or a voice or a service that
        fails, and EngineMissing.
        """
        assert rate_hz in (None, VOICE_HZ)  # sequences are played at the voice's own rate
        spoken = self._spoken
        if not spoken.text.strip():
            raise SoundFailed("there is no text to say")
        if len(spoken.text) > LONGEST_TEXT:
            raise SoundFailed(
                f"the text has {len(spoken.text)} characters; at most {LONGEST_TEXT} are said"
            )
        if spoken.unused:
            self._session.trace.step("options that the voice has no use for", names=spoken.unused)
        hired = hire(self._session, spoken.voice or "")
        if hired is not None:
            sentence = Sentence(spoken.text, hired.rest, spoken.speed)
            pcm = await hired.say(self._session, sentence)
            self._made.append(np.frombuffer(pcm, dtype="<i2"))
            self.duration_ms = len(pcm) / 2 * 1000 / VOICE_HZ
            return
        self._engines = await load_engines(self._session.context.speech)
        speaker: Speaker = await self._run(find_speaker, spoken.voice, self._engines)
        if speaker.voice is self._engines.voice:
            check_language(spoken.text, speaker.voice)
        # Voices that know their speakers have a set of them; a package's need not.
        known: Collection[str] = getattr(speaker.voice, "speakers", ())
        if known and speaker.name.lower() not in known:
            self._session.trace.warning(
                "the voice has no such speaker",
                speaker=speaker.name,
                known=", ".join(sorted(known)),
            )
        self._sentences = speaker.voice.speak(spoken.text, speaker=speaker.name, speed=spoken.speed)
        if spoken.progressive:
            self._made.extend(await self._run(_next, self._sentences))
        else:
            self._made.extend(await self._run(list, self._sentences))
            self.duration_ms = sum(map(len, self._made)) * 1000 / VOICE_HZ

    async def read(self) -> bytes:
        """Return the next sentence. Raises SoundFailed if the voice fails."""
        if not self._made and self._spoken.progressive:
            self._made.extend(await self._run(_next, self._sentences))
        while self._made:
            samples = np.asarray(self._made.popleft())
            if len(samples):
                return encode(samples, pcm16(VOICE_HZ))
        return b""

    def close(self) -> None:
        """Forget what was made."""
        self._made.clear()
        self._sentences = iter(())

    async def _run(self, work: Callable[..., T], *args: Any) -> T:
        assert self._engines is not None
        try:
            return await self._engines.run(work, *args)
        except VoxpyError:
            raise
        except Exception as error:  # a voice is anybody's code, and the call must go on
            told = f"{type(error).__name__}: {error}"
            raise SoundFailed(f"the voice {self._spoken.voice!r} failed: {told}") from error


def _next(sentences: Iterator[Samples]) -> list[Samples]:
    """Return the next sentence that has any sound, or nothing at the end."""
    return next(([s] for s in sentences if len(s)), [])


# -- whose voice it is -----------------------------------------------------------------------------

ENTRY_POINT_GROUP = "voxpy.voices"
_WAY_OUT = (
    "name a service's voice (voice='elevenlabs/…', 'openai/…', with the service's key in "
    "secrets.env), a package's (entry point group 'voxpy.voices', voice='package/name'), or play a "
    "service's create_realtime_tts_player"
)
DEFAULT_SPEAKER = "Ashley"


@attrs.frozen
class Speaker:
    """A voice and the name of who is to speak with it."""

    voice: Speaks
    name: str


def find_speaker(voice: str | None, engines: SpeechEngines) -> Speaker:
    """Return who speaks for ``voice``. Blocking: a package's voice is loaded here.

    Raises SoundFailed for a package that is not installed.
    """
    package, slash, name = (voice or DEFAULT_SPEAKER).partition("/")
    if not slash:
        return Speaker(engines.voice, _ours(package, engines.voice))
    return Speaker(_load(package), name)


def _ours(voice: str, own: Speaks) -> str:
    """Return who of the host's own speaks; another in place of a provider's, ``VoiceList.…``.

    Raises SoundFailed for one of a language that the host does not speak.
    """
    if ":" not in voice:
        return voice
    language = spoken_language(voice)
    if language is not None and not has_language(own, language):
        raise SoundFailed(f"{voice} speaks {language}, the host's own voice English; {_WAY_OUT}")
    return DEFAULT_SPEAKER


def check_language(text: str, own: Speaks) -> None:
    """Raises SoundFailed for a text that the host's own voice could only make noises of."""
    if tuple(getattr(own, "languages", ENGLISH)) != ENGLISH:
        return
    letters = [c for c in text if c.isalpha()]
    foreign = sum(not unicodedata.name(c, "").startswith("LATIN") for c in letters)
    if foreign * 3 > len(letters):
        start = text if len(text) <= 40 else text[:40] + "…"
        raise SoundFailed(f"the host's own voice speaks English, not {start!r}; {_WAY_OUT}")


@functools.cache
def _load(package: str) -> Speaks:
    installed: dict[str, Any] = {p.name: p.load for p in entry_points(group=ENTRY_POINT_GROUP)}
    if package not in installed:
        known = (
            f"installed are {', '.join(sorted(installed))}" if installed else "none is installed"
        )
        raise SoundFailed(
            f"no package brings the voice {package!r} (entry point group {ENTRY_POINT_GROUP!r}; "
            f"{known}){nearest(package, installed)}"
        )
    voice: Speaks = installed[package]()()
    return voice
