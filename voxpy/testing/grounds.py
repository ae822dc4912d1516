"""Where the tasks of a world live, and that nothing of them is left when it is over."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any

import trio

from voxpy.engine import clock
from voxpy.errors import VoxpyError
from voxpy.sockets.memory import MemoryDialer

Serve = Callable[[trio.abc.Stream], Awaitable[None]]
"""The far side of one connection: speaks over the stream, and closes it in the end."""

SETTLE_S = 5.0
"""Virtual seconds for connections to say goodbye once every session is over."""
SETTLE_STEPS = 50
MEDIA_CLOCK = "media clock"


class Grounds:
    """The nursery of a world's sessions, and around it that of its clock and its far sides.

    ``enter`` and ``leave`` once each: with ``leave(error)`` if the block in between raised.
    """

    sessions: trio.Nursery
    around: trio.Nursery
    wires: MemoryDialer
    media_clock: clock.MediaClock

    async def enter(self, serve: Serve) -> None:
        """Open everything; ``serve`` gets the far end of each stream.

        Raises VoxpyError on any clock but a virtual one.
        """
        _check_clock()
        self._before = system_tasks()
        self._around_manager = trio.open_nursery()
        self.around = await self._around_manager.__aenter__()
        self._sessions_manager = trio.open_nursery()
        self.sessions = await self._sessions_manager.__aenter__()
        self.wires = MemoryDialer(self.around, serve)
        self.media_clock = clock.MediaClock()
        self.around.start_soon(self.media_clock.run, name=MEDIA_CLOCK)

    async def leave(self, error: BaseException | None) -> None:
        """End everything.

        Raises AssertionError for what is left over, unless there was an error; and what a task of
        the world raised, in place of the cancellation that brought into the block.
        """
        if error is not None and not _holds_cancelled(error):
            await self._give_up(error)
            return
        self.sessions.cancel_scope.cancel()
        remaining = await _close(self._sessions_manager, error)
        left = [] if remaining is not None else await self._leftovers()
        self.around.cancel_scope.cancel()
        remaining = await _close(self._around_manager, remaining)
        if remaining is not None and remaining is not error:
            raise remaining
        left += [f"system task {task.name}" for task in system_tasks() - self._before]
        if left and error is None:
            raise AssertionError("left over after the calls: " + "; ".join(left))

    async def _give_up(self, error: BaseException) -> None:
        """End everything at once: the test has failed, and its own error is what counts."""
        for nursery, manager in (
            (self.sessions, self._sessions_manager),
            (self.around, self._around_manager),
        ):
            nursery.cancel_scope.cancel()
            also = await _close(manager, None)
            if also is not None and not _holds_cancelled(also):
                error.add_note(f"also, in the world: {also!r}")

    async def _leftovers(self) -> list[str]:
        """Return what has not gone by itself now that all sessions are over."""
        for _ in range(SETTLE_STEPS):
            if not self._running():
                break
            await trio.sleep(SETTLE_S / SETTLE_STEPS)
        streams = [
            f"an open stream to {endpoint.host}"
            for endpoint, stream in self.wires.opened
            if not stream.is_closed
        ]
        return streams + [f"task {name}" for name in self._running()]

    def _running(self) -> list[str]:
        return sorted(t.name for t in tasks_of([self.around]) if t.name != MEDIA_CLOCK)


def _check_clock() -> None:
    mock = trio.lowlevel.current_clock()
    if not clock.is_virtual() or getattr(mock, "autojump_threshold", math.inf) == math.inf:
        raise VoxpyError(
            "a World lives on virtual time: add autojump_clock to the arguments of the test, or "
            "run it with voxpy.testing.run_virtual()"
        )


async def _close(
    manager: AbstractAsyncContextManager[Any], error: BaseException | None
) -> BaseException | None:
    """Leave a nursery whose block ended with ``error``; return what it ends with."""
    try:
        told = (None, None, None) if error is None else (type(error), error, error.__traceback__)
        return None if await manager.__aexit__(*told) else error
    except BaseException as raised:
        return raised


def _holds_cancelled(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(trio.Cancelled) is not None
    return isinstance(error, trio.Cancelled)


def tasks_of(nurseries: Iterable[trio.Nursery]) -> set[trio.lowlevel.Task]:
    """Return every task in these nurseries, and in theirs."""
    found: set[trio.lowlevel.Task] = set()
    for nursery in nurseries:
        for task in nursery.child_tasks:
            found |= {task} | tasks_of(task.child_nurseries)
    return found


def system_tasks() -> set[trio.lowlevel.Task]:
    """Return the tasks that belong to the loop itself: what no nursery of ours would wait for."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    return {task for nursery in root.child_nurseries for task in nursery.child_tasks}
