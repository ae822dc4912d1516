"""VoxEngine's global functions that Python lacks: timers in milliseconds, tied to the session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from math import inf
from typing import Any

import attrs
import trio

from voxpy.engine import clock
from voxpy.engine.context import current
from voxpy.engine.session import Session
from voxpy.engine.units import describe
from voxpy.errors import LimitExceeded, NoSession, ScenarioError

__all__ = ["Timers", "clear_interval", "clear_timeout", "set_interval", "set_timeout"]

SHORTEST_INTERVAL_MS = 100.0  # VoxEngine: setInterval raises shorter ones to this

Callback = Callable[[], Awaitable[None] | None]


def set_timeout(callback: Callback, ms: float = 0) -> int:
    """Call ``callback()`` once, ``ms`` milliseconds from now; return the timer's id.

    The callback may be sync or async and runs in the order of the session's events. Raises
    LimitExceeded beyond 100 timers, ScenarioError for a wrong argument or after the session's end.
    """
    return _set("set_timeout", callback, ms, repeat=False)


def set_interval(callback: Callback, ms: float) -> int:
    """Call ``callback()`` every ``ms`` milliseconds, at least 100; return the timer's id.

    Raises as ``set_timeout``.
    """
    return _set("set_interval", callback, ms, repeat=True)


def clear_timeout(timer_id: int | None) -> None:
    """Stop a timer; unknown, spent and None ids are ignored."""
    _timers(current("clear_timeout")).clear(timer_id)


def clear_interval(timer_id: int | None) -> None:
    """Stop a timer; unknown, spent and None ids are ignored."""
    _timers(current("clear_interval")).clear(timer_id)


def _set(name: str, callback: Callback, ms: Any, *, repeat: bool) -> int:
    if not callable(callback):
        raise ScenarioError(
            f"{name} needs a function, not {callback!r}; pass it without calling it"
        )
    if not (isinstance(ms, int | float) and ms >= 0):
        raise ScenarioError(f"{name} needs a time in milliseconds from 0 up, not {ms!r}")
    delay_ms = max(ms, SHORTEST_INTERVAL_MS) if repeat else ms
    session = current(name)
    session.trace.command(name, ms=delay_ms, callback=describe(callback))
    return _timers(session).set(callback, delay_ms / 1000, repeat=repeat)


def _timers(session: Session) -> Timers:
    timers = session.parts.get("timers")
    if timers is None:

        def start(task: Callable[..., Awaitable[None]], *args: Any) -> None:
            if session.ended is not None:
                raise NoSession("timers are not available: the session has ended")
            session.on_start("timer", task, *args)

        limit = session.context.settings.limits.timers
        timers = Timers(limit=limit, start=start, fire=session.post_callback)
        session.parts["timers"] = timers
    assert isinstance(timers, Timers)
    return timers


@attrs.define(eq=False)
class _Timer:
    """``due`` is infinite once a timer that does not repeat waits in the queue."""

    timer_id: int
    callback: Callable[[], Any]
    due: float
    period_s: float | None
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)


class Timers:
    """The running timers of one session; at most ``limit`` (VoxEngine: 100).

    Each sleeps in a task of its own, but whichever wakes first queues all that are due, by time and
    then by age: trio wakes tasks of one instant in any order, and JavaScript does not.
    """

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
        self._timers: dict[int, _Timer] = {}
        self._last_id = 0

    def set(
        self,
        callback: Callable[[], Awaitable[None] | None],
        delay_s: float,
        *,
        repeat: bool = False,
    ) -> int:
        """Queue ``callback()`` after ``delay_s`` seconds, over and over if ``repeat``.

        Returns the timer's id.
        Raises LimitExceeded beyond the limit, ScenarioError after the session's end.
        """
        if len(self._timers) >= self._limit:
            raise LimitExceeded(f"a session may have {self._limit} timers; clear some first")
        due, period_s = clock.now() + delay_s, delay_s if repeat else None
        timer = _Timer(self._last_id + 1, callback, due, period_s)
        self._start(self._run, timer)
        self._last_id = timer.timer_id
        self._timers[timer.timer_id] = timer
        return timer.timer_id

    def clear(self, timer_id: int | None) -> None:
        """Stop a timer; ids that are unknown, spent or None are ignored, as in JavaScript.

        One that has fallen due and only waits for its turn in the queue is stopped, too.
        """
        timer = self._timers.pop(timer_id, None) if timer_id is not None else None
        if timer is not None:
            timer.scope.cancel()

    async def _run(self, timer: _Timer) -> None:
        with timer.scope:
            while timer.due < inf:
                await trio.sleep_until(timer.due)
                self._fire_all_due()

    def _fire_all_due(self) -> None:
        now = clock.now()
        for timer in sorted(self._timers.values(), key=lambda t: (t.due, t.timer_id)):
            if timer.due > now:
                return
            timer.due = inf if timer.period_s is None else max(timer.due + timer.period_s, now)
            self._fire(f"timer {describe(timer.callback)}", partial(self._turn, timer))

    def _turn(self, timer: _Timer) -> Any:
        """Run the callback now that the queue has come to it, unless it was cleared meanwhile."""
        if timer.scope.cancel_called:
            return None
        if timer.period_s is None:
            self._timers.pop(timer.timer_id, None)
        return timer.callback()
