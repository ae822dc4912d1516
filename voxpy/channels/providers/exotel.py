"""Exotel AgentStream, Voicebot applet (bidirectional).

The rate is chosen by ``?sample-rate=16000`` in the address. Closing the stream lets the flow go on
with its next applet, and the call ends where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import orjson

from voxpy.channels.providers.events import Audio, MarkPlayed, Start, StreamEvent, Unknown
from voxpy.channels.providers.provider import MediaStream, Message, Provider

__all__ = ["Exotel"]


class Exotel(MediaStream):
    """Linear PCM in base64; its messages of 100 ms are the smallest it plays well."""

    provider: ClassVar[Provider] = Provider(
        name="exotel",
        hang_up="close",
        transfer="none",
        chunk_frames=5,
        source="https://developer.exotel.com/docs/agentstream/stream-voicebot-applet",
    )
    _head = ""

    def _text(self, message: str) -> Sequence[StreamEvent]:
        value = self.parsed(message)
        match kind := value.get("event"):
            case "media":
                return (Audio(self.payload(self.part(value, "media"))),)
            case "connected" | "clear":
                return ()
            case "start":
                return (self._start(value),)
            case "dtmf":
                return (self.digit(self.part(value, "dtmf").get("digit")),)
            case "mark":
                return (MarkPlayed(self.text(self.part(value, "mark"), "name")),)
            case "stop":
                return (self.stopped(value),)
        return (Unknown(str(kind), value),)

    def _start(self, value: Mapping[str, Any]) -> Start:
        start = self.part(value, "start")
        form = self.part(start, "media_format")
        return self.begun(
            call_id=self.text(start, "call_sid"),
            stream_id=self.text(start, "stream_sid"),
            fmt=self.format_of(form.get("encoding") or "slin", form.get("sample_rate", 8000)),
            parameters=self.optional(start, "custom_parameters"),
            caller=start.get("from"),
            callee=start.get("to"),
        )

    def _begin(self, start: Start) -> None:
        super()._begin(start)
        name = orjson.dumps(start.stream_id).decode()
        self._head = f'{{"event":"media","stream_sid":{name},"media":{{"payload":"'

    def audio(self, data: bytes) -> Message:
        """``media``."""
        return f'{self._head}{self.base64(data)}"}}}}'

    def mark(self, name: str) -> Message:
        """``mark``."""
        fields = {"event": "mark", "stream_sid": self.started.stream_id, "mark": {"name": name}}
        return orjson.dumps(fields).decode()

    def clear(self) -> Message:
        """``clear``."""
        return orjson.dumps({"event": "clear", "stream_sid": self.started.stream_id}).decode()
