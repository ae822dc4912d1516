"""Sound files from the web: 10 MB and 12 s at most, cached as their server allows.

VoxEngine keeps every file for two weeks under its URL alone. Here a file is kept as HTTP says: for
its ``max-age``, then as long as the server answers 304 to its ``ETag`` or ``Last-Modified``; not at
all with ``no-store``, or if there is neither. The request's headers are part of the key, so that
nobody hears what was fetched with somebody else's token. POST is never cached.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx

from voxpy.engine import clock
from voxpy.engine.http import (
    TIMEOUT,
    TOO_LARGE,
    BodyPart,
    Fetch,
    HttpRequest,
    HttpRequestResult,
    fetch,
)
from voxpy.errors import SoundFailed
from voxpy.players.cache import Cached, SoundCache
from voxpy.players.request import SoundRequest

__all__ = ["DOWNLOAD_S", "LIMIT_BYTES", "download"]

LIMIT_BYTES = 10 * 1024 * 1024
DOWNLOAD_S = 12.0
"""VoxEngine: createURLPlayer."""
CONNECT_S = 6.0
USER_AGENT = "voxpy/0.1.0"

_MAX_AGE = re.compile(r"\bmax-age=(\d+)")
_VALIDATORS = {"etag": "if-none-match", "last-modified": "if-modified-since"}

OnPart = Callable[[BodyPart], None]


async def download(
    request: SoundRequest,
    cache: SoundCache,
    on_part: OnPart | None = None,
    *,
    timeout_s: float = DOWNLOAD_S,
    send: Fetch | None = None,
) -> bytes:
    """Return the file; ``on_part`` sees what there is of it before it is complete.

    ``send`` takes the place of ``voxpy.engine.http.fetch``.

    Raises SoundFailed naming the address and what went wrong.
    """
    key = (request.url, request.headers) if request.method == "GET" and not request.body else None
    known = cache.get(key) if key is not None else None
    now = clock.wall().timestamp()
    if known is not None and now < known.fresh_until:
        return known.data
    validators = known.validators if known is not None else ()
    result = await (send or fetch)(_http_request(request, validators, timeout_s), on_part)
    if known is not None and result.code == httpx.codes.NOT_MODIFIED:
        return known.data
    data = _body(request, result, timeout_s)
    if key is not None:
        _keep(cache, key, data, {h.key.lower(): h.value for h in result.headers}, now)
    return data


def _http_request(
    request: SoundRequest, validators: tuple[tuple[str, str], ...], timeout_s: float
) -> HttpRequest:
    try:
        url = httpx.URL(request.url)
    except httpx.InvalidURL as error:
        raise SoundFailed(f"{request.url!r} is no URL: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise SoundFailed(f"{request.shown}: expected http://, https://, file: or a path")
    pairs = [("user-agent", USER_AGENT), *request.headers, *validators]
    return HttpRequest(
        method=request.method,
        url=url,
        headers=httpx.Headers([(name.encode(), value.encode()) for name, value in pairs]),
        body=request.body,
        raw_output=True,
        timeout_s=timeout_s,
        connect_s=CONNECT_S,
        limit_bytes=LIMIT_BYTES,
    )


def _body(request: SoundRequest, result: HttpRequestResult, timeout_s: float) -> bytes:
    if result.code == httpx.codes.OK and result.data is not None:
        return result.data
    told = {
        TIMEOUT: f"Timeout is reached: the file was not there within {timeout_s:g} s",
        TOO_LARGE: f"too large: more than {LIMIT_BYTES} bytes",
    }.get(result.code)
    if told is None:
        told = f"the server answered {result.code}" if result.code > 0 else result.error
    raise SoundFailed(f"{request.shown}: {told}")


def _keep(
    cache: SoundCache, key: tuple[object, ...], data: bytes, headers: dict[str, str], now: float
) -> None:
    control = headers.get("cache-control", "").lower()
    age = _MAX_AGE.search(control)
    fresh_s = float(age[1]) if age is not None and "no-cache" not in control else 0.0
    validators = tuple((ask, headers[told]) for told, ask in _VALIDATORS.items() if told in headers)
    if "no-store" in control or not (validators or fresh_s):
        cache.forget(key)
    else:
        cache.put(key, Cached(data=data, validators=validators, fresh_until=now + fresh_s))
