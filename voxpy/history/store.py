"""The file ``history.db``: its tables, and opening it safely beside other processes.

Write-ahead logging lets several workers write while somebody reads. Nothing is written in a
transaction that waits for anything: a lock is held for a fraction of a millisecond.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voxpy.errors import ConfigError

__all__ = ["FILE_NAME", "LOCK_S", "opened", "reading"]

FILE_NAME = "history.db"
LOCK_S = 5.0
"""How long another process may hold the file before it counts as locked for good."""

VERSION = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS sessions (
    session_id TEXT PRIMARY KEY,
    host_id TEXT NOT NULL,
    state TEXT NOT NULL,               -- running, ended, interrupted
    start_date TEXT NOT NULL,          -- ISO 8601, UTC
    duration_s REAL,
    finish_reason TEXT NOT NULL,
    end_reason TEXT NOT NULL,
    end_detail TEXT NOT NULL,
    failed INTEGER NOT NULL,
    rule_name TEXT NOT NULL,
    scenarios TEXT NOT NULL,           -- JSON list
    channel TEXT NOT NULL,
    callerid TEXT NOT NULL,            -- personal, like the next three
    destination TEXT NOT NULL,
    custom_data TEXT NOT NULL,
    transaction_id TEXT NOT NULL,
    reply_ms TEXT NOT NULL,            -- JSON list
    barge_in_ms TEXT NOT NULL,         -- JSON list
    warnings INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    folder TEXT NOT NULL               -- relative to this file
);
CREATE INDEX IF NOT EXISTS sessions_by_start ON sessions (start_date);
CREATE INDEX IF NOT EXISTS sessions_by_state ON sessions (state) WHERE state = 'running';
CREATE TABLE IF NOT EXISTS calls (
    session_id TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
    call_id TEXT NOT NULL,
    incoming INTEGER NOT NULL,
    local_number TEXT NOT NULL,        -- personal, like the next
    remote_number TEXT NOT NULL,
    remote_number_type TEXT NOT NULL,
    start_time TEXT NOT NULL,
    duration_s REAL,
    successful INTEGER,
    end_code INTEGER,
    end_description TEXT NOT NULL,
    audio_quality TEXT NOT NULL,
    custom_data TEXT NOT NULL,
    PRIMARY KEY (session_id, call_id)
);
CREATE TABLE IF NOT EXISTS files (
    session_id TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
    kind TEXT NOT NULL,                -- trace, log, recording, transcript
    url TEXT NOT NULL,
    PRIMARY KEY (session_id, kind, url)
);
"""


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the history for writing, begun if there is none; it stays open within the block.

    Raises ConfigError (with the file) for a file that cannot be used: no database, locked, not
    writable, of a newer voxpy. The same holds for whatever is done within the block.
    """
    with _named_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            path, timeout=LOCK_S, isolation_level=None, check_same_thread=False
        )
        try:
            _prepare(connection, path)
            yield connection
        finally:
            connection.close()


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """As ``opened``, for somebody who only looks and wants rows by name."""
    with opened(path) as connection:
        connection.row_factory = sqlite3.Row
        yield connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        problem = f"was written by a newer voxpy (version {version} of the file, not {VERSION})"
        raise ConfigError(problem, file=str(path))
    connection.execute("PRAGMA foreign_keys=ON")
    # With a write-ahead log NORMAL loses nothing to a killed process, and needs no fsync per call.
    connection.execute("PRAGMA synchronous=NORMAL")
    if version == 0:
        with _alone(path):
            if connection.execute("PRAGMA user_version").fetchone() == (0,):
                connection.execute("PRAGMA journal_mode=WAL")
                connection.executescript(_TABLES + f"PRAGMA user_version={VERSION};")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Begin the file one process at a time.

    Where two switch to the write-ahead log together, SQLite tells one of them "locked" at once,
    whatever its timeout.
    """
    with path.with_suffix(".begin").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        locked = "locked" in str(error) or "busy" in str(error)
        told = f"is locked by another program for more than {LOCK_S:g} s" if locked else f"{error}"
        raise ConfigError(f"the call history: {told}", file=str(path)) from error
    except sqlite3.DatabaseError as error:
        told = f"the call history cannot be used: {error}; move the file away to begin a new one"
        raise ConfigError(told, file=str(path)) from error
    except OSError as error:
        raise ConfigError(f"the call history: {error.strerror or error}", file=str(path)) from error
