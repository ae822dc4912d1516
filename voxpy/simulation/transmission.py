"""One direction of a simulated call: a line, and the receiver that a real leg has at its end."""

from __future__ import annotations

from voxpy.audio.frame import FRAME_S
from voxpy.audio.line import Line
from voxpy.media.jitter import JitterStatistics, Packet
from voxpy.media.receiver import Receiver

__all__ = ["Transmission"]


class Transmission:
    """Takes a frame a tick and gives a frame a tick; over a perfect line the same one."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._is_perfect = line.is_perfect
        self._receiver = Receiver(line.fmt)
        self._ticks = 0

    def carry(self, frame: bytes) -> bytes | None:
        """Send ``frame`` at this tick; return what the receiver plays, or None if nothing is there.

        Raises ValueError if ``frame`` is not exactly 20 ms of the line's format.
        """
        if self._is_perfect and len(frame) == self._line.fmt.frame_bytes:
            return frame  # the receiver would return it, too, at a seventh of a call's cost
        now = self._ticks * FRAME_S
        self._ticks += 1
        self._line.send(frame, now)
        units = self._line.fmt.frame_samples
        for arrival in self._line.arrivals(now):
            number = arrival.number
            packet = Packet(
                sequence=number & 0xFFFF,
                timestamp=number * units & 0xFFFFFFFF,
                payload=arrival.frame,
                marker=number == 0,
            )
            self._receiver.put(packet, arrival.at)
        return self._receiver.pull(now)

    @property
    def statistics(self) -> JitterStatistics:
        """What the receiver has counted."""
        return self._receiver.statistics
