"""Lists, their rows and what came of each, in what hosts share or in one host's own file.

::

    lists/0000007          a list: its name, rule, terms; ``at-work/0000007`` too while it runs
    queue list-7           the numbers of its rows that are not over, by when each may be called
    list-7/000123          the lease of whoever has a row: nobody else calls it or writes it
    rows-7-6/data          the rows 121 to 140 as they were given
    rows-7-6/000123        what has become of one of them
    queues failed-7, attempts-7   members alone, which are counted

What has become of a row is written only under the lease of the row, so that a process that was
away too long, and whose row another has by now, changes nothing. An attempt is written before its
call is made. So no number of an attempt is called twice, whoever dies or stalls at which point: at
the worst one was begun of which nobody knows how it went, and that counts.
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import attrs
import orjson

from voxpy.calllists.terms import Terms
from voxpy.engine.ports import ListReport
from voxpy.fleet.local import LocalStore
from voxpy.fleet.port import Lease, Store
from voxpy.history.store import make_base

FILE_NAME = "lists.db"
FOREVER_S = 10 * 365 * 86400.0
TOGETHER = 20
"""Rows that stand together: who wants one reads all of them."""
QUEUED_TOGETHER = 1000
RowState = Literal["waiting", "calling", "done", "failed"]


@attrs.define(kw_only=True)
class Row:
    """What has become of a row: by now, and in its last attempt. Moments are seconds since 1970."""

    data: str
    """JSON object: the row."""
    state: RowState = "waiting"
    attempts: int = 0
    due: float = 0.0
    worker: str = ""
    """Whose attempt is under way; nothing between attempts."""
    result: str = ""
    """JSON, as the scenario reported it, like the next two."""
    error: str = ""
    progress: str = ""
    session_id: str = ""
    began: float | None = None
    ended: float | None = None
    outcome: ListReport | Literal[""] = ""
    """What the scenario said of the attempt; nothing until it does."""
    detail: str = ""
    call_code: int | None = None

    def to_json(self) -> str:
        return orjson.dumps(attrs.asdict(self)).decode()

    @classmethod
    def from_json(cls, text: str) -> Self:
        return cls(**orjson.loads(text))

    # -- an attempt --------------------------------------------------------------------------------

    def begin(self, worker: str, now: float) -> None:
        """Make the next attempt one that is under way."""
        self.state, self.attempts, self.worker = "calling", self.attempts + 1, worker
        self.session_id, self.began, self.ended = "", now, None
        self.outcome, self.detail, self.call_code, self.progress = "", "", None, ""

    def give_back(self) -> None:
        """Undo an attempt of which no session came: nobody was called."""
        self.state, self.attempts, self.worker = "waiting", self.attempts - 1, ""

    def report(self, kind: ListReport, data: Mapping[str, Any], now: float) -> None:
        """Take what a scenario says of the attempt; what it says first is how that went."""
        text = orjson.dumps(data).decode()
        if kind == "progress":
            self.progress = text
            return
        self.outcome = self.outcome or kind
        if kind == "result":
            self.result, self.error = text, ""
        elif kind == "error":
            self.error = text
        else:
            self.due = _moment(data.get("start_at")) or now
            row = orjson.loads(self.data)
            changed = {key: value for key, value in data.items() if key in row}
            self.data = orjson.dumps({**row, **changed}).decode()

    def finish(self, failed: str, call_code: int | None, terms: Terms, now: float) -> None:
        """End the attempt. ``failed`` says why, if the session itself did."""
        self.outcome = self.outcome or ("error" if failed else "result")
        self.worker, self.ended, self.detail, self.call_code = "", now, failed, call_code
        self.state = "done" if self.outcome == "result" else "failed"
        if self.state == "done":
            return
        self.error = self.error or failed
        if self.attempts <= terms.retry:
            self.state = "waiting"
            if self.outcome == "error":
                self.due = now + terms.retry_after_s

    def shown(self) -> dict[str, Any]:
        """Return what came of it, as ``write_results`` takes it."""
        return {
            "data": orjson.loads(self.data),
            "state": self.state,
            "attempts": self.attempts,
            "result": self.result,
            "error": self.error or (self.detail if self.state == "failed" else ""),
            "session_id": self.session_id,
            "began": _iso(self.began),
            "ended": _iso(self.ended),
            "call_code": self.call_code,
        }


@attrs.define(kw_only=True, eq=False)
class Attempt:
    """A row that we have: what we know of it, and the lease under which we write it."""

    list_id: int
    number: int
    rule_name: str
    terms: Terms
    row: Row
    lease: Lease
    under: int
    """The token of our own lease, under which that of the row hangs."""


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


class Lists:
    """The lists in a store. Every method raises StoreAway."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._path: Path | None = None
        """The store's file, if we have one, so that nobody makes a file by looking."""

    @classmethod
    def of_host(cls, base: Path) -> Lists:
        """Return the lists of one host, whose processes share the folder ``base``."""
        path = base.absolute() / FILE_NAME
        lists = cls(LocalStore(path))
        lists._path = path
        return lists

    def close(self) -> None:
        """Let go of our own file. Idempotent."""
        if self._path is not None and isinstance(self.store, LocalStore):
            self.store.close()

    def exists(self) -> bool:
        """Whether there may be lists at all."""
        return self._path is None or self._path.exists()

    async def add(
        self, rows: Sequence[Mapping[str, Any]], name: str, rule: str, terms: Terms, now: float
    ) -> int:
        """Add a list that is worked through from now on; return its number. Raises OSError too."""
        if self._path is not None:
            make_base(self._path.parent)
        list_id = await self._new_number()
        for at in range(0, len(rows), TOGETHER):
            texts = [orjson.dumps(row).decode() for row in rows[at : at + TOGETHER]]
            key = f"{_folder(list_id, at + 1)}/data"
            await self.store.put(key, orjson.dumps(texts).decode(), FOREVER_S)
        numbers = [_number(n) for n in range(1, len(rows) + 1)]
        for at in range(0, len(rows), QUEUED_TOGETHER):
            members = dict.fromkeys(numbers[at : at + QUEUED_TOGETHER], 0.0)
            await self.store.queue(_queue(list_id), members)
        told = {
            "name": name,
            "rule_name": rule,
            "state": "running",
            "created": now,
            "columns": list(dict.fromkeys(key for row in rows for key in row)),
            "terms": terms.to_json(),
            "rows": len(rows),
        }
        await self._write_list(list_id, told)
        return list_id

    async def lists(self, list_id: int | None = None) -> list[Progress]:
        """Return every list, the newest first, or one."""
        if not self.exists():
            return []
        if list_id is None:
            found = (await self.store.find("lists/"))[::-1]
        else:
            one = await self.store.get(f"lists/{_seven(list_id)}")
            found = [one] if one is not None else []
        return [await self._progress(int(e.key[6:]), orjson.loads(e.value)) for e in found]

    async def results(self, list_id: int) -> list[dict[str, Any]]:
        """Return what came of each row, in order."""
        shown: list[dict[str, Any]] = []
        told = await self._read_list(list_id) or {"rows": 0}
        for number in range(1, told["rows"] + 1, TOGETHER):
            found = await self.store.find(f"{_folder(list_id, number)}/")
            if not found or not found[-1].key.endswith("/data"):
                break  # the store has lost it
            *touched, together = found
            rows = [Row(data=data) for data in orjson.loads(together.value)]  # "data" comes last
            for entry in touched:
                rows[int(entry.key.rpartition("/")[2]) - number] = Row.from_json(entry.value)
            shown += [row.shown() for row in rows]
        return shown

    async def set_state(self, list_id: int, state: Literal["running", "stopped"]) -> None:
        """Let a list go on, or begin no more calls of it. One that is done stays so."""
        if (told := await self._read_list(list_id)) and told["state"] != "done":
            await self._write_list(list_id, {**told, "state": state})

    # -- for whoever works -------------------------------------------------------------------------

    async def at_work(self) -> list[tuple[int, str, Terms]]:
        """Return the lists that run, each with its rule and terms, the oldest first."""
        found = await self.store.find("at-work/")
        told = [(int(entry.key[8:]), orjson.loads(entry.value)) for entry in found]
        return [(n, one["rule_name"], Terms.from_json(one["terms"])) for n, one in told]

    async def take(self, list_id: int, worker: str, ttl_s: float) -> Lease | None:
        """Take the row that may be called for longest, for ``ttl_s``."""
        return await self.store.take(_queue(list_id), worker, ttl_s)

    async def take_again(self, attempt: Attempt, worker: str, under: Lease) -> Lease | None:
        """Take a row whose lease was over, if nobody has taken it since."""
        lease = await self.store.claim(attempt.lease.key, worker, FOREVER_S, under=under)
        return None if lease is None else attrs.evolve(lease, queue=attempt.lease.queue)

    async def read(self, list_id: int, number: int) -> Row | None:
        """Return a row as it stands; None if the store has lost the list."""
        folder = _folder(list_id, number)
        entry = await self.store.get(f"{folder}/{_number(number)}")
        if entry is not None:
            return Row.from_json(entry.value)
        together = await self.store.get(f"{folder}/data")
        if together is None:
            return None
        return Row(data=orjson.loads(together.value)[(number - 1) % TOGETHER])

    async def write(self, attempt: Attempt) -> bool:
        """Keep what has become of a row; False, and nothing is, if it is another's by now."""
        key = f"{_folder(attempt.list_id, attempt.number)}/{_number(attempt.number)}"
        text = attempt.row.to_json()
        return await self.store.put(key, text, FOREVER_S, fence=attempt.lease) is not None

    async def count_attempt(self, attempt: Attempt) -> None:
        """Count it; once, however often that is said."""
        member = f"{attempt.number}.{attempt.row.attempts}"
        await self.store.queue(f"attempts-{attempt.list_id}", {member: 0.0})

    async def let_go(self, attempt: Attempt, now: float) -> None:
        """Give back a row that was written: it is over, or it is due again."""
        row, member = attempt.row, _number(attempt.number)
        if row.state == "waiting":
            await self.store.release(attempt.lease, again_s=max(0.0, row.due - now))
            return
        if row.state == "failed":
            await self.store.queue(f"failed-{attempt.list_id}", {member: 0.0})
        await self.store.release(attempt.lease)
        await self.end_if_done(attempt.list_id)

    async def end_if_done(self, list_id: int) -> bool:
        """End a list of which no row is left; return whether it is over."""
        if await self.store.length(_queue(list_id)):
            return False
        if (told := await self._read_list(list_id)) is not None:
            await self._write_list(list_id, {**told, "state": "done"})
        return True

    # -- inside ------------------------------------------------------------------------------------

    async def _new_number(self) -> int:
        for n in itertools.count(len(await self.store.names("list-numbers/")) + 1):
            if await self.store.claim(f"list-numbers/{_seven(n)}", "", FOREVER_S) is not None:
                return n
        raise AssertionError

    async def _read_list(self, list_id: int) -> dict[str, Any] | None:
        entry = await self.store.get(f"lists/{_seven(list_id)}")
        return None if entry is None else orjson.loads(entry.value)

    async def _write_list(self, list_id: int, told: Mapping[str, Any]) -> None:
        text, name = orjson.dumps(told).decode(), _seven(list_id)
        await self.store.put(f"lists/{name}", text, FOREVER_S)
        if told["state"] == "running":
            await self.store.put(f"at-work/{name}", text, FOREVER_S)
        else:
            await self.store.remove(f"at-work/{name}")

    async def _progress(self, list_id: int, told: Mapping[str, Any]) -> Progress:
        left = await self.store.length(_queue(list_id))
        calling = min(left, len(await self.store.find(f"{_queue(list_id)}/"))) if left else 0
        over = told["rows"] - left
        failed = min(over, await self.store.length(f"failed-{list_id}"))  # it is counted before
        return Progress(
            list_id=list_id,
            name=told["name"],
            rule_name=told["rule_name"],
            state=told["state"],
            created=told["created"],
            columns=tuple(told["columns"]),
            terms=Terms.from_json(told["terms"]),
            counts={
                "waiting": left - calling,
                "calling": calling,
                "done": over - failed,
                "failed": failed,
            },
            attempts=await self.store.length(f"attempts-{list_id}"),
        )


def _seven(list_id: int) -> str:
    return f"{list_id:07}"


def _number(number: int) -> str:
    return f"{number:06}"


def _queue(list_id: int) -> str:
    return f"list-{list_id}"


def _folder(list_id: int, number: int) -> str:
    return f"rows-{list_id}-{(number - 1) // TOGETHER}"


def _moment(given: Any) -> float | None:
    if not isinstance(given, str):
        return None
    try:
        moment = datetime.datetime.fromisoformat(given)
        whole = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
        return whole.astimezone(datetime.UTC).timestamp()
    except (ValueError, OverflowError):  # the latter before the year 1 and after 9999
        return None


def _iso(moment: float | None) -> str:
    if moment is None:
        return ""
    found = datetime.datetime.fromtimestamp(moment, datetime.UTC)
    return found.isoformat(timespec="seconds")
