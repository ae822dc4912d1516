"""One HTTP exchange that never raises: what can go wrong is a code, as in VoxEngine's Net.

On virtual time a request takes no time at all: the whole loop stands still for it, because virtual
time does not see sockets and would run every timeout down at once.
"""

from __future__ import annotations

import functools
import socket
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import attrs
import httpx
import trio

from voxpy.engine import clock

__all__ = [
    "LIMIT_EXCEEDED",
    "MALFORMED_URL",
    "RESPONSE_BYTES",
    "HttpHeader",
    "HttpRequest",
    "HttpRequestResult",
    "fetch",
]

RESPONSE_BYTES = 2 * 1024 * 1024
"""VoxEngine: platform/voxengine/limits."""

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
class HttpHeader:
    """One header of a response."""

    key: str
    value: str


@attrs.frozen(kw_only=True)
class HttpRequestResult:
    """What came of a request (VoxEngine: Net.HttpRequestResult).

    Attributes:
        code: The HTTP status. Or: 0 a limit of requests was reached, -1 unknown error, -2 malformed
            URL, -3 host not found, -4 no connection, -5 too many redirects, -6 the network failed,
            -7 timeout, -8 internal error, -9 the response has more than 2 MB.
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


async def fetch(request: HttpRequest) -> HttpRequestResult:
    """Send ``request``, follow redirects, and return what came of it. Never raises."""
    if not clock.is_virtual():
        return await _fetch(request)
    await trio.lowlevel.checkpoint()
    with ThreadPoolExecutor(max_workers=1) as pool:  # a thread with a loop on real time
        return pool.submit(trio.run, _fetch, request).result()


async def _fetch(request: HttpRequest) -> HttpRequestResult:
    try:
        with trio.fail_after(request.timeout_s):
            return await _talk(request)
    except trio.TooSlowError:
        why = f"no complete answer within {request.timeout_s:g} s"
        return HttpRequestResult(code=TIMEOUT, error=why)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return HttpRequestResult(code=_code(error), error=str(error) or type(error).__name__)


async def _talk(request: HttpRequest) -> HttpRequestResult:
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
        body = bytearray()
        with trio.CancelScope() as enough:
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > RESPONSE_BYTES:
                    # httpx reads through generators inside each other. Leaving the loop would
                    # abandon all but the outermost; running into a cancellation ends them in order.
                    enough.cancel()
    if len(body) > RESPONSE_BYTES:
        why = f"the response has more than {RESPONSE_BYTES} bytes"
        return HttpRequestResult(code=TOO_LARGE, error=why)
    return _result(response, bytes(body), raw=request.raw_output)


@functools.cache
def _tls_context() -> ssl.SSLContext:
    """Return the context all requests share: reading the certificates takes 20 ms."""
    return ssl.create_default_context()


def _result(response: httpx.Response, body: bytes, *, raw: bool) -> HttpRequestResult:
    pairs = response.headers.multi_items()
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
