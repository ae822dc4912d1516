"""How long received audio has to wait, judged by how punctual the last seconds were.

A packet's *transit* is its arrival minus its place in the sender's time: an unknown constant (the
two clocks), plus what the network held it up, plus whatever the clocks drift. The *schedule* is the
same difference for playing, so that schedule - transit is how long before its turn a packet came.
Jitter and drift both show as that margin shrinking or growing, and need no models of their own.
"""

from __future__ import annotations

import enum
from collections import deque

from voxpy.audio.frame import FRAME_S

_WINDOW_S = 5.0  # of packets: a sender 200 ppm off moves 1 ms in it
_FEW, _ENOUGH = 10, 50  # packets that show that the delay is too short, and too long
_RARE = 100  # one packet in a hundred may be late without all others waiting for it
_HYSTERESIS_S = 0.005
_RESERVE_S = 0.004  # drift of 200 ppm needs 20 s to use it up: time to find a pause in the speech
_PUNCTUAL_S = 0.0005  # where nothing moves, nothing has to be kept in reserve


class Advice(enum.Enum):
    """What to do about the delay, a frame at a time."""

    SHORTEN = "shorten"
    """Even the late packets of the window would still be in time."""
    KEEP = "keep"
    LENGTHEN = "lengthen"
    """They are barely in time."""
    LENGTHEN_NOW = "lengthen now"
    """They are not in time."""


class PlayoutDelay:
    """Says whether the delay should grow or shrink. ``min_delay_s`` is always kept.

    ``frame_s`` is what a packet holds. Nothing is left out unless a tick is spare, because what
    comes is seen at ticks.
    """

    def __init__(self, *, min_delay_s: float, frame_s: float = FRAME_S) -> None:
        self._min_delay_s = min_delay_s
        self._spare_s = max(FRAME_S, frame_s) + _HYSTERESIS_S
        self._transits: deque[float] = deque(maxlen=round(_WINDOW_S / frame_s))
        self._last: float | None = None
        self.jitter_s = 0.0
        """Interarrival jitter in seconds as RTCP reports it (RFC 3550 section 6.4.1)."""

    def note(self, transit_s: float) -> None:
        """Take the transit of a packet that could be used."""
        self._transits.append(transit_s)
        if self._last is not None:
            self.jitter_s += (abs(transit_s - self._last) - self.jitter_s) / 16
        self._last = transit_s

    def forget(self) -> None:
        """Start over: the sender's time has jumped."""
        self._transits.clear()
        self._last = None

    def advice(self, schedule_s: float) -> Advice:
        """Say how ``schedule_s`` should change. One packet in a hundred may be late unheeded."""
        n = len(self._transits)
        if n < _FEW:
            return Advice.KEEP
        earliest, latest = min(self._transits), max(self._transits)
        least_s = schedule_s - latest - self._min_delay_s
        if least_s > _RESERVE_S and least_s + latest - earliest <= self._spare_s:
            return Advice.KEEP  # whichever of them is looked at
        ordered = sorted(self._transits)
        late = ordered[-1 - n // _RARE]
        slack_s = schedule_s - late - self._min_delay_s
        if slack_s > self._spare_s:
            return Advice.SHORTEN if n >= _ENOUGH else Advice.KEEP
        if slack_s > _RESERVE_S or late - ordered[0] < _PUNCTUAL_S:
            return Advice.KEEP
        return Advice.LENGTHEN_NOW if slack_s < -_PUNCTUAL_S else Advice.LENGTHEN
