"""Timers of one session, on virtual time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from voxpy.errors import LimitExceeded
from voxpy.simulation.virtual import run_virtual
from voxpy.timers import Timers


class Desk:
    """Timers whose queue is a list that the test works off."""

    def __init__(self, nursery: trio.Nursery, limit: int = 100) -> None:
        self.began = trio.current_time()
        self.queue: list[Callable[[], Any]] = []
        self.said: list[str] = []
        self.timers = Timers(
            limit=limit, start=nursery.start_soon, fire=lambda title, turn: self.queue.append(turn)
        )

    def say(self, text: str) -> Callable[[], None]:
        return lambda: self.said.append(f"{trio.current_time() - self.began:g} {text}")

    def work_off(self) -> None:
        while self.queue:
            self.queue.pop(0)()

    async def pass_time(self, seconds: float, step_s: float = 0.01) -> None:
        for _ in range(round(seconds / step_s)):
            await trio.sleep(step_s)
            await trio.testing.wait_all_tasks_blocked()
            self.work_off()


async def test_timers_fire_by_time(nursery: trio.Nursery) -> None:
    desk = Desk(nursery)
    desk.timers.set(desk.say("late"), 0.3)
    desk.timers.set(desk.say("early"), 0.1)
    desk.timers.set(desk.say("at once"), 0)
    await desk.pass_time(0.5)
    assert [line.split(" ", 1)[1] for line in desk.said] == ["at once", "early", "late"]


@settings(max_examples=40)
@given(
    delays=st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.3]), max_size=12), seed=st.integers(0, 999)
)
def test_of_one_instant_the_older_fires_first(delays: list[float], seed: int) -> None:
    async def main() -> list[int]:
        fired: list[int] = []
        async with trio.open_nursery() as nursery:
            desk = Desk(nursery)
            for n, delay_s in enumerate(delays):
                desk.timers.set(lambda n=n: fired.append(n), delay_s)  # type: ignore[misc]
            await trio.sleep(1)
            desk.work_off()
        return fired

    expected = [n for _, n in sorted((delay_s, n) for n, delay_s in enumerate(delays))]
    assert run_virtual(main, seed=seed) == expected


async def test_an_interval_repeats_without_drift_until_cleared(nursery: trio.Nursery) -> None:
    desk = Desk(nursery)
    timer = desk.timers.set(desk.say("tick"), 0.1, repeat=True)
    await desk.pass_time(10.05)
    assert len(desk.said) == 100
    desk.timers.clear(timer)
    await desk.pass_time(1)
    assert len(desk.said) == 100


async def test_the_hundred_and_first_is_refused_until_one_is_spent(nursery: trio.Nursery) -> None:
    desk = Desk(nursery)
    ids = [desk.timers.set(desk.say("x"), 1) for _ in range(100)]
    assert len(set(ids)) == 100
    with pytest.raises(LimitExceeded, match="may have 100 timers; clear some first"):
        desk.timers.set(desk.say("y"), 1)
    desk.timers.clear(ids[0])
    desk.timers.set(desk.say("y"), 1)
    await desk.pass_time(1.1)
    assert len(desk.said) == 100
    desk.timers.set(desk.say("z"), 1)
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("repeat", [False, True])
async def test_cleared_between_falling_due_and_its_turn(
    nursery: trio.Nursery, repeat: bool
) -> None:
    desk = Desk(nursery)
    timers: list[int] = []
    desk.timers.set(lambda: desk.timers.clear(timers[0]), 0.1)
    timers.append(desk.timers.set(desk.say("never"), 0.1, repeat=repeat))
    await trio.sleep(0.15)
    assert len(desk.queue) == 2
    desk.work_off()
    await desk.pass_time(1)
    assert desk.said == []


async def test_clearing_what_is_not_there_is_ignored(nursery: trio.Nursery) -> None:
    desk = Desk(nursery)
    spent = desk.timers.set(desk.say("x"), 0)
    await desk.pass_time(0.1)
    for timer_id in (None, 999, spent, spent):
        desk.timers.clear(timer_id)
    assert len(desk.said) == 1


async def test_a_timer_that_cannot_start_takes_no_place() -> None:
    def refuse(*_: Any) -> None:
        raise ValueError("ended")

    timers = Timers(limit=1, start=refuse, fire=lambda title, turn: None)
    for _ in range(3):
        with pytest.raises(ValueError, match="ended"):
            timers.set(print, 1)
