"""One process at work on the lists: it claims attempts, starts a session for each, and settles it.

Any number of processes may do so on one file: what is claimed, how many run at once and how fast
calls begin is decided there.
"""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

import attrs
import trio

from voxpy.calllists.store import Claim, ListStore
from voxpy.engine import clock
from voxpy.engine.ending import EndReason
from voxpy.engine.ports import CallListTask, ListReport
from voxpy.engine.trace import Trace
from voxpy.errors import ConfigError
from voxpy.history.history import Presence, is_gone
from voxpy.history.record import CallRecord
from voxpy.history.tracefile import read_record

LOOK_EVERY_S = 1.0
"""For what other processes have added, or have left room for."""
SETTLE_EVERY_S = 30.0


class CannotBegin(Exception):
    """A session that does not begin. ``later``: for want of room; it is tried again."""

    def __init__(self, problem: str, *, later: bool) -> None:
        self.problem = problem
        self.later = later
        super().__init__(problem)


class Begin(Protocol):
    """Begins sessions."""

    def __call__(
        self, rule: str, data: str, task: CallListTask
    ) -> tuple[str, Callable[[], Awaitable[CallRecord]]]:
        """Return the session's id, and what waits for its end. Raises CannotBegin."""
        ...


@attrs.frozen
class _Task:
    """Implements ``voxpy.engine.ports.CallListTask`` for one attempt."""

    claim: Claim
    work: ListWork

    async def report(self, kind: ListReport, data: Mapping[str, Any]) -> None:
        moment = self.work.now().timestamp()
        await clock.off_loop(self.work.store.report, self.claim, kind, data, moment)


@attrs.define(kw_only=True)
class ListWork:
    """The work of one process. ``run`` until cancelled; ``look`` when a list was added.

    ``has_room`` is whether another session may begin here now; ``stopping`` whether none may any
    more. ``log`` is the host's.
    """

    store: ListStore
    begin: Begin
    log: Trace
    presence: Presence | None = None
    """Says that this process is alive; none is needed for a trial in memory."""
    has_room: Callable[[], bool] = lambda: True
    now: Callable[[], datetime.datetime] = clock.calendar
    _woken: trio.Event = attrs.field(factory=trio.Event, init=False)

    @property
    def _host_id(self) -> str:
        return "" if self.presence is None else self.presence.host_id

    def look(self) -> None:
        """Look now whether there is something to do."""
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._settle_always)
                while True:
                    claim = await self._next()
                    if claim is not None:
                        nursery.start_soon(self._attempt, claim)
                        continue
                    with trio.move_on_after(LOOK_EVERY_S):
                        await self._woken.wait()
                    if self._woken.is_set():
                        self._woken = trio.Event()
        finally:
            if self.presence is not None:
                self.presence.end()

    async def finish(self) -> None:
        """Work until every list is done: for a trial."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.run)
            while any(found.state == "running" for found in self.store.lists()):
                await self._woken.wait()
            nursery.cancel_scope.cancel()

    async def _next(self) -> Claim | None:
        if not self.store.exists() or not self.has_room():
            return None
        try:
            if self.presence is not None:
                self.presence.begin()
            moment = self.now().timestamp()
            return await clock.off_loop(self.store.claim, self._host_id, moment)
        except (ConfigError, OSError) as error:
            self.log.warning("the call lists cannot be read", error=str(error))
            await trio.sleep(LOOK_EVERY_S)
            return None

    async def _attempt(self, claim: Claim) -> None:
        try:
            session_id, ended = self.begin(claim.rule_name, claim.data, _Task(claim, self))
        except CannotBegin as error:
            if error.later:
                await self._keep(self.store.give_back, claim)
                return
            self.log.warning("a row of a list cannot begin", problem=error.problem)
            await self._settle(claim, failed=error.problem, record=None)
            return
        await self._keep(self.store.note_session, claim, session_id)
        record = await ended()
        await self._settle(claim, failed=_failure(record), record=record)

    async def _settle(self, claim: Claim, *, failed: str, record: CallRecord | None) -> None:
        now = self.now().timestamp()
        code = None if record is None else _call_code(record)
        await self._keep(partial(self.store.finish, claim, failed=failed, call_code=code, now=now))
        self.look()

    async def _keep(self, work: Callable[..., None], *args: Any) -> None:
        """Write, whatever else ends; a disk that is full is waited for."""
        with trio.CancelScope(shield=True):
            for _ in range(5):
                with suppress(ConfigError):
                    await clock.off_loop(work, *args)
                    return
                await trio.sleep(LOOK_EVERY_S)
            self.log.write("error", "what came of a row of a list is not kept")

    async def _settle_always(self) -> None:
        """Settle what processes left that have died."""
        while True:
            if self.store.exists():
                with suppress(ConfigError):
                    left = await clock.off_loop(self.store.open_attempts, self._is_gone)
                    for claim, session_id in left:
                        record = await clock.off_loop(self._record, session_id)
                        died = "interrupted: the process died"
                        failed = died if record is None else _failure(record)
                        await self._settle(claim, failed=failed, record=record)
            await trio.sleep(SETTLE_EVERY_S)

    def _is_gone(self, host_id: str) -> bool:
        return host_id != self._host_id and (
            self.store.path is None or is_gone(self.store.path.parent, host_id)
        )

    def _record(self, session_id: str) -> CallRecord | None:
        assert self.store.path is not None
        folder = self.store.path.parent / "sessions" / session_id
        return read_record(folder) if session_id else None


def _failure(record: CallRecord) -> str:
    """Say why a session failed, if it did: by itself, or because somebody ended it."""
    reasons = {r.value: r for r in EndReason}
    reason = reasons.get(record.end_reason, EndReason.INTERNAL_ERROR)
    if not reason.is_error and reason not in (EndReason.HOST_SHUTDOWN, EndReason.OPERATOR):
        return ""
    return f"{reason.value}: {record.end_detail}" if record.end_detail else reason.value


def _call_code(record: CallRecord) -> int | None:
    """Return the SIP status that ended the first call, as far as there was one."""
    for call in record.calls:
        ended = call.get("end_reason")
        if isinstance(ended, Mapping):
            return int(ended["code"])
    return None
