"""What the far end hears: frames to a provider that plays them from a buffer of its own.

Time is reckoned, and corrected by the marks a provider sends back: a frame plays when the one
before it has, or at once. How much later the marks come than that is the way there and back and
whatever the provider holds; half of it is what it is behind.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs

from voxpy.audio.frame import FRAME_S, Format
from voxpy.channels.mediastream.line import Line
from voxpy.channels.providers.provider import MediaStream
from voxpy.media.digits import DigitQueue

__all__ = ["Outbound", "OutboundStatistics"]

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
        self.format: Format = stream.started.format
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

    # -- Carrier ---------------------------------------------------------------------------------

    @property
    def needs_silence(self) -> bool:
        """Whether every tick needs a frame: while digits sound."""
        return self.digits.waiting

    @property
    def behind_frames(self) -> int:
        """How many frames later than reckoned the provider plays, from its marks."""
        if not self._lags:
            return 0
        return min(MOST_BEHIND_FRAMES, round(min(self._lags) / 2 / FRAME_S))

    def room_frames(self) -> int:
        """Return how many frames may be on their way now."""
        ready = self.is_open and self._may_send and not self.digits.waiting
        if not ready or self._line.waiting_messages >= MOST_WAITING:
            return 0
        return AHEAD_FRAMES

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
        frame = self.digits.replace(frame)
        if not self._may_send or self._line.waiting_messages >= MOST_WAITING:
            self.statistics.dropped_frames += 1
            return
        self._idle_ticks = 0
        self._message.append(frame)
        if len(self._message) >= self._stream.provider.chunk_frames:
            self._send()

    def tick(self) -> None:
        """20 ms have gone by: a message that nothing more comes for is filled up and sent."""
        full = self._line.waiting_messages >= MOST_WAITING
        self.stuck_ticks = self.stuck_ticks + 1 if full else 0
        if self._message:
            self._idle_ticks += 1
            if self._idle_ticks > FILL_TICKS:
                missing = self._stream.provider.chunk_frames - len(self._message)
                self._message += [self.format.silence] * missing
                self._send()

    def _send(self) -> None:
        frames = len(self._message)
        data = self._message[0] if frames == 1 else b"".join(self._message)
        self._message.clear()
        self._line.send(self._stream.audio(data))
        self._to_clear = True
        before = self.statistics.sent_frames
        self.statistics.sent_frames = after = before + frames
        self._plays_until = max(self._plays_until, self._now()) + frames * FRAME_S
        if before // MARK_EVERY_FRAMES != after // MARK_EVERY_FRAMES:
            self._send_mark(str(after))

    # -- what the provider says ------------------------------------------------------------------

    def mark_played(self, name: str) -> None:
        """Everything before this mark has been played; one that was cleared tells nothing."""
        due_at = self._marks.pop(name, None)
        if due_at is not None:
            self._lags.append(max(0.0, self._now() - due_at))
            self.statistics.marks_played += 1
            self.statistics.behind_ms = min(self._lags) / 2 * 1000

    def may_send(self, may_send: bool) -> None:
        """The provider takes more audio, or none for a while."""
        self._may_send = may_send

    def _send_mark(self, name: str) -> None:
        if self._stream.provider.marks and len(self._marks) < MOST_MARKS:
            self._line.send(self._stream.mark(name))
            self._marks[name] = self._plays_until
            self.statistics.marks_sent += 1
