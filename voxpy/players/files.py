"""Sound files, from this machine or from the web, and the cache in which the process keeps them.

What a scenario plays often comes from data: a row of a table, a request from outside. So of this
machine only files below the folders of its scenario, below the working directory and in the
session's own folder (what was recorded in this call) can be played; links are followed first.

From the web 10 MB and 12 s at most. VoxEngine keeps every file for two weeks under its URL alone.
Here a file is kept as HTTP says: for its ``max-age``, then as long as the server answers 304 to its
``ETag`` or ``Last-Modified``; not at all with ``no-store``, or if there is neither. The request's
headers are part of the key, so that nobody hears what was fetched with somebody else's token. POST
is never cached.
"""

from __future__ import annotations

import functools
import re
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import attrs
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
from voxpy.players.request import SoundRequest
from voxpy.text.product import product

LIMIT_BYTES = 10 * 1024 * 1024
DOWNLOAD_S = 12.0
"""VoxEngine: createURLPlayer."""
CACHE_BYTES = 64 * 1024 * 1024
"""Six of the largest files, or hours of prompts."""
CONNECT_S = 6.0

_MAX_AGE = re.compile(r"\bmax-age=(\d+)")
_VALIDATORS = {"etag": "if-none-match", "last-modified": "if-modified-since"}

OnPart = Callable[[BodyPart], None]


# -- the cache -------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Cached:
    """A file, and how to learn whether it is still the same.

    ``validators`` are request headers that make a server answer 304; for a local file they are its
    time and size. Until ``fresh_until`` (seconds of the Unix epoch) nobody needs to be asked.
    """

    data: bytes
    validators: tuple[tuple[str, str], ...]
    fresh_until: float = 0.0


class SoundCache:
    """The least recently used files go first. Thread-safe."""

    def __init__(self, limit_bytes: int = CACHE_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._files: OrderedDict[Hashable, Cached] = OrderedDict()
        self._lock = threading.Lock()
        self.size_bytes = 0

    def get(self, key: Hashable) -> Cached | None:
        """Return what is kept under ``key``."""
        with self._lock:
            if key in self._files:
                self._files.move_to_end(key)
            return self._files.get(key)

    def put(self, key: Hashable, file: Cached) -> None:
        """Keep ``file``, in place of what was there; larger than the whole cache it is not kept."""
        with self._lock:
            self._drop(key)
            if len(file.data) > self._limit_bytes:
                return
            self._files[key] = file
            self.size_bytes += len(file.data)
            while self.size_bytes > self._limit_bytes:
                self._drop(next(iter(self._files)))

    def forget(self, key: Hashable) -> None:
        """Keep nothing under ``key``."""
        with self._lock:
            self._drop(key)

    def _drop(self, key: Hashable) -> None:
        old = self._files.pop(key, None)
        if old is not None:
            self.size_bytes -= len(old.data)


@functools.cache
def shared_cache() -> SoundCache:
    """Return the cache of the process."""
    return SoundCache()


# -- files of this machine -------------------------------------------------------------------------


def is_local(url: str) -> bool:
    """Return whether ``url`` is a path or a ``file:`` URL."""
    scheme = urlsplit(url).scheme
    return scheme in ("", "file") or len(scheme) == 1  # C:\\sounds


def read_local(url: str, folders: Sequence[Path], cache: SoundCache) -> bytes:
    """Return a file. A relative path is looked for in each of ``folders``; blocking.

    Raises SoundFailed for a file that is not there or not below one of them, is no ordinary file,
    cannot be read, or is larger than 10 MB.
    """
    path = _find(_path(url), folders)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise SoundFailed(f"{url}: not a file")
        if status.st_size > LIMIT_BYTES:
            raise SoundFailed(f"{url}: {status.st_size} bytes; at most {LIMIT_BYTES} are played")
        state = (("size", str(status.st_size)), ("time", str(status.st_mtime_ns)))
        known = cache.get(path)
        if known is not None and known.validators == state:
            return known.data
        data = path.read_bytes()
    except OSError as error:
        raise SoundFailed(f"{url}: cannot be read: {error.strerror}") from error
    cache.put(path, Cached(data=data, validators=state))
    return data


def _path(url: str) -> Path:
    parts = urlsplit(url)
    if parts.scheme != "file":
        return Path(url)
    if parts.netloc not in ("", "localhost"):
        raise SoundFailed(f"{url}: a file of another machine; expected file:///path")
    return Path(unquote(parts.path))


def _find(path: Path, folders: Sequence[Path]) -> Path:
    roots = list(dict.fromkeys(folder.resolve() for folder in folders))
    try:
        wanted = [(root / path).resolve() for root in roots]  # an absolute path stays what it is
        found = next((p for p in wanted if p.exists()), None)
    except (OSError, ValueError) as error:  # a name that is too long, or holds a null byte
        raise SoundFailed(f"{str(path)[:80]!r}: not a file name: {error}") from error
    looked = ", ".join(map(str, roots))
    if found is None:
        raise SoundFailed(f"{path}: there is no such file; looked in {looked}")
    if not any(found.is_relative_to(root) for root in roots):
        raise SoundFailed(f"{path}: only files below these folders are played: {looked}")
    return found


# -- files from the web ----------------------------------------------------------------------------


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
    data = _file_in(request, result, timeout_s)
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
    pairs = [("user-agent", product()), *request.headers, *validators]
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


def _file_in(request: SoundRequest, result: HttpRequestResult, timeout_s: float) -> bytes:
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
