"""What the phone in the page and the host say to each other over a WebSocket.

Audio is binary both ways: linear PCM, 16 bits little-endian, at the rate that the page's ``start``
names (its audio device's). Everything else is JSON with an ``event``::

    page                                       host
    start {from, to, name, headers, rate_hz} →
                                             ← session {id}, ringing, answered
    dtmf {digit}                             →
    mark {name}: played up to there          → ← mark {name}, clear, words {text}
    stop                                     → ← ended {code, reason}

``clear`` empties what the page has not played; the marks in it are then never answered. The code of
an end is a SIP status (RFC 3261 section 21).

The page is a phone like any provider's stream, so this is a ``Provider`` and its calls are
``MediaStreamLeg``. It stands in no table of phone providers: it has no numbers and no API.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from voxpy.audio.frame import pcm16
from voxpy.channels.providers.events import (
    Clear,
    HangUp,
    HostEvent,
    Ignored,
    Mark,
    MarkPlayed,
    Start,
    StreamEvent,
    Unknown,
)
from voxpy.channels.providers.jsonstream import as_json
from voxpy.channels.providers.provider import Carrier, MediaStream, Message, Provider

RATES_HZ = (24000, 48000, 44100, 16000)
"""The first is asked of the browser; one that cannot, like Firefox, uses its device's own."""


class PageStream(MediaStream):
    """Our role."""

    def _text(self, message: str) -> Sequence[StreamEvent]:
        value = self.parsed(message)
        match kind := value.get("event"):
            case "start":
                return (self._start(value),)
            case "dtmf":
                return (self.digit(value.get("digit")),)
            case "mark":
                return (MarkPlayed(self.text(value, "name")),)
            case "stop":
                return (self.stopped({"stop": value}),)
        return (Unknown(str(kind), value),)

    def _start(self, value: Mapping[str, Any]) -> Start:
        headers = {
            str(name): str(text)
            for name, text in self.optional(value, "headers").items()
            if str(name).lower().startswith("x-")
        }
        start = self.begun(
            call_id=str(value.get("call_id") or ""),
            stream_id="",
            fmt=self.format_of("pcm16", value.get("rate_hz", RATES_HZ[0])),
            parameters=headers,
            caller=value.get("from"),
            callee=value.get("to"),
        )
        return attrs.evolve(start, display_name=str(value.get("name") or ""))

    def ringing(self) -> Message:
        """``ringing``."""
        return as_json(event="ringing")

    def connected(self) -> Message:
        """``answered``."""
        return as_json(event="answered")

    def mark(self, name: str) -> Message:
        """``mark``."""
        return as_json(event="mark", name=name)

    def clear(self) -> Message:
        """``clear``."""
        return as_json(event="clear")

    def leave(self, code: int, reason: str) -> Message:
        """``ended``, with the SIP status and its words."""
        return as_json(event="ended", code=code, reason=reason)

    def words(self, text: str) -> Message:
        """``words``."""
        return as_json(event="words", text=text)


class Page(Carrier):
    """The page's role, for tests and for ``check_leg``."""

    def opening(self) -> Sequence[Message]:
        """``start``."""
        call = self.call
        named = {"from": call.caller, "to": call.callee}
        start = as_json(
            event="start",
            call_id=call.call_id,
            rate_hz=call.format.rate_hz,
            headers=dict(call.parameters),
            **named,
        )
        return (start,)

    def digit(self, digit: str) -> Message:
        """``dtmf``."""
        return as_json(event="dtmf", digit=digit)

    def mark_passed(self, name: str, *, played: bool) -> Message | None:
        """``mark``; one that was cleared is not answered."""
        return as_json(event="mark", name=name) if played else None

    def stop(self) -> Message:
        """``stop``."""
        return as_json(event="stop")

    def _text(self, message: str) -> Sequence[HostEvent]:
        value = self.parsed(message)
        match kind := value.get("event"):
            case "clear":
                return (Clear(),)
            case "mark":
                return (Mark(self.text(value, "name")),)
            case "ended":
                return (HangUp(),)
            case "session" | "ringing" | "answered" | "words":
                return (Ignored(str(kind)),)
        raise self.wrong(f"an event it does not know: {kind!r}")


BROWSER = Provider(
    name="browser",
    source="this module",
    stream=PageStream,
    carrier=Page,
    formats=tuple(pcm16(rate_hz) for rate_hz in RATES_HZ),
    client_type="user",
    hang_up="message",
)
