"""The tables of the call history, their rows, and the file ``history.db`` that holds them.

Two drivers, one dialect: what stands here is understood by SQLite and by Postgres
(``postgres.py``); parameters are ``:name``. Nothing is written in a transaction that waits for
anything: a lock is held for a fraction of a millisecond.
"""

from __future__ import annotations

import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol, TypeVar

import attrs

from voxpy.engine.storage import alone, write_ahead
from voxpy.errors import ConfigError

T = TypeVar("T")
FILE_NAME = "history.db"
USUAL = ".voxpy"
LOCK_S = 5.0
"""How long another process may hold the file before it counts as locked for good."""

STEPS = (
    """
CREATE TABLE IF NOT EXISTS sessions (
    {rowid}
    session_id TEXT PRIMARY KEY,
    host_id TEXT NOT NULL,
    state TEXT NOT NULL,               -- running, ended, interrupted
    start_date TEXT NOT NULL,          -- ISO 8601, UTC
    duration_s DOUBLE PRECISION,
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
    folder TEXT NOT NULL               -- relative to where the host keeps its calls
);
CREATE INDEX IF NOT EXISTS sessions_by_start ON sessions (start_date);
CREATE INDEX IF NOT EXISTS sessions_by_state ON sessions (state) WHERE state = 'running';
CREATE TABLE IF NOT EXISTS calls (
    {rowid}
    session_id TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
    call_id TEXT NOT NULL,
    incoming INTEGER NOT NULL,
    local_number TEXT NOT NULL,        -- personal, like the next
    remote_number TEXT NOT NULL,
    remote_number_type TEXT NOT NULL,
    start_time TEXT NOT NULL,
    duration_s DOUBLE PRECISION,
    successful INTEGER,
    end_code BIGINT,
    end_description TEXT NOT NULL,
    audio_quality TEXT NOT NULL,
    custom_data TEXT NOT NULL,
    PRIMARY KEY (session_id, call_id)
);
CREATE TABLE IF NOT EXISTS files (
    {rowid}
    session_id TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
    kind TEXT NOT NULL,                -- trace, log, recording, transcript
    url TEXT NOT NULL,
    PRIMARY KEY (session_id, kind, url)
);
""",
    """
DROP INDEX IF EXISTS sessions_by_state;
CREATE INDEX IF NOT EXISTS sessions_open ON sessions (host_id) WHERE duration_s IS NULL;
""",
)
"""What makes each version of the tables of the one before. ``rowid`` SQLite has by itself."""
VERSION = len(STEPS)
KEYS = {"sessions": "session_id", "calls": "session_id, call_id", "files": "session_id, kind, url"}

Values = Mapping[str, Any]
NO_VALUES: Values = {}


class RowRefused(ConfigError):
    """A row that the database does not take, now or later; the others it does."""


class Rows(Protocol):
    """An open history."""

    def read(self, statement: str, values: Values = NO_VALUES) -> list[Any]:
        """Return rows, whose columns are had by their names."""

    def write(self, statement: str, values: Values = NO_VALUES) -> None:
        """Change something; what is wrong with it may be raised as late as ``together`` ends."""

    def together(self) -> AbstractContextManager[Any]:
        """Let all that is written within the block count, or nothing."""


class Store(ABC):
    """Where a call history is. ``base`` is the folder of everything this host keeps of calls.

    Nothing is opened before the first use. May be used in any thread; close it at the end.
    """

    shared = False
    """Whether other machines write into it."""
    look_s = 0.5
    """How often one may ask for ``changes``."""
    failures: tuple[type[Exception], ...]
    place: str
    """What messages call it."""

    def __init__(self, base: Path) -> None:
        self.base = base.absolute()
        self._lock = threading.Lock()
        self._rows: Rows | None = None

    def do(self, work: Callable[[Rows], T]) -> T:
        """Return what ``work`` makes of the history.

        Raises ConfigError (with its place) for one that cannot be used: no database, locked, not
        writable, not reached, of a newer voxpy; RowRefused for a row that is impossible there.
        """
        with self._lock, self.watched():
            try:
                if self._rows is None:
                    self._rows = self.opened()
                return work(self._rows)
            except self.failures as error:
                self._let_go()
                raise self.named(error) from error

    def close(self) -> None:
        """Let go of it. Idempotent."""
        with self._lock:
            self._let_go()

    def _let_go(self) -> None:
        if self._rows is not None:
            self._rows = None
            self.shut()

    def exists(self) -> bool:
        """Whether there is a history at all, so that nobody makes one by looking."""
        return True

    def watched(self) -> AbstractContextManager[Any]:
        """Return what ends work that would take for ever."""
        return nullcontext()

    @abstractmethod
    def another(self) -> Store:
        """Return the same with a connection of its own: who searches holds up nobody who writes."""

    @abstractmethod
    def opened(self) -> Rows:
        """Open it, begun or brought up to date if need be."""

    @abstractmethod
    def shut(self) -> None:
        """Let go of what ``opened`` has opened."""

    @abstractmethod
    def named(self, error: Exception) -> ConfigError:
        """Return what one of ``failures`` means."""

    @abstractmethod
    def changes(self) -> object:
        """Return what differs from the last time once somebody has written. Raises ConfigError."""


def newer(version: int, place: str) -> ConfigError:
    """Return the error of a history that we may not know how to write."""
    told = f"was written by a newer voxpy (version {version} of its tables, not {VERSION})"
    return ConfigError(told, file=place)


def make_base(base: Path) -> None:
    """Make the folder of everything that is kept, out of version control's sight.

    Recordings and numbers of callers are nothing to commit by accident. Raises OSError.
    """
    base.mkdir(parents=True, exist_ok=True)
    top = next((path for path in (base, *base.parents) if path.name == USUAL), base)
    ignored = top / ".gitignore"
    if not ignored.exists():
        ignored.write_text("*\n", encoding="utf-8")


# -- SQLite ----------------------------------------------------------------------------------------


class SqliteStore(Store):
    """A file in ``base``. Write-ahead logging lets several workers write while somebody reads."""

    failures = (sqlite3.Error, OSError)

    def __init__(self, base: Path, name: str = FILE_NAME) -> None:
        super().__init__(base)
        self.path = self.base / name
        self.place = str(self.path)
        self._connection: sqlite3.Connection | None = None

    def exists(self) -> bool:
        return self.path.exists()

    def another(self) -> Store:
        return SqliteStore(self.base, self.path.name)

    def opened(self) -> Rows:
        make_base(self.base)
        self._connection = connection = sqlite3.connect(
            self.path, timeout=LOCK_S, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare(connection)
        except BaseException:
            self.shut()
            raise
        return SqliteRows(connection)

    def shut(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA foreign_keys=ON")
        version = _version(connection)
        if version > VERSION:
            raise newer(version, self.place)
        write_ahead(connection, self.path)
        if version < VERSION:
            with alone(self.path):
                begin_tables(connection)

    def named(self, error: Exception) -> ConfigError:
        told = f"{error}"
        if isinstance(error, OSError):
            told = error.strerror or told
        elif isinstance(error, sqlite3.OperationalError):
            if "locked" in told or "busy" in told:
                told = f"is locked by another program for more than {LOCK_S:g} s"
        else:
            hint = "move the file away to begin a new one"
            return ConfigError(f"the call history cannot be used: {told}; {hint}", file=self.place)
        return ConfigError(f"the call history: {told}", file=self.place)

    def changes(self) -> object:
        """Return when the database and its log were written last."""
        times = []
        for each in (self.path, self.path.with_name(self.path.name + "-wal")):
            try:
                times.append(each.stat().st_mtime_ns)
            except OSError:
                times.append(0)
        return times


@attrs.frozen
class SqliteRows:
    connection: sqlite3.Connection

    def __attrs_post_init__(self) -> None:
        self.connection.row_factory = sqlite3.Row

    def read(self, statement: str, values: Values = NO_VALUES) -> list[Any]:
        return self.connection.execute(statement, values).fetchall()

    def write(self, statement: str, values: Values = NO_VALUES) -> None:
        self.connection.execute(statement, values)

    @contextmanager
    def together(self) -> Iterator[None]:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise


def begin_tables(connection: sqlite3.Connection) -> None:
    """Make the tables of a history, or of an older one what they are today."""
    for n, step in enumerate(STEPS[_version(connection) :], _version(connection) + 1):
        connection.executescript(step.replace("{rowid}", "") + f"PRAGMA user_version={n};")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
