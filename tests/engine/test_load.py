"""The sliding window of a clock's lateness and business."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from voxpy.engine.clock import HALF_WINDOW_S, Load, LoadMeter, percentile


def note(meter: LoadMeter, now_s: float, late_s: float = 0.0, skipped: int = 0) -> None:
    meter.note(now_s, late_s=late_s, skipped=skipped, elapsed_s=0.02, ticking_s=0.005, cpu_s=0.010)


def test_nothing_noted_is_no_load() -> None:
    assert LoadMeter().read(0) == Load()
    assert LoadMeter().read(1e9) == Load()


def test_shares_and_counts() -> None:
    meter = LoadMeter()
    for n in range(100):
        note(meter, n * 0.02, skipped=n % 2)
    load = meter.read(2)
    assert (load.ticks, load.skipped) == (100, 50)
    assert abs(load.tick_share - 0.25) < 1e-9
    assert abs(load.core_share - 0.5) < 1e-9


@given(st.lists(st.floats(0, 0.9), min_size=1, max_size=200))
def test_percentiles_are_within_their_bucket(late: list[float]) -> None:
    meter = LoadMeter()
    for n, late_s in enumerate(late):
        note(meter, n * 0.02, late_s)
    load = meter.read(len(late) * 0.02)
    ordered = sorted(late)
    assert load.late_max_s == ordered[-1]
    for share, found_s in ((0.50, load.late_p50_s), (0.99, load.late_p99_s)):
        true_s = next(v for n, v in enumerate(ordered, 1) if n >= share * len(ordered))
        assert true_s <= found_s <= max(true_s * 1.1221, 0.0001)


def test_lateness_beyond_the_last_bucket_is_told_by_the_maximum() -> None:
    meter = LoadMeter()
    note(meter, 0, late_s=30.0)
    assert meter.read(0) == Load(
        ticks=1, late_p50_s=30, late_p99_s=30, late_max_s=30, tick_share=0.25, core_share=0.5
    )


def test_a_clock_that_catches_up_has_ticked_as_often_as_one_in_time() -> None:
    """Or a host that is hopelessly late would have too few wake-ups to prove it."""
    meter = LoadMeter()
    for n in range(60):
        meter.note(n * 0.12, late_s=0.1, skipped=1, ticks=5, elapsed_s=0.12, ticking_s=0, cpu_s=0)
    load = meter.read(7.2)
    assert (load.ticks, load.skipped) == (300, 60)
    assert load.late_p99_s >= 0.1


def test_how_busy_it_is_shows_within_seconds_and_is_forgotten_when_nothing_ticks() -> None:
    meter = LoadMeter()
    for n in range(100):
        note(meter, n * 0.02)
    assert 0.4 < meter.read(2).busy_share < 0.5
    for n in range(100, 300):
        meter.note(n * 0.02, late_s=0, skipped=0, elapsed_s=0.02, ticking_s=0.005, cpu_s=0.018)
    assert 0.85 < meter.read(6).busy_share <= 0.9
    assert meter.read(6).core_share < 0.8, "the long window still has the quiet time in it"
    assert meter.read(8).busy_share == 0


def test_one_long_computation_is_not_more_than_all_of_its_time() -> None:
    meter = LoadMeter()
    note(meter, 0)
    meter.note(0.02, late_s=0, skipped=0, elapsed_s=0.02, ticking_s=0, cpu_s=5)
    assert meter.read(0.02).busy_share <= 0.02


def test_what_is_older_than_the_window_is_forgotten() -> None:
    meter = LoadMeter()
    note(meter, 0, late_s=0.5)
    assert meter.read(HALF_WINDOW_S).late_max_s == 0.5
    note(meter, HALF_WINDOW_S + 1)
    assert meter.read(HALF_WINDOW_S * 2 - 1).ticks == 2
    assert meter.read(HALF_WINDOW_S * 2).late_max_s == 0.0
    assert meter.read(HALF_WINDOW_S * 2).ticks == 1
    assert meter.read(HALF_WINDOW_S * 9) == Load()


def test_percentiles_are_values_that_were_measured() -> None:
    values = [300.0, 100.0, 200.0, 400.0]
    assert [percentile(values, share) for share in (0, 0.25, 0.5, 0.51, 0.95, 1)] == [
        100, 100, 200, 300, 400, 400,
    ]  # fmt: skip
    assert percentile((1.0, 2.0, 3.0), 0.99, counts=(990, 10, 0)) == 1.0
    assert percentile((1.0, 2.0, 3.0), 0.991, counts=(990, 10, 0)) == 2.0
    assert math.isnan(percentile([], 0.5))
