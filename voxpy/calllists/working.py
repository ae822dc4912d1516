"""One process at work on the lists: it takes rows, starts a session for each, and settles it.

Any number of processes may do so, on one host or on many: what is taken, how many run at once and
how fast calls begin is decided in the store. Each has one lease there, which it renews, and every
row that it has hangs under that. It dies, and its rows are due again: who takes one next finds an
attempt without an end, and counts it. It stalls, or the store is away, for longer than the lease:
it begins nothing more, and takes its rows again when it is back, those that nobody has taken
meanwhile.
"""

from __future__ import annotations

import datetime
import math
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Protocol, TypeVar

import attrs
import trio

from voxpy.calllists.store import FOREVER_S, Attempt, Lists
from voxpy.calllists.terms import Terms
from voxpy.engine import clock
from voxpy.engine.ending import EndReason
from voxpy.engine.ports import CallListTask, ListReport
from voxpy.engine.trace import Trace
from voxpy.fleet.port import Lease, StoreAway
from voxpy.history.record import CallRecord

T = TypeVar("T")
LOOK_EVERY_S = 1.0
"""For what other processes have added, or have left room for; and for a store that was away."""
LEASE_S = 30.0
"""In which what hosts share may be away without a row being lost to another host."""
HOST_LEASE_S = 5.0
"""The same for a file of one host, which is never away."""
DIED = "interrupted: the process died"


class CannotBegin(Exception):
    """A session that does not begin. ``later``: for want of room; it is tried again."""

    def __init__(self, problem: str, *, later: bool) -> None:
        self.problem = problem
        self.later = later
        super().__init__(problem)


class Begin(Protocol):
    """Begins sessions."""

    async def __call__(
        self, rule: str, data: str, task: CallListTask
    ) -> tuple[str, Callable[[], Awaitable[CallRecord]]]:
        """Return the session's id, and what waits for its end. Raises CannotBegin."""
        ...


@attrs.frozen
class _Task:
    """Implements ``voxpy.engine.ports.CallListTask`` for one attempt."""

    attempt: Attempt
    work: ListWork

    async def report(self, kind: ListReport, data: Mapping[str, Any]) -> None:
        self.attempt.row.report(kind, data, self.work.moment())
        await self.work.keep(self.attempt)


@attrs.define(kw_only=True)
class ListWork:
    """The work of one process. ``run`` until cancelled; ``look`` when a list was added.

    ``has_room`` is whether another session may begin here now. ``log`` is the host's.
    """

    lists: Lists
    begin: Begin
    log: Trace
    has_room: Callable[[], bool] = lambda: True
    now: Callable[[], datetime.datetime] = clock.calendar
    lease_s: float = LEASE_S
    _id: str = attrs.field(factory=lambda: secrets.token_hex(8), init=False)
    _lease: Lease | None = attrs.field(default=None, init=False)
    _until: float = attrs.field(default=-math.inf, init=False)
    """When our lease may be over, by our own clock."""
    _mine: dict[tuple[int, int], Attempt] = attrs.field(factory=dict, init=False)
    _calling: Counter[int] = attrs.field(factory=Counter, init=False)
    _telling: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _woken: trio.Event = attrs.field(factory=trio.Event, init=False)
    _is_away: bool = attrs.field(default=False, init=False)
    _pause_s: float = attrs.field(default=LOOK_EVERY_S, init=False)

    def look(self) -> None:
        """Look now whether there is something to do."""
        self._woken.set()

    def moment(self) -> float:
        """Return the date, in seconds since 1970."""
        return self.now().timestamp()

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._stay)
                while True:
                    attempt = await self._next()
                    if attempt is not None:
                        nursery.start_soon(self._make, attempt)
                        continue
                    with trio.move_on_after(self._pause_s):
                        await self._woken.wait()
                    self._pause_s = LOOK_EVERY_S
                    if self._woken.is_set():
                        self._woken = trio.Event()
        finally:
            with trio.CancelScope(shield=True):
                await self.leave()

    async def finish(self) -> None:
        """Work until every list is done: for a trial."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.run)
            while await self.lists.at_work():
                await self._woken.wait()
            nursery.cancel_scope.cancel()

    # -- being there -------------------------------------------------------------------------------

    async def _stay(self) -> None:
        """Keep our lease; after one that was lost take what is under way here again."""
        while True:
            try:
                if self.lists.exists():
                    await self._renew()
            except StoreAway:
                await trio.sleep(LOOK_EVERY_S)
                await self.lists.store.probe()
            else:
                await trio.sleep(LOOK_EVERY_S if self._lease is None else self.lease_s / 5)

    async def _renew(self) -> None:
        began, store = clock.now(), self.lists.store
        if self._lease is None or not await store.renew(self._lease, self.lease_s):
            self._lease, self._until = None, -math.inf
            # A claim whose answer was lost still has its key: each has a name of its own.
            key = f"list-workers/{self._id}-{secrets.token_hex(4)}"
            self._lease = await store.claim(key, self._id, self.lease_s)
            self.look()
        for attempt in tuple(self._mine.values()):
            if self._lease is not None and attempt.under != self._lease.token:
                await self._tell(attempt.list_id)
                await self._take_again(attempt)
        self._until = began + self.lease_s

    async def _take_again(self, attempt: Attempt) -> bool:
        """Go on with a row whose lease was over; False if somebody else has it."""
        under = self._lease
        if under is None:
            return False
        lease = await self.lists.take_again(attempt, self._id, under)
        if lease is not None:
            row = await self.lists.read(attempt.list_id, attempt.number)
            if row is not None and (row.worker, row.attempts) == (self._id, attempt.row.attempts):
                attempt.lease, attempt.under = lease, under.token
                return True
            await self.lists.store.release(attrs.evolve(lease, queue=""))
        self._mine.pop((attempt.list_id, attempt.number), None)
        return False

    async def leave(self) -> None:
        """Give everything back that is under way here: nothing begins any more."""
        lease, self._lease = self._lease, None
        if lease is not None:
            try:
                await self.lists.store.release(lease)
            except StoreAway:
                return

    async def _ask(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask until it is answered; what is asked has the same effect twice."""
        while True:
            try:
                with trio.CancelScope(shield=True):  # at least once, whatever else ends
                    return await ask()
            except StoreAway:
                await trio.sleep(LOOK_EVERY_S)

    def _holds(self, attempt: Attempt) -> bool:
        """Whether a row is surely ours still, by our own clock."""
        under = 0 if self._lease is None else self._lease.token
        return attempt.under == under and clock.now() < self._until

    # -- the next attempt --------------------------------------------------------------------------

    async def _next(self) -> Attempt | None:
        if self._lease is None or clock.now() >= self._until or not self.has_room():
            return None
        try:
            for list_id, rule_name, terms in await self.lists.at_work():
                if terms.window is not None and not terms.window.is_open(self.now()):
                    continue
                attempt = await self._next_of(list_id, rule_name, terms)
                if attempt is not None:
                    return attempt
            self._is_away = False
        except StoreAway as error:
            if not self._is_away:
                self._is_away = True
                self.log.warning("the call lists cannot be read", error=str(error))
            await trio.sleep(LOOK_EVERY_S)
        return None

    async def _next_of(self, list_id: int, rule_name: str, terms: Terms) -> Attempt | None:
        attempt, store = None, self.lists.store
        self._calling[list_id] += 1
        try:
            if await self._tell(list_id, terms.at_once):
                turn = await self._turn(list_id, terms)
                if turn is not None:
                    attempt = await self._take(list_id, rule_name, terms)
                    if attempt is None and turn.key:
                        await store.release(turn)
        finally:
            if attempt is None:
                self._calling[list_id] -= 1
        if attempt is None:
            await self._tell(list_id)
            if await self.lists.end_if_done(list_id):
                self.look()
        return attempt

    async def _tell(self, list_id: int, most: int | None = None) -> bool:
        """Say how many rows of a list we have now; False if those are too many.

        One at a time, so that what is said last is what is so.
        """
        async with self._telling:
            if self._lease is None:
                return False
            count, name = self._calling[list_id], f"calling-{list_id}"
            told = await self.lists.store.occupy(name, count, self._lease, most)
            return told is not None and told.granted

    async def _turn(self, list_id: int, terms: Terms) -> Lease | None:
        """Return the right to begin a call, which is there again in a while; None until then."""
        if terms.per_minute is None:
            return Lease("", 0)
        apart_s = 60.0 / terms.per_minute
        turn = await self.lists.store.claim(f"turns/{list_id}", "", apart_s)
        if turn is None:
            self._pause_s = min(self._pause_s, apart_s)
        return turn

    async def _take(self, list_id: int, rule_name: str, terms: Terms) -> Attempt | None:
        """Take a row and write down that it is called."""
        while True:
            lease = await self.lists.take(list_id, self._id, self.lease_s)
            under = self._lease
            if lease is None or under is None:
                return None
            renew = partial(self.lists.store.renew, lease, FOREVER_S, under=under)
            if not await self._ask(renew):
                return None
            number = int(lease.member)
            row = await self._ask(partial(self.lists.read, list_id, number))
            if row is None:
                await self._ask(partial(self.lists.store.release, lease))
                continue
            attempt = Attempt(
                list_id=list_id,
                number=number,
                rule_name=rule_name,
                terms=terms,
                row=row,
                lease=lease,
                under=under.token,
            )
            now = self.moment()
            if row.state == "calling":  # somebody began, and nobody will say how it ended
                row.finish(DIED, None, terms, now)
                if not await self._ask(partial(self.lists.write, attempt)):
                    return None
            if row.state != "waiting" or row.due > now:
                await self._ask(partial(self.lists.let_go, attempt, now))
                continue
            row.begin(self._id, now)
            if not await self._ask(partial(self.lists.write, attempt)):
                return None
            await self._ask(partial(self.lists.count_attempt, attempt))
            return attempt

    # -- one attempt -------------------------------------------------------------------------------

    async def _make(self, attempt: Attempt) -> None:
        self._mine[attempt.list_id, attempt.number] = attempt
        try:
            await self._call(attempt)
        finally:
            self._mine.pop((attempt.list_id, attempt.number), None)
            self._calling[attempt.list_id] -= 1
            await self._ask(partial(self._tell, attempt.list_id))
            self.look()

    async def _call(self, attempt: Attempt) -> None:
        try:
            if not self._holds(attempt):
                raise CannotBegin("we stalled, and it may be another's by now", later=True)
            task = _Task(attempt, self)
            session_id, ended = await self.begin(attempt.rule_name, attempt.row.data, task)
        except CannotBegin as error:
            if error.later:
                attempt.row.give_back()
            else:
                self.log.warning("a row of a list cannot begin", problem=error.problem)
                attempt.row.finish(error.problem, None, attempt.terms, self.moment())
            await self._settle(attempt)
            return
        attempt.row.session_id = session_id
        await self.keep(attempt)
        record = await ended()
        attempt.row.finish(_failure(record), _call_code(record), attempt.terms, self.moment())
        await self._settle(attempt)

    async def _settle(self, attempt: Attempt) -> None:
        if await self.keep(attempt):
            await self._ask(partial(self.lists.let_go, attempt, self.moment()))

    async def keep(self, attempt: Attempt) -> bool:
        """Write what has become of a row, whatever else ends; False if it is another's by now."""
        kept = await self._ask(partial(self._write, attempt))
        if not kept:
            told = {"list": attempt.list_id, "row": attempt.number}
            self.log.warning("a row of a list is ours no more; what came of it is dropped", **told)
        return kept

    async def _write(self, attempt: Attempt) -> bool:
        if await self.lists.write(attempt):
            return True
        return await self._take_again(attempt) and await self.lists.write(attempt)


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
