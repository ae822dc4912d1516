"""What scenarios keep beyond their session: keys and texts with an end, in one SQLite file.

All sessions of a host share it, those of its other worker processes too. Without a path it lives in
memory. A row is read or written in some 20 µs, so nothing here leaves the event loop.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from voxpy.engine import clock

FILE_NAME = "storage.db"
_LOCK_S = 1.0

_TABLE = """
CREATE TABLE IF NOT EXISTS entries (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    expire_at REAL NOT NULL            -- seconds since 1970
)
"""


@attrs.frozen
class Entry:
    """One key. ``expire_at_s`` is in seconds since 1970."""

    key: str
    value: str
    expire_at_s: float


def write_ahead(connection: sqlite3.Connection, path: Path) -> None:
    """Give a file its write-ahead log, so that several processes write while others read."""
    if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        with alone(path):
            connection.execute("PRAGMA journal_mode = WAL")
    # With a write-ahead log NORMAL loses nothing to a killed process, and needs no fsync per write.
    connection.execute("PRAGMA synchronous = NORMAL")


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Begin a file one process at a time.

    Where two switch to the write-ahead log together, SQLite tells one of them "locked" at once,
    whatever its timeout.
    """
    from filelock import FileLock  # only for a file that begins: it loads asyncio, 45 ms

    with FileLock(path.with_suffix(".begin")):
        yield


class Storage:
    """Keys and texts of one host.

    Every method raises sqlite3.Error or OSError for what cannot be used.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._open: sqlite3.Connection | None = None

    async def get(self, key: str) -> Entry | None:
        rows = self._do(
            "SELECT key, value, expire_at FROM entries WHERE key = ? AND expire_at > ?",
            (key, _now_s()),
        )
        return Entry(*rows[0]) if rows else None

    async def put(self, key: str, value: str, ttl_s: float) -> Entry:
        """Keep a value for ``ttl_s`` seconds; it replaces what was there."""
        now_s = _now_s()
        self._do("DELETE FROM entries WHERE expire_at <= ?", (now_s,))
        entry = Entry(key, value, now_s + ttl_s)
        self._do("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", attrs.astuple(entry))
        return entry

    async def keys(self, pattern: str, count: int) -> list[str]:
        """Return at most ``count`` keys, sorted; ``*`` and ``?`` of a pattern stand for others."""
        escaped = pattern.replace("[", "[[]")
        rows = self._do(
            "SELECT key FROM entries WHERE key GLOB ? AND expire_at > ? ORDER BY key LIMIT ?",
            (escaped, _now_s(), count),
        )
        return [key for (key,) in rows]

    async def remove(self, key: str) -> Entry | None:
        """Forget a key; return what was there."""
        found = await self.get(key)
        self._do("DELETE FROM entries WHERE key = ?", (key,))
        return found

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def __del__(self) -> None:
        """End with whoever had it, as one in memory does: a session of a test, of a trial."""
        self.close()

    def _do(self, statement: str, values: tuple[object, ...]) -> list[Any]:
        if self._open is None:
            if self._path is not None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            self._open = sqlite3.connect(
                self._path or ":memory:",
                timeout=_LOCK_S,
                isolation_level=None,
                check_same_thread=False,  # the collector may end it in any thread
            )
            if self._path is not None:
                write_ahead(self._open, self._path)
            self._open.execute(_TABLE)
        return self._open.execute(statement, values).fetchall()


def _now_s() -> float:
    return clock.wall().timestamp()
