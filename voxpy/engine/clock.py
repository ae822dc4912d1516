"""The only reader of clocks: trio's for waiting, the wall's for dates, the CPU's for blame.

Under trio's MockClock the wall clock is derived from the virtual one, so that two virtual runs of
the same call write the same dates.
"""

from __future__ import annotations

import datetime
import math
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, TypeAlias, TypeVar

import attrs
import trio

from voxpy.audio.frame import FRAME_S

T = TypeVar("T")

VIRTUAL_EPOCH = datetime.datetime(2000, 1, 1, tzinfo=datetime.timezone.utc)  # noqa: UP017

CATCH_UP_TICKS = 5
"""Ticks run in a row after a stall; what is later than 100 ms is no use to a listener."""

LATE_S = 0.00001
"""Later than that, as one is except on virtual time, what has come is read before the ticks run. A
tick that finds nothing and is followed by what it missed makes a delay for the rest of a call.
"""


def now() -> float:
    """Return trio's monotonic time in seconds; virtual under a MockClock."""
    return trio.current_time()


def stopwatch() -> Callable[[], float]:
    """Return what tells ``now`` of this loop at a third of its cost: for every frame."""
    return trio.lowlevel.current_clock().current_time


def is_virtual() -> bool:
    """Return whether the running loop lives on virtual time."""
    # Who runs on a MockClock has imported trio.testing; importing it here would cost every real
    # call 70 ms, because it imports pytest where that is installed.
    testing = sys.modules.get("trio.testing")
    return testing is not None and isinstance(trio.lowlevel.current_clock(), testing.MockClock)


def wall() -> datetime.datetime:
    """Return the date and time in UTC; on virtual time, virtual seconds after the year 2000."""
    if is_virtual():
        return VIRTUAL_EPOCH + datetime.timedelta(seconds=now())
    return calendar()


def calendar() -> datetime.datetime:
    """Return the real date and time in UTC, virtual time or not, in any thread.

    For what is kept among the things of other days: a call history, when to delete.
    """
    return datetime.datetime.now(datetime.UTC)


def busy_s() -> float:
    """Return a real stopwatch in seconds, virtual time or not: for naming handlers that block."""
    return time.perf_counter()


def cpu_s() -> float:
    """Return the CPU seconds this thread has used: for the share of a core the loop takes."""
    return time.thread_time()


def process_cpu_s() -> float:
    """Return the CPU seconds this process has used, all its threads together."""
    return time.process_time()


async def off_loop(work: Callable[..., T], *args: Any, abandon: bool = False) -> T:
    """Do ``work(*args)`` in a thread and return its result; inline on virtual time.

    (Autojump does not see threads.) Always a checkpoint. Not cancelled in the middle: whoever is
    cancelled learns of it when the work is done, or with ``abandon`` leaves it behind. Raises what
    ``work`` raises.
    """
    if is_virtual():
        await trio.lowlevel.checkpoint()
        return work(*args)
    return await trio.to_thread.run_sync(work, *args, abandon_on_cancel=abandon)


TOGETHER_S = 0.25
"""How long what is not urgent waits for company on its way to a thread."""

Done: TypeAlias = Callable[[Exception | None], None]


@attrs.define(eq=False)
class _Round:
    """What goes to a thread together. Errors are told on the loop."""

    errands: list[tuple[Callable[[], None], Done]] = attrs.field(factory=list)

    def work(self) -> list[Exception | None]:
        return [_error_of(work) for work, _ in self.errands]


def _error_of(work: Callable[[], None]) -> Exception | None:
    try:
        work()
    except Exception as error:
        return error
    return None


_round: trio.lowlevel.RunVar[_Round | None] = trio.lowlevel.RunVar("voxpy.engine.round", None)


def off_loop_soon(work: Callable[[], None], done: Done) -> None:
    """Have ``work`` done up to a quarter of a second later, in one thread with others'.

    Then ``done`` is called on the loop, with what ``work`` raised or None; it must not raise. On
    virtual time both are called at once. For what every call has to have written twice a second:
    the way to a thread and back costs as much as ten of its frames, and so does waking a task.
    """
    if is_virtual():
        done(_error_of(work))
        return
    if (together := _round.get()) is None:
        together = _Round()
        _round.set(together)
        trio.lowlevel.spawn_system_task(_go_together, together, name="off the loop together")
    together.errands.append((work, done))


async def _go_together(together: _Round) -> None:
    with trio.CancelScope(shield=True):  # what was asked for is done, at the end of the run too
        await trio.sleep(TOGETHER_S)
        _round.set(None)
        errors = await trio.to_thread.run_sync(together.work)
    for (_, done), error in zip(together.errands, errors, strict=True):
        done(error)


# -- how late and how busy it is: what a host asks before it takes another call --------------------

HALF_WINDOW_S = 15.0
"""Figures cover the running half window and the one before: the last 15 to 30 s."""
FINEST_S = 0.0001
STEPS_PER_DECADE = 20
DECADES = 4
BUSY_S = 1.0
"""How fast ``busy_share`` follows: a burst of calls shows before the next one comes."""
EDGES_S = tuple(
    FINEST_S * 10 ** (n / STEPS_PER_DECADE) for n in range(DECADES * STEPS_PER_DECADE + 1)
)
"""Bounds of the histogram, 0.1 ms to 1 s, 12 % apart: a percentile is exact to that."""


@attrs.frozen(kw_only=True)
class Load:
    """The last 15 to 30 seconds of a media clock.

    Lateness is the time from when a tick was due to when it began, in seconds. ``tick_share`` is
    the part of the time spent inside ticks, ``core_share`` the part of a CPU core that the loop's
    thread used for everything it does, ``busy_share`` the same of about the last second, by the
    clock that calls live on. All 0 while nothing ticks.
    """

    ticks: int = 0
    skipped: int = 0
    late_p50_s: float = 0.0
    late_p99_s: float = 0.0
    late_max_s: float = 0.0
    tick_share: float = 0.0
    core_share: float = 0.0
    busy_share: float = 0.0


@attrs.define
class _Half:
    """The sums of one half window."""

    counts: list[int] = attrs.field(factory=lambda: [0] * (len(EDGES_S) + 1))
    ticks: int = 0
    skipped: int = 0
    late_max_s: float = 0.0
    elapsed_s: float = 0.0
    ticking_s: float = 0.0
    cpu_s: float = 0.0


class LoadMeter:
    """A sliding window of fixed size: one addition per tick, whatever the window."""

    def __init__(self) -> None:
        self._now = _Half()
        self._before = _Half()
        self._began_s = -math.inf
        self._busy_share = 0.0
        self._noted_s = -math.inf

    def note(
        self,
        now_s: float,
        *,
        late_s: float,
        skipped: int,
        ticks: int = 1,
        elapsed_s: float,
        ticking_s: float,
        cpu_s: float,
    ) -> None:
        """Add one wake-up at ``now_s``; the rest is in seconds since the one before it."""
        self._slide(now_s)
        half = self._now
        half.counts[bisect_left(EDGES_S, late_s)] += 1
        half.ticks += ticks
        half.skipped += skipped
        half.late_max_s = max(half.late_max_s, late_s)
        half.elapsed_s += elapsed_s
        half.ticking_s += ticking_s
        half.cpu_s += cpu_s
        since_s, self._noted_s = now_s - self._noted_s, now_s
        if since_s > 0:
            new = min(1.0, since_s / BUSY_S)
            self._busy_share += new * (min(1.0, cpu_s / since_s) - self._busy_share)

    def read(self, now_s: float) -> Load:
        """Return the figures of the window that ends at ``now_s``."""
        self._slide(now_s)
        one, two = self._before, self._now
        late_max_s = max(one.late_max_s, two.late_max_s)
        counts = [a + b for a, b in zip(one.counts, two.counts, strict=True)]
        elapsed_s = one.elapsed_s + two.elapsed_s
        return Load(
            ticks=one.ticks + two.ticks,
            skipped=one.skipped + two.skipped,
            late_p50_s=min(late_max_s, percentile((*EDGES_S, math.inf), 0.5, counts)),
            late_p99_s=min(late_max_s, percentile((*EDGES_S, math.inf), 0.99, counts)),
            late_max_s=late_max_s,
            tick_share=(one.ticking_s + two.ticking_s) / elapsed_s if elapsed_s else 0.0,
            core_share=(one.cpu_s + two.cpu_s) / elapsed_s if elapsed_s else 0.0,
            busy_share=self._busy_share if now_s - self._noted_s < BUSY_S else 0.0,
        )

    def _slide(self, now_s: float) -> None:
        age_s = now_s - self._began_s
        if age_s >= HALF_WINDOW_S:
            self._before = self._now if age_s < 2 * HALF_WINDOW_S else _Half()
            self._now = _Half()
            self._began_s = now_s


def percentile(values: Iterable[float], share: float, counts: Iterable[int] | None = None) -> float:
    """Return the smallest of ``values`` that ``share`` of all do not exceed (the nearest rank).

    ``counts`` says of each value, in ascending order, how often it came. NaN of nothing.
    """
    pairs = (
        [(v, 1) for v in sorted(values)]
        if counts is None
        else list(zip(values, counts, strict=True))
    )
    wanted, seen = share * sum(count for _, count in pairs), 0
    for value, count in pairs:
        seen += count
        if count and seen >= wanted - 1e-9:
            return value
    return math.nan


@attrs.frozen
class TickStatistics:
    """How punctual a media clock has been in all its life."""

    ticks: int
    skipped: int
    late_max_s: float


class MediaClock:
    """Steps every media graph of the process each 20 ms, on absolute deadlines.

    One wake-up serves all sessions, because a trio wake-up costs more than the audio work of a
    call. After a stall up to CATCH_UP_TICKS ticks are run at once; the rest are skipped and
    counted.
    """

    ticking_s: ClassVar[float] = 0.0
    """The stopwatch of all ticks so far: for whoever measures what else the loop does."""

    def __init__(self) -> None:
        self._steps: dict[int, Callable[[float], None]] = {}
        self._next_key = 0
        self._wanted = trio.Event()
        self._ticks = 0
        self._skipped = 0
        self._late_max_s = 0.0
        self._meter = LoadMeter()
        self._slept = (0.0, 0.0)  # stopwatch and CPU time when it last went to sleep

    def add(self, step: Callable[[float], None]) -> Callable[[], None]:
        """Call ``step(now)`` every 20 ms from now on; return the function that stops it."""
        key = self._next_key
        self._next_key += 1
        self._steps[key] = step
        self._wanted.set()
        return lambda: self._steps.pop(key, None) and None

    def statistics(self) -> TickStatistics:
        """Return the counts so far."""
        return TickStatistics(self._ticks, self._skipped, self._late_max_s)

    def load(self) -> Load:
        """Return how late and how busy the clock was lately, for whoever admits calls."""
        return self._meter.read(now())

    async def run(self) -> None:
        """Tick until cancelled; sleeps without waking while there is nothing to step."""
        while True:
            await self._wanted.wait()
            deadline = now() + FRAME_S
            self._slept = (busy_s(), cpu_s())
            while self._steps:
                await trio.sleep_until(deadline)
                if now() - deadline > LATE_S:
                    await trio.lowlevel.checkpoint()  # now the kernel is asked what has come,
                    await trio.lowlevel.checkpoint()  # and now it has been read
                deadline = self._wake(deadline)
            self._wanted = trio.Event()

    def _wake(self, deadline: float) -> float:
        """Run the ticks that are due, measure, and return the next deadline."""
        began, began_s = now(), busy_s()
        late_s = max(0.0, began - deadline)
        due = 1 + int(late_s / FRAME_S + 1e-9)
        ran = min(due, CATCH_UP_TICKS)
        for n in range(ran):
            self._tick(deadline + n * FRAME_S)
        self._skipped += due - ran
        self._late_max_s = max(self._late_max_s, late_s)
        MediaClock.ticking_s += busy_s() - began_s
        slept_s, slept_cpu_s = self._slept
        self._slept = ended_s, ended_cpu_s = busy_s(), cpu_s()
        self._meter.note(
            began,
            late_s=late_s,
            skipped=due - ran,
            ticks=ran,
            elapsed_s=ended_s - slept_s,
            ticking_s=ended_s - began_s,
            cpu_s=ended_cpu_s - slept_cpu_s,
        )
        return deadline + due * FRAME_S

    def _tick(self, now_s: float) -> None:
        self._ticks += 1
        for key, step in tuple(self._steps.items()):
            if key in self._steps:  # another step may just have stopped it
                step(now_s)
