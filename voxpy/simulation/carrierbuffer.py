"""What a provider holds of a call's audio between the host and the caller's ear."""

from __future__ import annotations

from collections import deque

import attrs

from voxpy.audio.frame import Format
from voxpy.audio.mix import audible

__all__ = ["BufferStatistics", "CarrierBuffer"]

PAUSE_TICKS = 3
"""Dry for so long, and nothing was being said; for less, and what was said had a hole."""


@attrs.define
class BufferStatistics:
    """Counts of one call. Frames are 20 ms."""

    received_frames: float = 0.0
    most_waiting_frames: float = 0.0
    """At the fullest: what a lost ``clear`` would have cost."""
    clears: int = 0
    cleared_frames: float = 0.0
    """Dropped by ``clear`` before anybody heard them."""
    gaps: int = 0
    """Times it ran dry in the middle of what was said: audio came later than it had to play."""


class CarrierBuffer:
    """Audio in the order it came, with marks in between; plays 20 ms at a time, never faster.

    Marks are reached when all that came before them has been pulled, or at once if nothing waits.
    """

    def __init__(self, fmt: Format) -> None:
        self.format = fmt
        self.statistics = BufferStatistics()
        self._parts: deque[bytes | str] = deque()  # audio, and the names of marks between
        self._waiting_bytes = 0
        self._dry_ticks = PAUSE_TICKS

    @property
    def waiting_frames(self) -> float:
        """How much waits to be played."""
        return self._waiting_bytes / self.format.frame_bytes

    def put(self, data: bytes) -> None:
        """Add audio of any length."""
        if 0 < self._dry_ticks < PAUSE_TICKS and audible(data, self.format):
            self.statistics.gaps += 1
        self._dry_ticks = 0
        self._parts.append(data)
        self._waiting_bytes += len(data)
        statistics = self.statistics
        statistics.received_frames += len(data) / self.format.frame_bytes
        statistics.most_waiting_frames = max(statistics.most_waiting_frames, self.waiting_frames)

    def mark(self, name: str) -> None:
        """Add a mark behind what waits."""
        self._parts.append(name)

    def clear(self) -> list[str]:
        """Drop everything; return the marks that were among it."""
        marks = [part for part in self._parts if isinstance(part, str)]
        self.statistics.clears += 1
        self.statistics.cleared_frames += self.waiting_frames
        self._parts.clear()
        self._waiting_bytes = 0
        self._dry_ticks = PAUSE_TICKS
        return marks

    def pull(self) -> tuple[bytes | None, list[str]]:
        """Return the next 20 ms, None if nothing waits, and the marks reached by playing them.

        A last piece shorter than 20 ms is filled up with silence.
        """
        marks = self._reached()
        wanted, pieces = self.format.frame_bytes, []
        while wanted and self._parts:
            data = self._parts.popleft()
            assert isinstance(data, bytes)
            pieces.append(data[:wanted])
            if len(data) > wanted:
                self._parts.appendleft(data[wanted:])
            wanted -= len(pieces[-1])
            marks += self._reached()
        if not pieces:
            self._dry_ticks += 1
            return None, marks
        self._waiting_bytes -= self.format.frame_bytes - wanted
        self._dry_ticks = 0
        frame = b"".join(pieces)
        return frame + self.format.silence[len(frame) :], marks

    def _reached(self) -> list[str]:
        marks: list[str] = []
        while self._parts and isinstance(self._parts[0], str):
            marks.append(self._parts[0])
            self._parts.popleft()
        return marks
