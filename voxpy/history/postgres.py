"""A call history in Postgres, for all hosts together (extra ``fleet``).

It blocks, like SQLite: nothing here is called on the event loop. One connection a process, in a
schema of its own; a transaction goes out at once and comes back at once (pipeline), so that a
database some milliseconds away costs a call two ways and not ten.

Whether a process of another machine lives no lock of a file tells: each renews a lease, by the
database's own clock.
"""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs

from voxpy.errors import ConfigError, EngineMissing, install_command
from voxpy.history.store import (
    NO_VALUES,
    STEPS,
    VERSION,
    RowRefused,
    Rows,
    SqliteStore,
    Store,
    Values,
    newer,
)
from voxpy.project.keeping import KeepingSettings, Known, database_url

if TYPE_CHECKING:
    import psycopg

SCHEMA = "voxpy"
ROWID = "rowid BIGINT GENERATED ALWAYS AS IDENTITY,"
LEASES = """
CREATE TABLE hosts (
    host_id TEXT PRIMARY KEY,
    seen DOUBLE PRECISION NOT NULL     -- seconds since 1970, by the clock of the database
);
CREATE TABLE version (version INTEGER NOT NULL);
INSERT INTO version VALUES (0);
"""
_IN_SCHEMA = f"SET search_path TO {SCHEMA}".encode()
BEGINNING = 0x766F787079
"""The advisory lock of whoever makes the tables."""
PATIENCE_S = 4.0
"""How long a server may say nothing before the connection is given up."""
SEARCH_S = 30.0
OPTIONS: Mapping[str, Any] = {
    "application_name": "voxpy",
    "connect_timeout": 3,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
"""Where the URL says nothing else."""
LEASE_S = 60.0
FORGOTTEN_S = 86400.0
NOW = "extract(epoch FROM clock_timestamp())"
ITS_FAULT = ("22", "23", "54")
"""Classes of SQLSTATE that blame a row: data, integrity, limits."""


class PostgresStore(Store):
    """The database at ``url``. Raises EngineMissing without psycopg."""

    shared = True
    look_s = 2.0

    def __init__(self, base: Path, url: str, *, patience_s: float = PATIENCE_S) -> None:
        super().__init__(base)
        try:
            import psycopg
        except ImportError as error:
            missing = f"a history in Postgres needs psycopg: {install_command('fleet')}"
            raise EngineMissing(missing) from error
        self._psycopg = psycopg
        self._url = url
        self._patience_s = patience_s
        self._connection: psycopg.Connection[Any] | None = None
        self.failures = (psycopg.Error, OSError)
        self.place = _without_password(url)

    def another(self) -> Store:
        return PostgresStore(self.base, self._url, patience_s=SEARCH_S)

    def opened(self) -> Rows:
        from psycopg.conninfo import conninfo_to_dict
        from psycopg.rows import dict_row

        given: dict[str, Any] = {**OPTIONS, **conninfo_to_dict(self._url)}
        connection: psycopg.Connection[Any] = self._psycopg.connect(
            **given, autocommit=True, row_factory=dict_row
        )
        self._connection = connection
        try:
            self._prepare(connection)
        except BaseException:
            self.shut()
            raise
        return _Rows(connection)

    def shut(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Take the connection from under work that hears nothing, as of a machine that is gone.

        The network tells of that after a quarter of an hour; a statement's timeout is the server's.
        """
        alarm = threading.Timer(self._patience_s, self._break_off)
        alarm.daemon = True
        alarm.start()
        try:
            yield
        finally:
            alarm.cancel()

    def _break_off(self) -> None:
        connection = self._connection
        if connection is not None:
            with suppress(OSError, self._psycopg.Error), _line_of(connection) as line:
                line.shutdown(socket.SHUT_RDWR)

    def _prepare(self, connection: psycopg.Connection[Any]) -> None:
        if not _is_there(connection, "to_regclass", f"{SCHEMA}.version"):
            with self._alone(connection):
                if not _is_there(connection, "to_regnamespace", SCHEMA):
                    connection.execute(f"CREATE SCHEMA {SCHEMA}".encode())
                connection.execute(_IN_SCHEMA)
                if not _is_there(connection, "to_regclass", f"{SCHEMA}.version"):
                    connection.execute(LEASES)
        connection.execute(_IN_SCHEMA)
        version = _version(connection)
        if version > VERSION:
            raise newer(version, self.place)
        if version < VERSION:
            with self._alone(connection):
                for step in STEPS[_version(connection) :]:
                    connection.execute(step.replace("{rowid}", ROWID).encode())
                connection.execute(f"UPDATE version SET version = {VERSION}".encode())

    @contextmanager
    def _alone(self, connection: psycopg.Connection[Any]) -> Iterator[None]:
        """Begin the tables one host at a time."""
        with connection.transaction():
            connection.execute(f"SELECT pg_advisory_xact_lock({BEGINNING})".encode())
            yield

    def named(self, error: Exception) -> ConfigError:
        state = getattr(error, "sqlstate", None) or ""
        told = " ".join(f"{error}".split()) or type(error).__name__
        kind = RowRefused if state[:2] in ITS_FAULT else ConfigError
        return kind(f"the call history: {told}", file=self.place)

    def changes(self) -> object:
        """Return the numbers of rows that were ever begun: each write takes one."""

        def work(rows: Rows) -> object:
            numbers = (f"SELECT last_value FROM {t}_rowid_seq" for t in ("sessions", "calls"))
            return [rows.read(statement)[0]["last_value"] for statement in numbers]

        return self.do(work)


def _line_of(connection: psycopg.Connection[Any]) -> socket.socket:
    return socket.socket(fileno=os.dup(connection.fileno()))


def _is_there(connection: psycopg.Connection[Any], ask: str, name: str) -> bool:
    found = connection.execute(f"SELECT {ask}('{name}') AS found".encode()).fetchone()
    return found is not None and found["found"] is not None


def _version(connection: psycopg.Connection[Any]) -> int:
    found = connection.execute("SELECT version FROM version").fetchone()
    return 0 if found is None else int(found["version"])


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def store_of(
    keeping: KeepingSettings, secrets: Known, base: Path, *, patience_s: float = PATIENCE_S
) -> Store:
    """Return the history that routing.yaml names: Postgres, else the file in ``base``.

    Raises ConfigError without its secret, EngineMissing without psycopg.
    """
    if not keeping.history.postgres:
        return SqliteStore(base)
    return PostgresStore(base, database_url(keeping, secrets), patience_s=patience_s)


# -- who lives -------------------------------------------------------------------------------------


def renew_lease(rows: Rows, host_id: str) -> None:
    """Say that a host lives, for LEASE_S seconds."""
    told = "ON CONFLICT (host_id) DO UPDATE SET seen = excluded.seen"
    rows.write(f"INSERT INTO hosts VALUES (:host_id, {NOW}) {told}", {"host_id": host_id})


def end_lease(rows: Rows, host_id: str) -> None:
    """Say that a host has ended, and forget those of which nothing was heard for a day."""
    rows.write(
        f"DELETE FROM hosts WHERE host_id = :host_id OR seen < {NOW} - :long",
        {"host_id": host_id, "long": FORGOTTEN_S},
    )


def living(rows: Rows) -> set[str]:
    """Return the hosts whose leases last."""
    statement = f"SELECT host_id FROM hosts WHERE seen > {NOW} - :lease"
    return {row["host_id"] for row in rows.read(statement, {"lease": LEASE_S})}


# -- the dialect -----------------------------------------------------------------------------------


@attrs.frozen
class _Rows:
    connection: psycopg.Connection[Any]

    def read(self, statement: str, values: Values = NO_VALUES) -> list[Any]:
        return self.connection.execute(_own(statement), _plain(values)).fetchall()

    def write(self, statement: str, values: Values = NO_VALUES) -> None:
        self.connection.execute(_own(statement), _plain(values))

    @contextmanager
    def together(self) -> Iterator[None]:
        with self.connection.pipeline(), self.connection.transaction():
            yield


@lru_cache(256)
def _own(statement: str) -> bytes:
    """Return a statement with psycopg's marks in place of ``:name``."""
    return re.sub(r":(\w+)", r"%(\1)s", statement.replace("%", "%%")).encode()


def _plain(values: Values) -> dict[str, Any]:
    """Return values that Postgres takes: numbers for truths, and texts without NUL."""
    return {name: _taken(value) for name, value in values.items()}


def _taken(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value
