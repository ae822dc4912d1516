"""Both directions of one tagged stream inside a WebSocket, as the media graph sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from voxpy.audio.frame import FRAME_S, Format
from voxpy.media.playout import Playout
from voxpy.media.unit import MediaPort
from voxpy.wire.websocket.media import FORMATS, MediaStart, MediaWriter

BUFFER_S = 10.0
"""VoxEngine: platform/voxengine/limits. What comes faster than it plays waits; the excess goes."""
ENDED_AFTER_S = 1.0
"""Of silence, after which VoxEngine tells that a stream has ended."""
USUAL = "PCM8"


@attrs.frozen(kw_only=True)
class StreamReports:
    """Whom a stream tells what it hears; and ``fed``, who says whether anything is sent to it."""

    ready: Callable[[], bool]
    send: Callable[[str], None]
    started: Callable[[MediaStart], None]
    ended: Callable[[str, float], None]
    overflowed: Callable[[str], None]
    fed: Callable[[MediaPort], bool]


class MediaStream:
    """One stream by its tag: what the far side says (source) and what it hears (sink)."""

    def __init__(self, name: str, tag: str, reports: StreamReports) -> None:
        self.tag = tag
        self.port = MediaPort(name=name, source=_Incoming(self), sink=_Outgoing(self))
        self.playout = Playout(
            FORMATS[USUAL], limit_s=BUFFER_S, on_overflow=lambda _: reports.overflowed(tag)
        )
        self._reports = reports
        self._writer = MediaWriter(tag)
        self._encoding = USUAL
        self._custom: Mapping[str, Any] = {}
        self._start: MediaStart | None = None  # of the stream that is open
        self._stopped = False
        self._sounding = False
        self._silent_ticks = self._played_ticks = 0

    # -- what the far side says --------------------------------------------------------------------

    def begin(self, start: MediaStart) -> None:
        """The far side has begun a stream; one that goes on ends with it."""
        self._end()
        self.playout.format = start.format
        self._start = start
        self._stopped = False
        self._sound()

    def write(self, payload: bytes) -> bool:
        """Take audio; False if no stream has begun."""
        if self._start is None or self._stopped:
            return False
        if not self._sounding:
            self._sound()
        self.playout.write(payload)
        return True

    def over(self) -> None:
        """The far side has stopped its stream: what waits still plays."""
        self._stopped = True

    def pull(self) -> bytes | None:
        """Give the next frame, and look whether anybody still sends the other way."""
        if self._writer.begun and not self._reports.fed(self.port):
            self.stop_sending()
        if not self._sounding:
            return None
        frame = self.playout.pull()
        self._played_ticks += frame is not None
        self._silent_ticks = 0 if frame is not None else self._silent_ticks + 1
        silent = self._stopped or self._silent_ticks * FRAME_S >= ENDED_AFTER_S
        if silent and not self.playout.buffered_bytes:
            self._end()
        return frame

    def _sound(self) -> None:
        assert self._start is not None
        self._sounding = True
        self._silent_ticks = self._played_ticks = 0
        self._reports.started(self._start)

    def _end(self) -> None:
        if self._sounding:
            self._sounding = False
            self._reports.ended(self.tag, self._played_ticks * FRAME_S)

    # -- what it hears -----------------------------------------------------------------------------

    @property
    def format(self) -> Format:
        """What it is sent."""
        return FORMATS[self._encoding]

    def send_as(self, encoding: str, custom_parameters: Mapping[str, Any]) -> None:
        """Send in this encoding from now on; a stream in another one is stopped first."""
        self._custom = custom_parameters
        if encoding != self._encoding:
            self.stop_sending()
            self._encoding = encoding

    def push(self, frame: bytes) -> None:
        """Send 20 ms."""
        if not self._reports.ready():
            return
        if not self._writer.begun:
            self._reports.send(self._writer.start(self._encoding, self._custom))
        self._reports.send(self._writer.media(frame))

    def stop_sending(self) -> None:
        """Tell the far side that nothing more comes."""
        if self._writer.begun:
            self._reports.send(self._writer.stop())


@attrs.frozen(eq=False)
class _Incoming:
    stream: MediaStream

    @property
    def format(self) -> Format:
        return self.stream.playout.format

    def pull(self) -> bytes | None:
        return self.stream.pull()


@attrs.frozen(eq=False)
class _Outgoing:
    stream: MediaStream

    @property
    def format(self) -> Format:
        return self.stream.format

    def push(self, frame: bytes) -> None:
        self.stream.push(frame)
