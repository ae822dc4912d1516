"""How the bytes of a socket get in and out: over the kernel's socket itself, or any trio stream.

A pipe reports what comes when it comes, until somebody *holds* it: then it is silent, and reports
what is there when it is asked to ``read``. A phone's audio is held: it is played at the tick of the
media clock, so to be woken for each packet before that would cost as much again and gain nothing.

Whoever is told of bytes need not deal with all of them at once: what is left has its turn in the
next round of the loop, before anything more is read, and the kernel slows the far side down.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from functools import partial
from typing import Protocol

import attrs
import trio

from voxpy.sockets.hub import EPOLLOUT, Hub, current_hub, strangers_turn
from voxpy.sockets.memory import MemoryStream

READ_BYTES = 65536
"""A round's worth: a flood on one socket does not starve the others."""


@attrs.frozen(kw_only=True)
class PipeReports:
    """Whom a pipe tells of bytes, of its end, and that nothing waits to be written any more.

    ``received`` returns whether it wants another turn, with nothing, before more is read.
    """

    received: Callable[[bytes], bool]
    ended: Callable[[], None]
    drained: Callable[[], None]


class Pipe(Protocol):
    """Bytes both ways. ``write`` never blocks; reports come by synchronous calls."""

    waiting_bytes: int

    @property
    def waiting_writes(self) -> int:
        """How many writes wait whole."""

    def write(self, data: bytes) -> None:
        """Write at once if there is room, else when there is."""

    def start(self, nursery: trio.Nursery, context: Context, *, behind: bool = False) -> None:
        """Begin to report; ``behind`` is whether bytes from elsewhere want a turn first."""

    def hold(self, held: bool) -> None:
        """Report only when ``read`` is called, or by itself again."""

    def read(self) -> None:
        """Report what has come to a pipe that is held, in the caller's context."""

    async def aclose(self) -> None:
        """Free everything at once. Reports nothing more."""


class KernelPipe:
    """Over a TCP socket: written by the caller itself, read by the hub, without tasks."""

    def __init__(
        self,
        stream: trio.SocketStream,
        hub: Hub,
        reports: PipeReports,
        *,
        read_bytes: int,
        stranger: bool,
    ) -> None:
        self.waiting_bytes = 0
        self._read_bytes = read_bytes
        self._stranger = stranger
        self._stream = stream
        # Asked for every time: were the number kept, a stream that somebody closed could have left
        # it to another connection.
        self._fileno = stream.socket.fileno
        self._hub = hub
        self._received = reports.received
        self._reports = reports
        self._queue: deque[bytes] = deque()
        self._begun: memoryview | None = None
        self._fd = -1  # while it is read
        self._held = False
        self._behind = False

    @property
    def waiting_writes(self) -> int:
        """How many writes wait whole."""
        return len(self._queue)

    def write(self, data: bytes) -> None:
        """Write what the kernel takes; the hub writes the rest."""
        if self.waiting_bytes:
            self._queue.append(data)
            self.waiting_bytes += len(data)
            return
        try:
            sent = os.write(self._fileno(), data)
        except OSError as error:
            sent = self._sent_of(error, data)
        if sent < len(data):
            self._begun = memoryview(data)[sent:]
            self.waiting_bytes = len(self._begun)
            self._want()

    def start(self, nursery: trio.Nursery, context: Context, *, behind: bool = False) -> None:
        """Let the hub call. ``nursery`` is not needed."""
        if (fd := self._stream.socket.fileno()) < 0:  # closed by somebody else
            self._reports.ended()
            return
        serve = partial(context.run, self._serve)  # type: ignore[call-arg]
        self._hub.add(fd, serve, stranger=self._stranger)
        self._fd = fd
        self._behind = behind
        if self.waiting_bytes or self._held:
            self._want()
        if behind and not self._held:
            self._hub.again(fd)

    def hold(self, held: bool) -> None:
        """Let the hub look for room only, or for bytes too."""
        if held != self._held:
            self._held = held
            self._want()
            if self._behind and not held and self._fd >= 0:
                self._hub.again(self._fd)

    def read(self) -> None:
        """Report what the kernel has; a round's worth at the most."""
        if self._held and self._fd >= 0:
            self._read()

    def _want(self) -> None:
        """Tell the hub what we wait for."""
        if self._fd >= 0:
            self._hub.want(self._fd, read=not self._held, write=bool(self.waiting_bytes))

    async def aclose(self) -> None:
        """Leave the hub and close the socket."""
        self._leave()
        await trio.aclose_forcefully(self._stream)

    def _serve(self, mask: int) -> None:
        if mask & EPOLLOUT:
            self._flush()
        if mask & ~EPOLLOUT and self._fd >= 0:  # an error or a hang-up is learned by reading
            self._read()
            if self._behind and not self._held and self._fd >= 0:
                self._hub.again(self._fd)

    def _read(self) -> None:
        if self._behind:
            self._behind = self._received(b"")
            return
        try:
            data = os.read(self._fd, self._read_bytes)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._behind = self._received(data)
        else:
            self._leave()  # or a level-triggered hub would call for ever
            self._reports.ended()

    def _leave(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0 and self._stream.socket.fileno() == fd:  # else the kernel has forgotten it
            self._hub.remove(fd)

    def _flush(self) -> None:
        while self._begun is not None:
            sent = self._send(self._begun)
            self.waiting_bytes -= sent
            if sent < len(self._begun):
                self._begun = self._begun[sent:]
                return
            self._begun = memoryview(self._queue.popleft()) if self._queue else None
        if self._fd >= 0:
            self._want()
            self._reports.drained()

    def _send(self, data: bytes | memoryview) -> int:
        try:
            return os.write(self._fileno(), data)
        except OSError as error:
            return self._sent_of(error, data)

    @staticmethod
    def _sent_of(error: OSError, data: bytes | memoryview) -> int:
        """How much was sent after all: where the far side is gone all of it; reading will tell."""
        return 0 if isinstance(error, BlockingIOError) else len(data)


class MemoryPipe:
    """Over memory: written by the caller itself, read by a task."""

    waiting_bytes = 0
    waiting_writes = 0

    def __init__(self, stream: MemoryStream, reports: PipeReports, read_bytes: int) -> None:
        self._read_bytes = read_bytes
        self._stream = stream
        self._reports = reports
        self._held = False
        self._behind = False
        self._released = trio.Event()

    def write(self, data: bytes) -> None:
        """Give the bytes to the far side."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # reading will say so
            self._stream.put(data)

    def start(self, nursery: trio.Nursery, context: Context, *, behind: bool = False) -> None:
        """Start the reader; it runs in the context of ``nursery``."""
        self._behind |= behind  # who is held may have been read already
        nursery.start_soon(self._read)

    async def aclose(self) -> None:
        """Close the stream at once."""
        await trio.aclose_forcefully(self._stream)

    def hold(self, held: bool) -> None:
        """Let the reader rest, or go on."""
        if self._held and not held:
            self._released.set()
            self._released = trio.Event()
        self._held = held

    def read(self) -> None:
        """Report what is there; the end is the reader's to tell."""
        if not self._held:
            return
        if not self._take() and self._stream.at_end:
            self.hold(False)

    def _take(self) -> bool:
        """Report a turn's worth; return whether there was anything."""
        data = b"" if self._behind else self._stream.take(self._read_bytes)
        if not (data or self._behind):
            return False
        self._behind = self._reports.received(data)
        return True

    async def _read(self) -> None:
        while self._behind or await self._stream.wait_readable():
            if self._held:
                await self._released.wait()
            else:
                self._take()
                if self._behind:
                    await trio.lowlevel.checkpoint()
        self._reports.ended()


class StreamPipe:
    """Over any trio stream (TLS, most of all): a task reads and a task writes."""

    def __init__(
        self, stream: trio.abc.Stream, reports: PipeReports, *, read_bytes: int, stranger: bool
    ) -> None:
        self.waiting_bytes = 0
        self._stranger = stranger
        self._held = False
        self._read_bytes = read_bytes
        self._stream = stream
        self._reports = reports
        self._queue: list[bytes] = []
        self._wanted = trio.Event()

    @property
    def waiting_writes(self) -> int:
        """How many writes wait whole."""
        return len(self._queue)

    def write(self, data: bytes) -> None:
        """Leave the bytes to the writer."""
        self._queue.append(data)
        self.waiting_bytes += len(data)
        self._wanted.set()

    def start(self, nursery: trio.Nursery, context: Context, *, behind: bool = False) -> None:
        """Start both tasks; they run in the context of ``nursery``."""
        nursery.start_soon(self._read, behind)
        nursery.start_soon(self._write)

    def hold(self, held: bool) -> None:
        """Report as it comes, and at once: TLS has read ahead."""
        self._held = held

    def read(self) -> None:
        """Do nothing, as nothing is held."""

    async def aclose(self) -> None:
        """Close the stream at once."""
        await trio.aclose_forcefully(self._stream)

    async def _read(self, behind: bool) -> None:
        while True:
            while behind:
                await self._turn()
                behind = self._reports.received(b"")
            try:
                data = bytes(await self._stream.receive_some(self._read_bytes))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                data = b""
            if not data:
                self._reports.ended()
                return
            await self._turn()
            behind = self._reports.received(data)

    async def _turn(self) -> None:
        if self._stranger and not self._held:
            await strangers_turn()
        else:
            await trio.lowlevel.checkpoint()

    async def _write(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            batch = b"".join(self._queue)
            self._queue.clear()
            try:
                await self._stream.send_all(batch)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._reports.ended()
                return
            self.waiting_bytes -= len(batch)
            if not self._queue:
                self._reports.drained()


def pipe_over(
    stream: trio.abc.Stream,
    reports: PipeReports,
    *,
    read_bytes: int = READ_BYTES,
    stranger: bool = False,
) -> Pipe:
    """Return the fastest pipe this stream can have; it reports ``read_bytes`` a turn at most.

    What a ``stranger`` sends by itself, not asked for by ``read``, waits for everybody else's.
    """
    if type(stream) is trio.SocketStream and (hub := current_hub()) is not None:
        return KernelPipe(stream, hub, reports, read_bytes=read_bytes, stranger=stranger)
    if type(stream) is MemoryStream:
        return MemoryPipe(stream, reports, read_bytes)
    return StreamPipe(stream, reports, read_bytes=read_bytes, stranger=stranger)
