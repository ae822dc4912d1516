"""Whether another call is taken, and how many connections there may be."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from functools import partial

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from voxpy.engine import clock
from voxpy.engine.clock import Load, LoadMeter
from voxpy.host.admission import NEW_S, Admission, Busy, Refusal
from voxpy.host.listening import Connection, ConnectionLimits, Connections
from voxpy.host.metrics import METRICS, Metrics, exposition, total


async def test_a_late_clock_refuses_until_it_keeps_time_again() -> None:
    load = Load(ticks=1000, late_p99_s=0.08)
    admission = Admission(most_calls=10, late_s=0.05, load=lambda: load)
    refusal = admission.refusal()
    assert refusal is not None
    assert refusal.cause is Busy.LATE
    assert refusal.detail == "audio is 80 ms late (99th percentile); the limit is 50"
    load = Load(ticks=1000, late_p99_s=0.04)
    assert admission.refusal() is None


async def test_a_few_ticks_prove_nothing() -> None:
    first = Load(ticks=249, late_p99_s=5.0)
    assert Admission(most_calls=1, late_s=0.05, load=lambda: first).refusal() is None


async def test_a_busy_core_refuses_before_anybody_hears_of_it(autojump_clock: MockClock) -> None:
    load = Load(busy_share=0.81)
    admission = Admission(most_calls=10, late_s=1, busy_share=0.8, load=lambda: load)
    assert admission.refusal() == Refusal(Busy.BUSY, "81% of a core is in use; the limit is 80%")
    load = Load(busy_share=0.79)
    assert admission.refusal() is None


async def test_short_calls_that_follow_each_other_are_not_counted_twice(
    autojump_clock: MockClock,
) -> None:
    """What has been here for most of the time that measuring takes is in the figure already."""

    def load() -> Load:
        return Load(busy_share=0.3 * admission.running / 48)

    admission = Admission(most_calls=99, late_s=1, busy_share=0.8, load=load)

    async def call() -> None:
        assert admission.refusal() is None
        with admission.call():
            await trio.sleep(NEW_S * 1.2)

    async with trio.open_nursery() as nursery:
        for _ in range(200):
            nursery.start_soon(call)
            await trio.sleep(NEW_S / 40)


async def test_calls_that_have_just_begun_count_before_they_are_measured(
    autojump_clock: MockClock,
) -> None:
    load = Load(busy_share=0.5)
    admission = Admission(most_calls=100, late_s=1, busy_share=0.8, load=lambda: load)
    with ExitStack() as calls:
        for _ in range(10):
            calls.enter_context(admission.call())
        await trio.sleep(NEW_S + 1)
        taken = 0
        while admission.refusal() is None:
            calls.enter_context(admission.call())
            taken += 1
        assert taken == 7, "each as dear as the ten, and 0.5 + 6 * 0.05 is not above 0.8"
        await trio.sleep(NEW_S + 1)
        assert admission.refusal() is None, "it was measured meanwhile, and is less"


@given(cost=st.floats(0.0005, 0.05), per_second=st.floats(0.5, 200))
def test_a_machine_of_any_speed_is_never_given_more_than_it_has(
    cost: float, per_second: float
) -> None:
    """A model of a loop: calls of ``cost`` of a core come; to begin one costs three seconds of it.

    What media and beginnings need beyond the time there is waits, and new calls behind it.
    """

    async def main() -> None:
        meter = LoadMeter()
        admission = Admission(
            most_calls=100_000, late_s=0.05, busy_share=0.8, load=lambda: meter.read(clock.now())
        )
        came, to_begin_s, highest = 0.0, 0.0, 0.0
        with ExitStack() as calls:
            for _ in range(50 * 30):
                came += per_second / 50
                media_s = admission.running * cost / 50
                left_s = max(0.0, 0.02 - media_s)
                began_s = min(to_begin_s, left_s)
                to_begin_s -= began_s
                meter.note(
                    clock.now(), late_s=0, skipped=0, elapsed_s=0.02, ticking_s=media_s,
                    cpu_s=min(0.02, media_s + began_s),
                )  # fmt: skip
                while came >= 1 and to_begin_s < left_s:
                    came -= 1
                    if admission.refusal() is None:
                        calls.enter_context(admission.call())
                        to_begin_s += 3 * cost
                highest = max(highest, admission.running * cost)
                await trio.sleep(0.02)
        assert highest < 0.95
        if per_second * 30 * cost > 2:  # there were enough of them
            assert highest > 0.5

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def test_calls_count_while_they_run_whatever_ends_them() -> None:
    admission = Admission(most_calls=1, late_s=1, load=Load)
    changes: list[int] = []
    admission.changed = lambda: changes.append(admission.running)
    refusals: list[Refusal | None] = []

    def fail() -> None:
        with admission.call():
            refusals.append(admission.refusal())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert refusals == [Refusal(Busy.FULL, "1 calls run; the limit is 1")]
    assert admission.refusal() is None
    assert changes == [1, 0]
    await admission.wait_idle()


async def test_draining_comes_before_everything_else() -> None:
    admission = Admission(most_calls=1, late_s=1, load=Load)
    admission.draining = True
    refusal = admission.refusal()
    assert refusal is not None
    assert refusal.cause is Busy.DRAINING


STEPS = st.lists(
    st.tuples(st.sampled_from(["come", "leave", "prove"]), st.sampled_from("abc")), max_size=60
)


@given(STEPS)
def test_the_oldest_stranger_makes_room(steps: list[tuple[str, str]]) -> None:
    """Against a model: the list of who is there, oldest first."""
    connections = Connections(ConnectionLimits(connections=8, per_address=3))
    there: list[tuple[str, Connection, AbstractContextManager[Connection | None]]] = []
    strangers: list[tuple[str, Connection]] = []
    shown_out: list[int] = []
    expected: list[int] = []
    numbers: dict[Connection, int] = {}
    for n, (step, address) in enumerate(steps):
        of_it = [connection for place, connection, _ in there if place == address]
        if step == "come":
            gone = strangers[:1] if len(there) >= 8 else []
            neighbours = [each for each in strangers if each[0] == address and each not in gone]
            gone += neighbours[:1] if len(neighbours) >= 3 else []
            opening: AbstractContextManager[Connection | None] = connections.one(
                address, partial(shown_out.append, n)
            )
            one = opening.__enter__()
            assert (one is None) == (len(there) >= 8 and not strangers)
            if one is None:
                opening.__exit__(None, None, None)
                continue
            numbers[one] = n
            expected += [numbers[each] for _, each in gone]
            there.append((address, one, opening))
            strangers = [each for each in strangers if each not in gone] + [(address, one)]
        elif step == "leave" and of_it:
            (found,) = [each for each in there if each[1] is of_it[0]]
            there.remove(found)
            found[2].__exit__(None, None, None)
            strangers = [each for each in strangers if each[1] is not of_it[0]]
        elif step == "prove" and of_it:
            connections.keep(of_it[-1])
            strangers = [each for each in strangers if each[1] is not of_it[-1]]
        assert connections.open == len(there)
        assert shown_out == expected
    for _, _, opening in there:
        opening.__exit__(None, None, None)
    assert connections.open == 0
    assert not connections.make_room()


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "", True),
    ],
)
def test_one_subscriber_is_one_place(one: str, other: str, together: bool) -> None:
    connections = Connections(ConnectionLimits(per_address=1))
    shown_out: list[str] = []
    show_out = partial(shown_out.append, one)
    with connections.one(one, show_out), connections.one(other, show_out):
        assert bool(shown_out) == together


def test_metrics_of_workers_are_added_and_counters_outlive_them() -> None:
    one, two = Metrics(), Metrics()
    for metrics in (one, two):
        metrics.add("voxpy_calls", "twilio", amount=2)
        metrics.set("voxpy_calls_running", value=1)
    assert total([one.snapshot(), two.snapshot()]) == [
        ["voxpy_calls", ["twilio"], 4],
        ["voxpy_calls_running", [], 2],
    ]
    assert total([one.snapshot()], counters_only=True) == [["voxpy_calls", ["twilio"], 2]]


def test_every_metric_without_labels_is_there_from_the_start() -> None:
    text = exposition([]).decode()
    for name, kind in METRICS.items():
        suffix = "_total" if kind.type == "counter" else ""
        assert f"# TYPE {name}{suffix} {kind.type}" in text
        assert (f"\n{name}{suffix} 0.0" in text) == (not kind.labels)
