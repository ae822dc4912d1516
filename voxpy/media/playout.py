"""The buffer between a sender that is faster than real time and a listener who is not.

It keeps the *played* position per item, so that a barge-in can tell the model what was really
heard, and ``clear`` takes effect within the running frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs

from voxpy.audio.frame import Format


@attrs.define
class _Chunk:
    item_id: str
    data: bytes
    offset: int = 0


@attrs.frozen
class Cleared:
    """What ``clear`` threw away. ``played_ms`` is what the listener heard of the item."""

    item_id: str
    played_ms: float
    dropped_ms: float


def _nobody() -> None:
    """Nobody wants to know."""


class Playout:
    """A bounded queue of audio, pulled one 20 ms frame at a time. A media AheadSource.

    Written = played + cleared + dropped + buffered, in bytes, at any moment. What is on its way to
    a carrier that buffers has not been played and counts as buffered.
    """

    def __init__(
        self,
        fmt: Format,
        *,
        limit_s: float,
        on_overflow: Callable[[float], None] | None = None,
    ) -> None:
        self.format = fmt
        """Of what is written and pulled; changed by ``adopt``."""
        self._limit_s = limit_s
        self._limit_bytes = fmt.bytes_for(limit_s)
        self._on_overflow = on_overflow
        self._chunks: deque[_Chunk] = deque()
        self._played_bytes: dict[str, int] = {}
        self._held_back = False
        self._on_the_way: deque[list[_Chunk]] = deque()
        self._on_the_way_bytes = 0
        self.on_audio: Callable[[], None] = _nobody
        self.on_cut: Callable[[], None] = _nobody
        self.buffered_bytes = 0
        self.played_bytes = 0
        self.cleared_bytes = 0
        self.dropped_bytes = 0

    def adopt(self, fmt: Format) -> None:
        """Be written and pulled in another format; what waits is dropped."""
        if fmt != self.format:
            self.clear()
            self._played_bytes.clear()
            self.format = fmt
            self._limit_bytes = fmt.bytes_for(self._limit_s)

    @property
    def buffered_s(self) -> float:
        """Seconds of audio that wait to be played."""
        return self.format.duration_s(self.buffered_bytes)

    def write(self, data: bytes, *, item_id: str = "") -> None:
        """Append audio of ``item_id``; what exceeds the limit is dropped and reported once."""
        if self.buffered_bytes + len(data) > self._limit_bytes:
            data = self._cut_to_limit(data)
        if data:
            self._chunks.append(_Chunk(item_id, data))
            self.buffered_bytes += len(data)
            self.on_audio()

    def _cut_to_limit(self, data: bytes) -> bytes:
        kept = data[: max(0, self._limit_bytes - self.buffered_bytes)]
        if self.dropped_bytes == 0 and self._on_overflow is not None:
            self._on_overflow(self._limit_s)
        self.dropped_bytes += len(data) - len(kept)
        return kept

    def pull(self) -> bytes | None:
        """Return the next frame, or None when there is nothing to play.

        Less than a frame is held back for one tick, in case its rest is on the way, and then
        played with silence behind it.
        """
        want = self.format.frame_bytes
        waiting = self.buffered_bytes - self._on_the_way_bytes
        if waiting < self.format.sample_bytes:
            return None
        if waiting < want and not self._held_back:
            self._held_back = True
            return None
        self._held_back = False
        # Whole samples only: a sender may cut anywhere, and half a sample would shift all the rest.
        parts = self._take(min(want, waiting - waiting % self.format.sample_bytes))
        self._count_played(parts)
        taken = parts[0].data if len(parts) == 1 else b"".join([p.data for p in parts])
        return taken if len(taken) == want else taken + self.format.silence[len(taken) :]

    def pull_ahead(self) -> bytes | None:
        """Return the next whole frame before its time; it is on its way until ``advance``."""
        want = self.format.frame_bytes
        if self.buffered_bytes - self._on_the_way_bytes < want:
            return None
        self._held_back = False
        first = self._chunks[0]
        whole = not first.offset and len(first.data) == want  # as services like to send it
        parts = [self._chunks.popleft()] if whole else self._take(want)
        self._on_the_way.append(parts)
        self._on_the_way_bytes += want
        return parts[0].data if len(parts) == 1 else b"".join([p.data for p in parts])

    def advance(self) -> None:
        """The oldest frame on its way is being played."""
        self._on_the_way_bytes -= self.format.frame_bytes
        self._count_played(self._on_the_way.popleft())

    def take_back(self) -> None:
        """What is on its way will not be played: it waits again."""
        for parts in reversed(self._on_the_way):
            self._chunks.extendleft(reversed(parts))
        self._on_the_way.clear()
        self._on_the_way_bytes = 0

    def clear(self) -> list[Cleared]:
        """Throw away everything that waits; return what was lost, per item, in order."""
        self.take_back()
        lost: dict[str, int] = {}
        for chunk in self._chunks:
            left = len(chunk.data) - chunk.offset
            lost[chunk.item_id] = lost.get(chunk.item_id, 0) + left
        self._chunks.clear()
        self.cleared_bytes += self.buffered_bytes
        self.buffered_bytes = 0
        self._held_back = False
        self.on_cut()
        ms = 1000 / self.format.bytes_per_second
        return [Cleared(item, self.played_ms(item), n * ms) for item, n in lost.items()]

    def played_ms(self, item_id: str) -> float:
        """Return how many milliseconds of ``item_id`` have been played."""
        return self._played_bytes.get(item_id, 0) * 1000 / self.format.bytes_per_second

    def _take(self, want: int) -> list[_Chunk]:
        parts = []
        while want:
            chunk = self._chunks[0]
            part = chunk.data[chunk.offset : chunk.offset + want]
            parts.append(_Chunk(chunk.item_id, part))
            chunk.offset += len(part)
            want -= len(part)
            if chunk.offset == len(chunk.data):
                self._chunks.popleft()
        return parts

    def _count_played(self, parts: list[_Chunk]) -> None:
        for part in parts:
            n = len(part.data)
            self._played_bytes[part.item_id] = self._played_bytes.get(part.item_id, 0) + n
            self.played_bytes += n
            self.buffered_bytes -= n
