"""Byte streams to a local agent through memory: virtual time cannot see sockets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from voxpy.engine.ports import Endpoint

__all__ = ["MemoryDialer"]


class MemoryDialer:
    """Opens memory streams to one server: virtual time cannot see sockets."""

    def __init__(
        self, nursery: trio.Nursery, serve: Callable[[trio.abc.Stream], Awaitable[None]]
    ) -> None:
        self._nursery = nursery
        self._serve = serve

    async def __call__(self, endpoint: Endpoint) -> trio.abc.Stream:
        """Return our end of a new pair; the server gets the other."""
        from trio.testing import memory_stream_pair

        await trio.lowlevel.checkpoint()
        ours, theirs = memory_stream_pair()
        self._nursery.start_soon(self._serve, theirs)
        return ours
