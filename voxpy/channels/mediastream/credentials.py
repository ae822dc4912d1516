"""What a provider's secrets are for: whether a request is its own, and hanging up by its API.

Both say beforehand what they cannot do as things stand. Hanging up is tried within a deadline, more
than once, and never silently in vain.
"""

from __future__ import annotations

import secrets as random_secrets
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import attrs
import trio

from voxpy.channels.once import Once
from voxpy.channels.providers.events import Start
from voxpy.channels.providers.http import (
    TOKEN_SECRET,
    Request,
    RestApi,
    RestContext,
    RestRequest,
    Signature,
    bears_token,
    derived_token,
)
from voxpy.channels.providers.provider import Provider
from voxpy.engine import clock
from voxpy.engine.ports import Secrets
from voxpy.errors import ConfigError, install_command

if TYPE_CHECKING:
    from voxpy.engine.http import Fetch, HttpRequestResult

RELEASE_S = 10.0
"""For all tries together. A line that stays up longer than that costs somebody money."""
TRY_S = 4.0
PAUSES_S = (0.5, 1.0, 0.0)
"""After each try; the last one has none."""
ANSWER_BYTES = 64 * 1024
BROKEN_SERVER = 500
TOO_MANY = 429


# -- who asks --------------------------------------------------------------------------------------


@attrs.frozen
class Guard:
    """Checks requests with what the secrets give, asked each time: they may change.

    A provider's own signature counts where its secret is there; else a token that is derived from
    MEDIA_TOKEN for this provider alone, if there is one, and that the webhook must bear as well:
    its answer gives the token away. Else nothing is checked, which ``notes`` says.
    """

    secrets: Secrets
    once: Once = attrs.field(factory=Once)

    def refuse_stream(self, provider: Provider, request: Request) -> str:
        """Return why a media stream must not be opened, or nothing."""
        signature = provider.signature
        if signature is not None and signature.streams and (key := self._key(provider)):
            return signature.problem(request, key, _now_s())
        return self._without_token(provider, request)

    def refuse_webhook(self, provider: Provider, request: Request) -> str:
        """Return why a webhook must not be answered, or nothing."""
        signature = provider.signature
        if signature is None or not signature.webhooks or not (key := self._key(provider)):
            return self._without_token(provider, request)
        problem = signature.problem(request, key, _now_s())
        if not problem and self.once.is_replay(signature.of(request), clock.now()):
            return f"its {signature.header} was used before"
        return problem

    def _without_token(self, provider: Provider, request: Request) -> str:
        token = self.token(provider)
        if token and not bears_token(request, token):
            return f"it does not bear the token of {provider.name}, made from {TOKEN_SECRET}"
        return ""

    def notes(self, provider: Provider) -> Iterator[str]:
        """Yield what is not checked of a provider, and what to do about it."""
        name, signature, key = provider.name, provider.signature, self._key(provider)
        if provider.transport == "tcp":
            yield f"{name}: connections cannot be checked; let it listen on a private address only"
            return
        signs_streams = signature is not None and signature.streams
        if not (key and signs_streams) and not self.token(provider):
            ways = [signature.secret] if signature is not None and signs_streams else []
            ways += [TOKEN_SECRET] if provider.takes_token else []
            named = " or ".join(ways)
            yield f"{name}: anybody may open a stream; to check it give the secret {named}"
        if signature is not None and not signs_streams and not key and not self.token(provider):
            missing = "" if _is_installed(signature) else f" and {install_command('providers')}"
            yield f"{name}: webhooks are not checked; give the secret {signature.secret}{missing}"

    def stream_query(self, provider: Provider) -> str:
        """Return what a stream's address needs behind it to be let in: ``?token=…`` or nothing."""
        signature = provider.signature
        signs = signature is not None and signature.streams and self._key(provider)
        return "" if signs else self._query(provider)

    def webhook_query(self, provider: Provider) -> str:
        """Return what a webhook's address needs behind it to be answered, or nothing."""
        signature = provider.signature
        signs = signature is not None and signature.webhooks and self._key(provider)
        return "" if signs else self._query(provider)

    def _query(self, provider: Provider) -> str:
        token = self.token(provider)
        return f"?{urlencode({'token': token})}" if token else ""

    def token(self, provider: Provider) -> str:
        """Return the token of a provider, or nothing if there is none or it cannot bear one."""
        master = (self.secrets.get(TOKEN_SECRET) or "") if provider.takes_token else ""
        return derived_token(master, provider.name) if master else ""

    def _key(self, provider: Provider) -> str:
        """Return what its signatures are checked with, or nothing."""
        signature = provider.signature
        if signature is None or not _is_installed(signature):
            return ""
        return self.secrets.get(signature.secret) or ""


def _is_installed(signature: Signature) -> bool:
    return not signature.library or find_spec(signature.library) is not None


def _now_s() -> float:
    return clock.calendar().timestamp()


# -- hanging up ------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Released:
    """What came of it. ``problem`` is empty if the line is free; ``status`` is of the answer."""

    provider: str
    call_id: str
    tries: int
    status: int = 0
    problem: str = ""


@attrs.frozen
class LineRelease:
    """Hangs calls of one provider up. ``report`` learns what came of each; it must not block.

    ``fetch`` sends the requests in place of ``voxpy.engine.http.fetch``.
    """

    provider: Provider
    secrets: Secrets
    report: Callable[[Released], None]
    fetch: Fetch | None = None

    @property
    def possible(self) -> bool:
        """Whether the provider has such an API and the secrets for it are there."""
        return self.provider.rest is not None and not self.missing()

    def missing(self) -> tuple[str, ...]:
        """Return the secrets that are not there, of those its API needs."""
        needed = self.provider.rest.secrets if self.provider.rest is not None else ()
        return tuple(name for name in needed if self.secrets.get(name) is None)

    def notes(self) -> Iterator[str]:
        """Yield what hanging up cannot do as things stand."""
        if self.provider.hang_up == "rest" and not self.possible:
            lacking = " and ".join(self.missing())
            yield (
                f"{self.provider.name}: our hang-up only closes the stream, and the caller may "
                f"stay on the line; give the secret {lacking}"
            )

    async def __call__(self, start: Start) -> None:
        """Release the line of the call that ``start`` began. Never raises; within ten seconds."""
        api = self.provider.rest
        if api is None or self.missing():
            return
        outcome = Released(
            provider=self.provider.name,
            call_id=start.call_id,
            tries=0,
            problem=f"no answer within {RELEASE_S:g} s",
        )
        with trio.move_on_after(RELEASE_S, shield=True):
            outcome = await self._release(api, start)
        self.report(outcome)

    async def _release(self, api: RestApi, start: Start) -> Released:
        outcome = Released(provider=self.provider.name, call_id=start.call_id, tries=0)
        context = self.context()
        for n, pause_s in enumerate(PAUSES_S, 1):
            try:
                request = api.hang_up(context, start)
            except ConfigError as error:
                return attrs.evolve(outcome, problem=str(error))
            result = await self.send(request)
            is_free = 200 <= result.code < 300 or result.code in api.already_over
            told = "" if is_free else result.error or f"HTTP {result.code}"
            outcome = attrs.evolve(outcome, tries=n, status=result.code, problem=told)
            if not told or not _may_help_again(result):
                break
            await trio.sleep(pause_s)
        return outcome

    def context(self) -> RestContext:
        """Return what the requests of its API are made from."""
        api = self.provider.rest
        assert api is not None
        return RestContext(
            secrets={name: self.secrets.get(name) or "" for name in api.secrets},
            base=(self.secrets.get(api.address_secret) or api.address).rstrip("/"),
            now=clock.calendar().timestamp(),
            unique=random_secrets.token_hex(16),
        )

    async def send(self, call: RestRequest) -> HttpRequestResult:
        """Send a request of its API, once."""
        import httpx

        from voxpy.engine.http import HttpRequest, fetch

        send = self.fetch or fetch
        request = HttpRequest(
            method=call.method,
            url=httpx.URL(call.url),
            headers=httpx.Headers(dict(call.headers)),
            body=call.body,
            raw_output=False,
            timeout_s=TRY_S,
            connect_s=TRY_S,
            limit_bytes=ANSWER_BYTES,
        )
        return await send(request, None)


def _may_help_again(result: HttpRequestResult) -> bool:
    return result.code < 0 or result.code >= BROKEN_SERVER or result.code == TOO_MANY
