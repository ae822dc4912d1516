"""What a provider is told when it asks, before any audio, what to do with a call. Pure.

Its request names caller and callee; the answer is markup that opens the media stream to us with
both as parameters, or refuses the call: only here can the caller hear that a line is busy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import urlencode
from xml.sax.saxutils import escape, quoteattr

import attrs
import orjson

__all__ = ["ANSWERS", "Answer", "Asked", "Outcome", "asked", "voice_answer"]

XML, JSON = "text/xml", "application/json"
Outcome = Literal["connect", "busy", "not found"]


@attrs.frozen
class Asked:
    """Who calls whom, of a provider's request; empty where it does not say."""

    caller: str
    callee: str


@attrs.frozen
class Answer:
    """What to answer."""

    content_type: str
    body: bytes
    status: int = 200


_CALLER = ("From", "from", "CallFrom", "caller")
_CALLEE = ("To", "to", "CallTo", "called")


def asked(fields: Mapping[str, Any]) -> Asked:
    """Read the fields of a form, a query or a JSON object, whichever the provider sends."""
    return Asked(caller=_first(fields, _CALLER), callee=_first(fields, _CALLEE))


def voice_answer(provider: str, outcome: Outcome, *, stream_url: str, call: Asked) -> Answer:
    """Return the answer for ``provider``. Raises KeyError for one that never asks."""
    return ANSWERS[provider](outcome, stream_url, call)


def _first(fields: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((v for n in names if isinstance(v := fields.get(n), str) and v), "")


def _xml(inner: str) -> Answer:
    text = f'<?xml version="1.0" encoding="UTF-8"?><Response>{inner}</Response>'
    return Answer(XML, text.encode())


def _json(value: Any) -> Answer:
    return Answer(JSON, orjson.dumps(value))


def _parameters(call: Asked) -> str:
    pairs = (("from", call.caller), ("to", call.callee))
    return "".join(f'<Parameter name="{n}" value={quoteattr(v)}/>' for n, v in pairs if v)


def _twilio(outcome: Outcome, url: str, call: Asked) -> Answer:
    """TwiML. Source: https://www.twilio.com/docs/voice/twiml/stream and .../twiml/reject"""
    if outcome == "connect":
        stream = f"<Stream url={quoteattr(url)}>{_parameters(call)}</Stream>"
        return _xml(f"<Connect>{stream}</Connect>")
    return _xml('<Reject reason="busy"/>' if outcome == "busy" else '<Reject reason="rejected"/>')


def _telnyx(outcome: Outcome, url: str, call: Asked) -> Answer:
    """TeXML. Source: https://developers.telnyx.com/docs/voice/programmable-voice/texml-verbs"""
    if outcome != "connect":
        return _twilio(outcome, url, call)
    codec = 'bidirectionalMode="rtp" bidirectionalCodec="PCMU"'
    stream = f"<Stream url={quoteattr(url)} {codec}>{_parameters(call)}</Stream>"
    return _xml(f"<Connect>{stream}</Connect>")


def _plivo(outcome: Outcome, url: str, call: Asked) -> Answer:
    """Plivo XML. Source: https://www.plivo.com/docs/voice/xml/audio-streaming"""
    if outcome != "connect":
        reason = "busy" if outcome == "busy" else "rejected"
        return _xml(f'<Hangup reason="{reason}"/>')
    options = 'bidirectional="true" keepCallAlive="true" contentType="audio/x-mulaw;rate=8000"'
    # In the address, since extraHeaders takes neither a plus sign nor much else.
    address = url + "?" + urlencode({"from": call.caller, "to": call.callee})
    return _xml(f"<Stream {options}>{escape(address)}</Stream>")


def _vonage(outcome: Outcome, url: str, call: Asked) -> Answer:
    """An NCCO. Source: https://developer.vonage.com/en/voice/voice-api/ncco-reference

    It cannot refuse; an empty one ends the call.
    """
    if outcome != "connect":
        return _json([])
    endpoint = {
        "type": "websocket",
        "uri": url,
        "content-type": "audio/l16;rate=16000",
        "headers": {"from": call.caller, "to": call.callee},
    }
    return _json([{"action": "connect", "endpoint": [endpoint]}])


def _jambonz(outcome: Outcome, url: str, call: Asked) -> Answer:
    """Verbs. Source: https://docs.jambonz.org/verbs/verbs/listen and .../sip-decline"""
    if outcome != "connect":
        return _json([{"verb": "sip:decline", "status": 486 if outcome == "busy" else 404}])
    listen = {
        "verb": "listen",
        "url": url,
        "sampleRate": 8000,
        "passDtmf": True,
        "bidirectionalAudio": {"enabled": True, "streaming": True, "sampleRate": 8000},
        "metadata": {"from": call.caller, "to": call.callee},
    }
    return _json([{"verb": "answer"}, listen])


def _exotel(outcome: Outcome, url: str, call: Asked) -> Answer:
    """The address for a Voicebot applet. Source: https://docs.exotel.com/exotel-agentstream

    Anything but 200 sends the flow down the applet's branch for failures.
    """
    if outcome != "connect":
        return Answer(JSON, b"{}", status=503 if outcome == "busy" else 404)
    return _json({"url": url})


ANSWERS: Mapping[str, Callable[[Outcome, str, Asked], Answer]] = {
    "twilio": _twilio,
    "telnyx": _telnyx,
    "plivo": _plivo,
    "vonage": _vonage,
    "jambonz": _jambonz,
    "exotel": _exotel,
}
"""The providers that ask. The others are told their stream's address in their own configuration."""
