"""How sessions open byte streams: real TCP on this machine, and memory."""

from __future__ import annotations

import socket

import pytest
import trio

from voxpy.engine.ports import Endpoint
from voxpy.errors import ConnectFailed
from voxpy.host.streams import MemoryDialer, open_tcp


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.slow
async def test_tcp_carries_bytes() -> None:
    async def echo(stream: trio.SocketStream) -> None:
        await stream.send_all(await stream.receive_some())

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, echo, listeners)
        stream = await open_tcp(Endpoint(host="127.0.0.1", port=port, tls=False))
        async with stream:
            await stream.send_all(b"hello")
            assert await stream.receive_some() == b"hello"
        nursery.cancel_scope.cancel()


@pytest.mark.slow
async def test_a_closed_port_names_host_port_and_reason() -> None:
    port = unused_port()
    with pytest.raises(ConnectFailed, match=rf"127\.0\.0\.1:{port}: cannot connect: .*refused"):
        await open_tcp(Endpoint(host="127.0.0.1", port=port, tls=False))


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
