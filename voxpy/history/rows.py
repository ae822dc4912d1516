"""From a call record to the rows of the history. Pure but for the connection it is given."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import orjson

from voxpy.engine.ending import EndReason
from voxpy.history.record import CallRecord

__all__ = ["State", "write_record"]

State = Literal["running", "ended", "interrupted"]

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
        "scenarios": orjson.dumps(record.scenarios).decode(),
        "channel": record.channel,
        "callerid": str(personal.get("callerid", "")),
        "destination": str(personal.get("destination", "")),
        "custom_data": str(personal.get("custom_data", "")),
        "transaction_id": str(personal.get("transaction_id", "")),
        "reply_ms": orjson.dumps(record.reply_ms).decode(),
        "barge_in_ms": orjson.dumps(record.barge_in_ms).decode(),
        "warnings": len(record.warnings),
        "errors": len(record.errors),
    }


def _call(record: CallRecord, call: Mapping[str, Any], start_date: str) -> dict[str, Any]:
    numbers = record.personal.get("calls", {}).get(call["call_id"], {})
    ending = call.get("end_reason", {})
    return {
        "session_id": record.session_id,
        "call_id": call["call_id"],
        "incoming": bool(call.get("incoming", True)),
        "local_number": str(numbers.get("local_number", "")),
        "remote_number": str(numbers.get("remote_number", "")),
        "remote_number_type": str(call.get("remote_number_type", "")),
        "start_time": _later(start_date, call.get("at_s", 0.0)),
        "duration_s": call.get("duration_s"),
        "successful": call.get("successful"),
        "end_code": ending.get("code"),
        "end_description": str(ending.get("description", "")),
        "audio_quality": str(call.get("audio_quality", "")),
        "custom_data": str(numbers.get("custom_data", "")),
    }


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
    except ValueError:
        return start
    return (began + datetime.timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def _relative(folder: Path, base: Path) -> str:
    return str(folder.relative_to(base)) if folder.is_relative_to(base) else str(folder)
