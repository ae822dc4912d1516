"""What the parent of several workers and each worker say to each other: lines of JSON.

A worker says ``{"ready": true}`` once, and ``{"figures": [...]}`` every second and whenever a call
begins or ends: a worker that is full must know who has room. The parent says
``{"elsewhere": [...]}``: the figures of the other workers and of those that died, and
``{"do": "drain"}`` or ``{"do": "hurry"}``. A worker whose parent is gone drains.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import orjson
import trio

from voxpy.host.metrics import Snapshot
from voxpy.host.serve import Host

__all__ = ["FIGURES_EVERY_S", "WorkerLink", "lines"]

FIGURES_EVERY_S = 1.0
FIGURES_APART_S = 0.05
"""Calls that come in a burst are told of together."""
READ_BYTES = 65536


class WorkerLink:
    """The worker's end. ``elsewhere`` is what the parent said last."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._elsewhere: Snapshot = []
        self._one_at_a_time = trio.Lock()

    def elsewhere(self) -> list[Snapshot]:
        """Return the figures of all other workers."""
        return [self._elsewhere]

    async def ready(self) -> None:
        """Say that calls are taken."""
        await self._say({"ready": True})

    async def tell(self, host: Host) -> None:
        """Send the figures until cancelled, or until the parent is gone."""
        while True:
            await self._say({"figures": host.snapshot()})
            await trio.sleep(FIGURES_APART_S)
            with trio.move_on_after(FIGURES_EVERY_S - FIGURES_APART_S):
                await host.admission.wait_change()

    async def obey(self, host: Host) -> None:
        """Do what the parent says until it is gone; then drain."""
        async for said in lines(self._stream):
            if "elsewhere" in said:
                self._elsewhere = said["elsewhere"]
            elif said.get("do") == "drain":
                host.drain()
            elif said.get("do") == "hurry":
                host.hurry()
        host.drain()

    async def _say(self, what: dict[str, Any]) -> None:
        with suppress(trio.BrokenResourceError):  # obey() has noticed
            async with self._one_at_a_time:
                await self._stream.send_all(orjson.dumps(what) + b"\n")


async def lines(stream: trio.abc.Stream) -> AsyncIterator[dict[str, Any]]:
    """Yield what the other side says until it is gone."""
    rest = b""
    while True:
        try:
            data = bytes(await stream.receive_some(READ_BYTES))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return
        if not data:
            return
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            yield orjson.loads(line)
