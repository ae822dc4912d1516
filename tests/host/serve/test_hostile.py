"""What strangers may send: refused, logged, and no running call is the worse for it."""

from __future__ import annotations

import json
import socket
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest
import trio

from tests.host.serve.conftest import Hosting, Running
from voxpy.host.listening import ConnectionLimits
from voxpy.sockets import FrameSocket
from voxpy.testing.carrier import CarrierPhone
from voxpy.wire.websocket.protocol import WebSocketProtocol

UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
HALF = b"POST /twilio/voice HTTP/1.1\r\nHost: h\r\n"
START = {
    "streamSid": "MZ1",
    "callSid": "CA1",
    "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
    "customParameters": {"to": "+15550002222"},
}
SILENCE = b64encode(b"\xff" * 160).decode()


@asynccontextmanager
async def unharmed(running: Running) -> AsyncIterator[CarrierPhone]:
    """A call that must not notice anything."""
    phone = await running.phone()
    await running.until(lambda: len(phone.received) > 5)
    yield phone
    before = len(phone.received)
    await running.until(lambda: len(phone.received) > before + 10)
    assert phone.info is None


async def open_socket(running: Running) -> FrameSocket:
    found = await running.connect("/media/twilio")
    running.nursery.start_soon(found.run)
    return found


async def answer_to(running: Running, *sent: bytes) -> bytes:
    """Send raw bytes; return everything that comes until the host closes."""
    stream = await running.raw()
    answer = b""
    try:
        with trio.fail_after(5):
            for part in sent:
                await stream.send_all(part)
            while data := await stream.receive_some():
                answer += data
    except trio.BrokenResourceError:
        pass
    await stream.aclose()
    return answer


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000, b"HTTP/1.1 431 "),
        (b"GET / HT", b"HTTP/1.1 408 "),
        (b"", b""),
        (b"\x16\x03\x01 hello\r\n\r\n", b"HTTP/1.1 400 "),
        (b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", b"HTTP/1.1 400 "),
        (b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n", b"HTTP/1.1 426 "),
        (UPGRADE.format(path="/media/nobody").encode(), b"HTTP/1.1 404 "),
        (b"POST /health HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 405 "),
        (b"GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n", b"HTTP/1.1 404 "),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), b"HTTP/1.1 505 "),
        (HALF + b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n", b"HTTP/1.1 505 "),
        (HALF + b"Upgrade: websocket, h2c\r\n\r\n", b"HTTP/1.1 505 "),
        (HALF + b"X: y\r\n" * 130 + b"\r\n", b"HTTP/1.1 431 "),
        (HALF + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\n", b"HTTP/1.1 400 "),
        (HALF + b"Content-Length: 9\r\n\r\nTo=", b"HTTP/1.1 408 "),
        (HALF + b"Transfer-Encoding: chunked\r\n\r\n5\r\n", b"HTTP/1.1 408 "),
        (HALF + b"Transfer-Encoding: gzip\r\n\r\n", b"HTTP/1.1 501 "),
        (HALF + b"Transfer-Encoding: chunked\r\n\r\n5xx\r\nabcde", b"HTTP/1.1 400 "),
        (HALF + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n", b"HTTP/1.1 100 "),
    ],
)
async def test_requests_that_lead_nowhere(
    hosting: Hosting, autojump_clock: object, sent: bytes, answer: bytes
) -> None:
    limits = ConnectionLimits(head_s=0.2, exchange_s=0.4)
    async with hosting(limits=limits) as running, unharmed(running):
        got = await answer_to(running, sent)
        assert got.startswith(answer)
        assert bool(got) == bool(answer)
        assert not running.logged("connection failed")


async def test_a_webhook_with_an_endless_body(hosting: Hosting, autojump_clock: object) -> None:
    async with hosting() as running, unharmed(running):
        answer = await running.ask("POST", "/twilio/voice", content=b"a=" + b"x" * 100_000)
        assert answer.status_code == 413


async def test_a_body_in_parts_of_one_byte(hosting: Hosting, autojump_clock: object) -> None:
    head = HALF + b"Transfer-Encoding: chunked\r\n\r\n"
    async with hosting() as running, unharmed(running):
        assert (await answer_to(running, head, b"1\r\nx\r\n" * 3000)).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("where", ["query", "form"])
async def test_a_webhook_of_too_many_fields(
    hosting: Hosting, autojump_clock: object, where: str
) -> None:
    fields = "&".join(f"a{n}=b" for n in range(201))
    async with hosting() as running:
        if where == "query":
            answer = await running.ask("GET", f"/twilio/voice?{fields}")
        else:
            kind = {"content-type": "application/x-www-form-urlencoded"}
            answer = await running.ask("POST", "/twilio/voice", content=fields, headers=kind)
    assert (answer.status_code, answer.text) == (413, "over 200 fields")


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        (["no json"], 1008),
        (["x" * 300_000], 1009),
        ([json.dumps({"event": "media", "media": {"payload": SILENCE}})], 1008),
        ([json.dumps({"event": "start", "start": {}})], 1008),
        ([b"\x00\x01"], 1008),
        ([json.dumps({"event": "start", "start": {**START, "mediaFormat": {}}})], 1002),
    ],
    ids=["no json", "too long", "media first", "empty start", "binary", "no codec"],
)
async def test_streams_that_become_no_call(
    hosting: Hosting, autojump_clock: object, messages: list[str | bytes], code: int
) -> None:
    async with hosting() as running, unharmed(running):
        bad = await open_socket(running)
        for message in messages:
            bad.send(message)
        await running.until(lambda: bad.closed)
        assert bad.closed is not None
        assert bad.closed.code == code
        await running.until(lambda: running.calls == 1)


async def test_a_start_with_a_broken_frame_behind_it_is_no_call(
    hosting: Hosting, autojump_clock: object
) -> None:
    client = WebSocketProtocol("client", new_mask=lambda: b"mask", max_message_bytes=1 << 20)
    start = client.message(json.dumps({"event": "start", "start": {**START, "callSid": "CAx"}}))
    async with hosting() as running, unharmed(running):
        began = len(running.logged("call began"))
        got = await answer_to(
            running, UPGRADE.format(path="/media/twilio").encode(), start + b"\xff\xff\xff\xff"
        )
        assert got.startswith(b"HTTP/1.1 101")
        await running.until(lambda: running.logged("connection refused"))
        assert len(running.logged("call began")) == began
        (told,) = running.logged("connection refused")
        assert told["data"]["problem"] == "broken right behind the start of the stream"


async def test_odd_messages_leave_their_call_up(hosting: Hosting, autojump_clock: object) -> None:
    start = json.dumps({"event": "start", "start": START})
    async with hosting() as running, unharmed(running):
        odd = await open_socket(running)
        for message in (start, "no json", b"\x00", start):
            odd.send(message)
        await running.until(lambda: running.calls == 2)
        await trio.sleep(15)
        assert odd.closed is None
        odd.close()
        await running.until(lambda: running.calls == 1)
        told = (await running.ask("GET", "/metrics")).text
    assert 'voxpy_call_troubles_total{kind="odd_messages"} 3.0' in told


async def test_a_frame_that_is_none(hosting: Hosting, autojump_clock: object) -> None:
    async with hosting() as running, unharmed(running):
        got = await answer_to(
            running, UPGRADE.format(path="/media/twilio").encode(), b"\xff\xff\xff\xff"
        )
        assert got.startswith(b"HTTP/1.1 101")
        await running.until(lambda: running.logged("connection refused"))


async def test_sockets_that_never_start_are_closed(
    hosting: Hosting, autojump_clock: object
) -> None:
    async with hosting(limits=ConnectionLimits(start_s=0.3)) as running, unharmed(running):
        idle = [await open_socket(running) for _ in range(30)]
        await running.until(lambda: all(s.closed for s in idle))
        assert {s.closed.code for s in idle if s.closed} == {1008}
        assert {s.closed.reason for s in idle if s.closed} == {"no start of the stream"}


async def test_hundreds_of_idle_connections_of_one_address(
    hosting: Hosting, autojump_clock: object
) -> None:
    limits = ConnectionLimits(per_address=100, head_s=1.0)
    async with hosting(limits=limits) as running, unharmed(running):
        async with AsyncExitStack() as flood:
            for _ in range(600):  # more than 512 would have to wait for their connection
                await flood.enter_async_context(await running.raw())
            await running.until(lambda: len(running.logged("connection refused")) == 24)
            assert running.host.handler.connections.open <= 101
            assert running.calls == 1
        await running.until(lambda: running.host.handler.connections.open == 1)
        told = running.logged("connection refused")
    assert told[0]["data"]["problem"] == "it made room for others"
    refused = [entry["data"].get("so_far") for entry in told]
    assert refused[:20] == [None] * 20, "the first are told one by one"
    assert refused[20:] == [*range(101, 402, 100)], "a flood does not fill the log"


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"GET / HTTP/1.1\r\nX: ",
        HALF + b"Content-Length: 60000\r\n\r\nTo=",
        UPGRADE.format(path="/media/twilio").encode(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=["silent", "in the head", "in the body", "no start", "http2"],
)
async def test_whoever_stands_in_the_door_makes_room(
    hosting: Hosting, autojump_clock: object, first: bytes
) -> None:
    """More sockets of one address than there is room for: who has something to say is heard."""
    limits = ConnectionLimits(connections=64, per_address=32)
    async with hosting(limits=limits) as running, unharmed(running):
        async with AsyncExitStack() as flood:
            for n in range(200):
                stream = await flood.enter_async_context(await running.raw())
                with suppress(trio.BrokenResourceError):
                    await stream.send_all(first)
                if n % 40 == 39:
                    assert (await running.ask("GET", "/health")).status_code == 200
            phone = await running.phone()
            await running.until(lambda: len(phone.received) > 5)
        assert running.calls == 2
        await running.until(lambda: running.host.handler.connections.open == 2)


async def test_trickling_does_not_make_an_exchange_longer(
    hosting: Hosting, autojump_clock: object
) -> None:
    limits = ConnectionLimits(head_s=2, exchange_s=3)
    async with hosting(limits=limits) as running, unharmed(running):
        began = trio.current_time()
        stream = await running.raw()
        answer = bytearray()
        with suppress(trio.BrokenResourceError):
            for byte in HALF + b"Content-Length: 60000\r\n\r\n" + b"x" * 1000:
                await stream.send_all(bytes([byte]))
                await trio.sleep(0.02)
        with suppress(trio.BrokenResourceError):
            while data := await stream.receive_some():
                answer += data
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert trio.current_time() - began < 6
        await stream.aclose()


async def test_who_asks_and_does_not_read_is_not_waited_for(
    hosting: Hosting, autojump_clock: object
) -> None:
    limits = ConnectionLimits(head_s=1, exchange_s=2)
    async with hosting(limits=limits) as running, unharmed(running):
        pipelined = b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n" * 300
        streams = [await running.raw() for _ in range(20)]
        for stream in streams:
            with suppress(trio.BrokenResourceError):
                await stream.send_all(pipelined)
        await running.until(lambda: running.host.handler.connections.open == 1)
        for stream in streams:
            await stream.aclose()


async def test_a_slow_reader_is_closed_with_a_reason(
    hosting: Hosting, autojump_clock: object
) -> None:
    """It sends and never reads: what it is sent fills every buffer on the way."""
    scenario = LOUD
    async with hosting(scenario=scenario) as running, unharmed(running):
        with socket.socket(socket.AF_UNIX) as plain:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            plain.setblocking(False)
            wrapped = trio.socket.from_stdlib_socket(plain)
            await wrapped.connect(str(running.sockets.folder / "http"))
            stream = trio.SocketStream(wrapped)
            await stream.send_all(UPGRADE.format(path="/media/twilio").encode())
            start = json.dumps({"event": "start", "start": START}).encode()
            head = bytes([0x81, 0xFE]) + len(start).to_bytes(2, "big") + bytes(4)
            await stream.send_all(head + start)
            await running.until(lambda: running.calls == 2)
            leg = next(
                h.leg
                for h in running.host.router.running.values()
                if h.leg is not None and not h.leg.callerid
            )
            shrink_send_buffer(leg)
            await running.until(lambda: running.calls == 1)
    session = running.logged("call ended")[0]["data"]["session"]
    trace = (running.folder / "sessions" / session / "trace.jsonl").read_text()
    assert "the provider does not read what it is sent" in trace


LOUD = """
from voxpy import AppEvents, CallEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.answer()
    VoxEngine.create_tone_script_player("425@-10;100(*/0/1)").send_media_to(call)
"""


def shrink_send_buffer(leg: object) -> None:
    stream = leg._line._pipe._stream  # type: ignore[attr-defined]
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)


@pytest.mark.parametrize("target", ["//[", "/media/twilio[", "http://[/media/twilio", "*"])
async def test_a_target_that_is_no_path_is_answered(
    hosting: Hosting, autojump_clock: object, target: str
) -> None:
    head = (
        f"GET {target} HTTP/1.1\r\nHost: x:99999\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    async with hosting() as running:
        assert (await answer_to(running, head.encode())).startswith(b"HTTP/1.1 404")
        asked = b"GET /health HTTP/1.1\r\nHost: x:99999\r\nConnection: close\r\n\r\n"
        assert (await answer_to(running, asked)).startswith(b"HTTP/1.1 200")
        post = (
            "POST /twilio/voice HTTP/1.1\r\nHost: [\r\nContent-Length: 0\r\n"
            "Connection: close\r\n\r\n"
        )
        assert (await answer_to(running, post.encode())).startswith(b"HTTP/1.1 200")
        assert not running.logged("connection failed")
