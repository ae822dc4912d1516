"""Every reader of outside bytes, with seeds that it understands and the errors that are its own."""

# ruff: noqa: E501  messages read better in whole lines

from __future__ import annotations

import atexit
import io
import itertools
import shutil
import tempfile
import wave
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import orjson
import soundfile

from tests.channels.providers.test_providers import OPENING
from tests.readers.mutating import PARTS
from tests.wire.realtime.test_examples import CLIENT, SERVER
from tests.wire.sip.network import SDP, Network
from voxpy.audio.convert import decode
from voxpy.audio.decoder import Decoder
from voxpy.audio.frame import PCMA, PCMU, pcm16
from voxpy.audio.wav import read_wav
from voxpy.calllists.terms import read_rows
from voxpy.channels.mediastream.audio import Inbound
from voxpy.channels.mediastream.credentials import Guard
from voxpy.channels.providers.events import Audio
from voxpy.channels.providers.http import Request, asked, bears_token, query_of, spellings
from voxpy.channels.providers.provider import MediaStream, PhoneCall, Provider
from voxpy.channels.providers.table import PROVIDERS
from voxpy.deepgram.wire import DeepgramWire
from voxpy.elevenlabs.agents import ElevenLabsWire
from voxpy.errors import RemoteProtocolError, VoxpyError
from voxpy.gemini.wire import GeminiWire
from voxpy.history.history import History
from voxpy.history.timeline import render, timeline
from voxpy.history.tracefile import read_record, read_trace, record_of
from voxpy.host.guard import Guard as HostGuard
from voxpy.host.requesthead import BadHead, _parsed, called_base
from voxpy.inworld.voice.reading import Reading
from voxpy.lab.replay.recording import read_recording
from voxpy.lab.suite.casefile import parse_case
from voxpy.localagent.topics import load_topics
from voxpy.project.api import USUAL
from voxpy.project.routing import parse_routing
from voxpy.project.scenario import examine
from voxpy.project.secrets import parse_secrets
from voxpy.simulation.callerfile import parse_script
from voxpy.text import json
from voxpy.wire.realtime.client.protocol import RealtimeClient
from voxpy.wire.realtime.endpoint import check_request, refusal_reason, requested_model
from voxpy.wire.realtime.events.problems import MalformedEvent
from voxpy.wire.realtime.server.protocol import RealtimeServer
from voxpy.wire.rtp.packet import Source, unpack_rtp
from voxpy.wire.rtp.rtcp import unpack_rtcp
from voxpy.wire.rtp.telephone_event import EventReceiver
from voxpy.wire.sdp import MediaFormat, answer, parse_sdp
from voxpy.wire.sip.agent import Flow
from voxpy.wire.sip.digest import parse_challenge, parse_credentials
from voxpy.wire.sip.message import BadMessage, StreamReader, parse_message
from voxpy.wire.sip.values import parse_address, parse_cseq, parse_uri, parse_via
from voxpy.wire.websocket.handshake import ClientHandshake, ServerHandshake
from voxpy.wire.websocket.media import read_media
from voxpy.wire.websocket.protocol import WebSocketProtocol

FOLDER = Path(tempfile.mkdtemp(prefix="voxpy-readers-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
(FOLDER / "answer.py").touch()  # what the case file names


@attrs.frozen
class Reader:
    """``read`` takes bytes and may raise ``errors`` and nothing else."""

    name: str
    read: Callable[[bytes], Any]
    seeds: Sequence[bytes]
    errors: tuple[type[Exception], ...] = ()
    users: bool = False
    """A file that only the user of a host writes. YAML takes 60 us a token, off the loop."""


def parts(data: bytes) -> Iterator[bytes]:
    return iter(data.split(PARTS)[:200])


def text(data: bytes) -> str:
    """A text message is UTF-8 before anybody reads it."""
    return data.decode("utf-8", "replace")


def js(value: Any) -> bytes:
    return orjson.dumps(value)


# -- HTTP and WebSockets ---------------------------------------------------------------------------

UPGRADE = (
    b"GET /media/twilio?token=x HTTP/1.1\r\nHost: calls.example\r\nUpgrade: websocket\r\n"
    b"Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: a, b\r\nCookie: a=b; voxpy_token="x"\r\n'
    b"X-Forwarded-Proto: https\r\nX-Forwarded-Host: a.example, b\r\n\r\n"
)
POST = (
    b"POST /twilio/voice HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: 9\r\nExpect: 100-continue\r\n\r\nTo=%2B155"
)
CHUNKED = (
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nabcde\r\n0\r\n\r\n"
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
REFUSED = b"HTTP/1.1 429 No\r\nContent-Length: 4\r\nRetry-After: 3\r\n\r\nwait"


def read_head(data: bytes) -> None:
    head = _parsed(data, 16 * 1024)
    headers = {n.decode("latin-1"): v.decode("latin-1") for n, v in head.request.headers}
    base = called_base(headers, public_url="", tls=False)
    list(spellings(base + head.request.target.decode("latin-1")))
    door = HostGuard(secrets=_Known(), tokens=lambda: USUAL)
    door.who(headers, "127.0.0.1")
    if head.is_upgrade:
        ServerHandshake(head.http).judge(head.request)
    for _ in range(20):
        try:
            event = head.http.next_event()
        except Exception as error:
            if type(error).__name__ != "RemoteProtocolError":
                raise
            break
        if isinstance(event, type) or type(event).__name__ == "EndOfMessage":
            break


def read_answer(data: bytes) -> None:
    side = ClientHandshake(host="a.test", target="/", nonce=b"the sample nonce")
    for part in parts(data):
        if side.receive(part) is not None:
            return


def read_frames(role: Any, data: bytes) -> None:
    side = WebSocketProtocol(role, new_mask=lambda: b"mask", max_message_bytes=100_000)
    for part in parts(data):
        side.receive(part, 64)
    side.outgoing()


def frames(role: Any) -> bytes:
    peer = WebSocketProtocol(role, new_mask=lambda: b"\1\2\3\4", max_message_bytes=100_000)
    whole = peer.message("text ключ") + peer.message(b"\0" * 200) + peer.ping(b"p")
    part = peer._frame(0x01, b"one ") + peer._frame(0x00, b"two ") + peer._frame(0x80, b"three")
    return whole + part + peer.close(1000, "bye")


# -- providers -------------------------------------------------------------------------------------

MEDIA = b64encode(bytes(range(160))).decode()
CALL = PhoneCall(call_id="CA1", caller="+15550001111", callee="+15550002222", format=PCMU)
SECRETS = {
    "TWILIO_AUTH_TOKEN": "t0ken",
    "PLIVO_AUTH_TOKEN": "t0ken",
    "VONAGE_SIGNATURE_SECRET": "t0ken-of-thirty-two-bytes-or-more",
    "TELNYX_PUBLIC_KEY": b64encode(bytes(32)).decode(),
    "MEDIA_TOKEN": "sesame",
}


@attrs.frozen
class _Known:
    def get(self, name: str) -> str | None:
        return SECRETS.get(name)

    def missing(self, name: str) -> str:
        return name

    def values(self) -> tuple[str, ...]:
        return ()


def as_bytes(message: str | bytes) -> bytes:
    return message.encode() if isinstance(message, str) else message


def carried(provider: Provider) -> bytes:
    """What its phone says in a call, message by message."""
    formats = [each for each in provider.formats if each == PCMU] or list(provider.formats)
    phone = provider.carrier(provider, attrs.evolve(CALL, format=formats[0]))
    said = [*phone.opening(), *(phone.audio(bytes(formats[0].frame_bytes)) for _ in range(3))]
    for more in (
        partial(phone.digit, "5"),
        partial(phone.mark_passed, "m", played=True),
        phone.stop,
    ):
        try:
            said.append(more())
        except (VoxpyError, NotImplementedError, ValueError):
            continue  # not every provider has it
    return PARTS.join(as_bytes(each) for each in said if each is not None)


def read_stream(provider: Provider, data: bytes) -> None:
    stream: MediaStream = provider.open_stream(query_of("ws://h/?" + text(data[:40])))
    arrived: Inbound | None = None
    for part in parts(data):
        for message in (part,) if provider.transport == "tcp" else (text(part), part):
            for event in stream.receive(message):
                if isinstance(event, Audio):
                    arrived = arrived or Inbound(stream.started.inbound)
                    arrived.put(event.data, event.sequence)
    if arrived is not None:
        arrived.pull()


def ordered(provider: Provider) -> bytes:
    """What we say to it, message by message."""
    stream = provider.open_stream({})
    for message in OPENING[provider.name]:
        stream.receive(message)
    said: list[str | bytes | None] = [stream.audio(bytes(stream.started.outbound.frame_bytes))]
    for order in (stream.answer, stream.clear, partial(stream.mark, "m"), stream.hang_up):
        try:
            said.append(order())
        except (VoxpyError, NotImplementedError):
            continue
    return PARTS.join(as_bytes(each) for each in said if each is not None)


def read_orders(provider: Provider, data: bytes) -> None:
    formats = [each for each in provider.formats if each == PCMU] or list(provider.formats)
    phone = provider.carrier(provider, attrs.evolve(CALL, format=formats[0]))
    phone.opening()
    for part in parts(data):
        phone.receive(text(part) if part[:1] in b"{ABCDEFGHIJKLMNOPQRSTUVWXYZ" else part)


FORM = b"application/x-www-form-urlencoded"
HOOK = PARTS.join(
    (b"https://h/x?to=%2B1&token=t", FORM, b"SGVsbG8=", b"From=%2B1&To=%2B2&CallSid=CA1")
)
HOOKS = (
    HOOK,
    PARTS.join((b"https://h/x", b"application/json", b"eyJhIjoxfQ.eyJhIjoxfQ.c2ln",
                b'{"from":"1","to":"+1555","data":{"payload":{"to":"+1"}},"call_sid":"a"}')),
    PARTS.join((b"https://h:443/y/?a=b#c", b"text/plain", b"Bearer x", b"")),
)  # fmt: skip


def read_hook(provider: Provider, data: bytes) -> None:
    """A webhook of a provider, and what opens its stream, signed as the third part says."""
    url, kind, signature, body = [*data.split(PARTS), b"", b"", b"", b""][:4]
    given = signature.decode("latin-1")
    headers = {"content-type": kind.decode("latin-1"), "authorization": given}
    if provider.signature is not None:
        headers[provider.signature.header.lower()] = given
    headers |= {"x-plivo-signature-v3-nonce": "n", "telnyx-timestamp": given[:20]}
    for method in ("POST", "GET"):
        request = Request(url=text(url), method=method, headers=headers, body=body)
        if request.has_too_many_fields:
            continue
        call = asked(request.fields)
        bears_token(request, "t")
        guard = Guard(_Known())
        guard.refuse_webhook(provider, request)
        guard.refuse_stream(provider, request)
        if provider.answer_call is not None:
            provider.answer_call("connect", "wss://h/media", call)


# -- SIP and RTP -----------------------------------------------------------------------------------

INVITE = (
    b"INVITE sip:+15550002222@h;user=phone SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bKa;rport\r\nMax-Forwards: 70\r\n"
    b'From: "A \\" B" <sip:alice@h>;tag=1\r\nTo: <sip:bob@h>\r\nCall-ID: c1@h\r\nCSeq: 1 INVITE\r\n'
    b"Contact: <sip:alice@10.0.0.9:5060;transport=udp>\r\nSupported: timer, 100rel, replaces\r\n"
    b"Session-Expires: 1800;refresher=uac\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n"
    % len(SDP)
) + SDP
OK = (
    b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKb\r\nFrom: <sip:a@h>;tag=1\r\n"
    b"To: <sip:b@h>;tag=2\r\nCall-ID: c1@h\r\nCSeq: 1 INVITE\r\nContact: <sip:b@h>\r\n"
    b'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth,auth-int", algorithm=SHA-256\r\n'
    b"Content-Length: 0\r\n\r\n"
)
REGISTER = INVITE.replace(b"INVITE", b"REGISTER").replace(
    b"Max-Forwards: 70",
    b'Authorization: Digest username="u", realm="r", nonce="n", uri="sip:h", response="'
    + b"0" * 32 + b'", qop=auth, nc=00000001, cnonce="c"\r\nExpires: 3600',
)  # fmt: skip
REFER = INVITE.replace(b"INVITE", b"REFER").replace(
    b"Max-Forwards: 70", b"Refer-To: <sip:carol@h?Replaces=c2%40h%3Bto-tag%3D1%3Bfrom-tag%3D2>"
)
MESSAGES = [INVITE, OK, REGISTER, REFER] + [
    INVITE.replace(b"INVITE", name) for name in (b"BYE", b"CANCEL", b"ACK", b"OPTIONS", b"INFO")
]
DESCRIPTION = SDP + (
    b"a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\n"
    b"a=sendonly\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + b64encode(bytes(30)) + b"\r\n"
    b"m=video 0 RTP/AVP 96\r\n"
)
PCMU_FORMAT = MediaFormat(payload_type=0, name="PCMU", clock_hz=8000)


def read_sip(data: bytes) -> None:
    end = Network().end("alice", "10.0.0.1")
    flow = Flow("UDP", "10.0.0.9", 5060)
    for n, part in enumerate(parts(data)):
        try:
            message: Any = parse_message(part)
        except BadMessage as bad:
            message = bad
        end.agent.receive(message, flow, float(n))
        end.agent.take()
        end.agent.tick(n + 0.5)


def read_sip_stream(data: bytes) -> None:
    reader = StreamReader()
    for part in parts(data):
        for _ in reader.feed(part):
            pass


def read_values(data: bytes) -> None:
    for part in parts(data):
        for read in (parse_uri, parse_address, parse_via, parse_cseq, parse_challenge,
                     parse_credentials):  # fmt: skip
            try:
                read(part.decode("latin-1"))
            except RemoteProtocolError:
                continue


def read_description(data: bytes) -> None:
    found = parse_sdp(data)
    told = answer(
        found, address="10.0.0.1", port=4000, formats=[PCMU_FORMAT], session_id=1, version=1
    )
    if told is not None:
        told.to_bytes()


RTP = bytes([0x80, 0x80, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4]) + bytes(160)
EVENT = bytes([0x80, 0xE5, 0, 2, 0, 0, 0, 160, 1, 2, 3, 4, 5, 0x8A, 3, 32])
RTCP = (
    bytes([0x81, 200, 0, 12])
    + bytes(48)
    + bytes([0x81, 202, 0, 3, 1, 2, 3, 4, 1, 2, 97, 98, 0, 0, 0, 0])
)
BYE = bytes([0x81, 203, 0, 1, 1, 2, 3, 4])


def read_rtp(data: bytes) -> None:
    source, digits = Source(), EventReceiver()
    for n, part in enumerate(parts(data)):
        try:
            packet = unpack_rtp(part)
            if source.takes(packet, "a", n / 50):
                decode(packet.payload, PCMU)
                digits.receive(packet.timestamp, packet.payload, marker=packet.marker)
        except RemoteProtocolError:
            continue
        digits.expire(packet.timestamp)


def read_rtcp(data: bytes) -> None:
    for part in parts(data):
        try:
            unpack_rtcp(part)
        except RemoteProtocolError:
            continue


# -- services --------------------------------------------------------------------------------------


SERVED = [message.encode() for _, message in SERVER]
ASKED = [message.encode() for _, message in CLIENT]


def read_service(data: bytes) -> None:
    client, reading = RealtimeClient(), Reading()
    for part in parts(data):
        try:
            for found in client.receive(text(part)):
                reading.take(found)
        except MalformedEvent:
            continue
        client.outgoing()


def read_client(data: bytes) -> None:
    ids = itertools.count()
    server = RealtimeServer(session_id="s", new_id=lambda kind: f"{kind}_{next(ids)}")
    server.open()
    for n, part in enumerate(parts(data)):
        server.receive(text(part), float(n))
        server.outgoing()


def read_wire(make: Callable[[], Any], data: bytes) -> None:
    wire = make()
    for part in parts(data):
        for receive, message in ((wire.receive, text(part)), (wire.receive_binary, part)):
            try:
                receive(message)
            except RemoteProtocolError:
                continue
        wire.outgoing()


GEMINI = PARTS.join(map(js, (
    {"setupComplete": {}},
    {"serverContent": {"modelTurn": {"parts": [{"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": MEDIA}}]}}},
    {"serverContent": {"inputTranscription": {"text": "hi"}, "outputTranscription": {"text": "ho"}}},
    {"toolCall": {"functionCalls": [{"id": "f1", "name": "look", "args": {"a": 1}}]}},
    {"toolCallCancellation": {"ids": ["f1"]}}, {"goAway": {"timeLeft": "10s"}},
    {"sessionResumptionUpdate": {"newHandle": "h", "resumable": True}}, {"serverContent": {"interrupted": True}},
    {"usageMetadata": {"totalTokenCount": 1}}, {"serverContent": {"turnComplete": True}},
)))  # fmt: skip
ELEVENLABS = PARTS.join(map(js, (
    {"type": "conversation_initiation_metadata", "conversation_initiation_metadata_event": {
        "conversation_id": "c", "agent_output_audio_format": "pcm_16000", "user_input_audio_format": "pcm_16000"}},
    {"type": "audio", "audio_event": {"audio_base_64": MEDIA, "event_id": 1}},
    {"type": "agent_response", "agent_response_event": {"agent_response": "hello"}},
    {"type": "user_transcript", "user_transcription_event": {"user_transcript": "hi"}},
    {"type": "interruption", "interruption_event": {"event_id": 1}}, {"type": "ping", "ping_event": {"event_id": 2, "ping_ms": 50}},
    {"type": "client_tool_call", "client_tool_call": {"tool_name": "t", "tool_call_id": "i", "parameters": {}}},
    {"type": "vad_score", "vad_score_event": {"vad_score": 0.9}},
)))  # fmt: skip
DEEPGRAM = PARTS.join(map(js, (
    {"type": "Welcome", "request_id": "r"}, {"type": "SettingsApplied"}, {"type": "UserStartedSpeaking"},
    {"type": "ConversationText", "role": "user", "content": "hi"}, {"type": "AgentThinking", "content": "x"},
    {"type": "FunctionCallRequest", "functions": [{"id": "1", "name": "f", "arguments": "{}", "client_side": True}]},
    {"type": "AgentStartedSpeaking", "total_latency": 0.1}, {"type": "AgentAudioDone"},
    {"type": "Error", "description": "d", "code": "c"}, {"type": "Warning", "description": "d", "code": "c"},
)))  # fmt: skip
MEDIA_IN_SOCKET = PARTS.join(map(js, (
    {"event": "start", "sequenceNumber": 0, "start": {"tag": "", "mediaFormat": {
        "encoding": "PCM16", "sampleRate": 16000, "channels": 1}, "customParameters": "{}"}},
    {"event": "media", "sequenceNumber": 1, "media": {"chunk": 0, "timestamp": 0, "payload": MEDIA}},
    {"event": "stop", "sequenceNumber": 9, "stop": {"mediaInfo": {"bytesSent": 2560, "duration": 0}}},
)))  # fmt: skip


def read_endpoint(data: bytes) -> None:
    target, *values = [*parts(data), b""]
    path = text(target)
    requested_model(path)
    check_request(path, [("authorization", text(value)) for value in values], openai=True)
    refusal_reason(401, target, location=path)


# -- what users and we ourselves write -------------------------------------------------------------

ROUTING = b"""channels:
  twilio: {path: /media/a, webhook: /a/voice}
  asterisk: {provider: audiosocket, port: 9092, host: 127.0.0.1}
  sip: {port: 5060, host: 0.0.0.0}
history: {keep_days: 30}
rules:
  - name: support
    pattern: '\\\\+1555.*'
    exclude: '\\\\+15559.*'
    scenarios: [a.py, b.py]
    on_handler_error: continue
    watchdogs: {dead_air_s: 60}
    limits: {custom_data_bytes: 200}
"""
CALLER = (Path(__file__).parents[2] / "scenarios" / "callers" / "answer.yaml").read_bytes()
SHORT = b"steps:\n- wait: answered\n- say: Hello there.\n- expect: {heard: 'a|b', within_s: 3}\n- hang_up\n"
CASE = (
    b"scenario: answer.py\n"
    + SHORT
    + b"""expect:
  transcript: |
    caller: Hello {any}
    end: terminated
  events: [CallAlerting, Connected]
  latency_ms: {p50: 800}
"""
)
TOPICS = b"""topics:
- name: hours
  match: ["\\\\b(?P<when>open|hours)\\\\b"]
  say: ["We are open from nine to five, {when}."]
  tool: opening
  arguments: {day: "{when}"}
names: {pizza: ["pits+a"]}
unknown: ["Pardon?"]
unheard: ["Hm?"]
"""
SECRET = b"INWORLD_API_KEY=abc\nMEDIA_TOKEN='x y'\n# c\nexport A=\"b\\nc\"\nB=${A}\n"
SCENARIO = (Path(__file__).parents[2] / "scenarios" / "answer.py").read_bytes()
TRACE_LINES = [
    {"v": 1, "t": 0.0, "kind": "session", "name": "started", "data": {"session_id": "s", "started_at": "2026-01-01T00:00:00.000"}},
    {"v": 1, "t": 0.1, "kind": "step", "name": "call began", "unit": "call-1", "data": {"incoming": True, "client_type": "pstn"}, "personal": {"callerid": "+1", "destination": "+2"}},
    {"v": 1, "t": 0.2, "kind": "event", "name": "Call.Connected", "unit": "call-1", "data": {}},
    {"v": 1, "t": 0.5, "kind": "event", "name": "Inworld.RealtimeAPI.ConversationItemInputAudioTranscriptionCompleted", "unit": "agent-1", "personal": {"payload": {"transcript": "hi"}}},
    {"v": 1, "t": 0.7, "kind": "step", "name": "tool called", "unit": "agent-1", "data": {"tool": "f", "call_id": "c"}, "personal": {"arguments": {"a": 1}}},
    {"v": 1, "t": 0.8, "kind": "command", "name": "Call.hangup", "unit": "call-1", "data": {"args": []}},
    {"v": 1, "t": 0.9, "kind": "step", "name": "agent audible", "unit": "agent-1", "data": {"reply_ms": 300}},
    {"v": 1, "t": 1.0, "kind": "step", "name": "call over", "unit": "call-1", "data": {"duration_s": 0.8, "code": 200, "reason": "x", "counts": {"odd_messages": 1}}},
    {"v": 1, "t": 1.1, "kind": "session", "name": "ended", "data": {"reason": "terminated", "detail": ""}},
]  # fmt: skip
TRACE = b"\n".join(map(js, TRACE_LINES)) + b"\n"
RECORD = js({
    "v": 1, "session_id": "s", "rule_name": "r", "scenarios": ["a.py"], "started_at": "2026-01-01T00:00:00.000", "channel": "twilio",
    "duration_s": 1.0, "finish_reason": "Normal termination", "end_reason": "terminated", "end_detail": "", "calls": [
        {"call_id": "call-1", "at_s": 0.1, "incoming": True, "duration_s": 1.0, "end_reason": {"code": 200, "description": "x"}, "counts": {"odd_messages": 1}}],
    "recordings": ["file:///a.wav"], "transcripts": [], "reply_ms": [300], "barge_in_ms": [], "warnings": ["w"], "errors": [],
    "agent_failures": 0, "personal": {"callerid": "+1", "destination": "+2", "calls": {"call-1": {"local_number": "+2"}}, "transcript": []},
})  # fmt: skip
INPUTS = b"\n".join(map(js, (
    {"v": 1, "t": 0.0, "kind": "session", "name": "session", "settings": {}, "realtime": {}, "scenarios": ["a.py"]},
    {"t": 0.1, "kind": "leg", "of": "call-1", "channel": "twilio", "client_type": "pstn", "incoming": True, "format": "pcmu/8000"},
    {"t": 0.2, "kind": "socket", "name": "text", "of": "socket-1", "personal": {"text": "{}"}},
))) + b"\n"  # fmt: skip


def write(name: str, data: bytes) -> Path:
    path = FOLDER / name
    path.write_bytes(data)
    return path


def read_our_files(data: bytes) -> None:
    """A trace and what is made of it: record, timeline, rows of the history."""
    entries = read_trace(write("trace.jsonl", data))
    record_of(entries, session_id="s")
    render(timeline(entries))
    render(timeline(entries, full=True))


def read_our_record(data: bytes) -> None:
    write("record.json", data)
    record = read_record(FOLDER)
    if record is not None:
        history = History(FOLDER / "history")
        try:
            history.write(attrs.evolve(record, session_id="s"), FOLDER)
        finally:
            history.close()


def read_our_inputs(data: bytes) -> None:
    folder = FOLDER / "replay"
    folder.mkdir(exist_ok=True)
    (folder / "trace.jsonl").write_bytes(TRACE)
    (folder / "inputs.jsonl").write_bytes(data)
    read_recording(folder)


def sound(kind: str, subtype: str, rate_hz: int = 16000) -> bytes:
    out = io.BytesIO()
    wobble = (np.sin(np.arange(1600) / 5) * 9000).astype(np.int16)
    soundfile.write(out, wobble, rate_hz, format=kind, subtype=subtype)
    return out.getvalue()


def plain_wav() -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((2, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(range(256)) * 8)
    return out.getvalue()


def read_sound(data: bytes) -> None:
    decoder = Decoder(data, name="x")
    for _ in range(4):
        if not len(decoder.read(1.0)):
            return


def _readers() -> Iterator[Reader]:
    own = (VoxpyError,)
    yield Reader("http head", read_head, [UPGRADE, POST, CHUNKED], (BadHead, RemoteProtocolError))
    yield Reader("handshake answer", read_answer, [SWITCH, REFUSED], (RemoteProtocolError,))
    yield Reader("frames of clients", partial(read_frames, "server"), [frames("client")])
    yield Reader("frames of servers", partial(read_frames, "client"), [frames("server")])
    for name in sorted(OPENING.keys() & PROVIDERS):  # test_providers.py asks for all of them
        provider = PROVIDERS[name]
        opening = PARTS.join(as_bytes(each) for each in OPENING[name])
        seeds = [carried(provider), opening]
        yield Reader(
            f"stream of {name}", partial(read_stream, provider), seeds, (RemoteProtocolError,)
        )
        yield Reader(
            f"phone of {name}",
            partial(read_orders, provider),
            [ordered(provider)],
            (RemoteProtocolError,),
        )
        yield Reader(f"webhook of {name}", partial(read_hook, provider), HOOKS)
    yield Reader("media in a socket", lambda data: [read_media(text(part)) for part in parts(data)],
                 [MEDIA_IN_SOCKET], (RemoteProtocolError,))  # fmt: skip
    together = [PARTS.join(MESSAGES), *MESSAGES]
    yield Reader("sip messages", read_sip, together)
    yield Reader(
        "sip stream", read_sip_stream, [b"".join(MESSAGES), PARTS.join(MESSAGES)], (BadMessage,)
    )
    yield Reader("sip values", read_values, [
        b'"A" <sip:a@h:5060;transport=tcp?x=y>;tag=1', b"SIP/2.0/UDP h:1;branch=z;rport=5;received=1.2.3.4",
        b"1 INVITE", b'Digest realm="r", nonce="n", qop="auth"', b"tel:+1555;phone-context=x", b"sips:[::1]:99"])  # fmt: skip
    yield Reader("sdp", read_description, [SDP, DESCRIPTION], (RemoteProtocolError,))
    yield Reader("rtp", read_rtp, [PARTS.join((RTP, EVENT, EVENT, RTP)), RTP, EVENT])
    yield Reader("rtcp", read_rtcp, [RTCP, BYE, RTCP + BYE])
    yield Reader("events of a service", read_service, [PARTS.join(SERVED), *SERVED])
    yield Reader("events of a client", read_client, [PARTS.join(ASKED), *ASKED])
    yield Reader("gemini", partial(read_wire, GeminiWire), [GEMINI])
    yield Reader("elevenlabs", partial(read_wire, ElevenLabsWire), [ELEVENLABS])
    yield Reader("deepgram", partial(read_wire, DeepgramWire), [DEEPGRAM])
    yield Reader(
        "endpoint",
        read_endpoint,
        [b"/v1/realtime?model=x" + PARTS + b"Bearer k", b'{"error":{"message":"m","code":"c"}}'],
    )
    yield Reader("routing.yaml", lambda data: parse_routing(text(data)), [ROUTING], own, users=True)
    yield Reader(
        "caller file",
        lambda data: parse_script(text(data), file="a.yaml", folder=FOLDER),
        [CALLER, SHORT],
        own,
        users=True,
    )
    yield Reader(
        "case file", lambda data: parse_case(text(data), FOLDER / "a.yaml"), [CASE], own, users=True
    )
    yield Reader(
        "topics", lambda data: load_topics(write("topics.yaml", data)), [TOPICS], own, users=True
    )
    yield Reader(
        "secrets",
        lambda data: parse_secrets(text(data), file="secrets.env"),
        [SECRET],
        own,
        users=True,
    )
    yield Reader("scenario", lambda data: examine(text(data), file="a.py"),
                 [SCENARIO, SCENARIO[:900]], own, users=True)  # fmt: skip
    yield Reader("call list", lambda data: read_rows(text(data), file="a.csv", most_bytes=200),
                 [b"number;name\n+1555;Ann\n+1666;\"B; b\"\n", b"number,x\n1,2\n"], own)  # fmt: skip
    yield Reader("trace", read_our_files, [TRACE])
    yield Reader("record", read_our_record, [RECORD], own)
    yield Reader("inputs", read_our_inputs, [INPUTS], own)
    yield Reader(
        "json",
        lambda data: json.loads(data),
        [RECORD, js(TRACE_LINES)],
        (ValueError,),
    )
    yield Reader(
        "wav",
        lambda data: read_wav(io.BytesIO(data), name="a.wav"),
        [plain_wav(), sound("WAV", "PCM_16")],
        own,
    )
    sounds = [
        sound("FLAC", "PCM_16"),
        sound("MP3", "MPEG_LAYER_III"),
        sound("OGG", "VORBIS"),
        sound("WAV", "PCM_16"),
        plain_wav(),
    ]
    yield Reader("sounds", read_sound, sounds, own)
    for fmt in (PCMU, PCMA, pcm16(8000)):
        yield Reader(
            f"samples of {fmt.name if hasattr(fmt, 'name') else fmt}",
            partial(_decode, fmt),
            [bytes(160)],
            own,
        )


def _decode(fmt: Any, data: bytes) -> None:
    decode(data[: len(data) // fmt.sample_bytes * fmt.sample_bytes], fmt)


READERS = {reader.name: reader for reader in _readers()}
