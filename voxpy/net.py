"""``Net``: HTTP requests from a scenario (VoxEngine: Net).

A request never raises for what happens on the network or at the server: it returns a result whose
``code`` is the HTTP status, or one of VoxEngine's internal codes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import attrs
import httpx
import trio

from voxpy.engine.context import current
from voxpy.engine.http import (
    LIMIT_EXCEEDED,
    MALFORMED_URL,
    HttpHeader,
    HttpRequest,
    HttpRequestResult,
    fetch,
)
from voxpy.engine.session import Session
from voxpy.engine.units import describe, fitted
from voxpy.errors import HelpsWithNames, LimitExceeded, NotSupported, ScenarioError, nearest
from voxpy.text.octets import octets
from voxpy.text.product import product

__all__ = ["HttpHeader", "HttpRequestOptions", "HttpRequestResult", "Net", "NetNamespace"]

ACTIVE_REQUESTS = 3
PENDING_REQUESTS = 35
CONNECT_S = 6.0
TOTAL_S = 90.0
"""VoxEngine: platform/voxengine/limits. The two times are defaults and maxima."""


Headers = Mapping[str, str] | Sequence[str]


@attrs.define
class _Pending:
    """The requests of one session: how many are under way or wait."""

    count: int = 0
    after_the_end: int = 0
    active: trio.CapacityLimiter = attrs.field(
        factory=lambda: trio.CapacityLimiter(ACTIVE_REQUESTS)
    )


@attrs.define(kw_only=True)
class HttpRequestOptions(HelpsWithNames):
    """The options of a request, as older scenarios build them (VoxEngine: Net.HttpRequestOptions).

    Fields as the arguments of ``http_request_async``.
    """

    method: str = "GET"
    post_data: str | bytes | Sequence[int] | None = None
    headers: Headers | None = None
    params: Mapping[str, str] | None = None
    raw_output: bool = False
    timeout: float = TOTAL_S
    connection_timeout: float = CONNECT_S
    enable_system_log: bool = False


class NetNamespace(HelpsWithNames):
    """The functions of the Net namespace; made once, as ``Net``."""

    HttpRequestOptions: TypeAlias = HttpRequestOptions
    HttpRequestResult: TypeAlias = HttpRequestResult

    async def http_request_async(
        self,
        url: str,
        options: HttpRequestOptions | None = None,
        *,
        method: str = "GET",
        post_data: str | bytes | Sequence[int] | None = None,
        headers: Headers | None = None,
        params: Mapping[str, str] | None = None,
        raw_output: bool = False,
        timeout: float = TOTAL_S,
        connection_timeout: float = CONNECT_S,
        enable_system_log: bool = False,
    ) -> HttpRequestResult:
        """Send a request and return what came of it; redirects are followed.

        Three requests of a session run at once, others wait. When the session has ended, listeners
        of Terminating may make one more; a second returns code 0.

        url: http or https.
        options: an object with all of the following, as older scenarios have it.
        post_data: the body, as text (sent as UTF-8), bytes or their numbers.
        headers: a mapping, or VoxEngine's old list of ``"Name: value"``.
        params: added to the query of ``url``.
        raw_output: put the body into ``data`` instead of ``text``.
        timeout: seconds for the whole exchange, at most 90.
        connection_timeout: seconds to connect, at most 6.
        enable_system_log: write headers, query and bodies to the session's log and trace, with
            secrets masked; without it only method, address and outcome are there.

        Raises ScenarioError for a wrong argument, and LimitExceeded if 35 requests of the session
        are under way or wait. Never for what the network or the server does. VoxEngine:
        Net.httpRequestAsync.
        """
        session = current("Net.http_request_async")
        if options is not None:
            return await self.http_request_async(url, **_given(options))
        request = _request(
            url,
            method=method,
            post_data=post_data,
            headers=headers,
            params=params,
            raw_output=raw_output,
            timeout=timeout,
            connection_timeout=connection_timeout,
        )
        admitted = _admit(session)
        return await _perform(session, request, admitted=admitted, log=enable_system_log)

    def http_request(
        self,
        url: str,
        callback: Callable[[HttpRequestResult], Any],
        options: HttpRequestOptions | None = None,
        **more: Any,
    ) -> None:
        """Send a request; ``callback(result)`` is called in the order of the session's events.

        ``options``, the arguments by name and the errors are those of ``http_request_async``. In a
        listener of Terminating the request is sent while the session closes, and nobody is left to
        be called back. VoxEngine: Net.httpRequest.
        """
        session = current("Net.http_request")
        if not callable(callback):
            raise ScenarioError(f"Net.http_request needs a function to call, not {callback!r}")
        asked = {**_given(options), **more} if options is not None else more
        log = bool(asked.pop("enable_system_log", False))
        request = _request(url, **asked)
        admitted = _admit(session)
        name = session.new_id("http")
        finished = trio.Event()

        async def perform() -> None:
            try:
                result = await _perform(session, request, admitted=admitted, log=log)
            finally:
                finished.set()
            if session.ended is None:
                session.post_callback(
                    f"Net.http_request callback {describe(callback)}", fitted(callback, result)
                )
                forget()

        # What is on its way when the session ends is waited for as long as units may take to close.
        if session.ended is None:
            session.spawn(name, perform)
            forget = session.add_closer(name, finished.wait)
        else:
            forget = session.add_closer(name, perform)

    def _title(self) -> str:
        return "Net"

    def _hint(self, name: str) -> str:
        if name in ("send_mail", "send_mail_async"):
            raise NotSupported(
                f"Net.{name}() is part of VoxEngine, but voxpy sends no mail; use the HTTP "
                "interface of a mail service"
            )
        return nearest(name, ("http_request", "http_request_async", "send_mail", "send_mail_async"))


Net = NetNamespace()


# -- what is asked --------------------------------------------------------------------------------


def _given(options: Any) -> dict[str, Any]:
    if not isinstance(options, HttpRequestOptions):
        raise ScenarioError(
            f"Net: options are a Net.HttpRequestOptions, or arguments by name, not {options!r}"
        )
    return attrs.asdict(options, recurse=False)


def _request(
    url: Any,
    *,
    method: str = "GET",
    post_data: Any = None,
    headers: Headers | None = None,
    params: Mapping[str, str] | None = None,
    raw_output: bool = False,
    timeout: float = TOTAL_S,
    connection_timeout: float = CONNECT_S,
) -> HttpRequest | HttpRequestResult:
    """Return the request, or what becomes of one whose URL cannot be used."""
    if not isinstance(url, str):
        raise ScenarioError(f"Net: url must be text, not {url!r}")
    if not str(method).isalpha():
        raise ScenarioError(f"Net: method must be a word such as 'POST', not {method!r}")
    if isinstance(post_data, list | bytearray):
        post_data = octets("Net: post_data", post_data)
    if post_data is not None and not isinstance(post_data, str | bytes):
        kind = type(post_data).__name__
        raise ScenarioError(
            f"Net: post_data must be text or bytes, not {kind}; encode it, as with json.dumps"
        )
    wanted = {"user-agent": product(), **_headers(headers)}
    seconds = _seconds("timeout", timeout, TOTAL_S)
    connect_s = _seconds("connection_timeout", connection_timeout, CONNECT_S)
    try:
        address = httpx.URL(url).copy_merge_params(_params(params))
    except httpx.InvalidURL as error:
        return HttpRequestResult(code=MALFORMED_URL, error=str(error))
    if address.scheme not in ("http", "https") or not address.host:
        why = f"{url!r} is not http://host/… or https://host/…"
        return HttpRequestResult(code=MALFORMED_URL, error=why)
    return HttpRequest(
        method=method.upper(),
        url=address,
        headers=httpx.Headers([(name.encode(), value.encode()) for name, value in wanted.items()]),
        body=post_data.encode() if isinstance(post_data, str) else post_data,
        raw_output=raw_output,
        timeout_s=seconds,
        connect_s=connect_s,
    )


def _headers(given: Headers | None) -> dict[str, str]:
    if given is None:
        return {}
    pairs = given.items() if isinstance(given, Mapping) else [_split(line) for line in given]
    headers = {}
    for name, value in pairs:
        given_value: Any = value  # scenarios are not always type checked
        if not isinstance(given_value, str):
            raise ScenarioError(f"Net: the header {name!r} must be text, not {value!r}")
        if not name or not name.isascii() or any(c in name + value for c in "\r\n\0"):
            raise ScenarioError(f"Net: {name!r} cannot be sent as a header")
        headers[name.lower()] = value
    return headers


def _split(line: Any) -> tuple[str, str]:
    name, colon, value = str(line).partition(":")
    if not colon:
        raise ScenarioError(f"Net: headers given as a list read 'Name: value', not {line!r}")
    return name.strip(), value.strip()


def _params(given: Mapping[str, str] | None) -> dict[str, str]:
    return {str(name): str(value) for name, value in (given or {}).items()}


def _seconds(name: str, value: Any, largest: float) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not value > 0:
        raise ScenarioError(f"Net: {name} must be a number of seconds above 0, not {value!r}")
    return min(float(value), largest)


# -- the exchange ---------------------------------------------------------------------------------


def _pending(session: Session) -> _Pending:
    pending: _Pending = session.parts.setdefault("Net", _Pending())
    return pending


def _admit(session: Session) -> bool:
    """Count one more request; return False for one too many after the session's end.

    Raises LimitExceeded in a session that runs.
    """
    pending = _pending(session)
    if pending.count >= PENDING_REQUESTS:
        raise LimitExceeded(
            f"Exceeded the HTTP connection count limit! {PENDING_REQUESTS} requests of this "
            "session are under way or wait"
        )
    pending.count += 1
    pending.after_the_end += session.ended is not None
    return pending.after_the_end <= 1


async def _perform(
    session: Session, request: HttpRequest | HttpRequestResult, *, admitted: bool, log: bool
) -> HttpRequestResult:
    """Do what ``_admit`` has counted, and trace it."""
    pending = _pending(session)
    if isinstance(request, HttpRequest):
        session.trace.command("Net.http_request", **_told_of_request(request, log))
    try:
        if isinstance(request, HttpRequestResult):
            result = request
        elif not admitted:
            why = "a session that has ended may make one request"
            result = HttpRequestResult(code=LIMIT_EXCEEDED, error=why)
        else:
            async with pending.active:
                send = session.context.fetch or fetch
                result = await send(request, None)
    finally:
        pending.count -= 1
    session.trace.step("http response", **_told_of_result(result, log))
    return result


# -- what is told of it ---------------------------------------------------------------------------

_SECRET_HEADERS = frozenset({"cookie", "set-cookie"})
"""Besides those whose name tells (``authorization``, ``x-api-key``), which the trace masks."""


def _told_of_request(request: HttpRequest, log: bool) -> dict[str, Any]:
    bare = str(request.url.copy_with(query=None, fragment=None, username=None, password=None))
    told: dict[str, Any] = {"method": request.method, "url": bare}
    if log:
        told["payload"] = dict(request.url.params.multi_items())
        told["headers"] = _shown(request.headers.multi_items())
        told["body"] = (request.body or b"").decode("utf-8", "replace")
    return told


def _told_of_result(result: HttpRequestResult, log: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"code": result.code}
    if result.error is not None:
        told["error"] = result.error
    if log:
        told["headers"] = _shown([(h.key, h.value) for h in result.headers])
        told["body"] = (
            result.text if result.text is not None else f"{len(result.data or b'')} bytes"
        )
    return told


def _shown(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    return {name: "***" if name.lower() in _SECRET_HEADERS else value for name, value in pairs}
