"""What the far end says, between a provider's messages and the 20 ms tick."""

from __future__ import annotations

from collections import deque

import attrs

from voxpy.audio.frame import Format
from voxpy.audio.mix import audible

__all__ = ["Inbound", "InboundStatistics"]

LIMIT_FRAMES = 10
"""200 ms: what came more than that before its tick is too late to be talked over."""
LOOK_TICKS = 50
"""A delay that has not been needed for one second is given back, 20 ms at a time."""
SPARE_FRAMES = 1
URGENT_FRAMES = 3


@attrs.define
class InboundStatistics:
    """Counts of one leg. Frames are 20 ms."""

    received_frames: float = 0.0
    dropped_frames: float = 0.0
    """Came in a burst of more than 200 ms."""
    trimmed_frames: int = 0
    """Taken out of a delay that had built up: a burst, or a far clock that is fast."""
    late_chunks: int = 0
    """Came after what was spoken later."""


@attrs.define
class _Chunk:
    sequence: int
    data: bytes


class Inbound:
    """A media Source over chunks of any size, in the stream's format.

    It holds back nothing: what is there is played at the next tick. Where the provider may swap
    chunks they have numbers, and those still here are put in order.
    """

    def __init__(self, fmt: Format) -> None:
        self.format = fmt
        self.statistics = InboundStatistics()
        self.buffered_bytes = 0
        self._chunks: deque[_Chunk] = deque()
        self._played = 0  # the highest number that began to play
        self._ticks = 0
        self._lowest_bytes = 0

    def put(self, data: bytes, sequence: int = 0) -> None:
        """Take a chunk; ``sequence`` is its number, or 0 where they come in order."""
        self.statistics.received_frames += len(data) / self.format.frame_bytes
        if sequence and sequence <= self._played:
            self.statistics.late_chunks += 1
            return
        self._insert(_Chunk(sequence, data))
        self.buffered_bytes += len(data)
        excess = self.buffered_bytes - LIMIT_FRAMES * self.format.frame_bytes
        if excess > 0:
            whole = -(-excess // self.format.frame_bytes) * self.format.frame_bytes
            self.statistics.dropped_frames += len(self._take(whole)) / self.format.frame_bytes

    def pull(self) -> bytes | None:
        """Return the next frame, or None while less than one is there."""
        self._trim()
        if self.buffered_bytes < self.format.frame_bytes:
            self._lowest_bytes = 0
            return None
        frame = self._take(self.format.frame_bytes)
        self._lowest_bytes = min(self._lowest_bytes, self.buffered_bytes)
        return frame

    def clear(self) -> None:
        """Forget what waits."""
        self._chunks.clear()
        self.buffered_bytes = 0

    def _insert(self, chunk: _Chunk) -> None:
        at = len(self._chunks)
        while chunk.sequence and at and self._chunks[at - 1].sequence > chunk.sequence:
            at -= 1
        self._chunks.insert(at, chunk)

    def _trim(self) -> None:
        """Once a second give back a frame of delay; of speech only if it has become much."""
        self._ticks += 1
        if self._ticks < LOOK_TICKS:
            return
        spare = self._lowest_bytes // self.format.frame_bytes
        if spare > SPARE_FRAMES:
            frame = self._take(self.format.frame_bytes)
            if spare > URGENT_FRAMES or not audible(frame, self.format):
                self.statistics.trimmed_frames += 1
            else:
                self._chunks.appendleft(_Chunk(self._played, frame))
                self.buffered_bytes += len(frame)
                return  # at the next tick again
        self._ticks = 0
        self._lowest_bytes = self.buffered_bytes

    def _take(self, want: int) -> bytes:
        parts = []
        while want and self._chunks:
            chunk = self._chunks[0]
            part, chunk.data = chunk.data[:want], chunk.data[want:]
            parts.append(part)
            want -= len(part)
            self.buffered_bytes -= len(part)
            self._played = max(self._played, chunk.sequence)
            if not chunk.data:
                self._chunks.popleft()
        return b"".join(parts)
