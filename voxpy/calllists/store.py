"""``lists.db``: the lists, their rows and every attempt, as they are after a power cut too.

An attempt is written before its call is made, under a number that no other attempt of the row has.
So a process that dies, or two that work on one list, never make the same attempt twice: at the
worst one was begun of which nobody knows how it went, and that counts.
"""

from __future__ import annotations

import datetime
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import attrs
import orjson

from voxpy.calllists.terms import Terms
from voxpy.engine.ports import ListReport
from voxpy.engine.storage import write_ahead
from voxpy.errors import ConfigError
from voxpy.history.store import LOCK_S, make_base

T = TypeVar("T")
FILE_NAME = "lists.db"
VERSION = 1
_TABLES = """
CREATE TABLE lists (
    list_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    rule_name TEXT NOT NULL,
    state TEXT NOT NULL,               -- running, stopped, done
    created REAL NOT NULL,             -- seconds since 1970, like every moment here
    columns TEXT NOT NULL,             -- JSON list
    terms TEXT NOT NULL                -- JSON
);
CREATE TABLE rows (
    list_id INTEGER NOT NULL REFERENCES lists ON DELETE CASCADE,
    number INTEGER NOT NULL,           -- from 1
    data TEXT NOT NULL,                -- JSON object: the row
    state TEXT NOT NULL,               -- waiting, calling, done, failed
    attempts INTEGER NOT NULL,
    due REAL NOT NULL,                 -- when the next attempt may begin
    result TEXT NOT NULL,              -- JSON, as the scenario reported it, like the next two
    error TEXT NOT NULL,
    progress TEXT NOT NULL,
    PRIMARY KEY (list_id, number)
);
CREATE INDEX rows_by_due ON rows (list_id, state, due);
CREATE TABLE attempts (
    list_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    attempt INTEGER NOT NULL,          -- from 1
    host_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    began REAL NOT NULL,
    ended REAL,
    outcome TEXT NOT NULL,             -- result, error, next attempt; empty until it is known
    detail TEXT NOT NULL,
    call_code INTEGER,
    PRIMARY KEY (list_id, number, attempt),
    FOREIGN KEY (list_id, number) REFERENCES rows ON DELETE CASCADE
);
CREATE INDEX attempts_by_began ON attempts (list_id, began);
CREATE INDEX attempts_open ON attempts (host_id) WHERE ended IS NULL;
"""
RowState = Literal["waiting", "calling", "done", "failed"]


@attrs.frozen(kw_only=True)
class Claim:
    """An attempt that is to be made now."""

    list_id: int
    number: int
    attempt: int
    rule_name: str
    data: str


@attrs.frozen(kw_only=True)
class Progress:
    """A list and how far it is. ``counts`` are rows by state."""

    list_id: int
    name: str
    rule_name: str
    state: str
    created: float
    columns: tuple[str, ...]
    terms: Terms
    counts: Mapping[str, int]
    attempts: int

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        value = attrs.asdict(self, recurse=False)
        value["terms"] = orjson.loads(self.terms.to_json())
        value["created"] = _iso(self.created)
        value["rows"] = sum(self.counts.values())
        return value


class ListStore:
    """The lists of the folder ``base``; of no folder, for a trial, in memory. Close it at the end.

    Nothing is opened before the first use. Raises ConfigError for a file that cannot be used. May
    be used in any thread.
    """

    def __init__(self, base: Path | None) -> None:
        self.path = None if base is None else base.absolute() / FILE_NAME
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    def exists(self) -> bool:
        """Whether there are lists at all, so that nobody makes a file by looking."""
        return self._connection is not None or (self.path is not None and self.path.exists())

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    # -- whole lists -------------------------------------------------------------------------------

    def add(
        self, rows: Sequence[Mapping[str, Any]], name: str, rule: str, terms: Terms, now: float
    ) -> int:
        """Add a list that is worked through from now on; return its number."""
        columns = list(dict.fromkeys(key for row in rows for key in row))

        def work(db: sqlite3.Connection) -> int:
            told = (name, rule, now, orjson.dumps(columns).decode(), terms.to_json())
            added = db.execute(
                "INSERT INTO lists (name, rule_name, state, created, columns, terms) "
                "VALUES (?, ?, 'running', ?, ?, ?)",
                told,
            )
            list_id = int(added.lastrowid or 0)
            db.executemany(
                "INSERT INTO rows VALUES (?, ?, ?, 'waiting', 0, ?, '', '', '')",
                [(list_id, n, orjson.dumps(row).decode(), now) for n, row in enumerate(rows, 1)],
            )
            return list_id

        return self._change(work)

    def lists(self, list_id: int | None = None) -> list[Progress]:
        """Return every list, the newest first, or one."""
        if not self.exists():
            return []

        def work(db: sqlite3.Connection) -> list[Progress]:
            found = db.execute(
                "SELECT list_id, name, rule_name, state, created, columns, terms FROM lists "
                "WHERE ?1 IS NULL OR list_id = ?1 ORDER BY list_id DESC",
                (list_id,),
            ).fetchall()
            return [_progress(db, row) for row in found]

        return self._change(work)

    def results(self, list_id: int) -> list[dict[str, Any]]:
        """Return what came of each row, in order."""

        def work(db: sqlite3.Connection) -> list[dict[str, Any]]:
            found = db.execute(
                "SELECT r.data, r.state, r.attempts, r.result, r.error, a.session_id, a.began, "
                "a.ended, a.call_code, a.detail FROM rows r LEFT JOIN attempts a ON "
                "a.list_id = r.list_id AND a.number = r.number AND a.attempt = r.attempts "
                "WHERE r.list_id = ? ORDER BY r.number",
                (list_id,),
            )
            return [_result(row) for row in found]

        return self._change(work)

    def set_state(self, list_id: int, state: Literal["running", "stopped"]) -> None:
        """Let a list go on, or begin no more calls of it. One that is done stays so."""

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE lists SET state = ? WHERE list_id = ? AND state != 'done'", (state, list_id)
            )

        self._change(work)

    # -- attempts ----------------------------------------------------------------------------------

    def claim(self, host_id: str, now: float) -> Claim | None:
        """Return the next attempt that may be made at ``now``, written down as begun."""

        def work(db: sqlite3.Connection) -> Claim | None:
            running = db.execute(
                "SELECT list_id, rule_name, terms FROM lists WHERE state = 'running' "
                "ORDER BY list_id"
            ).fetchall()
            for list_id, rule_name, terms in running:
                if not _may_begin(db, list_id, Terms.from_json(terms), now):
                    continue
                row = db.execute(
                    "SELECT number, data, attempts FROM rows WHERE list_id = ? AND "
                    "state = 'waiting' AND due <= ? ORDER BY due, number LIMIT 1",
                    (list_id, now),
                ).fetchone()
                if row is None:
                    continue
                number, data, attempts = row
                db.execute(
                    "UPDATE rows SET state = 'calling', attempts = attempts + 1, progress = '' "
                    "WHERE list_id = ? AND number = ?",
                    (list_id, number),
                )
                db.execute(
                    "INSERT INTO attempts VALUES (?, ?, ?, ?, '', ?, NULL, '', '', NULL)",
                    (list_id, number, attempts + 1, host_id, now),
                )
                return Claim(
                    list_id=list_id,
                    number=number,
                    attempt=attempts + 1,
                    rule_name=rule_name,
                    data=data,
                )
            return None

        return self._change(work)

    def next_at(self, now: float) -> float | None:
        """Return when something may be to do by time alone; None if nothing waits."""

        def work(db: sqlite3.Connection) -> float | None:
            found = db.execute(
                "SELECT min(r.due) FROM rows r JOIN lists l ON l.list_id = r.list_id "
                "WHERE l.state = 'running' AND r.state = 'waiting'"
            ).fetchone()
            return None if found[0] is None else max(float(found[0]), now)

        return self._change(work)

    def note_session(self, claim: Claim, session_id: str) -> None:
        """Write down which session makes an attempt."""
        self._set(claim, "session_id = ?", session_id)

    def give_back(self, claim: Claim) -> None:
        """Undo a claim of which no session came: nobody was called."""

        def work(db: sqlite3.Connection) -> None:
            key = (claim.list_id, claim.number)
            db.execute(
                "DELETE FROM attempts WHERE list_id = ? AND number = ? AND attempt = ?",
                (*key, claim.attempt),
            )
            db.execute(
                "UPDATE rows SET state = 'waiting', attempts = attempts - 1 "
                "WHERE list_id = ? AND number = ?",
                key,
            )

        self._change(work)

    def report(self, claim: Claim, kind: ListReport, data: Mapping[str, Any], now: float) -> None:
        """Keep what a scenario reports, at once: it counts if the process dies right after."""
        text = orjson.dumps(data).decode()
        key = (claim.list_id, claim.number)

        def work(db: sqlite3.Connection) -> None:
            if kind == "progress":
                db.execute(
                    "UPDATE rows SET progress = ? WHERE list_id = ? AND number = ?", (text, *key)
                )
                return
            db.execute(
                "UPDATE attempts SET outcome = ? WHERE list_id = ? AND number = ? AND attempt = ? "
                "AND outcome = ''",
                (kind, *key, claim.attempt),
            )
            if kind == "result":
                db.execute(
                    "UPDATE rows SET result = ?, error = '' WHERE list_id = ? AND number = ?",
                    (text, *key),
                )
            elif kind == "error":
                db.execute(
                    "UPDATE rows SET error = ? WHERE list_id = ? AND number = ?", (text, *key)
                )
            else:
                _ask_again(db, claim, dict(data), now)

        self._change(work)

    def finish(
        self,
        claim: Claim,
        *,
        failed: str,
        call_code: int | None,
        now: float,
    ) -> None:
        """Write down that an attempt is over. ``failed`` says why, if the session itself did."""

        def work(db: sqlite3.Connection) -> None:
            _finish(db, claim, failed, call_code, now)

        self._change(work)

    def open_attempts(self, host_ids_gone: Callable[[str], bool]) -> list[tuple[Claim, str]]:
        """Return the attempts that processes left which are gone, and their sessions."""

        def work(db: sqlite3.Connection) -> list[tuple[Claim, str]]:
            found = db.execute(
                "SELECT a.list_id, a.number, a.attempt, l.rule_name, r.data, a.session_id, "
                "a.host_id FROM attempts a JOIN rows r ON r.list_id = a.list_id AND "
                "r.number = a.number JOIN lists l ON l.list_id = a.list_id WHERE a.ended IS NULL"
            ).fetchall()
            gone = {host: host_ids_gone(host) for host in {row[6] for row in found}}
            return [
                (
                    Claim(list_id=i, number=n, attempt=k, rule_name=rule, data=data),
                    session_id,
                )
                for i, n, k, rule, data, session_id, host in found
                if gone[host]
            ]

        return self._change(work)

    def _set(self, claim: Claim, what: str, *values: Any) -> None:
        def work(db: sqlite3.Connection) -> None:
            db.execute(
                f"UPDATE attempts SET {what} "  # noqa: S608
                "WHERE list_id = ? AND number = ? AND attempt = ?",
                (*values, claim.list_id, claim.number, claim.attempt),
            )

        self._change(work)

    def _change(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            try:
                db = self._open()
                db.execute("BEGIN IMMEDIATE")
                try:
                    result = work(db)
                except BaseException:
                    db.execute("ROLLBACK")
                    raise
                db.execute("COMMIT")
            except sqlite3.Error as error:
                raise ConfigError(f"the call lists: {error}", file=str(self.path)) from error
            except OSError as error:
                told = error.strerror or error
                raise ConfigError(f"the call lists: {told}", file=str(self.path)) from error
            return result

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None:
            return self._connection
        if self.path is not None:
            make_base(self.path.parent)
        db = sqlite3.connect(
            self.path or ":memory:", timeout=LOCK_S, isolation_level=None, check_same_thread=False
        )
        try:
            if self.path is not None:
                write_ahead(db, self.path)
            db.execute("PRAGMA foreign_keys=ON")
            db.execute("BEGIN IMMEDIATE")
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version > VERSION:
                raise ConfigError("was written by a newer voxpy", file=str(self.path))
            if version == 0:
                for statement in _TABLES.split(";\n"):
                    if statement.strip():
                        db.execute(statement)
                db.execute(f"PRAGMA user_version={VERSION}")
            db.execute("COMMIT")
        except BaseException:
            db.close()
            raise
        self._connection = db
        return db


def _may_begin(db: sqlite3.Connection, list_id: int, terms: Terms, now: float) -> bool:
    if terms.window is not None:
        moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
        if not terms.window.is_open(moment):
            return False
    (calling,) = db.execute(
        "SELECT count(*) FROM rows WHERE list_id = ? AND state = 'calling'", (list_id,)
    ).fetchone()
    if calling >= terms.at_once:
        return False
    if terms.per_minute is not None:
        (last,) = db.execute(
            "SELECT max(began) FROM attempts WHERE list_id = ?", (list_id,)
        ).fetchone()
        if last is not None and now < last + 60.0 / terms.per_minute:
            return False
    return True


def _ask_again(db: sqlite3.Connection, claim: Claim, data: dict[str, Any], now: float) -> None:
    """Keep when the next attempt is wanted, and what is to be different of the row."""
    start_at = data.pop("start_at", None)
    due = _moment(start_at)
    row = orjson.loads(claim.data)
    changed = {key: value for key, value in data.items() if key in row}
    db.execute(
        "UPDATE rows SET data = ?, due = ? WHERE list_id = ? AND number = ?",
        (orjson.dumps({**row, **changed}).decode(), due or now, claim.list_id, claim.number),
    )


def _moment(given: Any) -> float | None:
    if not isinstance(given, str):
        return None
    try:
        moment = datetime.datetime.fromisoformat(given)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()


def _finish(
    db: sqlite3.Connection, claim: Claim, failed: str, call_code: int | None, now: float
) -> None:
    key = (claim.list_id, claim.number)
    found = db.execute(
        "SELECT outcome, ended FROM attempts WHERE list_id = ? AND number = ? AND attempt = ?",
        (*key, claim.attempt),
    ).fetchone()
    if found is None or found[1] is not None:  # somebody has settled it already
        return
    outcome = found[0] or ("error" if failed else "result")
    db.execute(
        "UPDATE attempts SET ended = ?, outcome = ?, detail = ?, call_code = ? "
        "WHERE list_id = ? AND number = ? AND attempt = ?",
        (now, outcome, failed, call_code, *key, claim.attempt),
    )
    (terms_text,) = db.execute(
        "SELECT terms FROM lists WHERE list_id = ?", (claim.list_id,)
    ).fetchone()
    terms = Terms.from_json(terms_text)
    state: RowState = "done" if outcome == "result" else "failed"
    if state == "failed" and claim.attempt <= terms.retry:
        state = "waiting"
    if state == "waiting" and outcome == "error":
        db.execute(
            "UPDATE rows SET due = ? WHERE list_id = ? AND number = ?",
            (now + terms.retry_after_s, *key),
        )
    db.execute(
        "UPDATE rows SET state = ?, error = CASE WHEN error = '' THEN ? ELSE error END "
        "WHERE list_id = ? AND number = ?",
        (state, "" if state == "done" else failed, *key),
    )
    (left,) = db.execute(
        "SELECT count(*) FROM rows WHERE list_id = ? AND state IN ('waiting', 'calling')",
        (claim.list_id,),
    ).fetchone()
    if not left:
        db.execute("UPDATE lists SET state = 'done' WHERE list_id = ?", (claim.list_id,))


def _progress(db: sqlite3.Connection, row: Sequence[Any]) -> Progress:
    list_id, name, rule_name, state, created, columns, terms = row
    counts = dict(
        db.execute("SELECT state, count(*) FROM rows WHERE list_id = ? GROUP BY state", (list_id,))
    )
    (attempts,) = db.execute(
        "SELECT count(*) FROM attempts WHERE list_id = ?", (list_id,)
    ).fetchone()
    return Progress(
        list_id=list_id,
        name=name,
        rule_name=rule_name,
        state=state,
        created=created,
        columns=tuple(orjson.loads(columns)),
        terms=Terms.from_json(terms),
        counts={name: counts.get(name, 0) for name in ("waiting", "calling", "done", "failed")},
        attempts=attempts,
    )


def _result(row: Sequence[Any]) -> dict[str, Any]:
    data, state, attempts, result, error, session_id, began, ended, call_code, detail = row
    return {
        "data": orjson.loads(data),
        "state": state,
        "attempts": attempts,
        "result": result,
        "error": error or (detail if state == "failed" else ""),
        "session_id": session_id or "",
        "began": _iso(began),
        "ended": _iso(ended),
        "call_code": call_code,
    }


def _iso(moment: float | None) -> str:
    if moment is None:
        return ""
    found = datetime.datetime.fromtimestamp(moment, datetime.UTC)
    return found.isoformat(timespec="seconds")
