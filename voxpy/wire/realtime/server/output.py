"""What leaves the server: frames in order, each with an id, and the audio that is playing by now.

Audio is sent faster than it plays; as nobody reports playback, its end is reckoned: every piece
begins when the one before ends, or when it is sent. Inworld's output_audio_buffer events carry no
response id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import orjson

from voxpy.wire.realtime.events.codec import LEGACY_NAMES, encode, encode_audio_delta
from voxpy.wire.realtime.events.formats import AudioLength
from voxpy.wire.realtime.events.server_events import (
    OutputAudioBufferCleared,
    OutputAudioBufferStarted,
    OutputAudioBufferStopped,
)
from voxpy.wire.realtime.events.types import ServerEvent

_Told = OutputAudioBufferStarted | OutputAudioBufferStopped | OutputAudioBufferCleared
_BETA_NAMES = {cls.type.encode(): name.encode() for name, cls in LEGACY_NAMES.items()}


class Outbox:
    """Server events in the order they happened. ``new_id("event")`` names them.

    With ``legacy_names`` those that had another name in the beta are sent under it.
    """

    def __init__(self, new_id: Callable[[str], str], *, legacy_names: bool = False) -> None:
        self._new_id = new_id
        self._legacy_names = legacy_names
        self._frames: list[bytes] = []

    def emit(self, event: ServerEvent) -> None:
        """Queue an event; it is encoded now, so that later changes do not reach it."""
        self._queue(encode(event, event_id=self._new_id("event")))

    def emit_audio(self, audio: bytes, *, part: bytes) -> None:
        """Queue an audio delta; ``part`` as for ``encode_audio_delta``."""
        event_id = self._new_id("event")
        self._queue(encode_audio_delta(audio, event_id=event_id, part=part))

    def emit_bare(self, fields: Mapping[str, str]) -> None:
        """Queue an object that is no event: without type or id."""
        self._frames.append(orjson.dumps(fields))

    def drain(self) -> list[bytes]:
        frames, self._frames = self._frames, []
        return frames

    def _queue(self, frame: bytes) -> None:
        self._frames.append(_in_beta_spelling(frame) if self._legacy_names else frame)


def _in_beta_spelling(frame: bytes) -> bytes:
    quote, name, rest = frame.split(b'"', 4)[2:]  # a frame begins {"type":"name"
    return b'{"type"%b"%b"%b' % (quote, _BETA_NAMES.get(name, name), rest)


class OutputBuffer:
    """The output audio of a session. Times are seconds on the caller's clock.

    ``with_response_id`` puts the id of the response into the events, as OpenAI does. Without an
    outbox nothing is told: for what does not play in the conversation.
    """

    def __init__(self, outbox: Outbox | None = None, *, with_response_id: bool = False) -> None:
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
            self._tell(OutputAudioBufferStarted)

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
            self._tell(OutputAudioBufferStopped)

    def clear(self, now: float) -> None:
        """Audio that did not play yet is void: tells ``cleared``."""
        self._open = False
        self.playing_until = min(self.playing_until, now)
        self._tell(OutputAudioBufferCleared)

    def _tell(self, kind: type[_Told]) -> None:
        if self._outbox is not None:
            response_id = self._response_id or None if self._with_response_id else None
            self._outbox.emit(kind(response_id=response_id))
