"""The file ``history.db``: its tables, its rows, and opening it safely beside other processes.

Write-ahead logging lets several workers write while somebody reads. Nothing is written in a
transaction that waits for anything: a lock is held for a fraction of a millisecond.
"""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import orjson

from voxpy.engine.ending import EndReason
from voxpy.engine.storage import alone, write_ahead
from voxpy.errors import ConfigError
from voxpy.history.record import CallRecord

FILE_NAME = "history.db"
USUAL = ".voxpy"
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


def make_base(base: Path) -> None:
    """Make the folder of everything that is kept, out of version control's sight.

    Recordings and numbers of callers are nothing to commit by accident. Raises OSError.
    """
    base.mkdir(parents=True, exist_ok=True)
    top = next((path for path in (base, *base.parents) if path.name == USUAL), base)
    ignored = top / ".gitignore"
    if not ignored.exists():
        ignored.write_text("*\n", encoding="utf-8")


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the history for writing, begun if there is none; it stays open within the block.

    Raises ConfigError (with the file) for a file that cannot be used: no database, locked, not
    writable, of a newer voxpy. The same holds for whatever is done within the block.
    """
    with _named_errors(path):
        make_base(path.parent)
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
    write_ahead(connection, path)
    if version == 0:
        with alone(path):
            if connection.execute("PRAGMA user_version").fetchone() == (0,):
                begin_tables(connection)


def begin_tables(connection: sqlite3.Connection) -> None:
    """Make the tables of an empty history."""
    connection.executescript(_TABLES + f"PRAGMA user_version={VERSION};")


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


# -- from a call record to its rows ---------------------------------------------------------------

State = Literal["running", "ended", "interrupted"]

LARGEST = 2**63
_FAILURES = {reason.value for reason in EndReason if reason.is_error}


def write_record(
    connection: sqlite3.Connection,
    record: CallRecord,
    *,
    state: State,
    host_id: str,
    start_date: str,
    folder: Path,
) -> None:
    """Write the rows of a session, in place of earlier ones. ``folder`` is its own.

    ``start_date`` (ISO 8601, UTC) is the real one; that of the record may be of virtual time.
    Raises sqlite3.Error.
    """
    base = Path(connection.execute("PRAGMA database_list").fetchone()[2]).parent
    session = {
        **_session(record, over=state != "running"),
        "host_id": host_id,
        "state": state,
        "failed": state == "interrupted" or record.end_reason in _FAILURES,
        "start_date": start_date,
        "folder": _relative(folder, base),
    }
    connection.execute("BEGIN IMMEDIATE")
    try:
        _replace(connection, "sessions", session)
        for call in record.calls:
            _replace(connection, "calls", _call(record, call, start_date))
        for kind, url in _files(record, folder):
            _replace(connection, "files", _file(record.session_id, kind, url))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _replace(connection: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> None:
    """Insert a row or update it; the names are ours, the values are not."""
    names = ", ".join(row)
    marks = ", ".join(f":{name}" for name in row)
    told = ", ".join(f"{name} = excluded.{name}" for name in row)
    statement = f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT DO UPDATE SET {told}"  # noqa: S608
    connection.execute(statement, dict(row))


def _session(record: CallRecord, *, over: bool) -> dict[str, Any]:
    personal = record.personal
    return {
        "session_id": record.session_id,
        "duration_s": record.duration_s if over else None,
        "finish_reason": record.finish_reason,
        "end_reason": record.end_reason,
        "end_detail": record.end_detail,
        "rule_name": record.rule_name,
        "scenarios": _list(record.scenarios, str),
        "channel": record.channel,
        "callerid": str(personal.get("callerid", "")),
        "destination": str(personal.get("destination", "")),
        "custom_data": str(personal.get("custom_data", "")),
        "transaction_id": str(personal.get("transaction_id", "")),
        "reply_ms": _list(record.reply_ms, _number),
        "barge_in_ms": _list(record.barge_in_ms, _number),
        "warnings": len(record.warnings),
        "errors": len(record.errors),
    }


def _call(record: CallRecord, call: Mapping[str, Any], start_date: str) -> dict[str, Any]:
    numbers = record.personal.get("calls", {}).get(str(call["call_id"]), {})
    ending = call.get("end_reason")
    ending = ending if isinstance(ending, Mapping) else {}
    return {
        "session_id": record.session_id,
        "call_id": str(call["call_id"]),
        "incoming": bool(call.get("incoming", True)),
        "local_number": str(numbers.get("local_number", "")),
        "remote_number": str(numbers.get("remote_number", "")),
        "remote_number_type": str(call.get("remote_number_type", "")),
        "start_time": _later(start_date, _number(call.get("at_s")) or 0.0),
        "duration_s": _number(call.get("duration_s")),
        "successful": None if call.get("successful") is None else bool(call["successful"]),
        "end_code": _number(ending.get("code")),
        "end_description": str(ending.get("description", "")),
        "audio_quality": str(call.get("audio_quality", "")),
        "custom_data": str(numbers.get("custom_data", "")),
    }


def _list(given: Any, read: Callable[[Any], Any]) -> str:
    values = given if isinstance(given, list) else []
    return orjson.dumps([read(each) for each in values]).decode()


def _number(value: Any) -> float | None:
    """Return a number that fits the column; a record read back may hold anything."""
    is_number = isinstance(value, int | float) and abs(value) < LARGEST
    return value if is_number else None


def _file(session_id: str, kind: str, url: str) -> dict[str, Any]:
    return {"session_id": session_id, "kind": kind, "url": url}


def _files(record: CallRecord, folder: Path) -> Iterator[tuple[str, str]]:
    yield "trace", (folder / "trace.jsonl").as_uri()
    yield "log", (folder / "session.log").as_uri()
    yield from (("recording", url) for url in record.recordings)
    yield from (("transcript", url) for url in record.transcripts)


def _later(start: str, seconds: float) -> str:
    try:
        began = datetime.datetime.fromisoformat(start)
        then = began + datetime.timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        return start
    return then.isoformat(timespec="milliseconds")


def _relative(folder: Path, base: Path) -> str:
    return str(folder.relative_to(base)) if folder.is_relative_to(base) else str(folder)
