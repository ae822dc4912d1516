"""From a call record to its rows in the tables of the history."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import orjson

from voxpy.engine.ending import EndReason
from voxpy.history.record import CallRecord
from voxpy.history.store import KEYS, Rows, Values

State = Literal["running", "ended", "interrupted"]

LARGEST = 2**63
_FAILURES = {reason.value for reason in EndReason if reason.is_error}


def write_record(
    rows: Rows,
    record: CallRecord,
    *,
    state: State,
    host_id: str,
    start_date: str,
    folder: Path,
    base: Path,
) -> None:
    """Write the rows of a session, in place of earlier ones. ``folder`` is its own, in ``base``.

    ``start_date`` (ISO 8601, UTC) is the real one; that of the record may be of virtual time.
    """
    session = {
        **_session(record, over=state != "running"),
        "host_id": host_id,
        "state": state,
        "failed": state == "interrupted" or record.end_reason in _FAILURES,
        "start_date": start_date,
        "folder": _relative(folder, base),
    }
    with rows.together():
        replace(rows, "sessions", session)
        for call in record.calls:
            replace(rows, "calls", _call(record, call, start_date))
        for kind, url in _files(record, folder):
            replace(rows, "files", _file(record.session_id, kind, url))


def replace(rows: Rows, table: str, row: Values) -> None:
    """Insert a row or update it; the names are ours, the values are not."""
    names = ", ".join(row)
    marks = ", ".join(f":{name}" for name in row)
    told = ", ".join(f"{name} = excluded.{name}" for name in row)
    conflict = f"ON CONFLICT ({KEYS[table]}) DO UPDATE SET {told}"
    rows.write(f"INSERT INTO {table} ({names}) VALUES ({marks}) {conflict}", row)


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
