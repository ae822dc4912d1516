"""``set_timeout`` and ``set_interval``: timers that die with their session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from voxpy.engine import clock
from voxpy.engine.emitter import describe
from voxpy.errors import LimitExceeded

__all__ = ["Timers"]


class Timers:
    """The running timers of one session; at most ``limit`` (VoxEngine: 100)."""

    def __init__(
        self,
        *,
        limit: int,
        start: Callable[..., None],
        fire: Callable[[str, Callable[[], Any]], None],
    ) -> None:
        self._limit = limit
        self._start = start
        self._fire = fire
        self._scopes: dict[int, trio.CancelScope] = {}
        self._last_id = 0

    def set(
        self,
        callback: Callable[[], Awaitable[None] | None],
        delay_s: float,
        *,
        repeat: bool = False,
    ) -> int:
        """Queue ``callback()`` after ``delay_s`` seconds, again and again if ``repeat``; return its id.

        Raises LimitExceeded beyond the limit, ScenarioError after the session's end.
        """
        if len(self._scopes) >= self._limit:
            raise LimitExceeded(f"a session may have {self._limit} timers; clear some first")
        self._last_id += 1
        scope = trio.CancelScope()
        self._start(self._run, self._last_id, scope, callback, delay_s, repeat)
        self._scopes[self._last_id] = scope
        return self._last_id

    def clear(self, timer_id: int | None) -> None:
        """Stop a timer; ids that are unknown, spent or None are ignored, as in JavaScript."""
        scope = self._scopes.pop(timer_id, None) if timer_id is not None else None
        if scope is not None:
            scope.cancel()

    async def _run(
        self,
        timer_id: int,
        scope: trio.CancelScope,
        callback: Callable[[], Any],
        delay_s: float,
        repeat: bool,
    ) -> None:
        due = clock.now() + delay_s
        with scope:
            while True:
                await trio.sleep_until(due)
                if not repeat:
                    self._scopes.pop(timer_id, None)
                self._fire(
                    f"timer {describe(callback)}",
                    lambda: callback() if self._alive(scope) else None,
                )
                if not repeat:
                    return
                due = max(due + delay_s, clock.now())

    @staticmethod
    def _alive(scope: trio.CancelScope) -> bool:
        """Whether the timer was not cleared between falling due and its turn in the queue."""
        return not scope.cancel_called
