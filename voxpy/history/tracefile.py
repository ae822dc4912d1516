"""Reading ``trace.jsonl`` back, also one that is still being written or was cut off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from voxpy.engine.trace import Entry
from voxpy.history.record import CallRecord, RecordKeeper
from voxpy.text import json


def read_trace(path: Path) -> list[Entry]:
    """Return the entries of a trace; no file is an empty one.

    A line that is no entry is left out: the last one of a process that was killed, or of a trace
    that is being written at this moment.
    Raises OSError if the file cannot be read.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    return list(_entries(lines))


def _entries(lines: list[bytes]) -> Iterator[Entry]:
    for line in lines:
        try:
            value: dict[str, Any] = json.loads(line)
            yield Entry(
                t=float(value["t"]),
                kind=str(value["kind"]),
                name=str(value["name"]),
                unit=str(value.get("unit", "")),
                data=_mapping(value.get("data")),
                personal=_mapping(value.get("personal")),
            )
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            continue


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def record_of(entries: list[Entry], *, session_id: str) -> CallRecord:
    """Return what the entries of a session's trace say of it, as its own record would.

    Of a session that has not ended the record has no finish reason.
    """
    record = CallRecord(session_id=session_id, rule_name="", scenarios=[], started_at="")
    keeper = RecordKeeper(record)
    for entry in entries:
        if entry.kind == "session" and entry.name == "started":
            record.rule_name = str(entry.data.get("rule", ""))
            record.channel = str(entry.data.get("channel", ""))
            record.started_at = str(entry.data.get("started_at", ""))
        elif entry.name == "loading scenario":
            record.scenarios.append(str(entry.data.get("file", "")))
        with suppress(AttributeError, LookupError, TypeError, ValueError):
            keeper(entry)  # it is written for what we wrote, and this line is no longer that
    return record


def read_record(folder: Path) -> CallRecord | None:
    """Return the record of a session that ended, or None if there is none, or no whole one."""
    import cattrs  # here, because only what died is read back

    try:
        value = json.loads((folder / "record.json").read_bytes())
        record = cattrs.structure({**value}, CallRecord)
        calls = record.personal.get("calls", {})
        whole = all("call_id" in call for call in record.calls) and all(
            isinstance(numbers, dict) for numbers in calls.values()
        )
    except (OSError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None
    except cattrs.BaseValidationError:
        return None
    return record if whole and record.finish_reason else None
