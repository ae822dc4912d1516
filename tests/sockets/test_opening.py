"""Opening a WebSocket from both sides, and every far side that is none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from voxpy.engine.ports import Endpoint, OpenStream
from voxpy.errors import ConnectFailed, HandshakeRefused, LocalProtocolError, RemoteProtocolError
from voxpy.sockets import CloseInfo, SocketLimits, Upgrade, connect, receive_upgrade

URL = "ws://far.test:81/path?q=1"
Serve = Callable[[trio.abc.Stream], Awaitable[None]]


@asynccontextmanager
async def far_side(serve: Serve) -> AsyncIterator[OpenStream]:
    """Give what dials a far side; ``dialled`` endpoints are its attribute of that name."""

    async def open_stream(endpoint: Endpoint) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        ours, theirs = trio.testing.memory_stream_pair()
        nursery.start_soon(serve, theirs)
        return ours

    async with trio.open_nursery() as nursery:
        yield open_stream
        nursery.cancel_scope.cancel()


async def test_the_request_is_seen_before_it_is_accepted(autojump_clock: object) -> None:
    seen: list[Upgrade] = []

    async def serve(stream: trio.abc.Stream) -> None:
        upgrade = await receive_upgrade(stream)
        seen.append(upgrade)
        socket = await upgrade.accept(subprotocol="b", headers=[("X-Id", "7")])
        socket.on_message = socket.send
        await socket.run()

    async with far_side(serve) as dial:
        headers = [("Authorization", "Basic k")]
        socket = await connect(dial, URL, headers=headers, subprotocols=["a", "b"])
        assert socket.subprotocol == "b"
        (upgrade,) = seen
        assert upgrade.path == "/path?q=1"
        assert ("authorization", "Basic k") in upgrade.headers
        assert ("host", "far.test:81") in upgrade.headers
        assert upgrade.subprotocols == ("a", "b")
        got: list[str | bytes] = []

        def take(message: str | bytes) -> None:
            got.append(message)
            socket.close()

        socket.on_message = take
        socket.send("echo")
        assert await socket.run() == CloseInfo(1000, "", clean=True)
        assert got == ["echo"]


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("ws://a.test", Endpoint(host="a.test", port=80, tls=False)),
        ("wss://a.test/x", Endpoint(host="a.test", port=443, tls=True)),
        ("wss://u:p@[::1]:8443/x", Endpoint(host="::1", port=8443, tls=True)),
    ],
)
async def test_where_a_url_leads(url: str, endpoint: Endpoint) -> None:
    asked: list[Endpoint] = []

    async def open_stream(endpoint: Endpoint) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        asked.append(endpoint)
        raise ConnectFailed("no such host")

    with pytest.raises(ConnectFailed, match="no such host"):
        await connect(open_stream, url)
    assert asked == [endpoint]


@pytest.mark.parametrize("url", ["http://a.test/", "a.test", "ws:///x"])
async def test_a_url_that_is_none(url: str) -> None:
    async with far_side(close_at_once) as dial:
        with pytest.raises(LocalProtocolError, match="must be ws"):
            await connect(dial, url)


async def test_a_refusal_carries_status_headers_and_body(autojump_clock: object) -> None:
    async def serve(stream: trio.abc.Stream) -> None:
        upgrade = await receive_upgrade(stream)
        await upgrade.refuse(429, body=b"slow down", headers=[("Retry-After", "3")])
        with pytest.raises(trio.ClosedResourceError):
            await stream.send_all(b"x")

    async with far_side(serve) as dial:
        with pytest.raises(HandshakeRefused, match=r"far\.test.*refused with HTTP 429") as refused:
            await connect(dial, URL)
        assert refused.value.status == 429
        assert refused.value.headers["retry-after"] == "3"
        assert refused.value.body == b"slow down"


async def answer_ssh(stream: trio.abc.Stream) -> None:
    await stream.send_all(b"SSH-2.0-x\r\n")
    await trio.sleep_forever()


async def leave(stream: trio.abc.Stream) -> None:
    await stream.receive_some()
    await stream.aclose()


async def close_at_once(stream: trio.abc.Stream) -> None:
    await stream.aclose()


async def say_nothing(stream: trio.abc.Stream) -> None:
    await trio.sleep_forever()


@pytest.mark.parametrize(
    ("serve", "words", "after_s"),
    [
        (answer_ssh, "no WebSocket handshake; it had answered 'SSH-2.0-x'", 0),
        (leave, "closed the connection during the handshake", 0),
        (close_at_once, "closed the connection during the handshake", 0),
        (say_nothing, "no answer within 3 s", 3),
    ],
)
async def test_a_far_side_that_is_none(
    autojump_clock: object, serve: Serve, words: str, after_s: float
) -> None:
    closed: list[trio.abc.Stream] = []

    async def watched(stream: trio.abc.Stream) -> None:
        closed.append(stream)
        await serve(stream)

    async with far_side(watched) as dial:
        began = trio.current_time()
        with pytest.raises(ConnectFailed) as failed:
            await connect(dial, URL, limits=SocketLimits(handshake_s=3))
        assert words in str(failed.value)
        assert str(failed.value).startswith(URL)
        assert trio.current_time() - began == pytest.approx(after_s)
        with pytest.raises((trio.BrokenResourceError, trio.ClosedResourceError)):
            await closed[0].send_all(b"x")  # our end is closed


async def test_cancelling_an_attempt_closes_its_stream(autojump_clock: object) -> None:
    over = trio.Event()

    async def serve(stream: trio.abc.Stream) -> None:
        while await stream.receive_some():
            pass
        over.set()

    async with far_side(serve) as dial:
        with trio.move_on_after(1):
            await connect(dial, URL)
        with trio.fail_after(0.1):
            await over.wait()


# -- clients that are none -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"426", "not a WebSocket upgrade"),
        (b"\x16\x03\x01 hello\r\n\r\n", b"400", "no HTTP request"),
    ],
)
async def test_a_client_that_wants_something_else_is_told(
    autojump_clock: object, said: bytes, status: bytes, words: str
) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    await ours.send_all(said)
    with pytest.raises(RemoteProtocolError, match=words):
        await receive_upgrade(theirs)
    answer = b"".join([bytes(part) async for part in ours])  # to its end: closed behind it
    assert answer.startswith(b"HTTP/1.1 " + status)


async def test_a_client_that_says_nothing_is_not_waited_for(autojump_clock: object) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    with pytest.raises(RemoteProtocolError, match="no request within 10 s"):
        await receive_upgrade(theirs)
    assert await ours.receive_some() == b""


async def test_a_client_that_left(autojump_clock: object) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    await ours.aclose()
    with pytest.raises(RemoteProtocolError, match="left before a request"):
        await receive_upgrade(theirs)
