"""Voximplant's own format: ``call.sendMediaTo(webSocket)`` in a VoxEngine scenario.

We say ``start`` before our audio, as it does. The protocol has no clear (the scenario over there
would call ``clearMediaBuffer``) and no marks, so nothing is sent ahead of time. Digits and the
hang-up are that scenario's; it may end the call when the socket closes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voxpy.audio.frame import PCMA, PCMU, Format, pcm16
from voxpy.channels.providers.events import (
    Audio,
    HostEvent,
    Ignored,
    Start,
    StreamEvent,
    Unknown,
)
from voxpy.channels.providers.jsonstream import JsonCarrier, as_json
from voxpy.channels.providers.provider import MediaStream, Message, PhoneCall, Provider

ENCODINGS = {"pcm16": "PCM16", "pcmu": "ULAW", "pcma": "ALAW"}


class VoximplantStream(MediaStream):
    """JSON both ways, the same three messages."""

    def __init__(self, provider: Provider, query: Mapping[str, str] | None = None) -> None:
        super().__init__(provider, query)
        self._sequence = 0
        self._chunk = 0
        self._samples = 0

    def _text(self, message: str) -> Sequence[StreamEvent]:
        value = self.parsed(message)
        match kind := value.get("event", value.get("customEvent")):
            case "media":
                return (Audio(self.payload(self.part(value, "media"))),)
            case "start":
                return (self._start(self.part(value, "start")),)
            case "stop":
                return (self.stopped(value),)
        return (Unknown(str(kind), value),)

    def _binary(self, message: bytes) -> Sequence[StreamEvent]:
        raise self.wrong(f"a binary message of {len(message)} bytes")

    def _start(self, start: Mapping[str, Any]) -> Start:
        form = self.part(start, "mediaFormat")
        given = start.get("customParameters") or {}
        if isinstance(given, str):  # an object of the scenario comes as its JSON
            given = self.parsed(given)
        given = self.optional({"customParameters": given}, "customParameters")
        encoding = str(form.get("encoding")).removesuffix("_8KHZ")
        return self.begun(
            call_id=str(given.get("call_id", "")),
            stream_id=str(start.get("tag") or ""),
            fmt=self.format_of(encoding, form.get("sampleRate", 8000)),
            parameters=given,
        )

    def answer(self) -> Message:
        """``start``, for our direction."""
        fmt = self.started.outbound
        form = {"encoding": ENCODINGS[fmt.encoding], "sampleRate": fmt.rate_hz, "channels": 1}
        number, self._sequence = self._sequence, self._sequence + 1
        start = {"mediaFormat": form, "customParameters": {}}
        return as_json(event="start", sequenceNumber=number, start=start)

    def audio(self, data: bytes) -> Message:
        """``media``; ``timestamp`` counts samples and ``chunk`` messages."""
        fmt: Format = self.started.outbound
        text = (
            f'{{"event":"media","sequenceNumber":{self._sequence},"media":{{"chunk":{self._chunk},'
            f'"timestamp":{self._samples},"payload":"{self.base64(data)}"}}}}'
        )
        self._sequence += 1
        self._chunk += 1
        self._samples += len(data) // fmt.sample_bytes
        return text


class VoximplantCarrier(JsonCarrier):
    """The stream begins there and here with ``start``."""

    stream_key = "tag"
    number_key = "sequenceNumber"
    numbers_are_text = False

    def __init__(self, provider: Provider, call: PhoneCall) -> None:
        super().__init__(provider, call)
        self._begun = False
        self._sent_bytes = 0

    def opening(self) -> Sequence[Message]:
        """``start``."""
        fmt = self.inbound
        form = {"encoding": ENCODINGS[fmt.encoding], "sampleRate": fmt.rate_hz, "channels": 1}
        start = {
            "tag": self.stream_id,
            "mediaFormat": form,
            "customParameters": {"call_id": self.call.call_id, **self.call.named},
        }
        return (self.message("start", start=start),)

    def audio(self, frame: bytes) -> Message | None:
        """``media``."""
        self._sent_bytes += len(frame)
        return super().audio(frame)

    def digit(self, digit: str) -> Message:
        """Raise LocalProtocolError: there are none."""
        raise self.cannot("digits")

    def stop(self) -> Message:
        """``stop``."""
        seconds = round(self.inbound.duration_s(self._sent_bytes))
        media = {"bytesSent": self._sent_bytes, "duration": seconds}
        return self.message("stop", stop={"tag": self.stream_id, "mediaInfo": media})

    def _text(self, message: str) -> Sequence[HostEvent]:
        value = self.parsed(message)
        match kind := value.get("event"):
            case "media" if self._begun:
                return (self.played(self.part(value, "media")),)
            case "media":
                raise self.wrong("audio before its start")
            case "start":
                self._begun = True
                return (Ignored("start"),)
            case "stop":
                return (Ignored("stop"),)
        raise self.wrong(f"an event it does not know: {kind!r}")


PROVIDER = Provider(
    name="voximplant",
    source="https://voximplant.com/docs/guides/media-streams/format",
    stream=VoximplantStream,
    carrier=VoximplantCarrier,
    formats=(pcm16(8000), pcm16(16000), PCMU, PCMA),
    hang_up="close",
    ahead=False,
    marks=False,
)
