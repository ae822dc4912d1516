"""jambonz, verb ``listen`` (or ``stream``) with ``bidirectionalAudio: {streaming: true}``.

The first message names only the ``sampleRate`` towards us; that of ``bidirectionalAudio`` is taken
to be the same, unless the stream's address says otherwise (``?rate=16000``). ``passDtmf`` gives
digits. ``disconnect`` ends the verb; the call ends where no verb follows. There is no stop
message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voxpy.audio.frame import PCM16_RATES_HZ, pcm16
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
from voxpy.channels.providers.http import Answer, Asked, Outcome, json_answer
from voxpy.channels.providers.jsonstream import as_json
from voxpy.channels.providers.provider import Carrier, MediaStream, Message, Provider

CLEAR = '{"type":"killAudio"}'
RATE = "rate"
"""Parameter of the stream's address."""
DISCONNECT = '{"type":"disconnect"}'


class JambonzStream(MediaStream):
    """Binary linear PCM, little-endian, mono."""

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

    def _start(self, value: Mapping[str, Any]) -> Start:
        if value.get("mixType", "mono") != "mono":
            raise self.unusable(f"mixType is {value['mixType']!r}; it must be 'mono'")
        call_id = self.text(value, "callSid")
        return self.begun(
            call_id=call_id,
            stream_id=call_id,
            fmt=self.format_of("l16", value.get("sampleRate")),
            outbound=self.format_of("l16", self.query.get(RATE, value.get("sampleRate"))),
            parameters={k: v for k, v in value.items() if isinstance(v, str | int | float)},
            caller=value.get("from"),
            callee=value.get("to"),
        )

    def mark(self, name: str) -> Message:
        """``mark``; it comes back as ``playout`` or ``cleared``."""
        return as_json(type="mark", data={"name": name})

    def clear(self) -> Message:
        """``killAudio``."""
        return CLEAR

    def hang_up(self) -> Message:
        """``disconnect``."""
        return DISCONNECT


class JambonzCarrier(Carrier):
    """The call's data come first; marks come back as ``playout`` or ``cleared``."""

    def opening(self) -> Sequence[Message]:
        """The metadata."""
        head: dict[str, object] = {
            "callSid": self.call.call_id,
            "direction": "inbound",
            "sampleRate": self.inbound.rate_hz,
            "mixType": "mono",
        }
        return (as_json(**{**self.call.named, **head}),)

    def digit(self, digit: str) -> Message:
        """``dtmf``."""
        return as_json(event="dtmf", dtmf=digit, duration="1600")

    def mark_passed(self, name: str, *, played: bool) -> Message:
        """``mark``."""
        event = "playout" if played else "cleared"
        return as_json(type="mark", data={"name": name, "event": event})

    def _text(self, message: str) -> Sequence[HostEvent]:
        value = self.parsed(message)
        match kind := value.get("type"):
            case "killAudio":
                return (Clear(),)
            case "mark":
                return (Mark(self.text(self.part(value, "data"), "name")),)
            case "disconnect":
                return (HangUp(),)
            case "clearMarks":
                return (Ignored("clearMarks"),)
        raise self.wrong(f"a message it does not know: {kind!r}")


def _answer_call(outcome: Outcome, url: str, call: Asked) -> Answer:
    """Verbs. Source: https://docs.jambonz.org/verbs/verbs/listen and .../sip-decline"""
    if outcome != "connect":
        return json_answer([{"verb": "sip:decline", "status": 486 if outcome == "busy" else 404}])
    listen = {
        "verb": "listen",
        "url": url,
        "sampleRate": 8000,
        "passDtmf": True,
        "bidirectionalAudio": {"enabled": True, "streaming": True, "sampleRate": 8000},
        "metadata": {"from": call.caller, "to": call.callee},
    }
    return json_answer([{"verb": "answer"}, listen])


PROVIDER = Provider(
    name="jambonz",
    source="https://docs.jambonz.org/verbs/verbs/listen",
    stream=JambonzStream,
    carrier=JambonzCarrier,
    formats=tuple(pcm16(rate_hz) for rate_hz in PCM16_RATES_HZ),
    subprotocol="audio.jambonz.org",
    hang_up="message",
    answer_call=_answer_call,
)
