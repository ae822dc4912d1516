"""When the agent's audio is notionally playing, and the events that tell of it.

Audio is sent faster than it plays; as nobody reports playback, its end is reckoned: every piece
begins when the one before ends, or when it is sent. Inworld's events carry no response id.
"""

from __future__ import annotations

from voxpy.wire.realtime.outbox import Outbox
from voxpy.wire.realtime.server_events import (
    OutputAudioBufferCleared,
    OutputAudioBufferStarted,
    OutputAudioBufferStopped,
)

__all__ = ["OutputBuffer"]


class OutputBuffer:
    """The output audio of a session. Times are seconds on the caller's clock."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._open = False
        self.playing_until = float("-inf")
        """When the audio sent so far will have played; in the past if it has."""

    def is_playing(self, now: float) -> bool:
        """Return whether audio sent earlier is still playing at ``now``."""
        return now < self.playing_until

    def start(self) -> None:
        """Audio is about to be sent: tells ``started`` unless it was told."""
        if not self._open:
            self._open = True
            self._outbox.emit(OutputAudioBufferStarted())

    def extend(self, duration_s: float, now: float) -> None:
        """Audio of this length was sent at ``now``."""
        self.playing_until = max(self.playing_until, now) + duration_s

    def stop(self) -> None:
        """All audio of the response is sent: tells ``stopped`` if ``started`` was told."""
        if self._open:
            self._open = False
            self._outbox.emit(OutputAudioBufferStopped())

    def clear(self, now: float) -> None:
        """Audio that did not play yet is void: tells ``cleared``."""
        self._open = False
        self.playing_until = min(self.playing_until, now)
        self._outbox.emit(OutputAudioBufferCleared())
