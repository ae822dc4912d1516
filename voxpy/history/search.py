"""Finding sessions in the call history."""

from __future__ import annotations

import datetime
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import orjson

from voxpy.errors import ConfigError
from voxpy.history.record import CallRecord
from voxpy.history.rows import State, write_record
from voxpy.history.store import Rows, SqliteRows, Store, Values, begin_tables

NEWEST = ("last", "latest")
MOST_NAMED = 5
AT_ONCE = 500


@attrs.frozen(kw_only=True)
class CallRow:
    """One leg (VoxEngine: GetCallHistory, calls). What is not known yet is None."""

    call_id: str
    incoming: bool
    local_number: str
    remote_number: str
    remote_number_type: str
    start_time: str
    duration_s: float | None
    successful: bool | None
    end_code: int | None
    end_description: str
    audio_quality: str
    custom_data: str


@attrs.frozen(kw_only=True)
class SessionRow:
    """One session (VoxEngine: GetCallHistory). ``files`` are (kind, URL) pairs.

    ``state`` is running, ended or interrupted; ``folder`` is absolute. ``duration_s`` is None while
    it runs.
    """

    session_id: str
    state: str
    start_date: str
    duration_s: float | None
    finish_reason: str
    end_reason: str
    end_detail: str
    failed: bool
    rule_name: str
    scenarios: tuple[str, ...]
    channel: str
    callerid: str
    destination: str
    custom_data: str
    transaction_id: str
    reply_ms: tuple[int, ...]
    barge_in_ms: tuple[int, ...]
    warnings: int
    errors: int
    folder: Path
    calls: tuple[CallRow, ...]
    files: tuple[tuple[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the row as JSON values."""
        value = attrs.asdict(self)
        value["folder"] = str(self.folder)
        value["files"] = [{"kind": kind, "url": url} for kind, url in self.files]
        return value


@attrs.frozen(kw_only=True)
class Filter:
    """Which sessions are wanted; newest first. None and False want all.

    ``caller`` and ``destination`` may stand anywhere in a number of any leg, ``reason`` in a finish
    or end reason, ``custom_data`` in the session's or a leg's; letter case does not count.
    ``errors`` wants those that failed, were interrupted, or had errors. ``since`` is included,
    ``before`` is not. ``rules`` are those that whoever asks may see at all.
    """

    since: datetime.datetime | None = None
    before: datetime.datetime | None = None
    state: str | None = None
    session_id: str | None = None
    rules: Collection[str] | None = None
    rule: str | None = None
    caller: str | None = None
    destination: str | None = None
    reason: str | None = None
    custom_data: str | None = None
    errors: bool = False
    limit: int | None = None


def find_sessions(store: Store, wanted: Filter | None = None) -> list[SessionRow]:
    """Return the sessions of a history, newest first; none if there is no history.

    Raises ConfigError if it cannot be read.
    """
    if not store.exists():
        return []
    wanted = wanted or Filter()
    conditions = dict(_conditions(wanted))
    values = {name: value for more in conditions.values() for name, value in more.items()}
    which = f"WHERE {' AND '.join(conditions) or '1 = 1'} ORDER BY start_date DESC, rowid DESC"
    if wanted.limit is not None:
        which, values["limit"] = f"{which} LIMIT :limit", wanted.limit
    return store.do(lambda rows: _read(rows, which, values, store.base))


def _read(rows: Rows, which: str, values: Values, base: Path) -> list[SessionRow]:
    """Return sessions with their calls and files, in few questions: the database may be far."""
    found = rows.read(f"SELECT * FROM sessions s {which}", values)
    calls, files = defaultdict(list), defaultdict(list)
    for at in range(0, len(found), AT_ONCE):
        ids = {f"s_{n}": row["session_id"] for n, row in enumerate(found[at : at + AT_ONCE])}
        theirs = f"WHERE session_id IN ({', '.join(f':{name}' for name in ids)})"
        for row in rows.read(f"SELECT * FROM calls {theirs} ORDER BY start_time, rowid", ids):
            calls[row["session_id"]].append(_call(row))
        for row in rows.read(f"SELECT * FROM files {theirs} ORDER BY rowid", ids):
            files[row["session_id"]].append((row["kind"], row["url"]))
    return [
        _session(row, tuple(calls[row["session_id"]]), tuple(files[row["session_id"]]), base)
        for row in found
    ]


def row_of(record: CallRecord, folder: Path, *, state: State = "running") -> SessionRow:
    """Return the row that a session has in the history, whether it is there by now or not."""
    with closing(sqlite3.connect(":memory:")) as connection:
        begin_tables(connection)
        rows = SqliteRows(connection)
        write_record(
            rows,
            record,
            state=state,
            host_id="",
            start_date=record.started_at,
            folder=folder,
            base=folder.parent,
        )
        (row,) = _read(rows, "", {}, folder.parent)
        return row


def find_one(store: Store, name: str) -> SessionRow:
    """Return the session whose id begins with ``name``, or the newest one for ``last``.

    A whole id counts before one that only begins so. Raises ConfigError if there is none or more
    than one.
    """
    if not store.exists():
        raise ConfigError("there is no call history yet; every call writes one", file=store.place)
    if name in NEWEST:
        found = find_sessions(store, Filter(limit=1))
    else:
        which = (
            "WHERE substr(session_id, 1, :length) = :name "
            "ORDER BY CASE WHEN session_id = :name THEN 0 ELSE 1 END, start_date DESC LIMIT :limit"
        )
        values = {"name": name, "length": len(name), "limit": MOST_NAMED + 1}
        found = store.do(lambda rows: _read(rows, which, values, store.base))
        if found and found[0].session_id == name:
            found = found[:1]
    if len(found) == 1:
        return found[0]
    if not found and name in NEWEST:
        raise ConfigError("there is no call in the history yet", file=store.place)
    if not found:
        raise ConfigError(
            f"no session begins with {name!r}; voxpy calls lists them", file=store.place
        )
    named = ", ".join(row.session_id for row in found[:MOST_NAMED])
    more = " …" if len(found) > MOST_NAMED else ""
    raise ConfigError(f"several sessions begin with {name!r}: {named}{more}", file=store.place)


def _conditions(wanted: Filter) -> Iterator[tuple[str, dict[str, Any]]]:
    if wanted.since is not None:
        since = wanted.since.astimezone(datetime.UTC).isoformat(timespec="milliseconds")
        yield "start_date >= :since", {"since": since}
    if wanted.before is not None:
        before = wanted.before.astimezone(datetime.UTC).isoformat(timespec="milliseconds")
        yield "start_date < :before", {"before": before}
    if wanted.state is not None:
        yield "state = :state", {"state": wanted.state}
    if wanted.session_id is not None:
        yield "session_id = :session_id", {"session_id": wanted.session_id}
    if wanted.rules is not None:
        names = {f"rule_{n}": name for n, name in enumerate(wanted.rules)}
        yield f"rule_name IN ({', '.join(f':{name}' for name in names)})", names
    if wanted.rule is not None:
        yield "rule_name = :rule", {"rule": wanted.rule}
    if wanted.caller is not None:
        yield (
            _in_number("callerid", incoming="remote_number", outgoing="local_number"),
            {"callerid": _anywhere(wanted.caller)},
        )
    if wanted.destination is not None:
        yield (
            _in_number("destination", incoming="local_number", outgoing="remote_number"),
            {"destination": _anywhere(wanted.destination)},
        )
    if wanted.reason is not None:
        words = "finish_reason || '\n' || end_reason || '\n' || end_detail"
        yield f"lower({words}) {_like('reason')}", {"reason": _anywhere(wanted.reason)}
    if wanted.custom_data is not None:
        told = _like("custom")
        legs = f"{_LEGS} AND lower(c.custom_data) {told}"
        yield (
            f"(lower(s.custom_data) {told} OR EXISTS ({legs}))",
            {"custom": _anywhere(wanted.custom_data)},
        )
    if wanted.errors:
        yield "(failed = 1 OR errors > 0)", {}


_LEGS = "SELECT 1 FROM calls c WHERE c.session_id = s.session_id"


def _in_number(name: str, *, incoming: str, outgoing: str) -> str:
    """Return the condition that a number of the session or of one of its legs is like ``name``."""
    like = _like(name)
    number = f"lower(CASE WHEN c.incoming = 1 THEN c.{incoming} ELSE c.{outgoing} END)"
    return f"(lower(s.{name}) {like} OR EXISTS ({_LEGS} AND {number} {like}))"


def _like(name: str) -> str:
    """Return the condition on what stands before it in small letters: only SQLite's is blind."""
    return f"LIKE lower(:{name}) ESCAPE '!'"


def _anywhere(text: str) -> str:
    for letter in "!%_":
        text = text.replace(letter, "!" + letter)
    return f"%{text}%"


def _session(
    row: Any, calls: tuple[CallRow, ...], files: tuple[tuple[str, str], ...], base: Path
) -> SessionRow:
    plain = {n: row[n] for n in row.keys() if n not in _CONVERTED}  # noqa: SIM118
    return SessionRow(
        **plain,
        failed=bool(row["failed"]),
        scenarios=tuple(orjson.loads(row["scenarios"])),
        reply_ms=tuple(orjson.loads(row["reply_ms"])),
        barge_in_ms=tuple(orjson.loads(row["barge_in_ms"])),
        folder=(base / row["folder"]).absolute(),
        calls=calls,
        files=files,
    )


_CONVERTED = ("host_id", "rowid", "failed", "scenarios", "reply_ms", "barge_in_ms", "folder")


def _call(row: Any) -> CallRow:
    fields = {field.name: row[field.name] for field in attrs.fields(CallRow)}
    successful = fields["successful"]
    fields["incoming"] = bool(fields["incoming"])
    fields["successful"] = None if successful is None else bool(successful)
    return CallRow(**fields)
