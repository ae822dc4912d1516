"""Vonage Voice API: NCCO ``connect`` to an endpoint of type ``websocket``.

The ``headers`` of the endpoint come in the first message: give ``from`` and ``to`` there. Closing
the socket ends ``connect``; the NCCO goes on with its next action, and the call ends where there is
none. There is no stop message. Requests carry a JWT (HS256), its API takes one (RS256).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import jwt
import orjson

from voxpy.audio.frame import pcm16
from voxpy.channels.providers.events import (
    Clear,
    HostEvent,
    Mark,
    MarkPlayed,
    Start,
    StreamEvent,
    Unknown,
)
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
    json_answer,
    same,
    segment,
)
from voxpy.channels.providers.jsonstream import as_json
from voxpy.channels.providers.placing import (
    BUSY,
    DECLINED,
    FAILED,
    NO_ANSWER,
    TERMINATED,
    Placer,
    Placing,
    Progress,
    text_of,
)
from voxpy.channels.providers.provider import Carrier, MediaStream, Message, Provider
from voxpy.errors import ConfigError, install_command
from voxpy.text import json

CLEAR = '{"action":"clear"}'
MARK = "mark"
TOKEN_S = 60


class VonageStream(MediaStream):
    """Binary linear PCM, little-endian, in messages of 20 ms."""

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

    def mark(self, name: str) -> Message:
        """``notify``."""
        return as_json(action="notify", payload={MARK: name})

    def clear(self) -> Message:
        """``clear``."""
        return CLEAR


def _digit(value: Mapping[str, Any]) -> object:
    nested = value.get("dtmf")
    return nested.get("digit") if isinstance(nested, dict) else value.get("digit", nested)


class VonageCarrier(Carrier):
    """The headers of the endpoint come with the first message; hanging up closes the socket."""

    def opening(self) -> Sequence[Message]:
        """``websocket:connected``."""
        content = f"audio/l16;rate={self.inbound.rate_hz}"
        head = {"event": "websocket:connected", "content-type": content, "uuid": self.call.call_id}
        return (as_json(**{**self.call.named, **head}),)

    def digit(self, digit: str) -> Message:
        """``websocket:dtmf``."""
        return as_json(event="websocket:dtmf", digit=digit, duration=260)

    def mark_passed(self, name: str, *, played: bool) -> Message | None:
        """``websocket:notify`` gives back the payload, which is the name here."""
        if not played:
            return None
        return as_json(event="websocket:notify", payload=json.loads(name))

    def cleared(self) -> Message:
        """``websocket:cleared``."""
        return as_json(event="websocket:cleared")

    def _text(self, message: str) -> Sequence[HostEvent]:
        value = self.parsed(message)
        match kind := value.get("action"):
            case "clear":
                return (Clear(),)
            case "notify":
                return (Mark(orjson.dumps(value.get("payload")).decode()),)
        raise self.wrong(f"an action it does not know: {kind!r}")


def _check(request: Request, secret: str, now: float) -> str:
    scheme, _, token = request.headers["authorization"].partition(" ")
    if scheme.lower() != "bearer":
        return "there is no JWT in Authorization"
    try:
        # The time is checked below, against the caller's clock.
        options: Any = {
            "verify_exp": False,
            "verify_iat": False,
            "verify_nbf": False,
            "verify_aud": False,
        }
        told = jwt.decode(token.strip(), secret, algorithms=["HS256"], options=options)
        issued_at = float(told["iat"])
    except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError):
        return "the JWT in Authorization is not signed with our secret (HS256)"
    except (jwt.InvalidTokenError, ValueError, KeyError, TypeError):
        return "the JWT in Authorization is malformed"
    if abs(now - issued_at) > TOLERANCE_S:
        return f"the JWT in Authorization was issued {now - issued_at:.0f} s ago"
    if request.method != "POST" or not request.body:
        return ""
    fits = same(str(told.get("payload_hash")), hashlib.sha256(request.body).hexdigest())
    return "" if fits else "the JWT in Authorization is of another body"


def _sign(url: str, key: str, now: float, nonce: str) -> list[tuple[str, str]]:
    return [("Authorization", "Bearer " + jwt.encode({"iat": int(now)}, key, "HS256"))]


def _answer_call(outcome: Outcome, url: str, call: Asked) -> Answer:
    """An NCCO. Source: https://developer.vonage.com/en/voice/voice-api/ncco-reference

    It cannot refuse; an empty one ends the call.
    """
    if outcome != "connect":
        return json_answer([])
    endpoint = {
        "type": "websocket",
        "uri": url,
        "content-type": "audio/l16;rate=16000",
        "headers": {"from": call.caller, "to": call.callee},
    }
    return json_answer([{"action": "connect", "endpoint": [endpoint]}])


def _hang_up(context: RestContext, start: Start) -> RestRequest:
    return _end(context, start.call_id)


def _end(context: RestContext, call_id: str) -> RestRequest:
    return _request(context, "PUT", f"/v1/calls/{segment(call_id)}", {"action": "hangup"})


def _request(
    context: RestContext, method: str, path: str, body: Mapping[str, object]
) -> RestRequest:
    return RestRequest(
        method=method,
        url=context.base + path,
        headers={
            "Authorization": f"Bearer {_application_token(context)}",
            "Content-Type": "application/json",
        },
        body=orjson.dumps(body),
    )


def _place(context: RestContext, call: Placing) -> RestRequest:
    """The call and its NCCO in one."""
    endpoint = {
        "type": "websocket",
        "uri": call.stream_url,
        "content-type": "audio/l16;rate=16000",
    }
    asked: dict[str, object] = {
        "to": [{"type": "phone", "number": call.to.lstrip("+")}],
        "from": {"type": "phone", "number": call.caller.lstrip("+")},
        "ncco": [{"action": "connect", "endpoint": [endpoint]}],
        "event_url": [call.status_url],
        "event_method": "POST",
        "ringing_timer": min(120, max(1, round(call.ring_timeout_s))),
    }
    if call.detect_machines:
        asked["machine_detection"] = "continue"
    return _request(context, "POST", "/v1/calls", asked)


def _progress(fields: Mapping[str, Any]) -> Progress | None:
    status = text_of(fields, "status")
    if status in ("ringing", "answered"):
        return Progress("ringing" if status == "ringing" else "answered")
    if status in ("human", "machine"):
        return Progress("identified", 0, status, "HUMAN" if status == "human" else "VOICEMAIL")
    if status == "completed":
        return Progress("over", 200, "Hung up by the callee")
    code = ENDED.get(status)
    return None if code is None else Progress("over", code, text_of(fields, "detail") or status)


ENDED = {
    "busy": BUSY,
    "cancelled": TERMINATED,
    "unanswered": NO_ANSWER,
    "timeout": NO_ANSWER,
    "rejected": DECLINED,
    "failed": FAILED,
}


def _application_token(context: RestContext) -> str:
    """Return the JWT that the API takes from an application, good for a minute.

    The key is PEM text; its line breaks may be written as ``\\n``. Raises ConfigError if it is no
    RSA key, or if the library for it is not installed.
    """
    claims = {
        "application_id": context.secrets["VONAGE_APPLICATION_ID"],
        "iat": int(context.now),
        "exp": int(context.now) + TOKEN_S,
        "jti": context.unique,
    }
    key = context.secrets["VONAGE_PRIVATE_KEY"].replace("\\n", "\n")
    try:
        return jwt.encode(claims, key, "RS256")
    except NotImplementedError as error:  # PyJWT's word for "cryptography is not installed"
        problem = f"signing for Vonage needs another library: {install_command('providers')}"
        raise ConfigError(problem) from error
    except (jwt.InvalidKeyError, ValueError, TypeError) as error:
        raise ConfigError(f"VONAGE_PRIVATE_KEY is no RSA private key in PEM: {error}") from error


PROVIDER = Provider(
    name="vonage",
    source="https://developer.vonage.com/en/voice/voice-api/guides/websockets",
    stream=VonageStream,
    carrier=VonageCarrier,
    formats=(pcm16(16000), pcm16(8000), pcm16(24000)),
    hang_up="close",
    signature=Signature(
        secret="VONAGE_SIGNATURE_SECRET",  # noqa: S106  names of secrets, here and below
        header="Authorization",
        check=_check,
        sign=_sign,
        source="https://developer.vonage.com/en/getting-started/concepts/webhooks",
    ),
    answer_call=_answer_call,
    placer=Placer(
        place=_place,
        placed=lambda answer: text_of(answer, "uuid"),
        cancel=_end,
        progress=_progress,
        source="https://developer.vonage.com/en/api/voice#createCall",
    ),
    rest=RestApi(
        secrets=("VONAGE_APPLICATION_ID", "VONAGE_PRIVATE_KEY"),
        address_secret="VONAGE_API_URL",  # noqa: S106
        address="https://api.nexmo.com",
        hang_up=_hang_up,
        source="https://developer.vonage.com/en/api/voice#updateCall",
    ),
)
