"""The audio of a leg, both ways: what holds it between a provider's messages and the 20 ms tick.

``Inbound`` holds back nothing: what is there is played at the next tick, and a delay that has built
up is given back. ``Outbound`` sends to a provider that plays from a buffer of its own. Its time is
reckoned, and corrected by the marks a provider sends back: a frame plays when the one before it
has, or at once. How much later the marks come than that is the way there and back and whatever the
provider holds; half of it is what it is behind.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs

from voxpy.audio.frame import FRAME_S, Format
from voxpy.audio.mix import audible
from voxpy.channels.mediastream.line import Line
from voxpy.channels.providers.provider import MediaStream
from voxpy.media.digits import DigitQueue

# -- from the caller -------------------------------------------------------------------------------

LIMIT_FRAMES = 10
"""200 ms: what came more than that before its tick is too late to be talked over."""
MOST_CHUNKS = 64
"""Chunks are 10 ms and more; who sends crumbs keeps no more of them than a call needs."""
LOOK_TICKS = 50
"""A delay that has not been needed for one second is given back, 20 ms at a time."""
SPARE_FRAMES = 1
URGENT_TICKS, URGENT_FRAMES = 10, 3
"""Of a delay that for 200 ms was never needed all beyond 60 ms is given back at once."""


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


class Inbound:
    """A media Source over chunks of any size, in the stream's format.

    It holds back nothing: what is there is played at the next tick. Where the provider may swap
    chunks they have numbers, and those still here are put in order.

    After a stall of ours everything that came meanwhile is here at once, or in the kernel still.
    The newest 200 ms are kept; and since a gap is heard in any case, what is left of them a moment
    later is left out, too: a call is back at its delay within half a second.
    """

    def __init__(self, fmt: Format) -> None:
        self.format = fmt
        self.statistics = InboundStatistics()
        self.buffered_bytes = 0
        self._frame_bytes = fmt.frame_bytes
        self._limit_bytes = LIMIT_FRAMES * fmt.frame_bytes
        self._chunks: deque[bytes] = deque()
        self._numbers: deque[int] = deque()  # of the chunks
        self._played = 0  # the highest number that began to play
        self._ticks = 0
        self._lowest_bytes = 0  # since the last look
        self._shed = False  # since the last look
        self._stale = False  # what was here was too late for this tick

    def put(self, data: bytes, sequence: int = 0) -> None:
        """Take a chunk; ``sequence`` is its number, or 0 where they come in order."""
        if not data:
            return
        self.statistics.received_frames += len(data) / self._frame_bytes
        if sequence and sequence <= self._played:
            self.statistics.late_chunks += 1
            return
        at = len(self._chunks)
        while sequence and at and self._numbers[at - 1] > sequence:
            at -= 1
        self._chunks.insert(at, data)
        self._numbers.insert(at, sequence)
        self.buffered_bytes += len(data)
        excess = self.buffered_bytes - self._limit_bytes
        if excess > 0 or len(self._chunks) > MOST_CHUNKS:
            whole = -(-max(excess, 1) // self._frame_bytes) * self._frame_bytes
            self.statistics.dropped_frames += len(self._take(whole)) / self._frame_bytes
            self._look_anew()
            self._shed = True

    def pull(self) -> bytes | None:
        """Return the next frame, or None while less than one is there."""
        if self._stale:
            self._stale = False
            return None
        self._ticks += 1
        if self._ticks % URGENT_TICKS == 0:
            self._trim()
        if self.buffered_bytes < self._frame_bytes:
            self._lowest_bytes = 0
            return None
        frame = self._take(self._frame_bytes)
        if self.buffered_bytes < self._lowest_bytes:
            self._lowest_bytes = self.buffered_bytes
        return frame

    def shed_stale(self) -> None:
        """More has come than could be read: after a stall, what is here is too late."""
        if self.buffered_bytes >= self._limit_bytes or self._shed:
            self.statistics.dropped_frames += self.buffered_bytes / self._frame_bytes
            self.clear()
            self._look_anew()
            self._lowest_bytes = self._limit_bytes  # that nothing is here now proves nothing
            self._shed = self._stale = True

    def clear(self) -> None:
        """Forget what waits."""
        self._chunks.clear()
        self._numbers.clear()
        self.buffered_bytes = 0

    def _trim(self) -> None:
        """Give back delay: much of it, and after a stall all of it, at once, else in silence."""
        spare = self._lowest_bytes // self._frame_bytes
        enough = SPARE_FRAMES if self._shed else URGENT_FRAMES
        if spare > enough:
            self.statistics.trimmed_frames += spare - enough
            self._take((spare - enough) * self._frame_bytes)
        elif self._ticks < LOOK_TICKS:
            return
        elif spare > SPARE_FRAMES:
            frame = self._take(self._frame_bytes)
            if audible(frame, self.format):
                self._chunks.appendleft(frame)
                self._numbers.appendleft(self._played)
                self.buffered_bytes += len(frame)
                return  # a moment later again
            self.statistics.trimmed_frames += 1
        self._look_anew()

    def _look_anew(self) -> None:
        self._ticks = 0
        self._shed = False
        self._lowest_bytes = self.buffered_bytes

    def _take(self, want: int) -> bytes:
        chunks, numbers = self._chunks, self._numbers
        parts = []
        while want and chunks:
            chunk, number = chunks.popleft(), numbers.popleft()
            if number > self._played:
                self._played = number
            size = len(chunk)
            if size > want:
                chunks.appendleft(chunk[want:])
                numbers.appendleft(number)
                chunk, size = chunk[:want], want
            parts.append(chunk)
            want -= size
            self.buffered_bytes -= size
        return parts[0] if len(parts) == 1 else b"".join(parts)


# -- to the caller ---------------------------------------------------------------------------------

AHEAD_FRAMES = 9
"""Behind the frame that plays: 200 ms at the provider, and a lost ``clear`` costs no more."""
MOST_WAITING = 10
"""Messages in our own socket; who reads no faster gets no more."""
MARK_EVERY_FRAMES = 25
"""Two a second tell enough, and cost a twenty-fifth of the messages."""
MOST_MARKS = 8
"""So many unanswered, and the provider is taken to answer none."""
LAGS = 8
MOST_BEHIND_FRAMES = 5
"""Well below AHEAD_FRAMES, or frames would wait for others that are still under way."""
FILL_TICKS = 3
"""How long a message that is not full waits for more audio."""
SETTLED_S = 2.0
"""So long after the last frame should have played there is nothing to clear."""


@attrs.define
class OutboundStatistics:
    """Counts of one leg. Frames are 20 ms."""

    sent_frames: int = 0
    dropped_frames: int = 0
    """Not sent because the provider did not read."""
    clears: int = 0
    marks_sent: int = 0
    marks_played: int = 0
    behind_ms: float = 0.0


class Outbound:
    """A media Sink, and its Carrier where the provider can clear."""

    def __init__(self, stream: MediaStream, line: Line, now: Callable[[], float]) -> None:
        self.format: Format = stream.started.outbound
        self.statistics = OutboundStatistics()
        self.digits = DigitQueue(self.format)
        self.is_open = False
        self.stuck_ticks = 0
        """For how long the provider has taken nothing of what waits."""
        self._stream = stream
        self._line = line
        self._now = now
        self._may_send = True
        self._plays_until = 0.0
        self._to_clear = False
        self._message: list[bytes] = []  # frames of a message that is not full
        self._idle_ticks = 0
        self._marks: dict[str, float] = {}
        self._lags: deque[float] = deque(maxlen=LAGS)
        self._chunk_frames = stream.provider.chunk_frames
        self.behind_frames = 0
        """How many frames later than reckoned the provider plays, from its marks."""

    # -- Carrier ---------------------------------------------------------------------------------

    @property
    def needs_silence(self) -> bool:
        """Whether every tick needs a frame: while digits sound."""
        return bool(self.digits.frames)

    def room_frames(self) -> int:
        """Return how many frames may be on their way now."""
        if not self.is_open or not self._may_send or self.digits.frames:
            return 0
        return AHEAD_FRAMES if self._line.waiting_messages < MOST_WAITING else 0

    def clear(self) -> None:
        """Drop what has not been played, here and there."""
        self._message.clear()
        self._marks.clear()
        if self._to_clear and self._now() < self._plays_until + SETTLED_S:
            self._line.send(self._stream.clear())
            self.statistics.clears += 1
        self._to_clear = False
        self._plays_until = self._now()

    # -- Sink ------------------------------------------------------------------------------------

    def push(self, frame: bytes) -> None:
        """Send 20 ms, or put a digit in its place."""
        if not self.is_open:
            return
        if self.digits.frames:
            frame = self.digits.replace(frame)
        if not self._may_send or self._line.waiting_messages >= MOST_WAITING:
            self.statistics.dropped_frames += 1
        elif self._chunk_frames == 1:
            self._send(frame, 1)
        else:
            self._idle_ticks = 0
            self._message.append(frame)
            if len(self._message) >= self._chunk_frames:
                self._send_message()

    def tick(self) -> None:
        """20 ms have gone by: a message that nothing more comes for is filled up and sent."""
        if self._line.waiting_messages < MOST_WAITING:
            self.stuck_ticks = 0
        else:
            self.stuck_ticks += 1
        if self._message:
            self._idle_ticks += 1
            if self._idle_ticks > FILL_TICKS:
                missing = self._chunk_frames - len(self._message)
                self._message += [self.format.silence] * missing
                self._send_message()

    def _send_message(self) -> None:
        data, frames = b"".join(self._message), len(self._message)
        self._message.clear()
        self._send(data, frames)

    def _send(self, data: bytes, frames: int) -> None:
        self._line.send(self._stream.audio(data))
        self._to_clear = True
        before = self.statistics.sent_frames
        self.statistics.sent_frames = after = before + frames
        now = self._now()
        begins = self._plays_until if self._plays_until > now else now
        self._plays_until = begins + frames * FRAME_S
        if before // MARK_EVERY_FRAMES != after // MARK_EVERY_FRAMES:
            self._send_mark(str(after))

    # -- what the provider says ------------------------------------------------------------------

    def mark_played(self, name: str) -> None:
        """Everything before this mark has been played; one that was cleared tells nothing."""
        due_at = self._marks.pop(name, None)
        if due_at is not None:
            self._lags.append(max(0.0, self._now() - due_at))
            self.statistics.marks_played += 1
            behind_s = min(self._lags) / 2
            self.behind_frames = min(MOST_BEHIND_FRAMES, round(behind_s / FRAME_S))
            self.statistics.behind_ms = behind_s * 1000

    def may_send(self, may_send: bool) -> None:
        """The provider takes more audio, or none for a while."""
        self._may_send = may_send

    def _send_mark(self, name: str) -> None:
        if self._stream.provider.marks and len(self._marks) < MOST_MARKS:
            self._line.send(self._stream.mark(name))
            self._marks[name] = self._plays_until
            self.statistics.marks_sent += 1
