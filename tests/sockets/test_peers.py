"""``FrameSocket`` against trio-websocket, in both roles, over memory and TCP, cut anywhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    wrap_client_stream,
    wrap_server_stream,
)

from voxpy.engine.ports import Endpoint
from voxpy.sockets import CloseInfo, FrameSocket, connect, receive_upgrade

MESSAGES: list[str | bytes] = ["", "ключ", b"\x00\xff", "x" * 70_000, bytes(300_000), "end"]
Streams = tuple[trio.abc.Stream, trio.abc.Stream]


async def memory() -> Streams:
    await trio.lowlevel.checkpoint()
    return trio.testing.memory_stream_pair()


async def lockstep() -> Streams:
    await trio.lowlevel.checkpoint()
    return trio.testing.lockstep_stream_pair()


async def tcp() -> Streams:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        return await trio.testing.open_stream_to_socket_listener(listener), await listener.accept()


Make = Callable[[], Awaitable[Streams]]


@pytest.fixture(params=[memory, lockstep, tcp])
def streams(request: pytest.FixtureRequest) -> Make:
    chosen: Make = request.param
    return chosen


def exchange(socket: FrameSocket) -> list[str | bytes]:
    """Say everything and close once everything has come back."""
    got: list[str | bytes] = []

    def take(message: str | bytes) -> None:
        got.append(message)
        if len(got) == len(MESSAGES):
            socket.close(4000, "done")

    socket.on_message = take
    for message in MESSAGES:
        socket.send(message)
    return got


async def echo(socket: WebSocketConnection) -> None:
    """Send back what comes, and a ping with every message."""
    try:
        while True:
            message = await socket.get_message()
            await socket.send_message(message)
            if message != "end":  # they may close while a last pong is still awaited
                await socket.ping()
    except ConnectionClosed:
        assert socket.closed is not None
        assert (socket.closed.code, socket.closed.reason) == (4000, "done")


async def test_we_are_the_client(streams: Make) -> None:
    ours, theirs = await streams()

    async def serve() -> None:
        async with trio.open_nursery() as inner:
            request = await wrap_server_stream(inner, theirs, message_queue_size=64)
            assert request.proposed_subprotocols == ("p",)
            await echo(await request.accept(subprotocol="p"))

    async def dial(endpoint: Endpoint) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return ours

    with trio.fail_after(10):
        async with theirs, trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            socket = await connect(dial, "ws://a.test/x", subprotocols=["p"])
            got = exchange(socket)
            assert await socket.run() == CloseInfo(4000, "done", clean=True)
    assert got == MESSAGES


async def test_we_are_the_server(streams: Make) -> None:
    ours, theirs = await streams()

    async def dial() -> None:
        async with trio.open_nursery() as inner:
            await echo(
                await wrap_client_stream(
                    inner,
                    theirs,  # type: ignore[arg-type]  # any stream will do, says its documentation
                    "a.test",
                    "/x",
                    subprotocols=["p"],
                    message_queue_size=64,
                )
            )

    with trio.fail_after(10):
        async with theirs, trio.open_nursery() as nursery:
            nursery.start_soon(dial)
            socket = await (await receive_upgrade(ours)).accept(subprotocol="p")
            got = exchange(socket)
            assert await socket.run() == CloseInfo(4000, "done", clean=True)
    assert got == MESSAGES
