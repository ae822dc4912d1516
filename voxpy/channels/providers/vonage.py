"""Vonage Voice API: NCCO ``connect`` to an endpoint of type ``websocket``.

The ``headers`` of the endpoint come in the first message: give ``from`` and ``to`` there. Closing
the socket ends ``connect``; the NCCO goes on with its next action, and the call ends where there is
none. There is no stop message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import orjson

from voxpy.channels.providers.events import Audio, MarkPlayed, Start, StreamEvent, Unknown
from voxpy.channels.providers.provider import MediaStream, Message, Provider

__all__ = ["Vonage"]

CLEAR = '{"action":"clear"}'
MARK = "mark"


class Vonage(MediaStream):
    """Binary linear PCM, little-endian, in messages of 20 ms."""

    provider: ClassVar[Provider] = Provider(
        name="vonage",
        hang_up="close",
        source="https://developer.vonage.com/en/voice/voice-api/guides/websockets",
    )

    def _text(self, message: str) -> Sequence[StreamEvent]:
        value = self.parsed(message)
        match kind := value.get("event"):
            case "websocket:connected":
                return (self._start(value),)
            case "websocket:dtmf":
                return (self.digit(_digit(value)),)
            case "websocket:notify":
                payload = value.get("payload")
                if isinstance(payload, dict) and isinstance(payload.get(MARK), str):
                    return (MarkPlayed(payload[MARK]),)
            case "websocket:cleared":
                return ()
        return (Unknown(str(kind), value),)

    def _binary(self, message: bytes) -> Sequence[StreamEvent]:
        return (Audio(message),)

    def _start(self, value: Mapping[str, Any]) -> Start:
        content, _, rate = self.text(value, "content-type").partition(";rate=")
        nested = value.get("headers")
        named = {**(nested if isinstance(nested, dict) else {}), **value}
        call_id = next(
            (str(named[n]) for n in ("uuid", "call_uuid", "call-uuid") if n in named), ""
        )
        return self.begun(
            call_id=call_id,
            stream_id=call_id,
            fmt=self.format_of(content, rate),
            parameters={
                k: v
                for k, v in named.items()
                if k not in ("event", "content-type") and isinstance(v, str | int | float)
            },
        )

    def audio(self, data: bytes) -> Message:
        """Return the very bytes."""
        return data

    def mark(self, name: str) -> Message:
        """``notify``."""
        return orjson.dumps({"action": "notify", "payload": {MARK: name}}).decode()

    def clear(self) -> Message:
        """``clear``."""
        return CLEAR


def _digit(value: Mapping[str, Any]) -> object:
    nested = value.get("dtmf")
    return nested.get("digit") if isinstance(nested, dict) else value.get("digit", nested)
