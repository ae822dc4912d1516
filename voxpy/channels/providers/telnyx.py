"""Telnyx media streaming, bidirectional with ``stream_bidirectional_mode: rtp``.

The caller's audio comes in the codec of the call, which the start message names. What we send goes
in ``stream_bidirectional_codec``, which it does not: PCMU, Telnyx's default, unless the stream's
address says otherwise (``?codec=PCMA``, ``?codec=L16&rate=16000``). L16 is in network byte order
here, as payloads are those of RTP (RFC 3551 section 4.5.11).

Media may arrive in another order than it was spoken. Closing the stream leaves the call up; it ends
by its API. Webhooks are signed with Ed25519, streams are not.
"""

from __future__ import annotations

from array import array
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from xml.sax.saxutils import quoteattr

import orjson

from voxpy.audio.frame import PCMA, PCMU, pcm16
from voxpy.channels.providers.events import Audio, Problem, Start, StreamEvent
from voxpy.channels.providers.http import (
    TOLERANCE_S,
    Answer,
    Asked,
    Outcome,
    Request,
    RestApi,
    RestContext,
    RestRequest,
    Signature,
    segment,
    twiml_parameters,
    twiml_reject,
    xml_answer,
)
from voxpy.channels.providers.jsonstream import JsonCarrier, JsonStream
from voxpy.channels.providers.placing import (
    BUSY,
    DECLINED,
    FAILED,
    NO_ANSWER,
    NOT_FOUND,
    TERMINATED,
    UNAVAILABLE,
    Placer,
    Placing,
    Progress,
    sip_code,
    text_of,
)
from voxpy.channels.providers.provider import Message, PhoneCall, Provider

LONGEST_NUMBER = 18
ENCODINGS = {"pcmu": "PCMU", "pcma": "PCMA", "pcm16": "L16"}
CODEC, RATE = "codec", "rate"
"""Parameters of the stream's address."""


def _swapped(data: bytes) -> bytes:
    samples = array("h", data)
    samples.byteswap()
    return samples.tobytes()


class TelnyxStream(JsonStream):
    """As Twilio's in snake_case; ``chunk`` counts media, and messages to it name no stream."""

    _swaps_inbound = _swaps_outbound = False

    def _start(self, value: Mapping[str, Any]) -> Start:
        start = self.part(value, "start")
        form = self.part(start, "media_format")
        parameters = self.optional(start, "custom_parameters")
        return self.begun(
            call_id=self.text(start, "call_control_id"),
            stream_id=self.text(value, "stream_id"),
            fmt=self.format_of(form.get("encoding"), form.get("sample_rate")),
            outbound=self.format_of(self.query.get(CODEC, "PCMU"), self.query.get(RATE, 8000)),
            parameters={**parameters, "client_state": start.get("client_state")},
            caller=start.get("from"),
            callee=start.get("to"),
        )

    def _audio(self, media: Mapping[str, Any]) -> Audio:
        chunk = str(media.get("chunk", 0))
        if not chunk.isdecimal() or len(chunk) > LONGEST_NUMBER:
            raise self.wrong(f"a chunk without a number: {chunk!r}")
        data = self.payload(media)
        if self._swaps_inbound and not len(data) % 2:
            data = _swapped(data)
        return Audio(data, int(chunk))

    def _begin(self, start: Start) -> None:
        super()._begin(start)
        self._swaps_inbound = start.inbound.encoding == "pcm16"
        self._swaps_outbound = start.outbound.encoding == "pcm16"

    def audio(self, data: bytes) -> Message:
        """``media``."""
        return super().audio(_swapped(data) if self._swaps_outbound else data)

    def _other(self, kind: str, value: Mapping[str, Any]) -> Sequence[StreamEvent]:
        if kind != "error":
            return super()._other(kind, value)
        problem = self.part(value, "payload")
        words = [str(problem[n]) for n in ("code", "title", "detail") if n in problem]
        return (Problem(" ".join(words)),)


class TelnyxCarrier(JsonCarrier):
    """The start names caller and callee. It takes PCMU from the host, whatever the call is."""

    stream_key = "stream_id"
    number_key = "sequence_number"
    media_fields: ClassVar[Mapping[str, object]] = {"track": "inbound"}
    host_names_stream = False

    def __init__(self, provider: Provider, call: PhoneCall) -> None:
        super().__init__(provider, call)
        self.outbound = PCMU

    def opening(self) -> Sequence[Message]:
        """``connected`` and ``start``."""
        connected = self.connected(version="1.0.0")
        start = {
            "user_id": "simulated",
            "call_control_id": self.call.call_id,
            "call_session_id": self.call.call_id,
            "from": self.call.caller,
            "to": self.call.callee,
            "client_state": None,
            "custom_parameters": dict(self.call.parameters),
            "media_format": {
                "encoding": ENCODINGS[self.inbound.encoding],
                "sample_rate": self.inbound.rate_hz,
                "channels": 1,
            },
        }
        return (connected, self.message("start", start=start))

    def audio(self, frame: bytes) -> Message | None:
        """``media``."""
        return super().audio(_swapped(frame) if self.inbound.encoding == "pcm16" else frame)

    def digit(self, digit: str) -> Message:
        """``dtmf``."""
        return self.message("dtmf", dtmf={"digit": digit})

    def stop(self) -> Message:
        """``stop``."""
        stop = {"user_id": "simulated", "call_control_id": self.call.call_id}
        return self.message("stop", stop=stop)


def _check(request: Request, key: str, now: float) -> str:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    at = request.headers.get("telnyx-timestamp", "")
    if not at.isdecimal() or len(at) > LONGEST_NUMBER:
        return "there is no telnyx-timestamp with its telnyx-signature-ed25519"
    if abs(now - int(at)) > TOLERANCE_S:
        return f"it was signed {now - int(at):.0f} s ago"
    try:
        public = Ed25519PublicKey.from_public_bytes(b64decode(key))
        public.verify(b64decode(request.headers[_HEADER]), at.encode() + b"|" + request.body)
    except (InvalidSignature, ValueError):
        return "telnyx-signature-ed25519 does not fit"
    return ""


def _answer_call(outcome: Outcome, url: str, call: Asked) -> Answer:
    """TeXML. Source: https://developers.telnyx.com/docs/voice/programmable-voice/texml-verbs"""
    if outcome != "connect":
        return twiml_reject(outcome)
    codec = 'bidirectionalMode="rtp" bidirectionalCodec="PCMU"'
    stream = f"<Stream url={quoteattr(url)} {codec}>{twiml_parameters(call)}</Stream>"
    return xml_answer(f"<Connect>{stream}</Connect>")


def _hang_up(context: RestContext, start: Start) -> RestRequest:
    return _end(context, start.call_id)


def _end(context: RestContext, call_id: str) -> RestRequest:
    path = f"/v2/calls/{segment(call_id)}/actions/hangup"
    # so that a second try is the same command
    return _post(context, path, {"command_id": context.unique})


def _post(context: RestContext, path: str, body: Mapping[str, Any]) -> RestRequest:
    return RestRequest(
        method="POST",
        url=context.base + path,
        headers={
            "Authorization": f"Bearer {context.secrets['TELNYX_API_KEY']}",
            "Content-Type": "application/json",
        },
        body=orjson.dumps(body),
    )


def _place(context: RestContext, call: Placing) -> RestRequest:
    """The stream begins when the callee answers. Telnyx tells nothing while it rings."""
    asked = {
        "connection_id": call.connection,
        "to": call.to,
        "from": call.caller,
        "timeout_secs": round(call.ring_timeout_s),
        "webhook_url": call.status_url,
        "stream_url": call.stream_url,
        "stream_track": "inbound_track",
        "stream_bidirectional_mode": "rtp",
        "stream_bidirectional_codec": "PCMU",
        "command_id": context.unique,
    }
    if call.detect_machines:
        asked["answering_machine_detection"] = "detect"
    return _post(context, "/v2/calls", asked)


def _placed(answer: Mapping[str, Any]) -> str:
    data = answer.get("data")
    return text_of(data, "call_control_id") if isinstance(data, dict) else ""


def _progress(fields: Mapping[str, Any]) -> Progress | None:
    data = fields.get("data")
    payload = data.get("payload") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(payload, dict):
        return None
    match text_of(data, "event_type"):
        case "call.answered":
            return Progress("answered")
        case "call.machine.detection.ended":
            found = text_of(payload, "result")
            who = {"human": "HUMAN", "machine": "VOICEMAIL"}.get(found.partition("_")[0])
            return Progress("identified", 0, found, who) if who else None
        case "call.hangup":
            cause = text_of(payload, "hangup_cause")
            if cause == "normal_clearing":
                return Progress("over", 200, "Hung up by the callee")
            code = sip_code(text_of(payload, "sip_hangup_cause"), ENDED.get(cause, FAILED))
            return Progress("over", code, cause)
    return None


ENDED = {
    "user_busy": BUSY,
    "call_rejected": DECLINED,
    "timeout": NO_ANSWER,
    "originator_cancel": TERMINATED,
    "not_found": NOT_FOUND,
    "time_limit": UNAVAILABLE,
}
"""hangup_cause, where no sip_hangup_cause says more."""


_HEADER = "telnyx-signature-ed25519"

PROVIDER = Provider(
    name="telnyx",
    source="https://developers.telnyx.com/api-reference/websockets/"
    "stream-call-media-over-websocket",
    stream=TelnyxStream,
    carrier=TelnyxCarrier,
    formats=(PCMU, PCMA, pcm16(8000), pcm16(16000)),
    hang_up="rest",
    signature=Signature(
        secret="TELNYX_PUBLIC_KEY",  # noqa: S106  names of secrets, here and below
        header=_HEADER,
        check=_check,
        library="cryptography",
        source="https://developers.telnyx.com/docs/messaging/messages/receiving-webhooks",
    ),
    answer_call=_answer_call,
    placer=Placer(
        place=_place,
        placed=_placed,
        cancel=_end,
        progress=_progress,
        needs_connection=True,
        source="https://developers.telnyx.com/api-reference/call-commands/dial",
    ),
    rest=RestApi(
        secrets=("TELNYX_API_KEY",),
        address_secret="TELNYX_API_URL",  # noqa: S106
        address="https://api.telnyx.com",
        hang_up=_hang_up,
        already_over=frozenset({404, 422}),  # error 90018: the call has ended
        source="https://developers.telnyx.com/api-reference/call-commands/hangup-call",
    ),
)
