"""What a host writes into the call history, off the event loop; and how it tidies up.

A session is written twice: as ``running`` when it begins and with everything when it is over. What
a process left as ``running`` when it died becomes ``interrupted``: from its ``record.json`` if that
was written, else from its trace, which is whole to the last line.

A history that is shared may be away while calls go on. Then rows are written into a file of this
host, ``spool.db``, which has the same tables, and from there into the history when it is back.
"""

from __future__ import annotations

import datetime
import random
import secrets
import shutil
import wave
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import trio

from voxpy.engine import clock
from voxpy.errors import ConfigError, RequestFailed
from voxpy.history.postgres import LEASE_S, end_lease, living, renew_lease
from voxpy.history.record import RECORDING, CallRecord
from voxpy.history.rows import State, replace, write_record
from voxpy.history.store import KEYS, LOCK_S, RowRefused, Rows, SqliteStore, Store
from voxpy.history.tracefile import read_record, read_trace, record_of

if TYPE_CHECKING:
    from filelock import BaseFileLock

T = TypeVar("T")

INTERRUPTED = "Interrupted"
"""The finish reason of a session whose process died. VoxEngine has no word: its servers do not."""

NO_CAUSES: Mapping[str, str] = {}
PATIENCE_S = 2 * LOCK_S
"""How long a session waits for others to write before it does without."""
TIDY_S = 6 * 3600.0
MOST_UNWRITTEN = 10_000
HOSTS = "hosts"
"""The folder of the locks by which the living are known."""
SPOOL = "spool.db"
BEAT_S = LEASE_S / 5
MOST_AT_ONCE = 200
ONE = "WHERE session_id = :session_id"
_OLD = "SELECT session_id, folder FROM sessions WHERE start_date < :before AND state != 'running'"
_UNFINISHED = """SELECT session_id, host_id, folder, start_date, state FROM sessions
WHERE duration_s IS NULL AND host_id != :ours"""
_LOST = f"""UPDATE sessions SET state = 'interrupted', finish_reason = :reason,
end_reason = 'interrupted', end_detail = 'its host is gone', failed = 1
{ONE} AND state = 'running'"""
"""What its trace would say its own host may add when it comes back: there is no duration yet."""


@attrs.frozen(kw_only=True)
class Pruned:
    """What was deleted: rows, and folders with their recordings, traces and logs.

    ``problem`` is why others stay that are as old.
    """

    sessions: int
    folders: int
    problem: str = ""


class History:
    """The call history of one process: ``store``, or a file in ``base``. Close it at the end.

    Nothing is opened before the first write. Every method that touches a store raises ConfigError
    (with its place) if that is impossible: not writable, locked, no database. A shared store that
    cannot be reached is ``away``: that is said and no error.
    """

    def __init__(self, base: Path, store: Store | None = None) -> None:
        self.base = base.absolute()
        self.store = store or SqliteStore(base)
        self.host_id = secrets.token_hex(8)
        self.away = ""
        """Why the shared store cannot be written, or nothing."""
        self.spooled = 0
        """Rows of sessions that were written into the spool, so far."""
        self.tell_away: Callable[[str], None] = lambda why: None
        """Is called on the loop when ``away`` has changed."""
        self.locate: Callable[[Path], str] = Path.as_uri
        """Says where a file of a session will be found."""
        self.forget: Callable[[str], None] = lambda session_id: None
        """Deletes what is stored of a session elsewhere. Raises RequestFailed."""
        self._told = ""
        self._spool = SqliteStore(base, SPOOL) if self.store.shared else None
        self._presence = Presence(self.base, self.host_id)
        self._in_touch: float | None = None  # since when the shared store is reached
        self._began: dict[str, str] = {}  # when the sessions that run began
        self._unwritten: dict[
            str, tuple[CallRecord, Path, str]
        ] = {}  # ends that the file did not take
        self._turn = trio.CapacityLimiter(1)  # waiting for the file must not use up the threads

    # -- in a session, under trio ------------------------------------------------------------------

    async def keep(self, record: CallRecord, folder: Path) -> None:
        """Write a session as its record is now: over if it has a finish reason, else running.

        Always a checkpoint. Raises ConfigError also if others write for too long.
        """
        with trio.move_on_after(PATIENCE_S) as patience:
            await self._off_loop(self.write, record, folder)
        if patience.cancelled_caught:
            self._postpone(record, folder)
            problem = f"the call history: others have been writing for {PATIENCE_S:g} s"
            raise ConfigError(problem, file=self.store.place)

    async def look_after(self, keep_days: Callable[[], float | None]) -> None:
        """Tidy up now and every six hours, for ever: what died is settled, what is old deleted.

        ``keep_days`` is asked each time. Raises ConfigError only the first time, and not of a
        shared store, which may be away.
        """
        first = not self.store.shared
        while True:
            wait_s = TIDY_S
            try:
                # Not in turn with the sessions: to delete much takes minutes.
                await clock.off_loop(self.tidy, keep_days(), abandon=True)
            except ConfigError:
                if first:
                    raise
                wait_s = BEAT_S if self.store.shared else TIDY_S  # the sessions' warnings say it
            first = False
            await trio.sleep(wait_s)

    async def stay_known(self) -> None:
        """Tell the other hosts of a shared store that we live, for ever; see ``beat``."""
        while self.store.shared:
            if not await self._off_loop(self.beat):
                await trio.sleep(BEAT_S * random.uniform(0.8, 1.2))

    async def _off_loop(self, work: Callable[..., T], *args: Any) -> T:
        try:
            if clock.is_virtual():
                await trio.lowlevel.checkpoint()
                return work(*args)
            return await trio.to_thread.run_sync(work, *args, limiter=self._turn)
        finally:
            if bool(self.away) != bool(self._told):
                self._told = self.away
                self.tell_away(self.away)

    # -- in any thread -----------------------------------------------------------------------------

    def write(self, record: CallRecord, folder: Path) -> None:
        """Write the rows of one session, and the ends of earlier ones that found no room."""
        session_id = record.session_id
        began = self._began.setdefault(session_id, _now())
        try:
            self._write_one(record, folder, began)
        except RowRefused:
            if record.finish_reason:
                self._began.pop(session_id, None)
            raise
        except ConfigError:
            self._postpone(record, folder)
            raise
        if record.finish_reason:
            self._began.pop(session_id, None)
        while self._unwritten:  # there is room again
            waiting = next(iter(self._unwritten.values()))
            try:
                self._write_one(*waiting)
            except RowRefused:
                del self._unwritten[waiting[0].session_id]
            except ConfigError:
                break

    def _postpone(self, record: CallRecord, folder: Path) -> None:
        """Remember an end that found no room."""
        if record.finish_reason and len(self._unwritten) < MOST_UNWRITTEN:
            began = self._began.pop(record.session_id, None) or _now()
            self._unwritten[record.session_id] = record, folder, began

    def _write_one(self, record: CallRecord, folder: Path, began: str) -> None:
        def work(rows: Rows) -> None:
            with suppress(*[OSError] if self.store.shared else []):
                self._presence.begin()
            write_record(
                rows,
                record,
                state=_state(record),
                host_id=self.host_id,
                start_date=began,
                folder=folder,
                base=self.base,
            )

        if not self._tried(work):
            assert self._spool is not None  # only a shared store is away
            self._spool.do(work)
            self.spooled += 1
        self._unwritten.pop(record.session_id, None)

    def _tried(self, work: Callable[[Rows], None]) -> bool:
        """Do it in the store; return False of a shared one that is away."""
        if not self.away:
            try:
                self.store.do(work)
            except RowRefused:
                raise
            except ConfigError as error:
                if self._spool is None:
                    raise
                self.away, self._in_touch = str(error), None
        return not self.away

    def beat(self) -> bool:
        """Say to the others of a shared store that we live, and see who does not.

        If it was away and is not, what was kept meanwhile is written, the oldest first. Returns
        whether there is more of that: in between, sessions want to be written too.
        """
        self.away, before = "", self.away
        if not self._tried(lambda rows: renew_lease(rows, self.host_id)):
            return False
        if self._in_touch is None:
            self._in_touch = clock.busy_s()
        more = False
        with suppress(ConfigError):  # of the spool itself
            more = self._catch_up()
        if more:
            self.away = before or "what was kept meanwhile is being written"
        elif not self.away:
            with suppress(ConfigError):
                self.settle()
        return more

    def _catch_up(self) -> bool:
        """Move some of what the spool has of us and of the dead; return whether there is more."""
        spool = self._spool
        if spool is None or not spool.exists():
            return False
        order = "SELECT session_id, host_id FROM sessions ORDER BY rowid"
        found = spool.do(lambda kept: kept.read(order))
        living = {h for h in {row["host_id"] for row in found} if not is_gone(self.base, h)}
        ours = [row for row in found if row["host_id"] not in living - {self.host_id}]
        for row in ours[:MOST_AT_ONCE]:
            session_id = row["session_id"]
            tables = spool.do(partial(_tables, session_id=session_id))
            with suppress(RowRefused):  # it would hold up the others for ever
                if not self._tried(partial(_copy, tables=tables)):
                    return False
            spool.do(partial(_forget, session_id=session_id))
        return len(ours) > MOST_AT_ONCE

    def tidy(self, keep_days: float | None) -> None:
        """Settle what died and delete what is older than ``keep_days`` days; None keeps all."""
        self.settle()
        if keep_days is not None:
            self.prune(keep_days)

    def settle(self, causes: Mapping[str, str] = NO_CAUSES) -> int:
        """Make sessions of dead processes ``interrupted``; return how many there were.

        ``causes`` says of what hosts have died, by their ids. Of a shared store those are settled
        whose folders are here, and, if we have reached it for long enough to know, those of other
        machines whose leases have ended.
        """
        do = self.store.do
        here: list[Any] = []
        elsewhere: list[Any] = []
        for row in do(lambda rows: rows.read(_UNFINISHED, {"ours": self.host_id})):
            is_here = not self.store.shared or (self.base / row["folder"]).is_dir()
            (here if is_here else elsewhere).append(row)
        gone = {host for host in {row["host_id"] for row in here} if is_gone(self.base, host)}
        dead = [row for row in here if row["host_id"] in gone]
        for row in dead:
            do(self._completed(row, causes.get(row["host_id"], "the process died")))
        lost = [row for row in elsewhere if row["state"] == "running"]
        if not lost or self._in_touch is None or clock.busy_s() - self._in_touch < LEASE_S:
            return len(dead)
        alive = do(living)
        lost = [row for row in lost if row["host_id"] not in alive]
        for row in lost:
            told = {"session_id": row["session_id"], "reason": INTERRUPTED}
            do(lambda rows, told=told: rows.write(_LOST, told))  # type: ignore[misc]
        return len(dead) + len(lost)

    @classmethod
    def settle_now(cls, store: Store, causes: Mapping[str, str] = NO_CAUSES) -> int:
        """Settle what died before somebody looks; nothing if there is no history."""
        return cls(store.base, store).settle(causes) if store.exists() else 0

    def prune(self, keep_days: float) -> Pruned:
        """Delete what began more than ``keep_days`` days ago and is over, with its folder.

        Folders of sessions that are not in the history go when nobody has written into them for as
        long.
        """
        before = clock.calendar() - datetime.timedelta(days=keep_days)
        do, sessions, folders, problem = self.store.do, 0, 0, ""
        began = {"before": before.isoformat(timespec="milliseconds")}
        for row in do(lambda rows: rows.read(_OLD, began)):
            try:
                self.forget(row["session_id"])
            except RequestFailed as error:  # a store that is away: the next time then
                problem = f"{error}"
                break
            folders += self._delete_folder(self.base / row["folder"])
            do(partial(_forget, session_id=row["session_id"]))
            sessions += 1
        for path in (self.base / "sessions").glob("*"):
            if path.stat().st_mtime < before.timestamp():
                known = do(partial(_tables, session_id=path.name))["sessions"]
                folders += 0 if known else self._delete_folder(path)
        return Pruned(sessions=sessions, folders=folders, problem=problem)

    def close(self) -> None:
        """Let go of everything. Idempotent."""
        if self._in_touch is not None:
            with suppress(ConfigError):
                self.store.do(lambda rows: end_lease(rows, self.host_id))
            self._in_touch = None
        for store in (self.store, self._spool):
            if store is not None:
                store.close()
        self._presence.end()

    # -- the inside --------------------------------------------------------------------------------

    def _completed(self, row: Any, cause: str) -> Callable[[Rows], None]:
        """Return what writes what the folder of a session tells and its process could not."""
        path = self.base / row["folder"]
        record = read_record(path)
        state: State = "ended"
        if record is None:
            state = "interrupted"
            record = record_of(read_trace(path / "trace.jsonl"), session_id=row["session_id"])
            record.recordings.insert(0, self.locate(path / RECORDING))
            record.duration_s = max(record.duration_s, _recorded_s(path / RECORDING))
            record.finish_reason = INTERRUPTED
            record.end_reason = "interrupted"
            record.end_detail = cause
        record.session_id = row["session_id"]  # whatever the file says
        return partial(
            write_record,
            record=record,
            state=state,
            host_id=row["host_id"],
            start_date=row["start_date"],
            folder=path,
            base=self.base,
        )

    def _delete_folder(self, path: Path) -> int:
        """Delete a session's folder; anything else is not ours. Returns 1 if there was one."""
        if path.parent != self.base / "sessions" or not path.is_dir() or path.is_symlink():
            return 0
        shutil.rmtree(path, ignore_errors=True)  # another worker may be at it
        return 1


class Presence:
    """Says that a process is alive, from ``begin`` to ``end``: by the lock of a file of its own.

    The system takes the lock back when a process ends, however it ends. A process id alone would
    not tell: in a container every incarnation of a host has the same one.
    """

    def __init__(self, base: Path, host_id: str) -> None:
        self.host_id = host_id
        self._path = base / HOSTS / host_id
        self._lock: BaseFileLock | None = None

    def begin(self) -> None:
        """Take the lock; nothing if we have it. Raises OSError."""
        if self._lock is None:
            from filelock import FileLock  # here, off the loop: it loads asyncio, 45 ms

            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._path, thread_local=False)  # another thread may give it back
            lock.acquire()
            self._lock = lock

    def end(self) -> None:
        """Give the lock back and remove the file. Idempotent."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None
            _remove(self._path)


def is_gone(base: Path, host_id: str) -> bool:
    """Return whether no process holds the lock of ``host_id`` any more; removes what it left."""
    from filelock import FileLock, Timeout

    path = base / HOSTS / host_id
    if not path.exists():
        return True
    try:
        with FileLock(path, timeout=0):
            pass
    except Timeout:
        return False
    except OSError:  # not ours to look at: somebody else's host on the same disk
        return False
    _remove(path)
    return True


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _tables(rows: Rows, *, session_id: str) -> dict[str, list[Any]]:
    own = {"session_id": session_id}
    return {table: rows.read(f"SELECT * FROM {table} {ONE}", own) for table in KEYS}


def _forget(rows: Rows, *, session_id: str) -> None:
    rows.write(f"DELETE FROM sessions {ONE}", {"session_id": session_id})


def _copy(rows: Rows, *, tables: Mapping[str, list[Any]]) -> None:
    with rows.together():
        for table, found in tables.items():
            for row in found:
                replace(rows, table, dict(row))


def _state(record: CallRecord) -> State:
    return "ended" if record.finish_reason else "running"


def _recorded_s(path: Path) -> float:
    """Return how long a recording is: in silence it says more of a call than the trace."""
    try:
        with wave.open(str(path)) as file:
            seconds: float = file.getnframes() / file.getframerate()
            return round(seconds, 3)
    except (OSError, EOFError, wave.Error):
        return 0.0


def _now() -> str:
    return clock.calendar().isoformat(timespec="milliseconds")
