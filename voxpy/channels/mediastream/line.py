"""What a leg sends over: a WebSocket, or bytes on TCP in the same shape."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Protocol

import trio

from voxpy.channels.providers.provider import Message
from voxpy.sockets.pipes import Pipe, PipeReports, pipe_over
from voxpy.sockets.terms import CloseInfo

READ_BYTES_WAITING = 320
"""About one frame of slin at 8 kHz: how bytes that wait are counted as messages."""
TURN_BYTES = 8192
"""Read at each tick: four times what slin at 48 kHz needs. The kernel holds up the rest."""
LAST_BYTES_S = 2.0
"""For what waits to be written when the line is closed."""


class Line(Protocol):
    """Messages both ways. ``voxpy.sockets.FrameSocket`` is one."""

    on_message: Callable[[Message], None]

    @property
    def is_broken(self) -> bool:
        """Whether it ended, or is about to, otherwise than by a close."""

    @property
    def behind(self) -> bool:
        """Whether more has come than ``read`` gives at once."""

    @property
    def waiting_messages(self) -> int:
        """How many messages the kernel has not taken."""

    def send(self, data: Message) -> None:
        """Send without blocking; ignored once closing has begun."""

    def hold(self) -> None:
        """Take messages only when ``read`` is called, until the line begins to close."""

    def read(self) -> None:
        """Take what has come to a line that is held."""

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close behind what was sent. Idempotent."""

    async def run(self) -> CloseInfo:
        """Read until the line is over; return how it ended."""

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close and wait until everything is freed."""


def _ignore(message: Message) -> None:
    """Drop a message nobody asked for."""


class ByteLine:
    """A Line over any trio stream, for protocols without WebSocket; a message is what was read."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.on_message: Callable[[Message], None] = _ignore
        self._pipe: Pipe = pipe_over(
            stream,
            PipeReports(received=self._receive, ended=self._lost, drained=self._drained),
            read_bytes=TURN_BYTES,
            stranger=True,
        )
        self._closing = False
        self._over = trio.Event()
        self._freed = trio.Event()

    behind = False
    is_broken = False
    """Nothing on a byte stream tells a hang-up from a cut."""

    @property
    def waiting_messages(self) -> int:
        """How many frames' worth of bytes the kernel has not taken."""
        return self._pipe.waiting_bytes // READ_BYTES_WAITING

    def send(self, data: Message) -> None:
        """Send bytes without blocking."""
        if not self._closing and isinstance(data, bytes):
            self._pipe.write(data)

    def hold(self) -> None:
        """Take bytes only when ``read`` is called, until the line begins to close."""
        if not self._closing:
            self._pipe.hold(True)

    def read(self) -> None:
        """Take what has come to a line that is held."""
        self._pipe.read()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close as soon as everything is written. There is nowhere to say the reason."""
        self._closing = True
        self._pipe.hold(False)
        if not self._pipe.waiting_bytes:
            self._over.set()

    async def run(self) -> CloseInfo:
        """Read until either side closes."""
        try:
            async with trio.open_nursery() as nursery:
                self._pipe.start(nursery, contextvars.copy_context())
                await self._over.wait()
                nursery.cancel_scope.cancel()
        finally:
            self._closing = True
            with trio.CancelScope(shield=True):  # closing by force does not wait
                await self._pipe.aclose()
            self._freed.set()
        return CloseInfo(1000, "", clean=True)

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close and wait until ``run`` has freed everything."""
        self.close()
        with trio.move_on_after(LAST_BYTES_S):
            await self._over.wait()
        self._over.set()
        await self._freed.wait()

    def _receive(self, data: bytes) -> bool:
        self.on_message(data)
        return False

    def _lost(self) -> None:
        self._over.set()

    def _drained(self) -> None:
        if self._closing:
            self._over.set()
