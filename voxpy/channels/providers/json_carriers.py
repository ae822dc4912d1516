"""Providers whose messages are all JSON: Twilio, Telnyx, Plivo, Exotel and Voximplant.

Fields follow the pages named at the adapters in ``voxpy.wire.mediastream``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import orjson

from voxpy.audio.frame import PCMA, PCMU, Format, pcm16
from voxpy.channels.providers.carrier import (
    Carrier,
    Clear,
    HostEvent,
    Ignored,
    Mark,
    PhoneCall,
    Play,
    PlayDigits,
)
from voxpy.channels.providers.provider import Message

__all__ = ["ExotelCarrier", "PlivoCarrier", "TelnyxCarrier", "TwilioCarrier", "VoximplantCarrier"]

EXOTEL_FRAMES = 5


class _JsonCarrier(Carrier):
    """Counts messages and chunks, and names the stream in every message."""

    stream_key: ClassVar[str]
    number_key: ClassVar[str]
    numbers_are_text: ClassVar[bool] = True

    def __init__(self, call: PhoneCall) -> None:
        super().__init__(call)
        self.stream_id = f"stream-{call.call_id}"
        self._number = 0
        self._chunk = 0

    def message(self, event: str, **fields: object) -> str:
        """Return a numbered message of this stream."""
        number, self._number = self._number, self._number + 1
        counted = self.count(number)
        head = {"event": event, self.number_key: counted, self.stream_key: self.stream_id}
        return orjson.dumps({**head, **fields}).decode()

    def count(self, number: int) -> str | int:
        """Return a number as this provider writes it."""
        return str(number) if self.numbers_are_text else number

    def media(self, data: bytes, **fields: object) -> str:
        """Return the message of some audio of the caller."""
        self._chunk += 1
        at_ms = (self._chunk - 1) * round(1000 * self.call.format.duration_s(len(data)))
        return self.message(
            "media",
            media={
                **fields,
                "chunk": self.count(self._chunk),
                "timestamp": str(at_ms),
                "payload": self.base64(data),
            },
        )

    def of_this_stream(self, value: Mapping[str, Any]) -> None:
        """Refuse a message for another stream. Raises RemoteProtocolError."""
        if value.get(self.stream_key) != self.stream_id:
            raise self.wrong(
                f"a {value.get('event')} for the stream {value.get(self.stream_key)!r} on the "
                f"stream {self.stream_id!r}"
            )


class _MediaMarkClear(_JsonCarrier):
    """A host that sends ``media``, ``mark`` and ``clear``, each naming the stream."""

    def _text(self, message: str) -> Sequence[HostEvent]:
        value = self.parsed(message)
        self.of_this_stream(value)
        match kind := value.get("event"):
            case "media":
                return (self.played(self.part(value, "media").get("payload")),)
            case "mark":
                return (Mark(self.text(self.part(value, "mark"), "name")),)
            case "clear":
                return (Clear(),)
        raise self.wrong(f"an event it does not know: {kind!r}")


class TwilioCarrier(_MediaMarkClear):
    """``connected`` and ``start``, then audio; marks come back when played or cleared."""

    name = "twilio"
    formats = (PCMU,)
    stream_key = "streamSid"
    number_key = "sequenceNumber"

    def opening(self) -> Sequence[Message]:
        """``connected`` and ``start``, with from and to as custom parameters."""
        connected = orjson.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        self._number = 1
        start = {
            "accountSid": "AC-simulated",
            "streamSid": self.stream_id,
            "callSid": self.call.call_id,
            "tracks": ["inbound"],
            "customParameters": self.call.named,
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        }
        return (connected.decode(), self.message("start", start=start))

    def audio(self, frame: bytes) -> Message:
        """``media``."""
        return self.media(frame, track="inbound")

    def digit(self, digit: str) -> Message:
        """``dtmf``."""
        return self.message("dtmf", dtmf={"track": "inbound_track", "digit": digit})

    def mark_passed(self, name: str, *, played: bool) -> Message:
        """``mark``; a ``clear`` sends back those it drops too."""
        return self.message("mark", mark={"name": name})

    def stop(self) -> Message:
        """``stop``."""
        stop = {"accountSid": "AC-simulated", "callSid": self.call.call_id}
        return self.message("stop", stop=stop)


class TelnyxCarrier(_JsonCarrier):
    """As Twilio's in snake_case; the start names caller and callee, the host names no stream."""

    name = "telnyx"
    formats = (PCMU, PCMA)
    stream_key = "stream_id"
    number_key = "sequence_number"

    def opening(self) -> Sequence[Message]:
        """``connected`` and ``start``."""
        self._number = 1
        encoding = "PCMU" if self.call.format == PCMU else "PCMA"
        start = {
            "user_id": "simulated",
            "call_control_id": self.call.call_id,
            "call_session_id": self.call.call_id,
            "from": self.call.caller,
            "to": self.call.callee,
            "client_state": None,
            "custom_parameters": dict(self.call.parameters),
            "media_format": {"encoding": encoding, "sample_rate": 8000, "channels": 1},
        }
        connected = orjson.dumps({"event": "connected", "version": "1.0.0"}).decode()
        return (connected, self.message("start", start=start))

    def audio(self, frame: bytes) -> Message:
        """``media``."""
        return self.media(frame, track="inbound")

    def digit(self, digit: str) -> Message:
        """``dtmf``."""
        return self.message("dtmf", dtmf={"digit": digit})

    def mark_passed(self, name: str, *, played: bool) -> Message:
        """``mark``."""
        return self.message("mark", mark={"name": name})

    def stop(self) -> Message:
        """``stop``."""
        stop = {"user_id": "simulated", "call_control_id": self.call.call_id}
        return self.message("stop", stop=stop)

    def _text(self, message: str) -> Sequence[HostEvent]:
        value = self.parsed(message)
        match kind := value.get("event"):
            case "media":
                return (self.played(self.part(value, "media").get("payload")),)
            case "mark":
                return (Mark(self.text(self.part(value, "mark"), "name")),)
            case "clear":
                return (Clear(),)
        raise self.wrong(f"an event it does not know: {kind!r}")


class PlivoCarrier(_JsonCarrier):
    """``start`` with the extra headers, ``playAudio`` back; a dropped checkpoint stays silent."""

    name = "plivo"
    formats = (PCMU, pcm16(8000), pcm16(16000))
    stream_key = "streamId"
    number_key = "sequenceNumber"
    numbers_are_text = False

    @property
    def content(self) -> str:
        """The name of the stream's format."""
        return "audio/x-mulaw" if self.call.format == PCMU else "audio/x-l16"

    def opening(self) -> Sequence[Message]:
        """``start``."""
        headers = ";".join(f"{name}={value}" for name, value in self.call.named.items())
        start = {
            "callId": self.call.call_id,
            "streamId": self.stream_id,
            "accountId": "simulated",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": self.content, "sampleRate": self.call.format.rate_hz},
        }
        return (self.message("start", start=start, extra_headers=f"{{{headers}}}"),)

    def audio(self, frame: bytes) -> Message:
        """``media``."""
        return self.media(frame, track="inbound")

    def digit(self, digit: str) -> Message:
        """``dtmf``."""
        return self.message("dtmf", dtmf={"track": "inbound", "digit": digit})

    def mark_passed(self, name: str, *, played: bool) -> Message | None:
        """``playedStream``."""
        return self.message("playedStream", name=name) if played else None

    def cleared(self) -> Message:
        """``clearedAudio``."""
        return self.message("clearedAudio")

    def _text(self, message: str) -> Sequence[HostEvent]:
        value = self.parsed(message)
        match kind := value.get("event"):
            case "playAudio":
                return (self._play(self.part(value, "media")),)
            case "checkpoint":
                self.of_this_stream(value)
                return (Mark(self.text(value, "name")),)
            case "clearAudio":
                self.of_this_stream(value)
                return (Clear(),)
            case "sendDTMF":
                return (PlayDigits(self.text(value, "dtmf")),)
        raise self.wrong(f"an event it does not know: {kind!r}")

    def _play(self, media: Mapping[str, Any]) -> Play:
        ours = (self.content, self.call.format.rate_hz)
        theirs = (media.get("contentType"), media.get("sampleRate"))
        if theirs != ours:
            raise self.wrong(f"audio as {theirs[0]!r} at {theirs[1]!r} Hz on a stream of {ours}")
        return self.played(media.get("payload"))


class ExotelCarrier(_MediaMarkClear):
    """Messages of 100 ms of linear PCM, in Twilio's manner."""

    name = "exotel"
    formats = (pcm16(8000), pcm16(16000), pcm16(24000))
    stream_key = "stream_sid"
    number_key = "sequence_number"
    numbers_are_text = False

    def __init__(self, call: PhoneCall) -> None:
        super().__init__(call)
        self._frames: list[bytes] = []

    def opening(self) -> Sequence[Message]:
        """``connected`` and ``start``."""
        self._number = 1
        start = {
            "stream_sid": self.stream_id,
            "call_sid": self.call.call_id,
            "account_sid": "simulated",
            "from": self.call.caller,
            "to": self.call.callee,
            "custom_parameters": dict(self.call.parameters),
            "media_format": {
                "encoding": "base64",
                "sample_rate": str(self.call.format.rate_hz),
                "bit_rate": f"{self.call.format.rate_hz * 16 // 1000}kbps",
            },
        }
        return (orjson.dumps({"event": "connected"}).decode(), self.message("start", start=start))

    def audio(self, frame: bytes) -> Message | None:
        """``media``, every fifth time."""
        self._frames.append(frame)
        if len(self._frames) < EXOTEL_FRAMES:
            return None
        data = b"".join(self._frames)
        self._frames.clear()
        return self.media(data)

    def digit(self, digit: str) -> Message:
        """``dtmf``."""
        return self.message("dtmf", dtmf={"duration": 100, "digit": digit})

    def mark_passed(self, name: str, *, played: bool) -> Message:
        """``mark``."""
        return self.message("mark", mark={"name": name})

    def stop(self) -> Message:
        """``stop``."""
        stop = {"call_sid": self.call.call_id, "account_sid": "simulated", "reason": "callended"}
        return self.message("stop", stop=stop)


class VoximplantCarrier(_JsonCarrier):
    """The same three messages both ways; the stream begins there and here with ``start``."""

    name = "voximplant"
    formats: ClassVar[tuple[Format, ...]] = (pcm16(8000), pcm16(16000), PCMU, PCMA)
    stream_key = "tag"
    number_key = "sequenceNumber"
    numbers_are_text = False
    _encodings: ClassVar[Mapping[str, str]] = {"pcm16": "PCM16", "pcmu": "ULAW", "pcma": "ALAW"}

    def __init__(self, call: PhoneCall) -> None:
        super().__init__(call)
        self._begun = False
        self._sent_bytes = 0

    def opening(self) -> Sequence[Message]:
        """``start``."""
        fmt = self.call.format
        start = {
            "tag": self.stream_id,
            "mediaFormat": {
                "encoding": self._encodings[fmt.encoding],
                "sampleRate": fmt.rate_hz,
                "channels": 1,
            },
            "customParameters": {"call_id": self.call.call_id, **self.call.named},
        }
        return (self.message("start", start=start),)

    def audio(self, frame: bytes) -> Message:
        """``media``."""
        self._sent_bytes += len(frame)
        return self.media(frame)

    def stop(self) -> Message:
        """``stop``."""
        seconds = round(self.call.format.duration_s(self._sent_bytes))
        media = {"bytesSent": self._sent_bytes, "duration": seconds}
        return self.message("stop", stop={"tag": self.stream_id, "mediaInfo": media})

    def _text(self, message: str) -> Sequence[HostEvent]:
        value = self.parsed(message)
        match kind := value.get("event"):
            case "media" if self._begun:
                return (self.played(self.part(value, "media").get("payload")),)
            case "media":
                raise self.wrong("audio before its start")
            case "start":
                self._begun = True
                return (Ignored("start"),)
            case "stop":
                return (Ignored("stop"),)
        raise self.wrong(f"an event it does not know: {kind!r}")
