"""The eight rules of dispatch, one test each, and the order as a property."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Any, ClassVar

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from voxpy.engine.dispatch import Dispatcher, Reports, until_suspended
from voxpy.engine.events import Event, event_class
from voxpy.engine.units import ListenerTable, Unit, Waiter
from voxpy.errors import LimitExceeded, ScenarioError
from voxpy.simulation.virtual import run_virtual


@event_class
class Ping(Event):
    name: ClassVar[str] = "Ping"
    number: int = 0


@event_class
class Pong(Event):
    name: ClassVar[str] = "Pong"


class Bench:
    """A dispatcher, and lists of what it reported."""

    def __init__(self, *, queue_limit: int = 1024, live_limit: int = 256) -> None:
        self.said: list[str] = []
        self.failed: list[tuple[BaseException, str]] = []
        self.slow: list[tuple[str, float]] = []
        self.exceeded: list[LimitExceeded] = []
        self.stopped = False
        self.busy_s = 0.0  # the stopwatch, turned by hand
        self.table = ListenerTable()
        self.dispatcher = Dispatcher(
            queue_limit=queue_limit,
            live_limit=live_limit,
            slow_s=0.02,
            stopwatch=lambda: self.busy_s,
            stopped=lambda: self.stopped,
            reports=Reports(
                failed=lambda error, what: self.failed.append((error, what)),
                slow=lambda what, took_s: self.slow.append((what, took_s)),
                exceeded=self.exceeded.append,
            ),
        )

    def say(self, what: str) -> None:
        self.said.append(what)

    def listen(self, *handlers: Callable[[Any], Any], kind: type[Event] = Ping) -> None:
        for handler in handlers:
            self.table.add(kind, handler)

    def post(self, *events: Event) -> None:
        for event in events:
            self.dispatcher.post(self.table, event)

    async def run(self, for_s: float = 100) -> None:
        """Deliver for ``for_s`` virtual seconds, then cancel whatever is left."""
        with trio.move_on_after(for_s):
            async with trio.open_nursery() as nursery:
                await self.dispatcher.run(nursery)


@pytest.fixture
def bench() -> Bench:
    return Bench()


# -- the rules -------------------------------------------------------------------------------------


async def test_rule_1_events_in_the_order_posted_listeners_in_the_order_added(bench: Bench) -> None:
    bench.listen(lambda e: bench.say(f"a{e.number}"), lambda e: bench.say(f"b{e.number}"))
    bench.listen(lambda e: bench.say("pong"), kind=Pong)
    bench.post(Ping(number=1), Pong(), Ping(number=2))
    await bench.run()
    assert bench.said == ["a1", "b1", "pong", "a2", "b2"]


async def test_rule_2_a_handler_runs_to_its_first_suspension_then_the_next_starts(
    bench: Bench,
) -> None:
    async def waits(event: Ping) -> None:
        bench.say("waits")
        await trio.sleep(1)
        bench.say("waited")

    async def never_suspends(event: Ping) -> None:
        bench.say("runs")
        bench.say("to its end")

    bench.listen(waits, never_suspends, lambda e: bench.say("sync"))
    bench.post(Ping())
    await bench.run()
    assert bench.said == ["waits", "runs", "to its end", "sync", "waited"]


async def test_rule_3_what_follows_a_suspension_is_not_waited_for(bench: Bench) -> None:
    async def slow(event: Ping) -> None:
        await trio.sleep(15)
        bench.say(f"{trio.current_time() - began:g} slow")

    began = trio.current_time()
    bench.listen(slow)
    bench.listen(lambda e: bench.say(f"{trio.current_time() - began:g} pong"), kind=Pong)
    bench.post(Ping())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.run)
        await trio.sleep(1)
        bench.post(Pong())
    assert bench.said == ["1 pong", "15 slow"]


async def test_rule_4_the_listener_list_is_copied_when_an_event_starts(bench: Bench) -> None:
    def late(event: Ping) -> None:
        bench.say(f"late{event.number}")

    def removed(event: Ping) -> None:
        bench.say(f"removed{event.number}")

    def changes(event: Ping) -> None:
        bench.say(f"changes{event.number}")
        bench.table.remove(Ping, removed)
        bench.table.add(Ping, late)

    bench.listen(changes, removed)
    bench.post(Ping(number=1), Ping(number=2))
    await bench.run()
    assert bench.said == ["changes1", "removed1", "changes2", "late2"]


async def test_rule_5_all_listeners_share_one_frozen_event(bench: Bench) -> None:
    seen: list[Ping] = []
    bench.listen(seen.append, seen.append)
    event = Ping(number=7)
    bench.post(event)
    await bench.run()
    assert [e is event for e in seen] == [True, True]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.number = 8  # type: ignore[misc]


async def test_rule_6_a_handler_may_run_twice_at_once(bench: Bench) -> None:
    async def twice(event: Ping) -> None:
        bench.say(f"in{event.number}")
        await trio.sleep(1)
        bench.say(f"out{event.number}")

    bench.listen(twice)
    bench.post(Ping(number=1), Ping(number=2))
    await bench.run()
    assert bench.said[:2] == ["in1", "in2"]
    assert sorted(bench.said[2:]) == ["out1", "out2"]


def test_rule_7_what_is_not_callable_fails_at_the_subscription() -> None:
    session: Any = None  # a subscription needs none
    unit = Unit(session, "unit-1")
    with pytest.raises(ScenarioError, match="Ping must be a function, not NoneType"):
        unit.add_event_listener(Ping, None)  # type: ignore[call-overload]
    assert unit.listeners.kinds == frozenset()


async def test_rule_8_a_handler_that_computes_long_is_named_once(bench: Bench) -> None:
    def sync(event: Ping) -> None:
        bench.busy_s += 0.021

    async def before_its_first_await(event: Ping) -> None:
        bench.busy_s += 0.05
        await trio.sleep(1)

    async def quick(event: Ping) -> None:
        bench.busy_s += 0.01
        await trio.sleep(1)
        bench.busy_s += 5  # nobody can tell whose this is

    bench.listen(sync, before_its_first_await, quick)
    bench.post(Ping(), Ping())
    await bench.run()
    (first, first_s), (second, second_s) = bench.slow
    assert "test_dispatch.py:" in first
    assert ".sync" in first
    assert ".before_its_first_await" in second
    assert first_s == pytest.approx(0.021)
    assert second_s == pytest.approx(0.05)


async def test_rule_8_others_time_is_not_blamed_on_a_handler(bench: Bench) -> None:
    async def innocent(event: Ping) -> None:
        await trio.sleep(1)

    async def busy() -> None:
        for _ in range(50):
            bench.busy_s += 1.0
            await trio.lowlevel.checkpoint()

    bench.listen(innocent)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(busy)
        nursery.start_soon(bench.run)
        for _ in range(20):
            bench.post(Ping())
            await trio.lowlevel.checkpoint()
    assert bench.slow == []
    assert bench.busy_s == 50


# -- the order as a property -----------------------------------------------------------------------

LATER = ("sync", "async", "scope that fires", "nursery", "raises late")
KINDS = (*LATER, "never suspends", "raises early", "sync raises", "custom awaitable")


class Slumber:
    def __await__(self) -> Any:
        return self.slumber().__await__()

    async def slumber(self) -> None:
        await trio.sleep(0.3)


def make_handler(kind: str, label: str, bench: Bench, cut: list[str]) -> Callable[[Ping], Any]:
    def sync(event: Ping) -> Awaitable[None] | None:
        bench.say(f"{label}{event.number}")
        if kind == "sync raises":
            raise KeyError(label)
        return Slumber() if kind == "custom awaitable" else None

    async def suspends(event: Ping) -> None:
        scope = trio.move_on_after(0.5) if kind == "scope that fires" else nullcontext()
        with scope:
            bench.say(f"{label}{event.number}")
            if kind == "raises early":
                raise KeyError(label)
            if kind == "never suspends":
                return
            if kind == "nursery":
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(trio.sleep, 0.1)
            await trio.sleep(1 if kind == "scope that fires" else 0)
        if isinstance(scope, trio.CancelScope) and scope.cancelled_caught:
            cut.append(label)
        if kind == "raises late":
            raise KeyError(label)

    return sync if kind in ("sync", "sync raises", "custom awaitable") else suspends


@settings(max_examples=60)
@given(
    kinds=st.lists(st.sampled_from(KINDS), max_size=12),
    n_events=st.integers(1, 4),
    seed=st.integers(0, 2**16),
)
def test_handlers_start_in_order_whatever_they_are(
    kinds: list[str], n_events: int, seed: int
) -> None:
    cut: list[str] = []

    async def main() -> Bench:
        bench = Bench()
        labels = [f"{i}:" for i in range(len(kinds))]
        bench.listen(*(make_handler(*pair, bench, cut) for pair in zip(kinds, labels, strict=True)))
        bench.post(*(Ping(number=n) for n in range(n_events)))
        await bench.run()
        return bench

    bench = run_virtual(main, seed=seed)
    assert bench.said == [f"{i}:{n}" for n in range(n_events) for i in range(len(kinds))]
    assert len(cut) == n_events * kinds.count("scope that fires")
    raising = sum("raises" in kind for kind in kinds)
    assert len(bench.failed) == n_events * raising
    assert not bench.dispatcher.live_handlers


async def test_a_scope_opened_before_the_hand_off_still_cancels(bench: Bench) -> None:
    async def handler(event: Ping) -> None:
        with trio.move_on_after(2) as scope:
            await trio.sleep(10)
        bench.say(f"cut={scope.cancelled_caught} at {trio.current_time() - began:g}")

    began = trio.current_time()
    bench.listen(handler)
    bench.post(Ping())
    await bench.run()
    assert bench.said == ["cut=True at 2"]


# -- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sync raises", "raises early", "raises late"])
async def test_an_error_is_reported_once_and_the_others_go_on(bench: Bench, kind: str) -> None:
    bench.listen(make_handler(kind, "x", bench, []), lambda e: bench.say("next"))
    bench.post(Ping())
    await bench.run()
    ((error, what),) = bench.failed
    assert isinstance(error, KeyError)
    assert what.startswith("Ping handler make_handler.<locals>.")
    assert bench.said == ["x0", "next"]


async def test_of_a_group_the_cancellation_passes_and_the_rest_is_reported(bench: Bench) -> None:
    async def cleanup() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("in the cleanup")

    async def handler(event: Ping) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cleanup)
            nursery.start_soon(trio.sleep_forever)

    bench.listen(handler)
    bench.post(Ping())
    await bench.run(for_s=1)  # ends at all only if Cancelled got through
    ((group, _),) = bench.failed
    assert isinstance(group, ExceptionGroup)
    assert [str(e) for e in group.exceptions] == ["in the cleanup"]


@pytest.mark.parametrize("suspends_first", [False, True])
async def test_keyboard_interrupt_passes(bench: Bench, suspends_first: bool) -> None:
    async def handler(event: Ping) -> None:
        if suspends_first:
            await trio.sleep(1)
        raise KeyboardInterrupt

    bench.listen(handler)
    bench.post(Ping())
    with pytest.raises(BaseExceptionGroup) as caught:
        await bench.run()
    assert caught.group_contains(KeyboardInterrupt)
    assert bench.failed == []


async def test_sys_exit_in_a_scenario_is_an_error_like_another(bench: Bench) -> None:
    def leaves(event: Ping) -> None:
        raise SystemExit(1)

    bench.listen(leaves, lambda e: bench.say("still here"))
    bench.post(Ping())
    await bench.run()
    assert [type(error) for error, _ in bench.failed] == [SystemExit]
    assert bench.said == ["still here"]


# -- bounds ----------------------------------------------------------------------------------------


async def test_a_full_queue_names_the_event_that_did_not_fit() -> None:
    bench = Bench(queue_limit=3)
    bench.post(Ping(), Ping(), Pong())
    assert bench.exceeded == []
    bench.post(Pong())
    (error,) = bench.exceeded
    assert "3 events wait and Pong is one too many" in str(error)


async def test_the_257th_live_handler_is_refused_and_the_waiting_ones_are_named(
    bench: Bench,
) -> None:
    async def waits(event: Ping) -> None:
        bench.say("in")
        await trio.sleep_forever()

    bench.listen(waits)
    bench.post(*(Ping() for _ in range(257)))
    await bench.run(for_s=1)
    assert bench.said == ["in"] * 256
    (error,) = bench.exceeded
    assert "256 handlers are still running" in str(error)
    assert "waiting: 256x Ping handler" in str(error)
    assert "waits" in str(error)


async def test_what_is_not_a_coroutine_can_be_refused_too() -> None:
    bench = Bench(live_limit=1)
    bench.listen(make_handler("scope that fires", "a", bench, []), lambda e: Slumber())
    async with trio.open_nursery() as nursery:
        bench.listen(lambda e: bench.say("after"))
        await bench.dispatcher.deliver(nursery, bench.table, Ping())
    assert len(bench.exceeded) == 1
    assert bench.said == ["a0", "after"]


# -- the rest --------------------------------------------------------------------------------------


async def test_a_waiter_gets_the_event_before_the_listeners(bench: Bench) -> None:
    bench.listen(lambda e: bench.say("listener"))
    bench.table.add_waiter(Waiter(Ping, lambda e: bench.say("waiter")))
    bench.post(Ping(), Ping())
    await bench.run()
    assert bench.said == ["waiter", "listener", "listener"]


async def test_callbacks_keep_their_place_among_the_events(bench: Bench) -> None:
    bench.listen(lambda e: bench.say(f"ping{e.number}"))
    bench.post(Ping(number=1))
    bench.dispatcher.post_callback("timer", lambda: bench.say("timer"))
    bench.post(Ping(number=2))
    await bench.run()
    assert bench.said == ["ping1", "timer", "ping2"]


async def test_after_the_stop_nothing_is_delivered_but_the_last_word(bench: Bench) -> None:
    def stops(event: Ping) -> None:
        bench.say("stops")
        bench.stopped = True

    bench.listen(stops, lambda e: bench.say("too late"))
    bench.listen(lambda e: bench.say("pong"), kind=Pong)
    bench.post(Ping(), Pong())
    await bench.run()
    bench.post(Pong())
    async with trio.open_nursery() as nursery:
        await bench.dispatcher.deliver(nursery, bench.table, Pong(), last=True)
    assert bench.said == ["stops", "pong"]


async def test_until_suspended_announces_once_and_gives_the_result(bench: Bench) -> None:
    async def twice() -> str:
        bench.say("first")
        await trio.lowlevel.checkpoint()
        bench.say("second")
        await trio.lowlevel.checkpoint()
        return "result"

    assert await until_suspended(twice(), lambda: bench.say("announced")) == "result"
    assert bench.said == ["first", "announced", "second"]


async def test_a_coroutine_may_catch_what_is_thrown_into_it(bench: Bench) -> None:
    async def stubborn() -> str:
        with trio.move_on_after(1):
            await trio.sleep_forever()
        await trio.sleep(1)
        return "went on"

    assert await until_suspended(stubborn(), lambda: None) == "went on"
