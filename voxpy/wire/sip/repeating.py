"""Answers said again until they are acknowledged: 2xx (13.3.1.4), reliable 1xx (RFC 3262)."""

from __future__ import annotations

import math

from voxpy.wire.sip.message import Response
from voxpy.wire.sip.transactions import GIVE_UP_S, T1_S, T2_S, ServerTransaction


class Repeating:
    """One answer and its timer. ``message`` is None when nothing is repeated."""

    def __init__(self) -> None:
        self.message: Response | None = None
        self.server: ServerTransaction | None = None
        self.give_up_at = math.inf
        self._at = math.inf
        self._pause_s = T1_S

    def begin(self, server: ServerTransaction, message: Response, now: float) -> None:
        """Begin; the first time it is said by whoever calls."""
        self.server, self.message = server, message
        self._pause_s, self._at = T1_S, now + T1_S
        self.give_up_at = now + GIVE_UP_S

    def stop(self) -> None:
        """It was acknowledged, or is of no more use."""
        self.server = self.message = None
        self._at = self.give_up_at = math.inf

    @property
    def deadline(self) -> float:
        return min(self._at, self.give_up_at)

    def is_due(self, now: float) -> bool:
        """Return whether it is to be said again now, and when next: twice as late, 4 s at most."""
        if now < self._at:
            return False
        self._pause_s = min(2 * self._pause_s, T2_S)
        self._at = now + self._pause_s
        return True
