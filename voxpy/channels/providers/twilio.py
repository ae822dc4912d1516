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
from urllib.parse import urlencode
from xml.sax.saxutils import quoteattr

import attrs

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
from voxpy.channels.providers.placing import (
    BUSY,
    FAILED,
    NO_ANSWER,
    TERMINATED,
    Placer,
    Placing,
    Progress,
    sip_code,
    status_told,
    text_of,
)
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
    return _complete(context, start.call_id)


def _complete(context: RestContext, call_id: str) -> RestRequest:
    """End a call, also one that still rings."""
    account = context.secrets["TWILIO_ACCOUNT_SID"]
    path = f"/2010-04-01/Accounts/{segment(account)}/Calls/{segment(call_id)}.json"
    return RestRequest(
        method="POST",
        url=context.base + path,
        headers={
            "Authorization": basic(account, context.secrets["TWILIO_AUTH_TOKEN"]),
            "Content-Type": "application/x-www-form-urlencoded",
        },
        body=b"Status=completed",
    )


def _place(context: RestContext, call: Placing) -> RestRequest:
    """The call and its TwiML in one. Source: see the PLACER."""
    account = context.secrets["TWILIO_ACCOUNT_SID"]
    stream = f"<Stream url={quoteattr(call.stream_url)}/>"
    form = [
        ("To", call.to),
        ("From", call.caller),
        ("Twiml", f"<Response><Connect>{stream}</Connect></Response>"),
        ("Timeout", str(round(call.ring_timeout_s))),
        ("StatusCallback", call.status_url),
        *(("StatusCallbackEvent", event) for event in ("ringing", "answered", "completed")),
    ]
    if call.detect_machines:
        form += [
            ("MachineDetection", "Enable"),
            ("AsyncAmd", "true"),
            ("AsyncAmdStatusCallback", call.status_url),
        ]
    return RestRequest(
        method="POST",
        url=f"{context.base}/2010-04-01/Accounts/{segment(account)}/Calls.json",
        headers={
            "Authorization": basic(account, context.secrets["TWILIO_AUTH_TOKEN"]),
            "Content-Type": "application/x-www-form-urlencoded",
        },
        body=urlencode(form).encode(),
    )


def _progress(fields: Mapping[str, Any]) -> Progress | None:
    answered_by = text_of(fields, "AnsweredBy")
    if answered_by and "MachineDetectionDuration" in fields:
        who = "HUMAN" if answered_by == "human" else "VOICEMAIL"
        return None if answered_by == "unknown" else Progress("identified", 0, answered_by, who)
    status = text_of(fields, "CallStatus")
    told = status_told(status, ENDED)
    if told is None or status not in ENDED:
        return told
    return attrs.evolve(told, code=sip_code(text_of(fields, "SipResponseCode"), told.code))


ENDED = {"busy": BUSY, "no-answer": NO_ANSWER, "canceled": TERMINATED, "failed": FAILED}
"""Final values of CallStatus, where no SipResponseCode says more."""
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
    placer=Placer(
        place=_place,
        placed=lambda answer: text_of(answer, "sid"),
        cancel=_complete,
        progress=_progress,
        source="https://www.twilio.com/docs/voice/api/call-resource#create-a-call-resource",
    ),
    rest=RestApi(
        secrets=("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"),
        address_secret="TWILIO_API_URL",  # noqa: S106
        address="https://api.twilio.com",
        hang_up=_hang_up,
        already_over=frozenset({400, 404}),  # error 21220: the call is not in progress
        source="https://www.twilio.com/docs/voice/api/call-resource#update-a-call-resource",
    ),
)
