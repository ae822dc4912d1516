"""How late and how busy a clock has been lately: what a host asks before it takes another call."""

from __future__ import annotations

import math
from bisect import bisect_left

import attrs

__all__ = ["Load", "LoadMeter"]

HALF_WINDOW_S = 15.0
"""Figures cover the running half window and the one before: the last 15 to 30 s."""
FINEST_S = 0.0001
STEPS_PER_DECADE = 20
DECADES = 4
EDGES_S = tuple(
    FINEST_S * 10 ** (n / STEPS_PER_DECADE) for n in range(DECADES * STEPS_PER_DECADE + 1)
)
"""Bounds of the histogram, 0.1 ms to 1 s, 12 % apart: a percentile is exact to that."""


@attrs.frozen(kw_only=True)
class Load:
    """The last 15 to 30 seconds of a media clock.

    Lateness is the time from when a tick was due to when it began, in seconds. ``tick_share`` is
    the part of the time spent inside ticks, ``core_share`` the part of a CPU core that the loop's
    thread used for everything it does. All 0 while nothing ticks.
    """

    ticks: int = 0
    skipped: int = 0
    late_p50_s: float = 0.0
    late_p99_s: float = 0.0
    late_max_s: float = 0.0
    tick_share: float = 0.0
    core_share: float = 0.0


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

    def note(
        self,
        now_s: float,
        *,
        late_s: float,
        skipped: int,
        elapsed_s: float,
        ticking_s: float,
        cpu_s: float,
    ) -> None:
        """Add one wake-up at ``now_s``; the rest is in seconds since the one before it."""
        self._slide(now_s)
        half = self._now
        half.counts[bisect_left(EDGES_S, late_s)] += 1
        half.ticks += 1
        half.skipped += skipped
        half.late_max_s = max(half.late_max_s, late_s)
        half.elapsed_s += elapsed_s
        half.ticking_s += ticking_s
        half.cpu_s += cpu_s

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
            late_p50_s=min(late_max_s, _percentile_s(counts, 0.50)),
            late_p99_s=min(late_max_s, _percentile_s(counts, 0.99)),
            late_max_s=late_max_s,
            tick_share=(one.ticking_s + two.ticking_s) / elapsed_s if elapsed_s else 0.0,
            core_share=(one.cpu_s + two.cpu_s) / elapsed_s if elapsed_s else 0.0,
        )

    def _slide(self, now_s: float) -> None:
        age_s = now_s - self._began_s
        if age_s >= HALF_WINDOW_S:
            self._before = self._now if age_s < 2 * HALF_WINDOW_S else _Half()
            self._now = _Half()
            self._began_s = now_s


def _percentile_s(counts: list[int], share: float) -> float:
    """Return the upper bound of the bucket in which ``share`` of all is reached."""
    wanted, seen = share * sum(counts), 0
    for edge_s, count in zip((*EDGES_S, math.inf), counts, strict=True):
        seen += count
        if count and seen >= wanted:
            return edge_s
    return 0.0
