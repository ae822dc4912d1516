"""Which calls a session has, and how long it has had none."""

from __future__ import annotations

import math
from collections.abc import Callable

import trio

__all__ = ["Presence"]


class Presence:
    """The calls of one session, by id."""

    def __init__(self) -> None:
        self._calls: set[str] = set()
        self._changed = trio.Event()

    def began(self, call_id: str) -> None:
        """Note that the session has this call."""
        self._calls.add(call_id)
        self._note_change()

    def ended(self, call_id: str) -> None:
        """Note that the call is over; one that is not there is ignored."""
        self._calls.discard(call_id)
        self._note_change()

    async def watch(self, limit_s: float, absent: Callable[[], None]) -> None:
        """Call ``absent()`` once there has been no call for ``limit_s`` seconds, then return.

        Every call that comes or goes starts the count again.
        """
        while True:
            with trio.move_on_after(math.inf if self._calls else limit_s) as scope:
                await self._changed.wait()
            if scope.cancelled_caught:
                absent()
                return

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
