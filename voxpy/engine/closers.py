"""What must be closed when a session ends: legs say BYE, sockets say goodbye."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from voxpy.engine.faults import contained
from voxpy.engine.trace import Trace

__all__ = ["Closers"]

Close = Callable[[], Awaitable[None]]


class Closers:
    """The closers of one session; two may have the same name."""

    def __init__(self, trace: Trace, failed: Callable[[str, BaseException], None]) -> None:
        self._trace = trace
        self._failed = failed
        self._closers: list[tuple[str, Close]] = []

    def add(self, name: str, close: Close) -> Callable[[], None]:
        """Await ``close()`` at the end; return what takes that back."""
        entry = (name, close)
        self._closers.append(entry)
        return lambda: self._closers.remove(entry) if entry in self._closers else None

    async def close_all(self, deadline_s: float) -> None:
        """Close everything at once, each within ``deadline_s`` seconds, cancelled or not.

        One that takes longer is cut and named in the trace; one that raises is reported.
        """
        closers, self._closers = self._closers, []
        async with trio.open_nursery() as nursery:
            for name, close in closers:
                nursery.start_soon(self._close, name, close, deadline_s)

    async def _close(self, name: str, close: Close, deadline_s: float) -> None:
        with trio.move_on_after(deadline_s, shield=True) as scope:
            with contained(lambda error: self._failed(f"closing {name}", error)):
                await close()
        if scope.cancelled_caught:
            self._trace.warning("did not close in time", unit=name, after_s=deadline_s)
