"""Byte streams through memory, between two tasks of one loop."""

from __future__ import annotations

import operator
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import trio

from voxpy.engine.ports import Endpoint


class MemoryStream(trio.abc.Stream):
    """One end of a pair; see ``memory_pair``. One task may send while another receives.

    ``put`` and ``take`` are the same without waiting, for a FrameSocket: a call on virtual time
    spends most of its time in waking tasks.
    """

    def __init__(self) -> None:
        self.is_closed = False
        """Whether this end was closed by who owns it."""
        self._peer: MemoryStream
        self._received = bytearray()
        self._no_more = False
        self._arrived = trio.Event()
        self._busy: set[str] = set()

    def put(self, data: bytes | bytearray | memoryview) -> None:
        """Give the bytes to the other end. Raises ClosedResourceError, BrokenResourceError."""
        if self.is_closed:
            raise trio.ClosedResourceError("this end was closed")
        if self._peer.is_closed:
            raise trio.BrokenResourceError("the other end was closed")
        self._peer._received += data
        self._peer._arrived.set()

    def take(self, max_bytes: int | None = None) -> bytes:
        """Return what came, which may be nothing."""
        data = bytes(self._received[:max_bytes])
        del self._received[: len(data)]
        return data

    @property
    def at_end(self) -> bool:
        """Whether nothing is left to take, and nothing more will come."""
        return not self._received and (self._no_more or self.is_closed)

    async def wait_readable(self) -> bool:
        """Wait until there is something to take; return False at the end."""
        while not (self._received or self.at_end):
            self._arrived = trio.Event()
            await self._arrived.wait()
        return bool(self._received)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Give the bytes to the other end. Raises ClosedResourceError, BrokenResourceError."""
        with self._alone("send"):
            await trio.lowlevel.checkpoint()
            self.put(data)

    async def wait_send_all_might_not_block(self) -> None:
        """There is always room. Raises ClosedResourceError."""
        with self._alone("send"):
            await trio.lowlevel.checkpoint()
        if self.is_closed:
            raise trio.ClosedResourceError("this end was closed")

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what came, empty at the end. Raises ClosedResourceError, and ValueError or
        TypeError for a number of bytes that is none."""
        if max_bytes is not None and operator.index(max_bytes) < 1:
            raise ValueError(f"max_bytes must be at least 1, not {max_bytes}")
        with self._alone("receive"):
            await trio.lowlevel.checkpoint()
            await self.wait_readable()
        if self.is_closed:
            raise trio.ClosedResourceError("this end was closed")
        return self.take(max_bytes)

    @contextmanager
    def _alone(self, way: str) -> Iterator[None]:
        if way in self._busy:
            raise trio.BusyResourceError(f"another task {way}s")
        self._busy.add(way)
        try:
            yield
        finally:
            self._busy.discard(way)

    async def aclose(self) -> None:
        """Close this end; the other reads what is there, then the end."""
        if not self.is_closed:
            self.is_closed = True
            self._arrived.set()
            self._peer._no_more = True
            self._peer._arrived.set()
        await trio.lowlevel.checkpoint()


def memory_pair() -> tuple[MemoryStream, MemoryStream]:
    """Return the two ends of an unbounded stream."""
    ours, theirs = MemoryStream(), MemoryStream()
    ours._peer, theirs._peer = theirs, ours
    return ours, theirs


class MemoryDialer:
    """Opens memory streams to one service. ``opened`` is our end of each, and where it leads."""

    def __init__(
        self, nursery: trio.Nursery, serve: Callable[[trio.abc.Stream], Awaitable[None]]
    ) -> None:
        self._nursery = nursery
        self._serve = serve
        self.opened: list[tuple[Endpoint, MemoryStream]] = []

    async def __call__(self, endpoint: Endpoint) -> trio.abc.Stream:
        """Return our end of a new pair; the service gets the other."""
        await trio.lowlevel.checkpoint()
        ours, theirs = memory_pair()
        self.opened.append((endpoint, ours))
        self._nursery.start_soon(self._serve, theirs, name=f"far side of {endpoint.host}")
        return ours
