"""Hanging up by a provider's API: within a deadline, more than once, and never silently in vain."""

from __future__ import annotations

import secrets as random_secrets
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import attrs
import trio

from voxpy.channels.providers.events import Start
from voxpy.channels.providers.http import RestApi, RestContext, RestRequest
from voxpy.channels.providers.provider import Provider
from voxpy.engine import clock
from voxpy.engine.ports import Secrets
from voxpy.errors import ConfigError

if TYPE_CHECKING:
    from voxpy.engine.http import Fetch, HttpRequestResult

__all__ = ["LineRelease", "Released"]

RELEASE_S = 10.0
"""For all tries together. A line that stays up longer than that costs somebody money."""
TRY_S = 4.0
PAUSES_S = (0.5, 1.0, 0.0)
"""After each try; the last one has none."""
ANSWER_BYTES = 64 * 1024
BROKEN_SERVER = 500
TOO_MANY = 429


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
        context = self._context(api)
        for n, pause_s in enumerate(PAUSES_S, 1):
            try:
                request = api.hang_up(context, start)
            except ConfigError as error:
                return attrs.evolve(outcome, problem=str(error))
            result = await self._send(request)
            is_free = 200 <= result.code < 300 or result.code in api.already_over
            told = "" if is_free else result.error or f"HTTP {result.code}"
            outcome = attrs.evolve(outcome, tries=n, status=result.code, problem=told)
            if not told or not _may_help_again(result):
                break
            await trio.sleep(pause_s)
        return outcome

    def _context(self, api: RestApi) -> RestContext:
        return RestContext(
            secrets={name: self.secrets.get(name) or "" for name in api.secrets},
            base=(self.secrets.get(api.address_secret) or api.address).rstrip("/"),
            now=clock.calendar().timestamp(),
            unique=random_secrets.token_hex(16),
        )

    async def _send(self, call: RestRequest) -> HttpRequestResult:
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
