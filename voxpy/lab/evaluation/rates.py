"""Numbers over a set of calls: rates with their confidence. Pure."""

from __future__ import annotations

import math

import attrs

__all__ = ["Rate"]

Z_95 = 1.959964
"""Of the standard normal distribution, 95 % lie within this many deviations."""


@attrs.frozen
class Rate:
    """So many of so many. ``str()`` is ``17/20 = 85 % (64-95 %)``."""

    count: int
    total: int

    @property
    def share(self) -> float:
        """The part, from 0 to 1; 0 of nothing is 0."""
        return self.count / self.total if self.total else 0.0

    def interval(self) -> tuple[float, float]:
        """Return where the true rate lies with 95 % confidence (Wilson's score interval, 1927).

        It is honest for few calls: 3 of 3 still allow a rate of 44 %.
        """
        if not self.total:
            return 0.0, 1.0
        n, p = self.total, self.share
        middle = p + Z_95**2 / (2 * n)
        spread = Z_95 * math.sqrt(p * (1 - p) / n + Z_95**2 / (4 * n * n))
        scale = 1 + Z_95**2 / n
        return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)

    def __str__(self) -> str:
        low, high = self.interval()
        share = f"{self.count}/{self.total} = {self.share:.0%}"
        return f"{share} ({low * 100:.0f}-{high:.0%})".replace("%", " %")
