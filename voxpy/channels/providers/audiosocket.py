"""Asterisk's AudioSocket: TCP, packets of a type, a 16-bit length and as many bytes.

The dialplan gives only a UUID; who calls whom must be known from elsewhere. Asterisk plays what
comes when it comes: we own the clock, send a frame every 20 ms, silence too, and never ahead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID, uuid5

from voxpy.audio.frame import pcm16
from voxpy.channels.providers.events import (
    Audio,
    HangUp,
    HostEvent,
    Problem,
    Stop,
    StreamEvent,
)
from voxpy.channels.providers.provider import (
    Carrier,
    MediaStream,
    Message,
    PhoneCall,
    Provider,
)
from voxpy.errors import RemoteProtocolError

HANG_UP, IDENTIFIER, DIGIT, ERROR = 0x00, 0x01, 0x03, 0xFF
AUDIO_HZ = {0x10: 8000, 0x12: 16000, 0x13: 24000, 0x14: 32000, 0x15: 44100, 0x16: 48000}
HEADER_BYTES = 3
MOST_PACKETS = 128
"""In what is read at once, 8 KiB: Asterisk's shortest frame, 10 ms at 8 kHz, has 163 bytes."""
CRUMBS = "packets that are too small to be audio"
CALLS = UUID("8a4dbf8e-3c1c-4f5b-9a51-0c3f7f1f2d6e")
"""The namespace of the identifiers that simulated calls get."""


def _packet(kind: int, body: bytes = b"") -> bytes:
    return bytes([kind]) + len(body).to_bytes(2, "big") + body


class _Packets:
    """A byte stream, packet by packet, however it was cut."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def of(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield type and body of every packet that is whole now."""
        rest = self._rest
        rest += data
        at = 0
        try:
            while len(rest) - at >= HEADER_BYTES:
                end = at + HEADER_BYTES + int.from_bytes(rest[at + 1 : at + HEADER_BYTES], "big")
                if end > len(rest):
                    break
                kind, body = rest[at], bytes(rest[at + HEADER_BYTES : end])
                at = end
                yield kind, body
        finally:
            del rest[:at]


class AudioSocketStream(MediaStream):
    """Linear PCM, little-endian. The first audio tells the rate and so begins the stream."""

    def __init__(self, provider: Provider, query: Mapping[str, str] | None = None) -> None:
        super().__init__(provider, query)
        self._packets = _Packets()
        self._identifier: str | None = None
        self._kind = 0

    def _text(self, message: str) -> Sequence[StreamEvent]:
        raise self.wrong("text on a byte stream")

    def _binary(self, message: bytes) -> Sequence[StreamEvent]:
        events: list[StreamEvent] = []
        for n, (kind, body) in enumerate(self._packets.of(message)):
            if n == MOST_PACKETS:
                if self.start is None:
                    raise self.unusable(CRUMBS)
                return [*events, Stop(CRUMBS)]
            try:
                events += self._told(kind, body)
            except RemoteProtocolError as error:  # of this packet, not of those around it
                events.append(self.odd(error))
        return events

    def _told(self, kind: int, body: bytes) -> list[StreamEvent]:
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
        fmt = pcm16(AUDIO_HZ[kind])
        return [self.begun(call_id=identifier, stream_id=identifier, fmt=fmt)]

    def audio(self, data: bytes) -> Message:
        """One packet."""
        return _packet(self._kind, data)

    def hang_up(self) -> Message:
        """A packet of type 0."""
        return _packet(HANG_UP)


class AudioSocketCarrier(Carrier):
    """Only an identifier tells whose call it is."""

    def __init__(self, provider: Provider, call: PhoneCall) -> None:
        super().__init__(provider, call)
        (self._kind,) = (k for k, rate_hz in AUDIO_HZ.items() if pcm16(rate_hz) == call.format)
        self._packets = _Packets()

    def opening(self) -> Sequence[Message]:
        """The identifier: the call's, made into sixteen bytes."""
        return (_packet(IDENTIFIER, uuid5(CALLS, self.call.call_id).bytes),)

    def audio(self, frame: bytes) -> Message:
        """One packet."""
        return _packet(self._kind, frame)

    def digit(self, digit: str) -> Message:
        """One packet."""
        return _packet(DIGIT, digit.encode("ascii"))

    def stop(self) -> Message:
        """A packet of type 0."""
        return _packet(HANG_UP)

    def _text(self, message: str) -> Sequence[HostEvent]:
        raise self.wrong("text on a byte stream")

    def _binary(self, message: bytes) -> Sequence[HostEvent]:
        return [self._told(kind, body) for kind, body in self._packets.of(message)]

    def _told(self, kind: int, body: bytes) -> HostEvent:
        if kind == self._kind:
            return self.sound(body)
        if kind == HANG_UP:
            return HangUp()
        raise self.wrong(f"a packet of type 0x{kind:02x} on a stream of 0x{self._kind:02x}")


PROVIDER = Provider(
    name="audiosocket",
    source="https://docs.asterisk.org/Configuration/Channel-Drivers/AudioSocket/",
    stream=AudioSocketStream,
    carrier=AudioSocketCarrier,
    formats=tuple(pcm16(rate_hz) for rate_hz in AUDIO_HZ.values()),
    transport="tcp",
    hang_up="message",
    ahead=False,
    marks=False,
)
