"""Who listens to a voice, and the delivery of events to them: in order, one after the other.

As in a session: a sync listener runs to its end, an async one up to its first suspension, then the
next one starts. What a listener raises ends the voice and comes out of its ``async with``.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from voxpy.engine.dispatch import until_suspended
from voxpy.errors import ScenarioError, UnknownName, nearest
from voxpy.inworld.voice.events import VoiceEvents
from voxpy.wire.realtime.events.server_events import SERVER_EVENTS

__all__ = ["Delivery", "Listeners", "event_name"]

_KNOWN = frozenset(
    {kind.name for kind in VoiceEvents.members().values()}
    | (SERVER_EVENTS.keys() - {"response.output_audio.delta", "response.backchannel.audio.delta"})
)


def event_name(kind: Any) -> str:
    """Return the name of an event given as a name, a member of VoiceEvents or a wire event class.

    Raises UnknownName with the nearest name, ScenarioError for something else.
    """
    name = kind if isinstance(kind, str) else getattr(kind, "name", "") or _wire_name(kind)
    if not isinstance(name, str):
        raise ScenarioError(f"{kind!r} is no event of a voice: use a member of VoiceEvents")
    if name not in _KNOWN:
        raise UnknownName(f"a voice has no event {name!r}{nearest(name, _KNOWN)}")
    return name


def _wire_name(kind: Any) -> Any:
    return getattr(kind, "type", None)


class Listeners:
    """Listeners by the name of their event, in the order added."""

    def __init__(self) -> None:
        self._handlers: dict[str, list[Callable[[Any], Any]]] = {}

    def add(self, kind: Any, handler: Callable[[Any], Any]) -> None:
        """Append a listener. Raises as ``event_name``; ScenarioError for what is no function."""
        name = event_name(kind)
        if not callable(handler):
            raise ScenarioError(f"the listener for {name!r} must be a function, not {handler!r}")
        self._handlers.setdefault(name, []).append(handler)

    def remove(self, kind: Any, handler: Callable[[Any], Any] | None) -> None:
        """Remove one registration of a listener, or all of an event; absent ones are ignored."""
        name = event_name(kind)
        if handler is None:
            self._handlers.pop(name, None)
        elif handler in self._handlers.get(name, ()):
            self._handlers[name].remove(handler)

    def of(self, name: str) -> tuple[Callable[[Any], Any], ...]:
        """Return the listeners an event starting now goes to."""
        return tuple(self._handlers.get(name, ()))


class Delivery:
    """The queue between the reader of a connection and the listeners. ``run`` empties it."""

    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners
        self._send, self._receive = trio.open_memory_channel[tuple[str, Any]](math.inf)

    def post(self, name: str, payload: Any) -> None:
        """Queue an event."""
        self._send.send_nowait((name, payload))

    def afterwards(self, call: Callable[[], None]) -> None:
        """Queue a call of ours: it runs when the listeners of what was posted before have begun."""
        self._send.send_nowait(("", call))

    async def run(self) -> None:
        """Deliver until cancelled; what a listener raises comes out of here."""
        async with trio.open_nursery() as nursery:
            async for name, payload in self._receive:
                if not name:
                    payload()
                    continue
                for handler in self._listeners.of(name):
                    result = handler(payload)
                    if inspect.isawaitable(result):
                        await nursery.start(_run, result)


async def _run(
    result: Awaitable[Any], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    await until_suspended(result, task_status.started)
