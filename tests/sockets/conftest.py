"""Two ends of a WebSocket, over memory streams (virtual time) or a real TCP connection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import attrs
import pytest
import trio
import trio.testing

from voxpy.sockets import CloseInfo, FrameSocket, SocketLimits
from voxpy.sockets.masks import new_mask
from voxpy.sockets.memory import memory_pair
from voxpy.wire.websocket.protocol import Role, WebSocketProtocol

Streams = Callable[[], Awaitable[tuple[trio.abc.Stream, trio.abc.Stream]]]


async def tcp_streams() -> tuple[trio.abc.Stream, trio.abc.Stream]:
    (listener, *rest) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        ours = await trio.testing.open_stream_to_socket_listener(listener)
        theirs = await listener.accept()
    assert not rest
    return ours, theirs


async def stapled_streams() -> tuple[trio.abc.Stream, trio.abc.Stream]:
    """TCP that does not look like it, as TLS does: read and written by tasks."""
    ours, theirs = await tcp_streams()
    return trio.StapledStream(ours, ours), trio.StapledStream(theirs, theirs)


async def memory_streams() -> tuple[trio.abc.Stream, trio.abc.Stream]:
    await trio.lowlevel.checkpoint()
    return trio.testing.memory_stream_pair()


async def our_memory_streams() -> tuple[trio.abc.Stream, trio.abc.Stream]:
    await trio.lowlevel.checkpoint()
    return memory_pair()


@attrs.define
class End:
    """One side under test and what became of it."""

    socket: FrameSocket
    got: list[str | bytes] = attrs.field(factory=list)
    info: CloseInfo | None = None
    error: Exception | None = None
    over: trio.Event = attrs.field(factory=trio.Event)
    _news: trio.Event = attrs.field(factory=trio.Event)

    def take(self, message: str | bytes) -> None:
        self.got.append(message)
        self._news.set()

    async def run(self) -> None:
        try:
            self.info = await self.socket.run()
        except ValueError as error:
            self.error = error
        finally:
            self.over.set()

    async def wait_for(self, count: int) -> None:
        """Wait until so many messages have come."""
        with trio.fail_after(5):
            while len(self.got) < count:
                self._news = trio.Event()
                await self._news.wait()

    async def wait_over(self) -> CloseInfo:
        with trio.fail_after(60):
            await self.over.wait()
        assert self.info is not None
        return self.info


@attrs.define
class Ends:
    """Both sides, running; ``nursery`` is the test's."""

    client: End
    server: End
    client_stream: trio.abc.Stream
    server_stream: trio.abc.Stream
    nursery: trio.Nursery

    def both(self) -> list[tuple[End, End]]:
        return [(self.client, self.server), (self.server, self.client)]


def framesocket(stream: trio.abc.Stream, role: Role, limits: SocketLimits) -> FrameSocket:
    protocol = WebSocketProtocol(role, new_mask=new_mask, max_message_bytes=limits.message_bytes)
    return FrameSocket(stream, protocol, limits=limits)


Joined = Callable[..., AbstractAsyncContextManager[Ends]]


@asynccontextmanager
async def joined_over(
    streams: Streams, *, limits: SocketLimits | None = None, run: str = "both"
) -> AsyncIterator[Ends]:
    """Join two FrameSockets; ``run`` is "both", "client" (the server never reads) or "none"."""
    limits = limits or SocketLimits()
    ours, theirs = await streams()
    client = End(framesocket(ours, "client", limits))
    server = End(framesocket(theirs, "server", limits))
    client.socket.on_message, server.socket.on_message = client.take, server.take
    async with trio.open_nursery() as nursery:
        if run != "none":
            nursery.start_soon(client.run)
        if run == "both":
            nursery.start_soon(server.run)
        yield Ends(client, server, ours, theirs, nursery)
        nursery.cancel_scope.cancel()
    for side in (client, server):
        await side.socket.aclose()


@pytest.fixture(params=["memory", "tcp", "tcp by tasks"])
def joined(request: pytest.FixtureRequest) -> Joined:
    """``async with joined() as ends``: in every world, on the real clock."""
    streams = {"memory": memory_streams, "tcp": tcp_streams, "tcp by tasks": stapled_streams}[
        request.param
    ]

    def join(**options: object) -> AbstractAsyncContextManager[Ends]:
        return joined_over(streams, **options)  # type: ignore[arg-type]

    return join


@pytest.fixture
def joined_in_memory() -> Joined:
    """The same over memory only, for virtual time."""

    def join(**options: object) -> AbstractAsyncContextManager[Ends]:
        return joined_over(memory_streams, **options)  # type: ignore[arg-type]

    return join


@pytest.fixture
def joined_by_tcp() -> Joined:
    """The same over real sockets only."""

    def join(**options: object) -> AbstractAsyncContextManager[Ends]:
        return joined_over(tcp_streams, **options)  # type: ignore[arg-type]

    return join


@pytest.fixture(params=[our_memory_streams, tcp_streams])
def holding(request: pytest.FixtureRequest) -> Joined:
    """Over the two kinds of streams that can be held."""
    return partial(joined_over, request.param)
