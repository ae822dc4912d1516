"""Dialling through memory, to a service in the same process: virtual time sees no sockets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from voxpy.engine.ports import Endpoint
from voxpy.sockets.memory import MemoryStream, memory_pair

__all__ = ["MemoryDialer"]


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
