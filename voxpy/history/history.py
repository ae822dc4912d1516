"""What a host writes into the call history, off the event loop; and how it tidies up.

A session is written twice: as ``running`` when it begins and with everything when it is over. What
a process left as ``running`` when it died becomes ``interrupted``: from its ``record.json`` if that
was written, else from its trace, which is whole to the last line.
"""

from __future__ import annotations

import datetime
import secrets
import shutil
import sqlite3
import threading
import wave
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import trio

from voxpy.engine import clock
from voxpy.errors import ConfigError
from voxpy.history.record import RECORDING, CallRecord
from voxpy.history.store import FILE_NAME, LOCK_S, State, opened, write_record
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


@attrs.frozen(kw_only=True)
class Pruned:
    """What was deleted: rows, and folders with their recordings, traces and logs."""

    sessions: int
    folders: int


class History:
    """The call history in the folder ``base``, for one process. Close it at the end.

    Nothing is opened before the first write. Every method that touches the file raises ConfigError
    (with the file) if that is impossible: not writable, locked, no database.
    """

    def __init__(self, base: Path) -> None:
        self.base = base.absolute()
        self.path = self.base / FILE_NAME
        self.host_id = secrets.token_hex(8)
        self._presence = Presence(self.base, self.host_id)
        self._open_things = ExitStack()
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()
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
            problem = f"the call history: others have been writing for {PATIENCE_S:g} s"
            raise ConfigError(problem, file=str(self.path))

    async def look_after(self, keep_days: Callable[[], float | None]) -> None:
        """Tidy up now and every six hours, for ever: what died is settled, what is old deleted.

        ``keep_days`` is asked each time. Raises ConfigError only the first time.
        """
        await self._off_loop(self.tidy, keep_days())
        while True:
            await trio.sleep(TIDY_S)
            try:
                await self._off_loop(self.tidy, keep_days())
            except ConfigError:
                continue  # the sessions' own warnings say it already

    async def _off_loop(self, work: Callable[..., T], *args: Any) -> T:
        if clock.is_virtual():
            await trio.lowlevel.checkpoint()
            return work(*args)
        return await trio.to_thread.run_sync(work, *args, limiter=self._turn)

    # -- in any thread -----------------------------------------------------------------------------

    def write(self, record: CallRecord, folder: Path) -> None:
        """Write the rows of one session, and the ends of earlier ones that found no room."""
        session_id, state = record.session_id, _state(record)
        began = self._began.setdefault(session_id, _now())
        try:
            self._write_one(record, folder, began)
        except ConfigError:
            if state == "ended" and len(self._unwritten) < MOST_UNWRITTEN:
                self._unwritten[session_id] = record, folder, self._began.pop(session_id)
            raise
        if state == "ended":
            self._began.pop(session_id, None)
        while self._unwritten:  # there is room again
            with suppress(ConfigError):
                self._write_one(*next(iter(self._unwritten.values())))
                continue
            break

    def _write_one(self, record: CallRecord, folder: Path, began: str) -> None:
        def work(connection: sqlite3.Connection) -> None:
            write_record(
                connection,
                record,
                state=_state(record),
                host_id=self.host_id,
                start_date=began,
                folder=folder,
            )

        self._with_file(work, alive=True)
        self._unwritten.pop(record.session_id, None)

    def tidy(self, keep_days: float | None) -> None:
        """Settle what died and delete what is older than ``keep_days`` days; None keeps all."""
        self.settle()
        if keep_days is not None:
            self.prune(keep_days)

    def settle(self, causes: Mapping[str, str] = NO_CAUSES) -> int:
        """Make sessions of dead processes ``interrupted``; return how many there were.

        ``causes`` says of what hosts have died, by their ids.
        """
        return self._with_file(lambda connection: self._settle(connection, causes))

    @classmethod
    def settle_now(cls, base: Path, causes: Mapping[str, str] = NO_CAUSES) -> int:
        """Settle what died in ``base`` before somebody looks; nothing if there is no history."""
        history = cls(base)
        if not history.path.exists():
            return 0
        try:
            return history.settle(causes)
        finally:
            history.close()

    def prune(self, keep_days: float) -> Pruned:
        """Delete what began more than ``keep_days`` days ago and is over, with its folder.

        Folders of sessions that are not in the history go when nobody has written into them for as
        long.
        """
        before = clock.calendar() - datetime.timedelta(days=keep_days)
        return self._with_file(lambda connection: self._prune(connection, before))

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        with self._lock:
            self._forget()
            self._presence.end()

    # -- the inside --------------------------------------------------------------------------------

    def _with_file(self, work: Callable[[sqlite3.Connection], T], *, alive: bool = False) -> T:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._open_things.enter_context(opened(self.path))
                if alive:
                    self._presence.begin()
                return work(self._connection)
            except (sqlite3.Error, OSError) as error:
                self._forget(error)  # raises it by its name
                raise

    def _forget(self, error: Exception | None = None) -> None:
        """Close the file. Of an error the block that opened it makes a ConfigError."""
        things, self._open_things, self._connection = self._open_things, ExitStack(), None
        if error is None:
            things.close()
        else:
            things.__exit__(type(error), error, error.__traceback__)

    def _settle(self, connection: sqlite3.Connection, causes: Mapping[str, str]) -> int:
        running = connection.execute(
            "SELECT session_id, host_id, folder, start_date FROM sessions WHERE state = 'running'"
        ).fetchall()
        gone = {host for _, host, *_ in running if host != self.host_id}
        gone = {host for host in gone if is_gone(self.base, host)}
        dead = [row for row in running if row[1] in gone]
        for session_id, host_id, folder, start_date in dead:
            path = self.base / folder
            record = read_record(path)
            state: State = "ended"
            if record is None:
                state = "interrupted"
                record = record_of(read_trace(path / "trace.jsonl"), session_id=session_id)
                record.recordings.insert(0, (path / RECORDING).as_uri())
                record.duration_s = max(record.duration_s, _recorded_s(path / RECORDING))
                record.finish_reason = INTERRUPTED
                record.end_reason = "interrupted"
                record.end_detail = causes.get(host_id, "the process died")
            record.session_id = session_id  # whatever the file says
            write_record(
                connection,
                record,
                state=state,
                host_id=host_id,
                start_date=start_date,
                folder=path,
            )
        return len(dead)

    def _prune(self, connection: sqlite3.Connection, before: datetime.datetime) -> Pruned:
        limit = before.isoformat(timespec="milliseconds")
        old = connection.execute(
            "SELECT session_id, folder FROM sessions WHERE start_date < ? AND state != 'running'",
            (limit,),
        ).fetchall()
        folders = sum(self._delete_folder(self.base / folder) for _, folder in old)
        connection.executemany("DELETE FROM sessions WHERE session_id = ?", [(s,) for s, _ in old])
        known = {self.base / f for (f,) in connection.execute("SELECT folder FROM sessions")}
        for path in (self.base / "sessions").glob("*"):
            if path not in known and path.stat().st_mtime < before.timestamp():
                folders += self._delete_folder(path)
        return Pruned(sessions=len(old), folders=folders)

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
