"""Providers whose audio is bytes: Vonage, jambonz, and Asterisk by WebSocket and by AudioSocket.

Fields follow the pages named at the adapters in ``voxpy.wire.mediastream``.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import ClassVar

import orjson

from voxpy.audio.frame import PCM16_RATES_HZ, PCMA, PCMU, Format, pcm16
from voxpy.channels.providers.audiosocket import AUDIO_HZ, DIGIT, HANG_UP, HEADER_BYTES, IDENTIFIER
from voxpy.channels.providers.carrier import (
    Carrier,
    Clear,
    HangUp,
    HostEvent,
    Ignored,
    Mark,
    PhoneCall,
)
from voxpy.channels.providers.provider import Message

__all__ = ["AsteriskCarrier", "AudioSocketCarrier", "JambonzCarrier", "VonageCarrier"]

LINEAR = tuple(pcm16(rate_hz) for rate_hz in PCM16_RATES_HZ)


def _json(**fields: object) -> str:
    return orjson.dumps(fields).decode()


class _BinaryCarrier(Carrier):
    """Audio both ways is the message itself."""

    def audio(self, frame: bytes) -> Message:
        """Return the very bytes."""
        return frame

    def _binary(self, message: bytes) -> Sequence[HostEvent]:
        return (self.sound(message),)


class VonageCarrier(_BinaryCarrier):
    """The headers of the endpoint come with the first message; hanging up closes the socket."""

    name = "vonage"
    formats = (pcm16(16000), pcm16(8000), pcm16(24000))

    def opening(self) -> Sequence[Message]:
        """``websocket:connected``."""
        content = f"audio/l16;rate={self.call.format.rate_hz}"
        head = {"event": "websocket:connected", "content-type": content, "uuid": self.call.call_id}
        return (_json(**{**self.call.named, **head}),)

    def digit(self, digit: str) -> Message:
        """``websocket:dtmf``."""
        return _json(event="websocket:dtmf", digit=digit, duration=260)

    def mark_passed(self, name: str, *, played: bool) -> Message | None:
        """``websocket:notify`` gives back the payload, which is the name here."""
        if not played:
            return None
        return _json(event="websocket:notify", payload=orjson.loads(name))

    def cleared(self) -> Message:
        """``websocket:cleared``."""
        return _json(event="websocket:cleared")

    def _text(self, message: str) -> Sequence[HostEvent]:
        value = self.parsed(message)
        match kind := value.get("action"):
            case "clear":
                return (Clear(),)
            case "notify":
                return (Mark(orjson.dumps(value.get("payload")).decode()),)
        raise self.wrong(f"an action it does not know: {kind!r}")


class JambonzCarrier(_BinaryCarrier):
    """The call's data come first; marks come back as ``playout`` or ``cleared``."""

    name = "jambonz"
    formats = (pcm16(8000), *(fmt for fmt in LINEAR if fmt.rate_hz != 8000))

    def opening(self) -> Sequence[Message]:
        """The metadata."""
        call = self.call
        head: dict[str, object] = {
            "callSid": call.call_id,
            "direction": "inbound",
            "sampleRate": call.format.rate_hz,
            "mixType": "mono",
        }
        return (_json(**{**call.named, **head}),)

    def digit(self, digit: str) -> Message:
        """``dtmf``."""
        return _json(event="dtmf", dtmf=digit, duration="1600")

    def mark_passed(self, name: str, *, played: bool) -> Message:
        """``mark``."""
        return _json(type="mark", data={"name": name, "event": "playout" if played else "cleared"})

    def _text(self, message: str) -> Sequence[HostEvent]:
        value = self.parsed(message)
        match kind := value.get("type"):
            case "killAudio":
                return (Clear(),)
            case "mark":
                return (Mark(self.text(self.part(value, "data"), "name")),)
            case "disconnect":
                return (HangUp(),)
            case "clearMarks":
                return (Ignored("clearMarks"),)
        raise self.wrong(f"a message it does not know: {kind!r}")


class AsteriskCarrier(_BinaryCarrier):
    """chan_websocket with ``f(json)`` and ``v(from=…,to=…)``; a hang-up closes the socket."""

    name = "asterisk"
    formats = (PCMU, PCMA, *LINEAR)

    @property
    def query(self) -> Mapping[str, str]:
        """What ``v()`` puts into the address."""
        return self.call.named

    def opening(self) -> Sequence[Message]:
        """``MEDIA_START``."""
        fmt = self.call.format
        rate = "" if fmt.rate_hz == 8000 else str(fmt.rate_hz // 1000)
        name = {"pcmu": "ulaw", "pcma": "alaw"}.get(fmt.encoding, f"slin{rate}")
        return (
            _json(
                event="MEDIA_START",
                connection_id="media_connection1",
                channel=f"WebSocket/media_connection1/{self.call.call_id}",
                channel_id=self.call.call_id,
                format=name,
                optimal_frame_size=fmt.frame_bytes,
                ptime=20,
                channel_variables={},
            ),
        )

    def digit(self, digit: str) -> Message:
        """``DTMF_END``."""
        return _json(event="DTMF_END", digit=digit, duration_ms=100)

    def mark_passed(self, name: str, *, played: bool) -> Message | None:
        """``MEDIA_MARK_PROCESSED``; a flush drops marks unsaid."""
        return _json(event="MEDIA_MARK_PROCESSED", correlation_id=name) if played else None

    def _text(self, message: str) -> Sequence[HostEvent]:
        value = self.parsed(message)
        match kind := value.get("command"):
            case "FLUSH_MEDIA":
                return (Clear(),)
            case "MARK_MEDIA":
                return (Mark(self.text(value, "correlation_id")),)
            case "HANGUP":
                return (HangUp(),)
            case "ANSWER":
                return (Ignored("ANSWER"),)
        raise self.wrong(f"a command it does not know: {kind!r}")


class AudioSocketCarrier(Carrier):
    """TCP: a type, a 16-bit length, as many bytes. Only an identifier tells whose call it is."""

    name = "audiosocket"
    formats = (pcm16(8000), *(fmt for fmt in LINEAR if fmt.rate_hz != 8000))
    _kinds: ClassVar[Mapping[Format, int]] = {pcm16(hz): kind for kind, hz in AUDIO_HZ.items()}

    def __init__(self, call: PhoneCall) -> None:
        super().__init__(call)
        self._kind = self._kinds[call.format]
        self._rest = b""

    def opening(self) -> Sequence[Message]:
        """The identifier: the call's, made into sixteen bytes."""
        words = (f"{n}{self.call.call_id}".encode() for n in range(4))
        return (_packet(IDENTIFIER, b"".join(zlib.crc32(w).to_bytes(4, "big") for w in words)),)

    def audio(self, frame: bytes) -> Message:
        """One packet."""
        return _packet(self._kind, frame)

    def digit(self, digit: str) -> Message:
        """One packet."""
        return _packet(DIGIT, digit.encode("ascii"))

    def stop(self) -> Message:
        """A packet of type 0."""
        return _packet(HANG_UP, b"")

    def _text(self, message: str) -> Sequence[HostEvent]:
        raise self.wrong("text on a byte stream")

    def _binary(self, message: bytes) -> Sequence[HostEvent]:
        data = self._rest + message
        events: list[HostEvent] = []
        at = 0
        while len(data) - at >= HEADER_BYTES:
            end = at + HEADER_BYTES + int.from_bytes(data[at + 1 : at + HEADER_BYTES], "big")
            if end > len(data):
                break
            events.append(self._packet(data[at], data[at + HEADER_BYTES : end]))
            at = end
        self._rest = data[at:]
        return events

    def _packet(self, kind: int, body: bytes) -> HostEvent:
        if kind == self._kind:
            return self.sound(body)
        if kind == HANG_UP:
            return HangUp()
        raise self.wrong(f"a packet of type 0x{kind:02x} on a stream of 0x{self._kind:02x}")


def _packet(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(2, "big") + body
