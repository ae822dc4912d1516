"""Sound files on this machine.

What a scenario plays often comes from data: a row of a table, a request from outside. So only
files below the folders of its scenario, below the working directory and in the session's own folder
(what was recorded in this call) can be played; links are followed first.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from voxpy.errors import SoundFailed
from voxpy.players.cache import Cached, SoundCache

__all__ = ["is_local", "read_local"]

LIMIT_BYTES = 10 * 1024 * 1024
"""VoxEngine: createURLPlayer."""


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
