"""The life of a voice: a nursery behind an ``async with``, and in it the delivery of events.

Listeners are called as in a session, by the same dispatcher: a sync one runs to its end, an async
one up to its first suspension, then the next one starts. What a listener raises ends the block and
comes out of it, alone and not in a group.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

import trio

from voxpy.engine.dispatch import Dispatcher, Reports
from voxpy.engine.units import ListenerTable
from voxpy.errors import ScenarioError, UnknownName, nearest
from voxpy.inworld.voice.events import VoiceEvents
from voxpy.wire.realtime.events.server_events import SERVER_EVENTS

_KINDS: dict[str, type[Any]] = {
    **SERVER_EVENTS,
    **{kind.name: kind for kind in VoiceEvents.members().values()},
}
for _audio in ("response.output_audio.delta", "response.backchannel.audio.delta"):
    del _KINDS[_audio]  # streams, and no events


def event_kind(kind: Any) -> type[Any]:
    """Return the class of an event given as a name, a member of VoiceEvents or a wire event class.

    Raises UnknownName with the nearest name, ScenarioError for something else.
    """
    name = kind if isinstance(kind, str) else getattr(kind, "name", "") or _wire_name(kind)
    if not isinstance(name, str):
        raise ScenarioError(f"{kind!r} is no event of a voice: use a member of VoiceEvents")
    if name not in _KINDS:
        raise UnknownName(f"a voice has no event {name!r}{nearest(name, _KINDS)}")
    return _KINDS[name]


def _wire_name(kind: Any) -> Any:
    return getattr(kind, "type", None)


class Block:
    """Listeners, and what happens between entering and leaving. May be entered again afterwards."""

    def __init__(self) -> None:
        self.nursery: trio.Nursery | None = None
        self._listeners = ListenerTable()
        self._failure: BaseException | None = None
        self._dispatcher = Dispatcher(
            queue_limit=sys.maxsize,
            live_limit=sys.maxsize,
            slow_s=math.inf,
            stopwatch=lambda: 0.0,
            stopped=lambda: False,
            reports=Reports(
                failed=lambda error, _: self._fail(error),
                slow=lambda _, __: None,
                exceeded=self._fail,
            ),
        )

    # -- events ----------------------------------------------------------------------------------

    def add(self, kind: Any, handler: Callable[[Any], Any]) -> None:
        """Append a listener. Raises as ``event_kind``; ScenarioError for what is no function."""
        listened = event_kind(kind)
        if not callable(handler):
            raise ScenarioError(f"the listener for {kind!r} must be a function, not {handler!r}")
        self._listeners.add(listened, handler)

    def remove(self, kind: Any, handler: Callable[[Any], Any] | None) -> None:
        """Remove one registration of a listener, or all of an event; absent ones are ignored."""
        self._listeners.remove(event_kind(kind), handler)

    def post(self, event: Any) -> None:
        """Queue an event: one of ours, or the service's own."""
        name = getattr(event, "name", "") or event.type
        self._dispatcher.post(self._listeners, event, name=name)

    def afterwards(self, call: Callable[[], None]) -> None:
        """Queue a call of ours: it runs when the listeners of what was posted before have begun."""
        self._dispatcher.post_callback("afterwards", call)

    # -- life ------------------------------------------------------------------------------------

    async def enter(self) -> None:
        """Open the nursery and begin to deliver."""
        self._failure = None
        self._manager = trio.open_nursery()
        self.nursery = await self._manager.__aenter__()
        self.nursery.start_soon(self._dispatcher.run, self.nursery)

    def spawn(self, name: str, task: Callable[..., Any], *args: Any) -> None:
        """Run a task that ends with the block."""
        assert self.nursery is not None
        self.nursery.start_soon(task, *args, name=name)

    async def leave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Cancel what still runs and wait for it. Raises what happened inside."""
        assert self.nursery is not None
        self.nursery.cancel_scope.cancel()
        try:
            await self._manager.__aexit__(kind, error, traceback)
        except BaseExceptionGroup as group:
            only = _only(group)
            if only is None:
                raise
            raise only from only.__cause__
        finally:
            self.nursery = None
        if self._failure is not None:
            raise self._failure

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or _only(error) or error
        if self.nursery is not None:
            self.nursery.cancel_scope.cancel()


def _only(error: BaseException) -> BaseException | None:
    """Return the one error in a group of groups, cancellations aside; None if there are more."""
    while isinstance(error, BaseExceptionGroup):
        _, rest = error.split(trio.Cancelled)
        if rest is None or len(rest.exceptions) != 1:
            return None
        error = rest.exceptions[0]
    return error
