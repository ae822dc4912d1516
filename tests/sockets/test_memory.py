"""Streams through memory: trio's own checks of a stream, and a FrameSocket over them."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, check_two_way_stream

from voxpy.engine.ports import Endpoint
from voxpy.sockets import FrameSocket, connect, receive_upgrade
from voxpy.sockets.memory import MemoryStream, memory_pair


async def test_it_is_a_stream_as_trio_understands_it() -> None:
    async def make() -> tuple[MemoryStream, MemoryStream]:
        await trio.lowlevel.checkpoint()
        return memory_pair()

    await check_two_way_stream(make, None)


async def test_what_was_sent_before_the_close_is_still_read() -> None:
    ours, theirs = memory_pair()
    await ours.send_all(b"farewell")
    await ours.aclose()
    assert ours.is_closed
    assert not theirs.is_closed
    assert await theirs.receive_some(4) == b"fare"
    assert await theirs.receive_some() == b"well"
    assert await theirs.receive_some() == b""
    with pytest.raises(trio.BrokenResourceError):
        await theirs.send_all(b"too late")


async def test_without_waiting() -> None:
    ours, theirs = memory_pair()
    ours.put(b"abc")
    ours.put(b"def")
    assert await theirs.wait_readable()
    assert theirs.take(5) == b"abcde"
    assert theirs.take() == b"f"
    assert theirs.take() == b""
    await theirs.aclose()
    assert not await ours.wait_readable()
    with pytest.raises(trio.BrokenResourceError):
        ours.put(b"x")


async def sockets(nursery: trio.Nursery) -> tuple[FrameSocket, FrameSocket, list[str | bytes]]:
    ours, theirs = memory_pair()
    accepted: list[FrameSocket] = []

    async def accept() -> None:
        accepted.append(await (await receive_upgrade(theirs)).accept())

    async def dial(endpoint: Endpoint) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return ours

    async with trio.open_nursery() as handshake:
        handshake.start_soon(accept)
        ours_open = await connect(dial, "ws://memory.test/x")
    received: list[str | bytes] = []
    accepted[0].on_message = received.append
    for socket in (ours_open, accepted[0]):
        nursery.start_soon(socket.run)
    return ours_open, accepted[0], received


async def test_messages_arrive_whole_and_in_order(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        ours, theirs, received = await sockets(nursery)
        sent = [f"message {n}" * n for n in range(200)]
        for text in sent:
            ours.send(text)
        assert received == []  # never in the sender's own call
        await ours.aclose()
    assert received == sent
    assert ours.waiting_bytes == ours.waiting_messages == 0
    assert ours.closed is not None
    assert ours.closed.clean
    assert theirs.closed is not None
    assert theirs.closed.clean


async def test_a_lost_connection_is_noticed_by_both(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        ours, theirs, _ = await sockets(nursery)
        ours.abort()
        ours.send("into the void")
    assert theirs.closed is not None
    assert (theirs.closed.code, theirs.closed.clean) == (1006, False)
