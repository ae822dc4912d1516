"""Twilio Media Streams, bidirectional (``<Connect><Stream>``).

The start message names neither caller nor callee: give them as ``<Parameter name="from"
value="{{From}}"/>`` and ``to``. Closing the stream ends ``<Connect>``; Twilio then goes on with the
TwiML behind it and hangs up where there is none. It signs everything with HMAC-SHA1 over address
and form.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from xml.sax.saxutils import quoteattr

from voxpy.audio.frame import PCMU
from voxpy.channels.providers.events import Start
from voxpy.channels.providers.http import (
    UNSIGNED_BODY,
    Answer,
    Asked,
    Outcome,
    Request,
    RestApi,
    RestContext,
    RestRequest,
    Signature,
    basic,
    misfit,
    same,
    segment,
    spellings,
    twiml_parameters,
    twiml_reject,
    xml_answer,
)
from voxpy.channels.providers.jsonstream import JsonCarrier, JsonStream
from voxpy.channels.providers.provider import Message, Provider


class TwilioStream(JsonStream):
    """Always mu-law at 8 kHz."""

    stream_key = "streamSid"

    def _start(self, value: Mapping[str, Any]) -> Start:
        start = self.part(value, "start")
        form = self.part(start, "mediaFormat")
        return self.begun(
            call_id=self.text(start, "callSid"),
            stream_id=self.text(start, "streamSid"),
            fmt=self.format_of(form.get("encoding"), form.get("sampleRate")),
            parameters=self.optional(start, "customParameters"),
        )


class TwilioCarrier(JsonCarrier):
    """``connected`` and ``start``, with from and to as custom parameters, then audio."""

    stream_key = "streamSid"
    number_key = "sequenceNumber"
    media_fields: ClassVar[Mapping[str, object]] = {"track": "inbound"}

    def opening(self) -> Sequence[Message]:
        """``connected`` and ``start``."""
        connected = self.connected(protocol="Call", version="1.0.0")
        start = {
            "accountSid": "AC-simulated",
            "streamSid": self.stream_id,
            "callSid": self.call.call_id,
            "tracks": ["inbound"],
            "customParameters": self.call.named,
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        }
        return (connected, self.message("start", start=start))

    def digit(self, digit: str) -> Message:
        """``dtmf``."""
        return self.message("dtmf", dtmf={"track": "inbound_track", "digit": digit})

    def stop(self) -> Message:
        """``stop``."""
        stop = {"accountSid": "AC-simulated", "callSid": self.call.call_id}
        return self.message("stop", stop=stop)


def twilio_signature(token: str, url: str, form: Mapping[str, str]) -> str:
    """Return X-Twilio-Signature: the address, then the form's names and values by name."""
    text = url + "".join(name + form[name] for name in sorted(form))
    return b64encode(hmac.digest(token.encode(), text.encode(), "sha1")).decode()


def _check(request: Request, token: str, now: float) -> str:
    given = request.headers[_HEADER.lower()]
    wanted = (twilio_signature(token, url, request.form) for url in spellings(request.url))
    if not any(same(given, one) for one in wanted):
        return misfit(_HEADER, request.url)
    return UNSIGNED_BODY if request.body and not request.form else ""


def _sign(url: str, token: str, now: float, nonce: str) -> list[tuple[str, str]]:
    return [(_HEADER, twilio_signature(token, url, {}))]


def _answer_call(outcome: Outcome, url: str, call: Asked) -> Answer:
    """TwiML. Source: https://www.twilio.com/docs/voice/twiml/stream and .../twiml/reject"""
    if outcome != "connect":
        return twiml_reject(outcome)
    stream = f"<Stream url={quoteattr(url)}>{twiml_parameters(call)}</Stream>"
    return xml_answer(f"<Connect>{stream}</Connect>")


def _hang_up(context: RestContext, start: Start) -> RestRequest:
    account = context.secrets["TWILIO_ACCOUNT_SID"]
    path = f"/2010-04-01/Accounts/{segment(account)}/Calls/{segment(start.call_id)}.json"
    return RestRequest(
        method="POST",
        url=context.base + path,
        headers={
            "Authorization": basic(account, context.secrets["TWILIO_AUTH_TOKEN"]),
            "Content-Type": "application/x-www-form-urlencoded",
        },
        body=b"Status=completed",
    )


_HEADER = "X-Twilio-Signature"

PROVIDER = Provider(
    name="twilio",
    source="https://www.twilio.com/docs/voice/media-streams/websocket-messages",
    stream=TwilioStream,
    carrier=TwilioCarrier,
    formats=(PCMU,),
    hang_up="close",
    signature=Signature(
        secret="TWILIO_AUTH_TOKEN",  # noqa: S106  names of secrets, here and below
        header=_HEADER,
        check=_check,
        sign=_sign,
        source="https://www.twilio.com/docs/usage/security",
    ),
    takes_token=False,  # <Stream> takes no query and no user in its address
    answer_call=_answer_call,
    rest=RestApi(
        secrets=("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"),
        address_secret="TWILIO_API_URL",  # noqa: S106
        address="https://api.twilio.com",
        hang_up=_hang_up,
        already_over=frozenset({400, 404}),  # error 21220: the call is not in progress
        source="https://www.twilio.com/docs/voice/api/call-resource#update-a-call-resource",
    ),
)
