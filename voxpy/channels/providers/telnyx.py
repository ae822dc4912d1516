"""Telnyx media streaming, bidirectional with ``stream_bidirectional_mode: rtp``.

Set ``stream_bidirectional_codec`` to that of the call (PCMU or PCMA): the start message names the
call's. Closing the stream leaves the call up; it ends by ``POST
/v2/calls/{call_control_id}/actions/hangup``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import orjson

from voxpy.channels.providers.events import Audio, MarkPlayed, Problem, Start, StreamEvent, Unknown
from voxpy.channels.providers.provider import MediaStream, Message, Provider

__all__ = ["Telnyx"]

LONGEST_NUMBER = 18
CLEAR = '{"event":"clear"}'


class Telnyx(MediaStream):
    """Media may arrive in another order than it was spoken; ``chunk`` counts it."""

    provider: ClassVar[Provider] = Provider(
        name="telnyx",
        hang_up="rest",
        source="https://developers.telnyx.com/api-reference/websockets/"
        "stream-call-media-over-websocket",
    )

    def _text(self, message: str) -> Sequence[StreamEvent]:
        value = self.parsed(message)
        match kind := value.get("event"):
            case "media":
                media = self.part(value, "media")
                if media.get("track", "inbound") != "inbound":
                    return ()
                return (Audio(self.payload(media), self._number(media)),)
            case "connected":
                return ()
            case "start":
                return (self._start(value),)
            case "dtmf":
                return (self.digit(self.part(value, "dtmf").get("digit")),)
            case "mark":
                return (MarkPlayed(self.text(self.part(value, "mark"), "name")),)
            case "stop":
                return (self.stopped(value),)
            case "error":
                problem = self.part(value, "payload")
                words = [str(problem[n]) for n in ("code", "title", "detail") if n in problem]
                return (Problem(" ".join(words)),)
        return (Unknown(str(kind), value),)

    def _start(self, value: Mapping[str, Any]) -> Start:
        start = self.part(value, "start")
        form = self.part(start, "media_format")
        parameters = self.optional(start, "custom_parameters")
        return self.begun(
            call_id=self.text(start, "call_control_id"),
            stream_id=self.text(value, "stream_id"),
            fmt=self.format_of(form.get("encoding"), form.get("sample_rate")),
            parameters={**parameters, "client_state": start.get("client_state")},
            caller=start.get("from"),
            callee=start.get("to"),
        )

    def _number(self, media: Mapping[str, Any]) -> int:
        chunk = str(media.get("chunk", 0))
        if not chunk.isdecimal() or len(chunk) > LONGEST_NUMBER:
            raise self.wrong(f"a chunk without a number: {chunk!r}")
        return int(chunk)

    def audio(self, data: bytes) -> Message:
        """``media``."""
        return f'{{"event":"media","media":{{"payload":"{self.base64(data)}"}}}}'

    def mark(self, name: str) -> Message:
        """``mark``."""
        return orjson.dumps({"event": "mark", "mark": {"name": name}}).decode()

    def clear(self) -> Message:
        """``clear``."""
        return CLEAR
