"""Rates with their confidence, against published values; percentiles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.lab.suite.report import Rate


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998), table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_intervals_as_published(count: int, total: int, low: float, high: float) -> None:
    assert Rate(count, total).interval() == pytest.approx((low, high), abs=5e-5)


def test_a_rate_reads_as_counts_first() -> None:
    assert str(Rate(17, 20)) == "17/20 = 85 % (64-95 %)"
    assert str(Rate(0, 0)) == "0/0 = 0 % (0-100 %)"


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_rate_lies_in_its_interval(counts: tuple[int, int]) -> None:
    rate = Rate(*counts)
    low, high = rate.interval()
    assert 0 <= low <= rate.share + 1e-9
    assert rate.share - 1e-9 <= high <= 1
