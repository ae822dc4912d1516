"""Plivo audio streaming, ``<Stream bidirectional="true" keepCallAlive="true">``.

Neither caller nor callee is named: give them in ``extraHeaders`` (``from=…;to=…``) or in the
address. There is no stop message, the socket closes; ``keepCallAlive`` means that the call then is
still up and ends by its API. It signs with its version 3: HMAC-SHA256 with a nonce.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from xml.sax.saxutils import escape

import attrs
import orjson

from voxpy.audio.frame import PCMU, Format, pcm16
from voxpy.channels.providers.events import (
    Clear,
    HostEvent,
    Mark,
    MarkPlayed,
    Play,
    PlayDigits,
    Start,
    StreamEvent,
)
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
    xml_answer,
)
from voxpy.channels.providers.jsonstream import JsonCarrier, JsonStream, as_json
from voxpy.channels.providers.placing import (
    BUSY,
    DECLINED,
    FAILED,
    NO_ANSWER,
    NOT_FOUND,
    TERMINATED,
    Placer,
    Placing,
    Progress,
    status_told,
    text_of,
)
from voxpy.channels.providers.provider import Message, Provider

MOST_SIGNATURES = 8
"""In one header: while a token is being changed there are two."""


def _content(fmt: Format) -> str:
    return "audio/x-mulaw" if fmt == PCMU else "audio/x-l16"


class PlivoStream(JsonStream):
    """mu-law at 8 kHz, or linear at 8 or 16 kHz."""

    stream_key = "streamId"

    def _start(self, value: Mapping[str, Any]) -> Start:
        start = self.part(value, "start")
        form = self.part(start, "mediaFormat")
        return self.begun(
            call_id=self.text(start, "callId"),
            stream_id=self.text(start, "streamId"),
            fmt=self.format_of(form.get("encoding"), form.get("sampleRate")),
            parameters=_extra_headers(value.get("extra_headers")),
        )

    def _begin(self, start: Start) -> None:
        super()._begin(start)
        content, rate_hz = _content(start.outbound), start.outbound.rate_hz
        self._before = (
            f'{{"event":"playAudio","media":{{"contentType":"{content}","sampleRate":{rate_hz},'
            '"payload":"'
        )

    def _other(self, kind: str, value: Mapping[str, Any]) -> Sequence[StreamEvent]:
        if kind in ("playedStream", "played"):
            return (MarkPlayed(self.text(value, "name")),)
        return () if kind == "clearedAudio" else super()._other(kind, value)

    def mark(self, name: str) -> Message:
        """``checkpoint``; ``playedStream`` is its answer."""
        return self.command("checkpoint", name=name)

    def clear(self) -> Message:
        """``clearAudio``."""
        return self.command("clearAudio")

    def dtmf(self, digits: str) -> Message:
        """``sendDTMF``."""
        return as_json(event="sendDTMF", dtmf=digits)


def _extra_headers(text: object) -> dict[str, str]:
    """Return ``a=1;b=2`` (Plivo also writes commas, and braces around it) as a mapping."""
    pairs = str(text or "").strip("{} ").replace(",", ";").split(";")
    return {k.strip(): v.strip() for k, eq, v in (p.partition("=") for p in pairs) if eq}


class PlivoCarrier(JsonCarrier):
    """``start`` with the extra headers, ``playAudio`` back; a dropped checkpoint stays silent."""

    stream_key = "streamId"
    number_key = "sequenceNumber"
    numbers_are_text = False
    media_fields: ClassVar[Mapping[str, object]] = {"track": "inbound"}

    def opening(self) -> Sequence[Message]:
        """``start``."""
        fmt = self.inbound
        headers = ";".join(f"{name}={value}" for name, value in self.call.named.items())
        start = {
            "callId": self.call.call_id,
            "streamId": self.stream_id,
            "accountId": "simulated",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": _content(fmt), "sampleRate": fmt.rate_hz},
        }
        return (self.message("start", start=start, extra_headers=f"{{{headers}}}"),)

    def mark_passed(self, name: str, *, played: bool) -> Message | None:
        """``playedStream``."""
        return self.message("playedStream", name=name) if played else None

    def cleared(self) -> Message:
        """``clearedAudio``."""
        return self.message("clearedAudio")

    def _text(self, message: str) -> Sequence[HostEvent]:
        value = self.parsed(message)
        match kind := value.get("event"):
            case "playAudio":
                return (self._play(self.part(value, "media")),)
            case "checkpoint":
                self.of_this_stream(value)
                return (Mark(self.text(value, "name")),)
            case "clearAudio":
                self.of_this_stream(value)
                return (Clear(),)
            case "sendDTMF":
                return (PlayDigits(self.text(value, "dtmf")),)
        raise self.wrong(f"an event it does not know: {kind!r}")

    def _play(self, media: Mapping[str, Any]) -> Play:
        ours = (_content(self.outbound), self.outbound.rate_hz)
        theirs = (media.get("contentType"), media.get("sampleRate"))
        if theirs != ours:
            raise self.wrong(f"audio as {theirs[0]!r} at {theirs[1]!r} Hz on a stream of {ours}")
        return self.played(media)


def plivo_signature(token: str, url: str, nonce: str, form: Mapping[str, str] | None = None) -> str:
    """Return X-Plivo-Signature-V3: the address with its query sorted, the form, and the nonce."""
    parts = urlsplit(url)
    query = "&".join(f"{k}={v}" for k, v in sorted(parse_qsl(parts.query, True)))
    text = urlunsplit(parts._replace(query="", fragment=""))
    if query or form:
        text += "?" + query
    if form:
        text += ("." if query else "") + "".join(k + form[k] for k in sorted(form))
    return b64encode(hmac.digest(token.encode(), f"{text}.{nonce}".encode(), "sha256")).decode()


def _check(request: Request, token: str, now: float) -> str:
    given = request.headers[_HEADER.lower()]
    nonce = request.headers.get("x-plivo-signature-v3-nonce", "")
    wanted = [plivo_signature(token, u, nonce, request.form) for u in spellings(request.url)]
    if not any(same(one.strip(), w) for one in given.split(",", MOST_SIGNATURES) for w in wanted):
        return misfit(_HEADER, request.url)
    return UNSIGNED_BODY if request.body and not request.form else ""


def _sign(url: str, token: str, now: float, nonce: str) -> list[tuple[str, str]]:
    return [(_HEADER, plivo_signature(token, url, nonce)), (f"{_HEADER}-Nonce", nonce)]


def _answer_call(outcome: Outcome, url: str, call: Asked) -> Answer:
    """Plivo XML. Source: https://www.plivo.com/docs/voice/xml/audio-streaming"""
    if outcome != "connect":
        return xml_answer(f'<Hangup reason="{"busy" if outcome == "busy" else "rejected"}"/>')
    options = 'bidirectional="true" keepCallAlive="true" contentType="audio/x-mulaw;rate=8000"'
    # In the address, since extraHeaders takes neither a plus sign nor much else.
    named = urlencode({"from": call.caller, "to": call.callee})
    address = f"{url}{'&' if '?' in url else '?'}{named}"
    return xml_answer(f"<Stream {options}>{escape(address)}</Stream>")


def _hang_up(context: RestContext, start: Start) -> RestRequest:
    account = context.secrets["PLIVO_AUTH_ID"]
    return RestRequest(
        method="DELETE",
        url=f"{context.base}/v1/Account/{segment(account)}/Call/{segment(start.call_id)}/",
        headers={"Authorization": basic(account, context.secrets["PLIVO_AUTH_TOKEN"])},
    )


def _place(context: RestContext, call: Placing) -> RestRequest:
    """Plivo asks for the XML of the stream when the callee has answered."""
    asked: dict[str, object] = {
        "to": call.to.lstrip("+"),
        "from": call.caller.lstrip("+"),
        "answer_url": call.answer_url,
        "ring_url": call.status_url,
        "hangup_url": call.status_url,
        "ring_timeout": round(call.ring_timeout_s),
    }
    if call.detect_machines:
        asked |= {"machine_detection": "true", "machine_detection_url": call.status_url}
    account = context.secrets["PLIVO_AUTH_ID"]
    return RestRequest(
        method="POST",
        url=f"{context.base}/v1/Account/{segment(account)}/Call/",
        headers={
            "Authorization": basic(account, context.secrets["PLIVO_AUTH_TOKEN"]),
            "Content-Type": "application/json",
        },
        body=orjson.dumps(asked),
    )


def _cancel(context: RestContext, request_id: str) -> RestRequest:
    account = context.secrets["PLIVO_AUTH_ID"]
    return RestRequest(
        method="DELETE",
        url=f"{context.base}/v1/Account/{segment(account)}/Request/{segment(request_id)}/",
        headers={"Authorization": basic(account, context.secrets["PLIVO_AUTH_TOKEN"])},
    )


def _progress(fields: Mapping[str, Any]) -> Progress | None:
    if text_of(fields, "Machine"):
        machine = text_of(fields, "Machine").lower() == "true"
        return Progress("identified", 0, "machine", "VOICEMAIL" if machine else "HUMAN")
    status = text_of(fields, "CallStatus")
    told = status_told(status, ENDED)
    if told is None or status not in ENDED:
        return told
    cause = text_of(fields, "HangupCauseName") or status
    code = CAUSES.get(text_of(fields, "HangupCauseCode"), told.code)
    return attrs.evolve(told, code=code, reason=cause)


ENDED = {
    "busy": BUSY,
    "no-answer": NO_ANSWER,
    "timeout": NO_ANSWER,
    "cancel": TERMINATED,
    "failed": FAILED,
}
CAUSES = {"3000": NOT_FOUND, "3010": BUSY, "3020": DECLINED, "3060": NO_ANSWER}
"""HangupCauseCode: no such number, busy, rejected, not answered."""
_HEADER = "X-Plivo-Signature-V3"

PROVIDER = Provider(
    name="plivo",
    source="https://www.plivo.com/docs/voice/audio-streaming/audio-streaming",
    stream=PlivoStream,
    carrier=PlivoCarrier,
    formats=(PCMU, pcm16(8000), pcm16(16000)),
    hang_up="rest",
    sends_dtmf=True,
    signature=Signature(
        secret="PLIVO_AUTH_TOKEN",  # noqa: S106  names of secrets, here and below
        header=_HEADER,
        check=_check,
        sign=_sign,
        source="https://www.plivo.com/docs/voice/concepts/signature-validation",
    ),
    answer_call=_answer_call,
    placer=Placer(
        place=_place,
        placed=lambda answer: text_of(answer, "request_uuid"),
        cancel=_cancel,
        progress=_progress,
        source="https://www.plivo.com/docs/voice/api/call/make-a-call",
    ),
    rest=RestApi(
        secrets=("PLIVO_AUTH_ID", "PLIVO_AUTH_TOKEN"),
        address_secret="PLIVO_API_URL",  # noqa: S106
        address="https://api.plivo.com",
        hang_up=_hang_up,
        source="https://www.plivo.com/docs/voice/api/call/hangup-a-call",
    ),
)
