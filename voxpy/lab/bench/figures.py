"""From samples to figures: which seconds of a window count, and percentiles over them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import attrs

from voxpy.lab.bench.pacing import now, pause
from voxpy.lab.bench.processes import Watched, stolen_s

__all__ = ["Second", "Spread", "Window", "lateness", "percentile"]

MOST_STOLEN = 0.02
MOST_LATE_S = 0.004
"""A second in which the host took more, or our own harness was later (p99), is not counted."""


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value below which ``share`` of them are; NaN of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else math.nan


@attrs.frozen
class Spread:
    """p50, p99 and the largest of some durations, in milliseconds."""

    p50: float
    p99: float
    most: float

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Spread:
        """Return the spread of durations in seconds."""
        ms = [round(s * 1000, 2) for s in seconds]
        return cls(percentile(ms, 0.5), percentile(ms, 0.99), max(ms, default=math.nan))

    def __str__(self) -> str:
        return f"{self.p50:.1f} / {self.p99:.1f}"


@attrs.frozen
class Second:
    """One second of a window, by the clock of the harness."""

    began_s: float
    ended_s: float
    stolen: float
    cpu_s: float


class Window:
    """Watches a process for some seconds, then tells clean seconds from dirty ones."""

    def __init__(self, program: Watched, seconds: int) -> None:
        self.seconds: list[Second] = []
        for _ in range(seconds):
            began_s, stolen, cpu_s = now(), stolen_s(), program.cpu_s
            pause(1.0)
            ended_s = now()
            share = (stolen_s() - stolen) / (ended_s - began_s)
            self.seconds.append(Second(began_s, ended_s, share, program.cpu_s - cpu_s))
        self.clean = self.seconds

    def judge(self, harness_late: Iterable[Sequence[float]]) -> None:
        """Drop the seconds in which the machine or the harness was at fault; never all."""
        late: dict[int, list[float]] = defaultdict(list)
        for at_s, late_s in harness_late:
            if (n := self._index(at_s)) is not None:
                late[n].append(late_s)
        clean = [
            second
            for n, second in enumerate(self.seconds)
            if second.stolen <= MOST_STOLEN and not percentile(late[n], 0.99) > MOST_LATE_S
        ]
        self.clean = clean or self.seconds
        self.clean_share = len(clean) / len(self.seconds)
        self.harness_late = Spread.of(s for values in late.values() for s in values)

    def _index(self, at_s: float) -> int | None:
        for n, second in enumerate(self.seconds):
            if second.began_s <= at_s < second.ended_s:
                return n
        return None

    @property
    def stolen(self) -> float:
        """The share of a core that the host took."""
        return sum(s.stolen for s in self.seconds) / len(self.seconds)

    @property
    def core_share(self) -> float:
        """The share of a core that the program used."""
        return sum(s.cpu_s for s in self.clean) / sum(s.ended_s - s.began_s for s in self.clean)

    def holds(self, at_s: float) -> bool:
        """Whether this moment counts."""
        return any(s.began_s <= at_s < s.ended_s for s in self.clean)


def lateness(
    delays: Iterable[Sequence[float]], holds: Callable[[float], bool]
) -> tuple[list[float], list[float]]:
    """Return the delays that count, and how much later than its call's best each of them was."""
    best: dict[float, float] = {}
    counted = []
    for call, at_s, delay_s in delays:
        best[call] = min(best.get(call, math.inf), delay_s)
        if holds(at_s):
            counted.append((call, delay_s))
    return [d for _, d in counted], [d - best[call] for call, d in counted]
