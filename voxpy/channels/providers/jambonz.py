"""jambonz, verb ``listen`` (or ``stream``) with ``bidirectionalAudio: {streaming: true}``.

Both ``sampleRate`` must be the same: the first message names only the one towards us. ``passDtmf``
gives digits. ``disconnect`` ends the verb; the call ends where no verb follows. There is no stop
message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import orjson

from voxpy.channels.providers.events import Audio, MarkPlayed, Start, StreamEvent, Unknown
from voxpy.channels.providers.provider import MediaStream, Message, Provider

__all__ = ["Jambonz"]

CLEAR = '{"type":"killAudio"}'
DISCONNECT = '{"type":"disconnect"}'


class Jambonz(MediaStream):
    """Binary linear PCM, little-endian, mono."""

    provider: ClassVar[Provider] = Provider(
        name="jambonz",
        hang_up="message",
        subprotocol="audio.jambonz.org",
        source="https://docs.jambonz.org/verbs/verbs/listen",
    )

    def _text(self, message: str) -> Sequence[StreamEvent]:
        value = self.parsed(message)
        if self.start is None and "callSid" in value:
            return (self._start(value),)
        kind = value.get("type") or value.get("event")
        if kind == "dtmf":
            return (self.digit(value.get("dtmf")),)
        if kind == "mark":
            return (MarkPlayed(self.text(self.part(value, "data"), "name")),)
        return (Unknown(str(kind), value),)

    def _binary(self, message: bytes) -> Sequence[StreamEvent]:
        return (Audio(message),)

    def _start(self, value: Mapping[str, Any]) -> Start:
        if value.get("mixType", "mono") != "mono":
            raise self.wrong(f"mixType is {value['mixType']!r}; it must be 'mono'")
        call_id = self.text(value, "callSid")
        return self.begun(
            call_id=call_id,
            stream_id=call_id,
            fmt=self.format_of("l16", value.get("sampleRate")),
            parameters={k: v for k, v in value.items() if isinstance(v, str | int | float)},
            caller=value.get("from"),
            callee=value.get("to"),
        )

    def audio(self, data: bytes) -> Message:
        """Return the very bytes."""
        return data

    def mark(self, name: str) -> Message:
        """``mark``; it comes back as ``playout`` or ``cleared``."""
        return orjson.dumps({"type": "mark", "data": {"name": name}}).decode()

    def clear(self) -> Message:
        """``killAudio``."""
        return CLEAR

    def hang_up(self) -> Message:
        """``disconnect``."""
        return DISCONNECT
