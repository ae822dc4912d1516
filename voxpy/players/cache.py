"""Sound files that were fetched, kept by the process for all its calls. Bounded, in memory."""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Hashable

import attrs

__all__ = ["CACHE_BYTES", "Cached", "SoundCache", "shared_cache"]

CACHE_BYTES = 64 * 1024 * 1024
"""Six of the largest files, or hours of prompts."""


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
