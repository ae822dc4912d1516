"""When the agent's audio is notionally playing, and the events that tell of it.

Audio is sent faster than it plays; as nobody reports playback, its end is reckoned: every piece
begins when the one before ends, or when it is sent. Inworld's events carry no response id.
"""

from __future__ import annotations

from voxpy.wire.realtime.events.lengths import AudioLength
from voxpy.wire.realtime.events.server_events import (
    OutputAudioBufferCleared,
    OutputAudioBufferStarted,
    OutputAudioBufferStopped,
)
from voxpy.wire.realtime.outbox import Outbox

__all__ = ["OutputBuffer"]


class OutputBuffer:
    """The output audio of a session. Times are seconds on the caller's clock.

    ``with_response_id`` puts the id of the response into the events, as OpenAI does.
    """

    def __init__(self, outbox: Outbox, *, with_response_id: bool = False) -> None:
        self._outbox = outbox
        self._with_response_id = with_response_id
        self._open = False
        self._response_id = ""
        self._since = float("-inf")  # when the present run of audio began to play ...
        self._run = AudioLength()  # ... and its length; adding up seconds would drift
        self.playing_until = float("-inf")
        """When the audio sent so far will have played; in the past if it has."""

    def is_playing(self, now: float) -> bool:
        """Return whether audio sent earlier is still playing at ``now``."""
        return now < self.playing_until

    def start(self, response_id: str) -> None:
        """Audio is about to be sent: tells ``started`` unless it was told."""
        if not self._open:
            self._open = True
            self._response_id = response_id
            self._outbox.emit(OutputAudioBufferStarted(response_id=self._told_id))

    def extend(self, n_samples: int, rate_hz: int, *, now: float) -> None:
        """Audio of this length was sent at ``now``."""
        if not self.is_playing(now):
            self._since, self._run = now, AudioLength()
        self._run.add(n_samples, rate_hz)
        self.playing_until = self._since + self._run.s

    def stop(self) -> None:
        """All audio of the response is sent: tells ``stopped`` if ``started`` was told."""
        if self._open:
            self._open = False
            self._outbox.emit(OutputAudioBufferStopped(response_id=self._told_id))

    def clear(self, now: float) -> None:
        """Audio that did not play yet is void: tells ``cleared``."""
        self._open = False
        self.playing_until = min(self.playing_until, now)
        self._outbox.emit(OutputAudioBufferCleared(response_id=self._told_id))

    @property
    def _told_id(self) -> str | None:
        return self._response_id or None if self._with_response_id else None
