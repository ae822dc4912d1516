"""Asterisk's chan_websocket (20.16, 21.11, 22.6, 23 and later).

Its control messages are JSON or the older plain text; which, the first one shows. Use JSON
(``f(json)``): only that carries channel variables. Caller and callee may be given in the address by
``v(from=…,to=…)``. Asterisk makes frames and fills gaps itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from voxpy.audio.frame import PCM16_RATES_HZ, PCMA, PCMU, pcm16
from voxpy.channels.providers.events import (
    Clear,
    Flow,
    HangUp,
    HostEvent,
    Ignored,
    Mark,
    MarkPlayed,
    Problem,
    Start,
    Stop,
    StreamEvent,
    Unknown,
)
from voxpy.channels.providers.jsonstream import as_json
from voxpy.channels.providers.provider import Carrier, MediaStream, Message, Provider

SLIN = re.compile(r"slin(\d*)")
RATES_HZ = {"": 8000, "16": 16000, "24": 24000, "32": 32000, "44": 44100, "48": 48000}


class AsteriskStream(MediaStream):
    """Binary audio of the channel's codec: ulaw, alaw or slin (slin16, slin24 …)."""

    _json = True

    def _text(self, message: str) -> Sequence[StreamEvent]:
        if self.start is None:
            self._json = message.lstrip().startswith("{")
        value = self.parsed(message) if self._json else _plain(message)
        match kind := value.get("event"):
            case "MEDIA_START":
                return (self._start(value),)
            case "DTMF_END":
                return (self.digit(value.get("digit")),)
            case "MEDIA_MARK_PROCESSED":
                return (MarkPlayed(str(value.get("correlation_id", ""))),)
            case "MEDIA_XOFF" | "MEDIA_XON":
                return (Flow(may_send=kind == "MEDIA_XON"),)
            case "HANGUP":
                return (Stop(),)
            case "ERROR":
                return (Problem(str(value.get("error_text", value.get("rest", "")))),)
            case "STATUS" | "QUEUE_DRAINED" | "MEDIA_BUFFERING_COMPLETED":
                return ()
        return (Unknown(str(kind), value),)

    def _start(self, value: Mapping[str, Any]) -> Start:
        name = self.text(value, "format")
        slin = SLIN.fullmatch(name)
        rate_hz = 8000 if slin is None else RATES_HZ.get(slin[1], slin[1])
        return self.begun(
            call_id=str(value.get("channel_id") or value.get("channel") or ""),
            stream_id=self.text(value, "connection_id"),
            fmt=self.format_of("slin" if slin is not None else name, rate_hz),
            parameters=self.optional(value, "channel_variables"),
        )

    def answer(self) -> Message:
        """``ANSWER``: for a channel dialled with ``n``; one that is up does not mind."""
        return self._command("ANSWER")

    def mark(self, name: str) -> Message:
        """``MARK_MEDIA``."""
        return self._command("MARK_MEDIA", name)

    def clear(self) -> Message:
        """``FLUSH_MEDIA``."""
        return self._command("FLUSH_MEDIA")

    def hang_up(self) -> Message:
        """``HANGUP``."""
        return self._command("HANGUP")

    def _command(self, command: str, correlation_id: str | None = None) -> str:
        if not self._json:
            return command if correlation_id is None else f"{command} {correlation_id}"
        named = {} if correlation_id is None else {"correlation_id": correlation_id}
        return as_json(command=command, **named)


def _plain(message: str) -> dict[str, Any]:
    """Return ``EVENT name:value name:value`` as the JSON form has it; one bare word is an id."""
    event, _, rest = message.strip().partition(" ")
    pairs = dict(word.split(":", 1) for word in rest.split() if ":" in word)
    bare = [word for word in rest.split() if ":" not in word]
    if bare:
        pairs.setdefault("correlation_id", bare[0])
    return {"event": event, "rest": rest, **pairs}


class AsteriskCarrier(Carrier):
    """chan_websocket with ``f(json)`` and ``v(from=…,to=…)``; a hang-up closes the socket."""

    @property
    def query(self) -> Mapping[str, str]:
        """What ``v()`` puts into the address."""
        return self.call.named

    def opening(self) -> Sequence[Message]:
        """``MEDIA_START``."""
        fmt = self.inbound
        rate = "" if fmt.rate_hz == 8000 else str(fmt.rate_hz // 1000)
        return (
            as_json(
                event="MEDIA_START",
                connection_id="media_connection1",
                channel=f"WebSocket/media_connection1/{self.call.call_id}",
                channel_id=self.call.call_id,
                format={"pcmu": "ulaw", "pcma": "alaw"}.get(fmt.encoding, f"slin{rate}"),
                optimal_frame_size=fmt.frame_bytes,
                ptime=20,
                channel_variables={},
            ),
        )

    def digit(self, digit: str) -> Message:
        """``DTMF_END``."""
        return as_json(event="DTMF_END", digit=digit, duration_ms=100)

    def mark_passed(self, name: str, *, played: bool) -> Message | None:
        """``MEDIA_MARK_PROCESSED``; a flush drops marks unsaid."""
        return as_json(event="MEDIA_MARK_PROCESSED", correlation_id=name) if played else None

    def _text(self, message: str) -> Sequence[HostEvent]:
        value = self.parsed(message)
        match kind := value.get("command"):
            case "FLUSH_MEDIA":
                return (Clear(),)
            case "MARK_MEDIA":
                return (Mark(self.text(value, "correlation_id")),)
            case "HANGUP":
                return (HangUp(),)
            case "ANSWER":
                return (Ignored("ANSWER"),)
        raise self.wrong(f"a command it does not know: {kind!r}")


PROVIDER = Provider(
    name="asterisk",
    source="https://docs.asterisk.org/Configuration/Channel-Drivers/WebSocket/",
    stream=AsteriskStream,
    carrier=AsteriskCarrier,
    formats=(PCMU, PCMA, *(pcm16(rate_hz) for rate_hz in PCM16_RATES_HZ)),
    hang_up="message",
)
