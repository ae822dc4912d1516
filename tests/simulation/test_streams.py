"""Byte streams to a local agent, through memory."""

from __future__ import annotations

import trio

from voxpy.engine.ports import Endpoint
from voxpy.sockets.memory import MemoryDialer


async def test_memory_leads_to_the_server() -> None:
    served: list[bytes] = []

    async def serve(stream: trio.abc.Stream) -> None:
        served.append(bytes(await stream.receive_some()))
        await stream.send_all(b"back")

    async with trio.open_nursery() as nursery:
        dial = MemoryDialer(nursery, serve)
        stream = await dial(Endpoint(host="anything.test", port=1, tls=True))
        await stream.send_all(b"there")
        assert await stream.receive_some() == b"back"
    assert served == [b"there"]
