"""Voximplant's own format: ``call.sendMediaTo(webSocket)`` in a VoxEngine scenario.

We say ``start`` before our audio, as it does. The protocol has no clear (the scenario over there
would call ``clearMediaBuffer``) and no marks, so nothing is sent ahead of time. Digits and the
hang-up are that scenario's; it may end the call when the socket closes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import orjson

from voxpy.audio.frame import Format
from voxpy.channels.providers.events import Audio, Start, StreamEvent, Unknown
from voxpy.channels.providers.provider import MediaStream, Message, Provider

__all__ = ["Voximplant"]

ENCODINGS = {"pcm16": "PCM16", "pcmu": "ULAW", "pcma": "ALAW"}


class Voximplant(MediaStream):
    """JSON both ways, the same three messages."""

    provider: ClassVar[Provider] = Provider(
        name="voximplant",
        hang_up="close",
        transfer="none",
        ahead=False,
        marks=False,
        source="https://voximplant.com/docs/guides/media-streams/format",
    )

    def __init__(self, query: Mapping[str, str] | None = None) -> None:
        super().__init__(query)
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
        fmt = self.started.format
        form = {"encoding": ENCODINGS[fmt.encoding], "sampleRate": fmt.rate_hz, "channels": 1}
        fields = {
            "event": "start",
            "sequenceNumber": self._sequence,
            "start": {"mediaFormat": form, "customParameters": {}},
        }
        self._sequence += 1
        return orjson.dumps(fields).decode()

    def audio(self, data: bytes) -> Message:
        """``media``; ``timestamp`` counts samples and ``chunk`` messages."""
        fmt: Format = self.started.format
        text = (
            f'{{"event":"media","sequenceNumber":{self._sequence},"media":{{"chunk":{self._chunk},'
            f'"timestamp":{self._samples},"payload":"{self.base64(data)}"}}}}'
        )
        self._sequence += 1
        self._chunk += 1
        self._samples += len(data) // fmt.sample_bytes
        return text
