"""Opening byte streams, on real loopback sockets."""

from __future__ import annotations

import pytest
import trio

from voxpy.engine.ports import Endpoint
from voxpy.errors import ConnectFailed
from voxpy.sockets.streams import open_tcp


async def listener() -> trio.SocketListener:
    (found,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    return found


def endpoint(listening: trio.SocketListener, *, tls: bool) -> Endpoint:
    return Endpoint(host="127.0.0.1", port=listening.socket.getsockname()[1], tls=tls)


async def test_opens_tcp() -> None:
    async with await listener() as listening:
        stream = await open_tcp(endpoint(listening, tls=False))
        async with stream, await listening.accept() as theirs:
            await stream.send_all(b"hello")
            assert await theirs.receive_some() == b"hello"


async def test_a_refused_connection_says_where_and_why() -> None:
    async with await listener() as listening:
        nowhere = endpoint(listening, tls=False)
    with pytest.raises(ConnectFailed, match=f"127.0.0.1:{nowhere.port}: cannot connect: .*refused"):
        await open_tcp(nowhere)


async def test_a_failed_tls_handshake_leaves_no_socket() -> None:
    async with await listener() as listening, trio.open_nursery() as nursery:

        async def speak_no_tls() -> None:
            async with await listening.accept() as theirs:
                await theirs.receive_some()
                await theirs.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                while await theirs.receive_some():
                    pass

        nursery.start_soon(speak_no_tls)  # ends only when our end is closed
        with pytest.raises(ConnectFailed, match="TLS handshake failed"):
            await open_tcp(endpoint(listening, tls=True))


async def test_a_cancelled_tls_handshake_leaves_no_socket() -> None:
    async with await listener() as listening, trio.open_nursery() as nursery:

        async def say_nothing(cancel: trio.CancelScope) -> None:
            async with await listening.accept() as theirs:
                await theirs.receive_some()
                cancel.cancel()
                while await theirs.receive_some():
                    pass

        with trio.CancelScope() as scope:
            nursery.start_soon(say_nothing, scope)
            await open_tcp(endpoint(listening, tls=True))
        assert scope.cancelled_caught
