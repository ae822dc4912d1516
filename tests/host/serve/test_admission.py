"""Whether another call is taken, and how many connections there may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.engine.clock import Load
from voxpy.host.admission import Admission, Busy, Refusal
from voxpy.host.listening import ConnectionLimits, Connections
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


@given(st.lists(st.sampled_from("abc"), max_size=12))
def test_connections_are_counted_by_address(addresses: list[str]) -> None:
    connections = Connections(ConnectionLimits(connections=8, per_address=3))
    opened = [connections.one(address) for address in addresses]
    for n, (address, one) in enumerate(zip(addresses, opened, strict=True), 1):
        refusal = one.__enter__()
        too_many = n > 8 or addresses[:n].count(address) > 3
        assert bool(refusal) == too_many
    for one in opened:
        one.__exit__(None, None, None)
    assert connections.open == 0
    assert connections._by_address == {}


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
