"""One WebSocket to a realtime service: dialling, order, bounds and every bad far side."""

# ruff: noqa: E501  tables and scenario sources read better in whole lines

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
import trio.lowlevel
import trio.testing

from voxpy.engine.ports import Endpoint
from voxpy.errors import ConnectFailed, LimitExceeded
from voxpy.realtime.connection import (
    OUTBOX_AUDIO,
    OUTBOX_MESSAGES,
    ConnectionReports,
    RealtimeConnection,
)
from voxpy.testing.service import Refusing, Service, Talk
from voxpy.wire.websocket.handshake import ServerHandshake
from voxpy.wire.websocket.protocol import WebSocketProtocol

URL = "ws://service.test:8080/v1/session?key=k-1&protocol=realtime"
Serve = Callable[[trio.abc.Stream], Awaitable[None]]


@attrs.define
class Reports(ConnectionReports):
    """What a connection has told."""

    texts: list[str] = attrs.field(factory=list)
    binary: list[int] = attrs.field(factory=list)
    frames: list[bytes] = attrs.field(factory=list)
    refusals: list[tuple[int, Mapping[str, str], str]] = attrs.field(factory=list)
    ends: list[tuple[int, str, bool]] = attrs.field(factory=list)

    def received(self, text: str) -> None:
        self.texts.append(text)

    def received_binary(self, data: bytes) -> None:
        self.binary.append(len(data))

    def sent(self, frame: bytes) -> None:
        self.frames.append(frame)

    def refused(self, status: int, headers: Mapping[str, str], body: str) -> None:
        self.refusals.append((status, headers, body))

    def closed(self, code: int, reason: str, *, was_clean: bool) -> None:
        self.ends.append((code, reason, was_clean))


@attrs.define
class Line:
    """A connection under test, running."""

    connection: RealtimeConnection
    reports: Reports
    dialled: list[Endpoint] = attrs.field(factory=list)


@asynccontextmanager
async def connecting(serve: Serve, *, url: str = URL) -> AsyncIterator[Line]:
    async def open_stream(endpoint: Endpoint) -> trio.abc.Stream:
        line.dialled.append(endpoint)
        ours, theirs = trio.testing.memory_stream_pair()
        nursery.start_soon(serve, theirs)
        return ours

    reports = Reports()
    line = Line(
        RealtimeConnection(
            url, [("Authorization", "Basic a2V5")], open_stream=open_stream, reports=reports
        ),
        reports,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(line.connection.run)
        yield line
        nursery.cancel_scope.cancel()


async def stay(talk: Talk) -> None:
    await talk.stay()


# -- the good case ----------------------------------------------------------------------------------


async def test_the_handshake_carries_target_and_key(autojump_clock: object) -> None:
    service = Service(stay)
    async with connecting(service) as line:
        await line.connection.wait_open()
        assert line.dialled == [Endpoint(host="service.test", port=8080, tls=False)]
        (talk,) = service.talks
        assert talk.path == "/v1/session?key=k-1&protocol=realtime"
        assert talk.headers["authorization"] == "Basic a2V5"


async def test_what_comes_with_the_handshake_is_received_after_the_opener_ran_on(
    autojump_clock: object,
) -> None:
    """One packet with the answer and the first event: whoever opened can still listen to it."""

    async def serve(stream: trio.abc.Stream) -> None:
        handshake = ServerHandshake()
        while handshake.receive(bytes(await stream.receive_some())) is None:
            pass
        protocol = WebSocketProtocol("server", new_mask=bytes, max_message_bytes=100)
        await stream.send_all(handshake.accept(None, ()) + protocol.message("first"))
        await trio.sleep_forever()

    for _ in range(20):  # trio runs tasks in random order
        async with connecting(serve) as line:
            await line.connection.wait_open()
            assert line.reports.texts == []
            await trio.testing.wait_all_tasks_blocked()
            assert line.reports.texts == ["first"]


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("ws://a.test/x", Endpoint(host="a.test", port=80, tls=False)),
        ("wss://a.test/x", Endpoint(host="a.test", port=443, tls=True)),
        ("wss://a.test:8443/x", Endpoint(host="a.test", port=8443, tls=True)),
    ],
)
async def test_where_a_url_leads(autojump_clock: object, url: str, endpoint: Endpoint) -> None:
    async with connecting(Service(stay), url=url) as line:
        await line.connection.wait_open()
        assert line.dialled == [endpoint]


async def test_frames_are_sent_in_the_order_given(autojump_clock: object) -> None:
    service = Service(stay)
    async with connecting(service) as line:
        await line.connection.wait_open()
        for n in range(40):
            send = line.connection.send_audio if n % 3 else line.connection.send
            send(b'{"type":"t","n":%d}' % n)
        await trio.sleep(1)
        assert [e["n"] for e in service.talks[0].received] == list(range(40))
        assert len(line.reports.frames) == 40
        assert line.connection.statistics.messages_out == 40
        assert line.connection.statistics.audio_dropped == 0


async def test_closing_drains_says_1000_and_is_gone(autojump_clock: object) -> None:
    service = Service(stay)
    async with connecting(service) as line:
        await line.connection.wait_open()
        line.connection.send(b'{"type":"last"}')
        await line.connection.aclose()
        assert line.reports.ends == [(1000, "", True)]
        await trio.sleep(0.1)
        (talk,) = service.talks
        assert [e["type"] for e in talk.received] == ["last"]
        assert talk.closed == (1000, "")
        with pytest.raises((trio.ClosedResourceError, trio.BrokenResourceError)):
            await talk.stream.send_all(b"x")
        line.connection.send(b"{}")  # ignored, like every command on what is over
        line.connection.close()
        await line.connection.aclose()
        assert len(line.reports.ends) == 1


async def test_their_close_is_reported_once(autojump_clock: object) -> None:
    async def play(talk: Talk) -> None:
        await talk.socket.aclose(1011, "internal fault")

    async with connecting(Service(play)) as line:
        await line.connection.wait_open()
        await trio.sleep(1)
        assert line.reports.ends == [(1011, "internal fault", True)]


async def test_a_connection_that_breaks_is_1006_and_not_clean(autojump_clock: object) -> None:
    async def play(talk: Talk) -> None:
        await talk.drop()

    async with connecting(Service(play)) as line:
        await line.connection.wait_open()
        await trio.sleep(1)
        assert line.reports.ends == [(1006, "connection lost", False)]


async def test_garbage_after_the_handshake_ends_the_connection(autojump_clock: object) -> None:
    async def play(talk: Talk) -> None:
        await talk.stream.send_all(b"\xff\xff\xff\xff this is no frame")
        await talk.stay()

    async with connecting(Service(play)) as line:
        await line.connection.wait_open()
        await trio.sleep(30)
        ((code, _, _),) = line.reports.ends
        assert code in (1002, 1006)


async def test_text_binary_and_large_frames(autojump_clock: object) -> None:
    large = '{"type":"x","pad":"' + "a" * 1_000_000 + '"}'

    async def play(talk: Talk) -> None:
        await talk.send(b"\x00\x01\x02")
        await talk.send("not json")
        await talk.send(large)
        await talk.stay()

    async with connecting(Service(play)) as line:
        await line.connection.wait_open()
        await trio.sleep(1)
        assert line.reports.binary == [3]
        assert line.reports.texts == ["not json", large]
        assert line.connection.statistics.messages_in == 3


async def test_a_ping_is_answered_while_messages_pile_up(autojump_clock: object) -> None:
    answered = trio.Event()

    async def play(talk: Talk) -> None:
        for n in range(200):
            await talk.send({"type": "x", "n": n})
        with trio.fail_after(1):
            await talk.socket.ping()
        answered.set()
        await talk.stay()

    async with connecting(Service(play)) as line:
        await line.connection.wait_open()
        await trio.sleep(2)
        assert answered.is_set()
        assert len(line.reports.texts) == 200


# -- a service that does not read -------------------------------------------------------------------


@asynccontextmanager
async def deaf_line() -> AsyncIterator[Line]:
    """A connection whose far side accepts it and then never reads again."""
    listener = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener[0].socket.getsockname()[1]

    async def serve(stream: trio.SocketStream) -> None:
        import hashlib
        from base64 import b64encode

        request = b""
        while b"\r\n\r\n" not in request:
            request += await stream.receive_some()
        key = next(h for h in request.split(b"\r\n") if h.lower().startswith(b"sec-websocket-key"))
        guid = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
        accept = b64encode(hashlib.sha1(key.split(b": ")[1] + guid).digest())
        await stream.send_all(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        await trio.sleep_forever()

    async def open_stream(endpoint: Endpoint) -> trio.abc.Stream:
        return await trio.open_tcp_stream("127.0.0.1", port)

    reports = Reports()
    connection = RealtimeConnection(
        URL, [("Authorization", "Basic k")], open_stream=open_stream, reports=reports
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, listener)
        nursery.start_soon(connection.run)
        await connection.wait_open()
        yield Line(connection, reports)
        nursery.cancel_scope.cancel()


BIG = b'{"type":"x","pad":"' + b"a" * 4_000_000 + b'"}'  # more than the kernel buffers of a socket


async def test_audio_is_dropped_and_counted_when_the_service_does_not_read() -> None:
    async with deaf_line() as line:
        line.connection.send(BIG)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(OUTBOX_AUDIO + 30):
            line.connection.send_audio(b"{}")
        assert line.connection.statistics.audio_dropped == 30


async def test_too_many_waiting_messages_are_an_error_that_says_so() -> None:
    async with deaf_line() as line:
        line.connection.send(BIG)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(OUTBOX_MESSAGES):
            line.connection.send(b"{}")
        with pytest.raises(LimitExceeded, match=rf"{OUTBOX_MESSAGES} messages wait: {URL[:20]}"):
            line.connection.send(b"{}")


async def test_closing_does_not_wait_for_ever_for_a_service_that_does_not_read() -> None:
    async with deaf_line() as line:
        line.connection.send(BIG)
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(0.05):
            await line.connection.aclose()  # cancelling cuts it off
        with trio.fail_after(2):
            await line.connection.aclose()
        assert line.reports.ends == [(1006, "connection lost", False)]


async def test_close_gives_up_on_a_peer_that_ignores_it(autojump_clock: object) -> None:
    async def play(talk: Talk) -> None:
        await trio.sleep_forever()

    async with connecting(Service(play)) as line:
        await line.connection.wait_open()
        for _ in range(300):  # more than the far side's queue of messages
            line.connection.send(b"{}")
        began = trio.current_time()
        line.connection.close()
        await line.connection.aclose()
        assert trio.current_time() - began <= 4.1
        assert len(line.reports.ends) == 1


# -- a far side that never becomes a service --------------------------------------------------------


def answering(*parts: bytes, then: str = "close") -> Serve:
    """Return a far side that reads a request and answers these bytes."""

    async def serve(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        for part in parts:
            await stream.send_all(part)
        if then == "stay":
            await trio.sleep_forever()
        await stream.aclose()

    return serve


async def close_at_once(stream: trio.abc.Stream) -> None:
    await stream.aclose()


async def silent(stream: trio.abc.Stream) -> None:
    await trio.sleep_forever()


BAD_ACCEPT = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: bm9uc2Vuc2U=\r\n\r\n"
)


@pytest.mark.parametrize(
    ("serve", "words", "within_s"),
    [
        (close_at_once, "closed the connection during the handshake", 0.2),
        (answering(), "closed the connection during the handshake", 0.2),
        (answering(b"HTTP/1.1 101 Swi"), "it had answered 'HTTP/1.1 101 Swi'", 0.2),
        (answering(b"SSH-2.0-x\r\n\r\n"), "no WebSocket handshake; it had answered 'SSH-2.0-x'", 0.2),
        (answering(b"SSH-2.0-x\r\n\r\n", then="stay"), "it had answered 'SSH-2.0-x'", 0.2),
        (answering(b"\x15\x03\x01\x00\x02\x02\x0a"), "it had answered", 0.2),
        (answering(BAD_ACCEPT, then="stay"), "no WebSocket handshake", 0.2),
        (silent, "no answer within 10 s", 10.01),
        (answering(then="stay"), "no answer within 10 s", 10.01),
    ],
)  # fmt: skip
async def test_what_is_no_service_fails_with_its_url(
    autojump_clock: object, serve: Serve, words: str, within_s: float
) -> None:
    async with connecting(serve) as line:
        began = trio.current_time()
        with pytest.raises(ConnectFailed) as failed:
            await line.connection.wait_open()
        assert str(failed.value).startswith(URL)
        assert words in str(failed.value)
        assert failed.value.status is None
        assert trio.current_time() - began <= within_s
        assert line.reports.ends == []  # never open, so never closed
        with trio.fail_after(0.1):
            await line.connection.aclose()


@pytest.mark.parametrize(
    ("status", "words"), [(401, "API key"), (402, "billing"), (403, "permissions"), (503, "fault")]
)
async def test_a_refusal_is_reported_with_status_and_body(
    autojump_clock: object, status: int, words: str
) -> None:
    async with connecting(Refusing(status, b'{"error":{"message":"said so"}}')) as line:
        with pytest.raises(ConnectFailed, match=f"{status}.*{words}.*it said: said so") as failed:
            await line.connection.wait_open()
        assert failed.value.status == status
        ((told, _, body),) = line.reports.refusals
        assert told == status
        assert "said so" in body


@pytest.mark.parametrize("then", ["close", "stay"])
async def test_a_refusal_without_a_length_counts_all_the_same(
    autojump_clock: object, then: str
) -> None:
    async with connecting(answering(b"HTTP/1.1 401 No\r\n\r\n", b"say so", then=then)) as line:
        began = trio.current_time()
        with pytest.raises(ConnectFailed, match=r"401.*API key.*it said: say so") as failed:
            await line.connection.wait_open()
        assert failed.value.status == 401
        assert trio.current_time() - began <= 1.1  # a body that does not end is not waited for
        assert [status for status, _, _ in line.reports.refusals] == [401]


async def test_a_dial_that_fails_says_why(autojump_clock: object) -> None:
    async def open_stream(endpoint: Endpoint) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        raise ConnectFailed(f"{endpoint.host}: cannot connect: Connection refused")

    connection = RealtimeConnection(
        URL, [("Authorization", "x")], open_stream=open_stream, reports=Reports()
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.run)
        with pytest.raises(ConnectFailed, match=r"service\.test: cannot connect: Connection ref"):
            await connection.wait_open()


async def test_giving_up_the_wait_gives_up_the_attempt(autojump_clock: object) -> None:
    gone = trio.Event()

    async def serve(stream: trio.abc.Stream) -> None:
        while await stream.receive_some():
            pass
        gone.set()

    async with connecting(serve) as line:
        with trio.move_on_after(1) as scope:
            await line.connection.wait_open()
        assert scope.cancelled_caught
        with trio.fail_after(0.1):
            await gone.wait()
            await line.connection.aclose()


async def test_closing_during_the_handshake_ends_it(autojump_clock: object) -> None:
    async with connecting(silent) as line:
        await trio.testing.wait_all_tasks_blocked()
        line.connection.close()
        with trio.fail_after(0.1), pytest.raises(ConnectFailed, match="given up"):
            await line.connection.wait_open()
