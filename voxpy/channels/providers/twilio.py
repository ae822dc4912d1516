"""Twilio Media Streams, bidirectional (``<Connect><Stream>``).

The start message names neither caller nor callee: give them as ``<Parameter name="from"
value="{{From}}"/>`` and ``to``. Closing the stream ends ``<Connect>``; Twilio then goes on with the
TwiML behind it and hangs up where there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import orjson

from voxpy.channels.providers.events import Audio, MarkPlayed, Start, StreamEvent, Unknown
from voxpy.channels.providers.provider import MediaStream, Message, Provider

__all__ = ["Twilio"]


class Twilio(MediaStream):
    """Always mu-law at 8 kHz; ``connected``, ``start``, ``media``, ``dtmf``, ``mark``, ``stop``."""

    provider: ClassVar[Provider] = Provider(
        name="twilio",
        hang_up="close",
        source="https://www.twilio.com/docs/voice/media-streams/websocket-messages",
    )
    _head = ""

    def _text(self, message: str) -> Sequence[StreamEvent]:
        value = self.parsed(message)
        match kind := value.get("event"):
            case "media":
                media = self.part(value, "media")
                if media.get("track", "inbound") != "inbound":
                    return ()  # our own voice, where both tracks were asked for
                return (Audio(self.payload(media)),)
            case "connected":
                return ()
            case "start":
                start = self.part(value, "start")
                form = self.part(start, "mediaFormat")
                return (
                    self.begun(
                        call_id=self.text(start, "callSid"),
                        stream_id=self.text(start, "streamSid"),
                        fmt=self.format_of(form.get("encoding"), form.get("sampleRate")),
                        parameters=self.optional(start, "customParameters"),
                    ),
                )
            case "dtmf":
                return (self.digit(self.part(value, "dtmf").get("digit")),)
            case "mark":
                return (MarkPlayed(self.text(self.part(value, "mark"), "name")),)
            case "stop":
                return (self.stopped(value),)
        return (Unknown(str(kind), value),)

    def _begin(self, start: Start) -> None:
        super()._begin(start)
        name = orjson.dumps(start.stream_id).decode()
        self._head = f'{{"event":"media","streamSid":{name},"media":{{"payload":"'

    def audio(self, data: bytes) -> Message:
        """``media``."""
        return f'{self._head}{self.base64(data)}"}}}}'

    def mark(self, name: str) -> Message:
        """``mark``; it comes back when it has played, or at once after a ``clear``."""
        return _json(event="mark", streamSid=self.started.stream_id, mark={"name": name})

    def clear(self) -> Message:
        """``clear``."""
        return _json(event="clear", streamSid=self.started.stream_id)


def _json(**fields: object) -> str:
    return orjson.dumps(fields).decode()
