"""The media clock, and the times everything else is told."""

from __future__ import annotations

import datetime
import math
import socket
import threading
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from voxpy.engine import clock
from voxpy.engine.clock import CATCH_UP_TICKS, Load, MediaClock, TickStatistics


class WakeUps(trio.abc.Instrument):
    def __init__(self, task: trio.lowlevel.Task) -> None:
        self.task, self.count = task, 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += task is self.task


async def run_for(media_clock: MediaClock, seconds: float) -> None:
    with trio.move_on_after(seconds):
        await media_clock.run()


def stall(seconds: float) -> None:
    """Let virtual time pass while a task computes."""
    virtual = trio.lowlevel.current_clock()
    assert isinstance(virtual, trio.testing.MockClock)
    virtual.jump(seconds)


async def test_no_drift_over_ten_minutes() -> None:
    media_clock, times = MediaClock(), list[float]()
    media_clock.add(times.append)
    began = trio.current_time()
    await run_for(media_clock, 600.01)
    assert len(times) == 30_000
    assert max(abs(t - began - 0.02 * (n + 1)) for n, t in enumerate(times)) < 1e-6
    statistics = media_clock.statistics()
    assert (statistics.ticks, statistics.skipped) == (30_000, 0)
    assert statistics.late_max_s < 1e-6


async def test_after_a_stall_what_has_come_is_read_before_the_ticks_run() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    waiting: list[int] = []

    async def read() -> None:
        while True:
            await trio.lowlevel.wait_readable(ours)
            waiting.extend(ours.recv(100))

    async def stalling(frames: int) -> None:
        await trio.sleep(0.019)
        theirs.send(bytes(frames))
        stall(0.02 * frames)

    found: list[int] = []
    with ours, theirs:
        for _ in range(20):  # trio runs tasks in random order
            media_clock = MediaClock()
            media_clock.add(lambda _: found.append(len(waiting)))
            with trio.move_on_after(0.12):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(read)
                    nursery.start_soon(media_clock.run)
                    await stalling(3)
                    await trio.sleep_forever()
            assert found[0] == 3
            found.clear()
            waiting.clear()


async def test_without_steps_it_does_not_wake() -> None:
    media_clock = MediaClock()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(media_clock.run)
        await trio.testing.wait_all_tasks_blocked()
        (task,) = nursery.child_tasks
        watch = WakeUps(task)
        trio.lowlevel.add_instrument(watch)
        await trio.sleep(60)
        assert watch.count == 0
        stop = media_clock.add(lambda now: None)
        await trio.sleep(1)
        assert watch.count >= 50
        stop()
        await trio.sleep(1)
        watch.count = 0
        await trio.sleep(60)
        assert watch.count == 0
        trio.lowlevel.remove_instrument(watch)
        nursery.cancel_scope.cancel()


async def test_one_wake_up_serves_all() -> None:
    media_clock, counts = MediaClock(), [0] * 50

    def counting(n: int) -> Callable[[float], None]:
        def step(now: float) -> None:
            counts[n] += 1

        return step

    for n in range(50):
        media_clock.add(counting(n))
    await run_for(media_clock, 1.01)
    assert counts == [50] * 50
    assert media_clock.statistics().ticks == 50


@pytest.mark.parametrize(
    ("late_ticks", "ran", "skipped"), [(1, 2, 0), (4, 5, 0), (5, 5, 1), (50, 5, 46)]
)
async def test_after_a_stall_five_ticks_run_and_the_rest_are_skipped(
    late_ticks: int, ran: int, skipped: int
) -> None:
    assert CATCH_UP_TICKS == 5
    media_clock, times = MediaClock(), list[float]()

    def step(now: float) -> None:
        times.append(round((now - began) / 0.02, 3))
        if len(times) == 3:
            stall(0.02 + 0.02 * late_ticks)  # past the next deadline by so much

    began = trio.current_time()
    media_clock.add(step)
    await run_for(media_clock, 3)
    after = 4 + late_ticks + 1
    assert times[: 3 + ran + 2] == [1, 2, 3, *range(4, 4 + ran), after, after + 1]
    assert media_clock.statistics().skipped == skipped
    assert media_clock.statistics().late_max_s == pytest.approx(0.02 * late_ticks)


async def test_a_step_removed_during_a_tick_is_not_called_any_more() -> None:
    media_clock, said = MediaClock(), list[str]()

    def first(now: float) -> None:
        said.append("first")
        stop_second()
        stop_second()  # twice does nothing
        stop_first()

    stop_first = media_clock.add(first)
    stop_second = media_clock.add(lambda now: said.append("second"))
    media_clock.add(lambda now: said.append("third"))
    await run_for(media_clock, 0.05)
    assert said == ["first", "third", "third"]


async def test_virtual_time_gives_virtual_dates() -> None:
    assert clock.is_virtual()
    began = clock.now()
    first = clock.wall()
    await trio.sleep(90)
    assert clock.now() == began + 90
    assert clock.wall() - first == datetime.timedelta(seconds=90)
    assert first.tzinfo is not None
    assert first.year == 2000


def test_real_time_gives_real_dates() -> None:
    async def main() -> tuple[bool, datetime.datetime]:
        await trio.lowlevel.checkpoint()
        return clock.is_virtual(), clock.wall()

    virtual, wall = trio.run(main)
    assert not virtual
    assert wall.year > 2000
    assert clock.busy_s() <= clock.busy_s()


async def test_a_new_clock_has_counted_nothing() -> None:
    assert MediaClock().statistics() == TickStatistics(0, 0, 0.0)
    assert MediaClock().load() == Load()


@settings(max_examples=40)
@given(stalls=st.lists(st.tuples(st.integers(1, 40), st.integers(0, 400)), max_size=12))
def test_every_20_ms_is_a_tick_or_is_counted_as_skipped(stalls: list[tuple[int, int]]) -> None:
    """Whatever stalls come when: (ticks until the stall, its milliseconds)."""

    async def main() -> None:
        media_clock, times = MediaClock(), list[float]()
        plan = iter(stalls)
        wait, stall_ms = next(plan, (math.inf, 0))

        def step(now: float) -> None:
            nonlocal wait, stall_ms
            times.append(now)
            wait -= 1
            if wait <= 0:
                stall(stall_ms / 1000)
                wait, stall_ms = next(plan, (math.inf, 0))

        began = trio.current_time()
        media_clock.add(step)
        await run_for(media_clock, 10.005)
        elapsed = trio.current_time() - began
        counted = media_clock.statistics()
        assert counted.ticks == len(times)
        assert counted.ticks + counted.skipped == int(elapsed / 0.02 + 1e-6)
        marks = [(t - began) / 0.02 for t in times]
        assert all(abs(mark - round(mark)) < 1e-3 for mark in marks)  # absolute, never shifted
        assert all(b - a > 0.5 for a, b in pairwise(marks))  # none twice

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def test_the_load_of_a_punctual_clock() -> None:
    media_clock = MediaClock()
    media_clock.add(lambda now: None)
    await run_for(media_clock, 10)
    load = media_clock.load()
    assert 490 <= load.ticks <= 500
    assert (load.late_p50_s, load.late_p99_s) == (load.late_max_s, load.late_max_s)
    assert load.late_max_s < 1e-6
    assert 0 <= load.tick_share <= 1


async def test_the_load_knows_how_late_ticks_were_and_forgets_it() -> None:
    media_clock = MediaClock()
    ticks = 0

    def step(now: float) -> None:
        nonlocal ticks
        ticks += 1
        if ticks <= 500 and ticks % 50 == 0:  # one in fifty is followed by one 7 ms late
            stall(0.027)

    media_clock.add(step)
    await run_for(media_clock, 10)
    load = media_clock.load()
    assert load.late_p50_s <= 0.0001  # the finest bucket
    assert load.late_p99_s == load.late_max_s == pytest.approx(0.007, rel=1e-3)
    await run_for(media_clock, 31)
    load = media_clock.load()
    assert load.late_max_s < 1e-6
    assert 750 <= load.ticks <= 1500


async def test_a_busy_step_shows_in_both_shares() -> None:
    """Beside an idle one: how much of a core is left for us is up to others."""

    async def stepping(numbers: int) -> Load:
        def step(now: float) -> None:
            sum(range(numbers))

        media_clock = MediaClock()
        media_clock.add(step)
        await run_for(media_clock, 2)
        return media_clock.load()

    idle, busy = await stepping(0), await stepping(50_000)
    assert busy.tick_share > idle.tick_share
    assert busy.core_share > 0


def test_errands_off_the_loop_go_together() -> None:
    """In one thread, in order; each is told of its own error, whoever came first."""
    threads: list[int] = []
    told: dict[int, str] = {}

    def work(n: int) -> None:
        threads.append(threading.get_ident())
        if n == 1:
            raise ValueError(n)

    async def main() -> None:
        over = trio.Event()

        def done(n: int, error: Exception | None) -> None:
            assert threading.get_ident() == here
            told[n] = repr(error)
            if n in (2, 3):
                over.set()

        for n in range(3):
            clock.off_loop_soon(partial(work, n), partial(done, n))
        assert threads == []
        await over.wait()
        over = trio.Event()
        clock.off_loop_soon(partial(work, 3), partial(done, 3))
        await over.wait()

    here = threading.get_ident()
    trio.run(main)
    assert told == {0: "None", 1: "ValueError(1)", 2: "None", 3: "None"}
    assert len(set(threads[:3])) == 1
    assert here not in threads


async def test_on_virtual_time_errands_are_done_at_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    done: list[Exception | None] = []
    clock.off_loop_soon(lambda: None, done.append)
    assert done == [None]
