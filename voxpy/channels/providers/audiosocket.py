"""Asterisk's AudioSocket: TCP, packets of a type, a 16-bit length and as many bytes.

The dialplan gives only a UUID; who calls whom must be known from elsewhere. Asterisk plays what
comes when it comes: we own the clock, send a frame every 20 ms, silence too, and never ahead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar
from uuid import UUID

from voxpy.audio.frame import Format, pcm16
from voxpy.channels.providers.events import Audio, Problem, Stop, StreamEvent
from voxpy.channels.providers.provider import MediaStream, Message, Provider

__all__ = ["AudioSocket"]

HANG_UP, IDENTIFIER, DIGIT, ERROR = 0x00, 0x01, 0x03, 0xFF
AUDIO_HZ = {0x10: 8000, 0x12: 16000, 0x13: 24000, 0x14: 32000, 0x15: 44100, 0x16: 48000}
HEADER_BYTES = 3


class AudioSocket(MediaStream):
    """Linear PCM, little-endian. The first audio tells the rate and so begins the stream."""

    provider: ClassVar[Provider] = Provider(
        name="audiosocket",
        transport="tcp",
        hang_up="message",
        transfer="none",
        ahead=False,
        marks=False,
        source="https://docs.asterisk.org/Configuration/Channel-Drivers/AudioSocket/",
    )

    def __init__(self, query: Mapping[str, str] | None = None) -> None:
        super().__init__(query)
        self._rest = b""
        self._identifier: str | None = None
        self._kind = 0

    def _text(self, message: str) -> Sequence[StreamEvent]:
        raise self.wrong("text on a byte stream")

    def _binary(self, message: bytes) -> Sequence[StreamEvent]:
        data = self._rest + message
        events: list[StreamEvent] = []
        at = 0
        while len(data) - at >= HEADER_BYTES:
            end = at + HEADER_BYTES + int.from_bytes(data[at + 1 : at + HEADER_BYTES], "big")
            if end > len(data):
                break
            events += self._packet(data[at], data[at + HEADER_BYTES : end])
            at = end
        self._rest = data[at:]
        return events

    def _packet(self, kind: int, body: bytes) -> list[StreamEvent]:
        if kind == IDENTIFIER:
            if len(body) != 16 or self._identifier is not None:
                raise self.wrong(f"an identifier of {len(body)} bytes, or a second one")
            self._identifier = str(UUID(bytes=body))
            return []
        if self._identifier is None:
            raise self.wrong(f"a packet of type 0x{kind:02x} before the identifier")
        if kind in AUDIO_HZ:
            return [*self._first(kind), Audio(body)]
        if kind == HANG_UP:
            return [Stop()]
        if kind == DIGIT:
            digit = self.digit(body.decode("latin-1"))
            return [digit] if self._kind else []  # nobody is there yet to press it for
        if kind == ERROR:
            return [Problem(f"error {body.hex()}")]
        raise self.wrong(f"a packet of type 0x{kind:02x}")

    def _first(self, kind: int) -> list[StreamEvent]:
        if self._kind == kind:
            return []
        if self._kind:
            raise self.wrong("another sample rate within the stream")
        self._kind = kind
        identifier = self._identifier or ""
        fmt: Format = pcm16(AUDIO_HZ[kind])
        return [self.begun(call_id=identifier, stream_id=identifier, fmt=fmt)]

    def audio(self, data: bytes) -> Message:
        """One packet."""
        return bytes([self._kind]) + len(data).to_bytes(2, "big") + data

    def hang_up(self) -> Message:
        """A packet of type 0."""
        return bytes([HANG_UP, 0, 0])
