"""Plivo audio streaming, ``<Stream bidirectional="true" keepCallAlive="true">``.

Neither caller nor callee is named: give them in ``extraHeaders`` (``from=…;to=…``) or in the
address. There is no stop message, the socket closes. The call ends by ``DELETE
/v1/Account/{auth_id}/Call/{call_id}/``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import orjson

from voxpy.channels.providers.events import Audio, MarkPlayed, Start, StreamEvent, Unknown
from voxpy.channels.providers.provider import MediaStream, Message, Provider

__all__ = ["Plivo"]


class Plivo(MediaStream):
    """mu-law at 8 kHz, or linear at 8 or 16 kHz."""

    provider: ClassVar[Provider] = Provider(
        name="plivo",
        hang_up="rest",
        sends_dtmf=True,
        source="https://www.plivo.com/docs/voice/audio-streaming/audio-streaming",
    )
    _head = ""

    def _text(self, message: str) -> Sequence[StreamEvent]:
        value = self.parsed(message)
        match kind := value.get("event"):
            case "media":
                media = self.part(value, "media")
                if media.get("track", "inbound") != "inbound":
                    return ()
                return (Audio(self.payload(media)),)
            case "start":
                return (self._start(value),)
            case "dtmf":
                return (self.digit(self.part(value, "dtmf").get("digit")),)
            case "playedStream" | "played":
                return (MarkPlayed(self.text(value, "name")),)
            case "clearedAudio":
                return ()
            case "stop":
                return (self.stopped(value),)
        return (Unknown(str(kind), value),)

    def _start(self, value: Mapping[str, Any]) -> Start:
        start = self.part(value, "start")
        form = self.part(start, "mediaFormat")
        fmt = self.format_of(form.get("encoding"), form.get("sampleRate"))
        content = "audio/x-mulaw" if fmt.encoding == "pcmu" else "audio/x-l16"
        self._head = (
            f'{{"event":"playAudio","media":{{"contentType":"{content}",'
            f'"sampleRate":{fmt.rate_hz},"payload":"'
        )
        return self.begun(
            call_id=self.text(start, "callId"),
            stream_id=self.text(start, "streamId"),
            fmt=fmt,
            parameters=_extra_headers(value.get("extra_headers")),
        )

    def audio(self, data: bytes) -> Message:
        """``playAudio``."""
        return f'{self._head}{self.base64(data)}"}}}}'

    def mark(self, name: str) -> Message:
        """``checkpoint``; ``playedStream`` is its answer."""
        fields = {"event": "checkpoint", "streamId": self.started.stream_id, "name": name}
        return orjson.dumps(fields).decode()

    def clear(self) -> Message:
        """``clearAudio``."""
        fields = {"event": "clearAudio", "streamId": self.started.stream_id}
        return orjson.dumps(fields).decode()

    def dtmf(self, digits: str) -> Message:
        """``sendDTMF``."""
        return orjson.dumps({"event": "sendDTMF", "dtmf": digits}).decode()


def _extra_headers(text: object) -> dict[str, str]:
    """Return ``a=1;b=2`` (Plivo also writes commas, and braces around it) as a mapping."""
    pairs = str(text or "").strip("{} ").replace(",", ";").split(";")
    return {k.strip(): v.strip() for k, eq, v in (p.partition("=") for p in pairs) if eq}
