"""VoxEngine's global functions that Python lacks: timers in milliseconds, tied to the session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from voxpy.engine.context import current
from voxpy.engine.emitter import describe
from voxpy.errors import ScenarioError

__all__ = ["clear_interval", "clear_timeout", "set_interval", "set_timeout"]

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
    current("clear_timeout").timers.clear(timer_id)


def clear_interval(timer_id: int | None) -> None:
    """Stop a timer; unknown, spent and None ids are ignored."""
    current("clear_interval").timers.clear(timer_id)


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
    return session.timers.set(callback, delay_ms / 1000, repeat=repeat)
