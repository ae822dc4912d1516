"""Whether a host takes another call: not while it stops, is full, or can no longer keep time."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import attrs
import trio

from voxpy.engine.clock import Load

ENOUGH_TICKS = 250
"""Five seconds: less says nothing about a percentile."""


class Busy(enum.Enum):
    """Why a call is refused; the value is a label of the metrics."""

    DRAINING = "draining"
    FULL = "full"
    LATE = "late"


@attrs.frozen
class Refusal:
    """A call that is not taken, and why in a sentence."""

    cause: Busy
    detail: str


class Admission:
    """Counts the calls of one process. ``late_s`` bounds the media clock's 99th percentile."""

    def __init__(self, *, most_calls: int, late_s: float, load: Callable[[], Load]) -> None:
        self.running = 0
        self.draining = False
        self.changed: Callable[[], None] = lambda: None
        """Called when a call has begun or ended."""
        self.most_calls = most_calls
        self._late_s = late_s
        self._load = load
        self._changed = trio.Event()

    def refusal(self) -> Refusal | None:
        """Return why another call would be refused now, or None."""
        if self.draining:
            return Refusal(Busy.DRAINING, "the host is stopping")
        if self.running >= self.most_calls:
            return Refusal(Busy.FULL, f"{self.running} calls run; the limit is {self.most_calls}")
        load = self._load()
        if load.ticks >= ENOUGH_TICKS and load.late_p99_s > self._late_s:
            late, limit = load.late_p99_s * 1000, self._late_s * 1000
            return Refusal(
                Busy.LATE, f"audio is {late:.0f} ms late (99th percentile); the limit is {limit:g}"
            )
        return None

    @contextmanager
    def call(self) -> Iterator[None]:
        """Count one call for as long as it runs."""
        self.running += 1
        self._note_change()
        try:
            yield
        finally:
            self.running -= 1
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
