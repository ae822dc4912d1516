"""What calls leave goes to the store of all hosts: retried, a few at once, in threads.

Nothing of a call waits for it. A session's turn comes when it is over; when the store fails, again
after a second, two, four, up to a minute, and as soon as anything else arrives. What is stored is
deleted here after ``keep_local_s``; what is asked for after that is brought back for as long.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import attrs
import trio

from voxpy.engine import clock
from voxpy.engine.trace import Trace
from voxpy.errors import RequestFailed
from voxpy.history.history import is_gone
from voxpy.history.objects import AT_ONCE, ObjectStore
from voxpy.history.outbox import BACK, Mark, Outbox, bring_back

FIRST_RETRY_S = 1.0
LAST_RETRY_S = 60.0
ADOPT_EVERY_S = 60.0


@attrs.define
class _Waiting:
    """A session that is over. ``due_s`` is of the loop's clock; None while it has its turn."""

    mark: Mark
    due_s: float | None
    failures: int = 0


class Uploads:
    """The way of one process to the store. Let ``work`` run AT_ONCE times, and ``adopt`` once.

    ``count`` is told of each file: ``stored``, or ``failed`` for one that is tried again.
    """

    def __init__(
        self,
        objects: ObjectStore,
        outbox: Outbox,
        *,
        keep_local_s: float,
        log: Trace,
        count: Callable[[str], None],
    ) -> None:
        self.objects = objects
        self.outbox = outbox
        self.failing = ""
        """What the store answered last, if it did not take what it was given."""
        self._keep_local_s = keep_local_s
        self._log = log
        self._count = count
        self._sessions: dict[str, _Waiting] = {}
        self._changed = trio.Event()
        self._fetching = trio.CapacityLimiter(AT_ONCE)

    # -- sessions ----------------------------------------------------------------------------------

    def locate(self, path: Path) -> str:
        """Return where a file of a session will be: of what is not stored, where it is."""
        stored = self.outbox.wants(path.name)
        return self.objects.url(path.parent.name, path.name) if stored else path.as_uri()

    def begin(self, session_id: str) -> None:
        """Remember a session that begins, should we not see its end. Raises OSError."""
        self.outbox.begin(session_id)

    def finished(self, session_id: str) -> None:
        """Take what a session has left."""
        self._add(session_id, Mark(), clock.now())

    @property
    def waiting(self) -> int:
        """Of how many sessions not all is stored."""
        return sum(each.mark.at is None for each in self._sessions.values())

    async def drained(self) -> None:
        """Wait until everything is stored."""
        while self.waiting:
            await self._changed.wait()

    async def fetch(self, session_id: str, names: Iterable[str]) -> None:
        """Bring back what is no longer here. Raises RequestFailed and OSError."""
        async with self._fetching:
            now = clock.calendar().timestamp()
            get = partial(bring_back, self.objects, self.outbox, session_id, names, now)
            if await clock.off_loop(get):
                key = session_id + BACK
                mark = self.outbox.read(key)
                self._add(key, mark, clock.now() + self._keep_local_s)

    def forget(self, session_id: str) -> None:
        """Delete what is stored of a session, in any thread. Raises RequestFailed."""
        self.objects.remove(session_id)

    # -- tasks -------------------------------------------------------------------------------------

    async def adopt(self) -> None:
        """Take over what dead processes of this folder left, now and then, for ever."""
        while True:
            now = clock.calendar().timestamp()
            gone = partial(is_gone, self.outbox.base)
            for session_id in await clock.off_loop(self.outbox.adopt, gone, now):
                mark = self.outbox.read(session_id)
                stays_s = 0.0 if mark.at is None else mark.at + self._keep_local_s - now
                self._add(session_id, mark, clock.now() + max(0.0, stays_s))
            await trio.sleep(ADOPT_EVERY_S * random.uniform(0.8, 1.2))

    async def work(self) -> None:
        """Store and delete, one session after the other, for ever."""
        while True:
            session_id, waiting = await self._next()
            try:
                waiting.due_s, due_s = None, clock.now()
                due_s = await self._turn(session_id, waiting)
            finally:
                waiting.due_s = due_s
                self._note_change()

    async def _next(self) -> tuple[str, _Waiting]:
        while True:
            due = [(w.due_s, s) for s, w in self._sessions.items() if w.due_s is not None]
            first_s, session_id = min(due, default=(None, ""))
            now = clock.now()
            if first_s is not None and first_s <= now:
                return session_id, self._sessions[session_id]
            with trio.move_on_after(float("inf") if first_s is None else first_s - now):
                await self._changed.wait()

    async def _turn(self, session_id: str, waiting: _Waiting) -> float:
        """Store what there is of a session, or delete it here. Return when its next turn is."""
        mark, outbox = waiting.mark, self.outbox
        try:
            for path in await clock.off_loop(outbox.lacking, session_id, mark):
                mark.at = None
                put = partial(self.objects.put, session_id, path.name, path)
                mark.stored[path.name] = await clock.off_loop(put, abandon=True)
                self._arrived()
                self._keep(session_id, mark)
        except FileNotFoundError:
            return clock.now()  # deleted meanwhile: look again
        except (RequestFailed, OSError) as error:
            return self._failed(session_id, waiting, error)
        if mark.at is None:
            mark.at = clock.calendar().timestamp()
            waiting.failures = 0
            self._keep(session_id, mark)
            if self._keep_local_s:
                return clock.now() + self._keep_local_s
        await clock.off_loop(outbox.delete, session_id, mark)
        del self._sessions[session_id]
        return clock.now()

    def _keep(self, session_id: str, mark: Mark) -> None:
        """Write a mark. Without it the next start would store again what is stored: no harm."""
        try:
            self.outbox.begin(session_id, mark)
        except OSError as error:
            told = {"session": session_id, "error": f"{error.strerror or error}"}
            self._log.warning("what is stored cannot be noted", **told)

    def _arrived(self) -> None:
        self._count("stored")
        if self.failing:
            self.failing = ""
            self._log.step("recordings are stored again", waiting=self.waiting)
            for each in self._sessions.values():
                if each.due_s is not None and each.mark.at is None:
                    each.due_s = clock.now()

    def _failed(self, session_id: str, waiting: _Waiting, error: Exception) -> float:
        self._count("failed")
        if not self.failing:
            meanwhile = "they are kept here and tried again"
            self._log.warning(
                "recordings are not stored", session=session_id, error=f"{error}", now=meanwhile
            )
        self.failing = f"{error}"
        wait_s = min(LAST_RETRY_S, FIRST_RETRY_S * 2.0**waiting.failures)
        waiting.failures += 1
        return clock.now() + wait_s * random.uniform(0.5, 1.0)

    def _add(self, session_id: str, mark: Mark, due_s: float) -> None:
        self._sessions[session_id] = _Waiting(mark, due_s)
        self._note_change()

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
