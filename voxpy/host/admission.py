"""Whether a host takes another call: not while it stops, is full, or soon could not keep time.

How many calls a machine carries depends on the machine, on what its scenarios do and on who else
runs there. So it is measured: how much of a core the loop uses, and how late its clock is. The
share tells before anybody hears anything; lateness tells of what it does not see, as neighbours.
"""

from __future__ import annotations

import enum
import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import attrs
import trio

from voxpy.engine import clock
from voxpy.engine.clock import Load

NEW_S = 2.0
"""For so long a call does not yet show in what is measured."""
ENOUGH_CALLS = 5
"""Fewer say nothing about what one costs."""
ENOUGH_TICKS = 250
"""Five seconds: less says nothing about a percentile."""


class Busy(enum.Enum):
    """Why a call is refused; the value is a label of the metrics."""

    DRAINING = "draining"
    FULL = "full"
    LATE = "late"
    BUSY = "busy"
    LIMIT = "limit"


@attrs.frozen
class Refusal:
    """A call that is not taken, and why in a sentence."""

    cause: Busy
    detail: str


class Admission:
    """Counts the calls of one process.

    ``late_s`` bounds the media clock's 99th percentile, ``busy_share`` what of a core may be in use
    for one more call to be taken.
    """

    def __init__(
        self,
        *,
        most_calls: int,
        late_s: float,
        busy_share: float = math.inf,
        load: Callable[[], Load],
    ) -> None:
        self.running = 0
        self.draining = False
        self.changed: Callable[[], None] = lambda: None
        """Called when a call has begun or ended."""
        self.most_calls = most_calls
        self._late_s = late_s
        self._busy_share = busy_share
        self._newcomers: deque[float] = deque()  # when they came
        self._load = load
        self._changed = trio.Event()

    def refusal(self) -> Refusal | None:
        """Return why another call would be refused now, or None."""
        if self.draining:
            return Refusal(Busy.DRAINING, "the host is stopping")
        if self.running >= self.most_calls:
            return Refusal(Busy.FULL, f"{self.running} calls run; the limit is {self.most_calls}")
        load = self._load()
        if load.ticks + load.skipped >= ENOUGH_TICKS and load.late_p99_s > self._late_s:
            late, limit = load.late_p99_s * 1000, self._late_s * 1000
            return Refusal(
                Busy.LATE, f"audio is {late:.0f} ms late (99th percentile); the limit is {limit:g}"
            )
        share = load.busy_share + self._to_come(load.busy_share)
        if share > self._busy_share:
            return Refusal(
                Busy.BUSY, f"{share:.0%} of a core is in use; the limit is {self._busy_share:.0%}"
            )
        return None

    def _to_come(self, share: float) -> float:
        """Return what calls that have just begun will add, going by those that were there.

        The longer a call is here, the more of it is in ``share`` already; one that is over adds
        nothing. Without that, short calls that follow each other closely are counted twice.
        """
        now = clock.now()
        while self._newcomers and self._newcomers[0] <= now - NEW_S:
            self._newcomers.popleft()
        unseen = sum(1 - (now - came) / NEW_S for came in self._newcomers)
        seen = self.running - unseen
        return share / seen * unseen if seen >= ENOUGH_CALLS else 0.0

    @contextmanager
    def call(self) -> Iterator[None]:
        """Count one call for as long as it runs."""
        came = clock.now()
        self.running += 1
        self._newcomers.append(came)
        self._note_change()
        try:
            yield
        finally:
            self.running -= 1
            with suppress(ValueError):  # no newcomer any more
                self._newcomers.remove(came)
            self._note_change()

    async def wait_idle(self) -> None:
        """Wait until no call runs."""
        while self.running:
            await self.wait_change()

    async def wait_change(self) -> None:
        """Wait until a call begins or ends."""
        await self._changed.wait()

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
        self.changed()
