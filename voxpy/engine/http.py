"""One HTTP exchange that never raises: what can go wrong is a code, as in VoxEngine's Net.

On virtual time a request takes no time at all: the whole loop stands still for it, because virtual
time does not see sockets and would run every timeout down at once.
"""

from __future__ import annotations

import functools
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import attrs
import httpx
import trio

from voxpy.engine import clock
from voxpy.errors import HelpsWithNames

RESPONSE_BYTES = 2 * 1024 * 1024
"""VoxEngine: platform/voxengine/limits."""

FIRST_PART_BYTES = 32 * 1024
"""What is worth a look before the rest is there: two seconds of a good MP3."""

REDIRECTS = 20

LIMIT_EXCEEDED = 0
UNKNOWN_ERROR = -1
MALFORMED_URL = -2
HOST_NOT_FOUND = -3
CONNECTION_ERROR = -4
TOO_MANY_REDIRECTS = -5
NETWORK_ERROR = -6
TIMEOUT = -7
INTERNAL_ERROR = -8
TOO_LARGE = -9


@attrs.frozen(kw_only=True)
class HttpHeader(HelpsWithNames):
    """One header of a response."""

    key: str
    value: str


@attrs.frozen(kw_only=True)
class HttpRequestResult(HelpsWithNames):
    """What came of a request (VoxEngine: Net.HttpRequestResult).

    Attributes:
        code: The HTTP status. Or: 0 a limit of requests was reached, -1 unknown error, -2 malformed
            URL, -3 host not found, -4 no connection, -5 too many redirects, -6 the network failed,
            -7 timeout, -8 internal error, -9 the response is too large (Net: more than 2 MB).
        text: The body as text, unless ``raw_output`` was asked for.
        data: The body as bytes, if ``raw_output`` was asked for.
        headers: The response's headers, in order.
        raw_headers: The same as one text, a line each.
        error: Why there is no HTTP status, in words.
    """

    code: int
    text: str | None = None
    data: bytes | None = attrs.field(default=None, repr=lambda d: f"<{len(d or b'')} bytes>")
    headers: tuple[HttpHeader, ...] = ()
    raw_headers: str | None = None
    error: str | None = None


@attrs.frozen(kw_only=True)
class HttpRequest:
    """A request that can be sent: everything in it has been checked."""

    method: str
    url: httpx.URL
    headers: httpx.Headers
    body: bytes | None
    raw_output: bool
    timeout_s: float
    connect_s: float
    limit_bytes: int = RESPONSE_BYTES


@attrs.frozen
class BodyPart:
    """All that has come so far of a body, and its whole size if the server told it."""

    data: bytes
    size_bytes: int | None


OnPart = Callable[[BodyPart], None]

Fetch = Callable[[HttpRequest, OnPart | None], Awaitable[HttpRequestResult]]
"""What sends requests: ``fetch``, or what a test puts in its place."""


async def fetch(request: HttpRequest, on_part: OnPart | None = None) -> HttpRequestResult:
    """Send ``request``, follow redirects, and return what came of it. Never raises.

    ``on_part`` is shown the body of a 200 as it grows, each time by another quarter at least.
    """
    if not clock.is_virtual():
        return await _fetch(request, on_part)
    await trio.lowlevel.checkpoint()
    with ThreadPoolExecutor(max_workers=1) as pool:  # a thread with a loop on real time
        return pool.submit(trio.run, _fetch, request, None).result()


async def _fetch(request: HttpRequest, on_part: OnPart | None = None) -> HttpRequestResult:
    try:
        with trio.fail_after(request.timeout_s):
            return await _talk(request, on_part)
    except trio.TooSlowError:
        why = f"no complete answer within {request.timeout_s:g} s"
        return HttpRequestResult(code=TIMEOUT, error=why)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return HttpRequestResult(code=_code(error), error=str(error) or type(error).__name__)


async def _talk(request: HttpRequest, on_part: OnPart | None) -> HttpRequestResult:
    tls = await trio.to_thread.run_sync(_tls_context)
    timeout = httpx.Timeout(None, connect=request.connect_s)
    async with (
        httpx.AsyncClient(
            verify=tls, timeout=timeout, follow_redirects=True, max_redirects=REDIRECTS
        ) as client,
        client.stream(
            request.method, request.url, headers=request.headers, content=request.body
        ) as response,
    ):
        size_bytes = _announced(response)
        body, shown = bytearray(), 0
        with trio.CancelScope() as enough:
            async for piece in response.aiter_bytes():
                body += piece
                if max(len(body), size_bytes or 0) > request.limit_bytes:
                    # httpx reads through generators inside each other. Leaving the loop would
                    # abandon all but the outermost; running into a cancellation ends them in order.
                    enough.cancel()
                elif on_part is not None and len(body) >= max(FIRST_PART_BYTES, shown * 5 // 4):
                    shown = len(body)
                    if response.status_code == httpx.codes.OK:
                        on_part(BodyPart(bytes(body), size_bytes))
    if max(len(body), size_bytes or 0) > request.limit_bytes:
        why = f"the response has more than {request.limit_bytes} bytes"
        return HttpRequestResult(code=TOO_LARGE, error=why)
    return _result(response, bytes(body), raw=request.raw_output)


def _announced(response: httpx.Response) -> int | None:
    """Return the size of the body as it will be read, if there is one and the server told it."""
    length = response.headers.get("content-length", "")
    has_body = response.status_code == httpx.codes.OK and response.request.method != "HEAD"
    plain = "content-encoding" not in response.headers
    return int(length) if has_body and plain and length.isdecimal() else None


@functools.cache
def _tls_context() -> ssl.SSLContext:
    """Return the context all requests share: reading the certificates takes 20 ms."""
    return ssl.create_default_context()


def _result(response: httpx.Response, body: bytes, *, raw: bool) -> HttpRequestResult:
    pairs = [
        (key.decode("latin-1"), value.decode("latin-1")) for key, value in response.headers.raw
    ]
    return HttpRequestResult(
        code=response.status_code,
        text=None if raw else body.decode(response.encoding or "utf-8", "replace"),
        data=body if raw else None,
        headers=tuple(HttpHeader(key=key, value=value) for key, value in pairs),
        raw_headers="".join(f"{key}: {value}\r\n" for key, value in pairs),
    )


_CODES: Sequence[tuple[type[Exception], int]] = (
    (httpx.InvalidURL, MALFORMED_URL),
    (httpx.UnsupportedProtocol, MALFORMED_URL),
    (httpx.TooManyRedirects, TOO_MANY_REDIRECTS),
    (httpx.TimeoutException, TIMEOUT),
    (httpx.ConnectError, CONNECTION_ERROR),
    (httpx.ProxyError, CONNECTION_ERROR),
    (httpx.LocalProtocolError, INTERNAL_ERROR),
    (httpx.TransportError, NETWORK_ERROR),
    (httpx.DecodingError, NETWORK_ERROR),
)


def _code(error: Exception) -> int:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            return HOST_NOT_FOUND
        cause = cause.__cause__ or cause.__context__
    return next((code for kind, code in _CODES if isinstance(error, kind)), UNKNOWN_ERROR)
