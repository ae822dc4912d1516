"""What goes wrong when: the ``moments:`` of a caller's script, and who lets them happen.

What can happen is the table DEEDS: the caller hangs up, the host ends the session, or the service
does something on its newest connection.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import trio

from voxpy.engine import clock
from voxpy.engine.trace import Entry
from voxpy.engine.userfile import Given
from voxpy.errors import nearest
from voxpy.localagent.connection import AgentConnection
from voxpy.wire.realtime.server.faults import Close, Stall

HIGHEST_CODE = 4999


@attrs.frozen(kw_only=True)
class Moment:
    """Something that happens at a time, or as the scenario is sent its ``at_event``-th event.

    Exactly one of ``at_event`` (from 1) and ``at_s`` (seconds after the call came in) is set.
    ``does`` is a name of DEEDS, ``value`` what that takes.
    """

    does: str
    at_event: int | None = None
    at_s: float | None = None
    value: Any = None


@attrs.frozen(kw_only=True)
class Stage:
    """Where deeds are done: those of people, and the connections to the local agent so far."""

    hang_up: Callable[[], None]
    drain: Callable[[], None]
    connections: Sequence[AgentConnection]


@attrs.frozen(kw_only=True)
class Deed:
    """Something that can happen. ``examples`` are values that random calls give it.

    What the service should ``serve`` while nothing is connected is forgotten.
    """

    act: Callable[[Stage], None] = lambda stage: None
    serve: Callable[[AgentConnection, Any], None] | None = None
    read: Callable[[Given], Any] | None = None
    examples: Sequence[Any] = (None,)

    def do(self, stage: Stage, value: Any) -> None:
        """Let it happen now."""
        self.act(stage)
        if self.serve is not None and stage.connections:
            self.serve(stage.connections[-1], value)


def _error(connection: AgentConnection, code: str) -> None:
    error = {"type": "server_error", "code": code, "message": "by the script"}
    connection.put({"type": "error", "event_id": "event_scripted", "error": error})


def _event(given: Given) -> Any:
    if not isinstance(given.value, dict):
        raise given.error("send takes the event, a mapping")
    return given.value


DEEDS: Mapping[str, Deed] = {
    "hang_up": Deed(act=lambda stage: stage.hang_up()),
    "drain": Deed(act=lambda stage: stage.drain()),
    "drop": Deed(serve=lambda connection, _: connection.drop()),
    "close": Deed(
        serve=lambda connection, code: connection.put(Close(code, "closed by the script")),
        read=lambda given: given.whole(at_least=1000, at_most=HIGHEST_CODE),
        examples=(1000, 1011, 4000),
    ),
    "stall": Deed(
        serve=lambda connection, seconds: connection.put(Stall(seconds)),
        read=Given.number,
        examples=(0.5, 3.0),
    ),
    "error": Deed(
        serve=_error,
        read=Given.words,
        examples=("rate_limit_exceeded", "response_cancel_not_active"),
    ),
    "send": Deed(
        serve=lambda connection, event: connection.put(event),
        read=_event,
        examples=(
            {"type": "input_audio_buffer.timeout_triggered"},
            {"type": "unheard.of", "event_id": "e_odd"},
        ),
    ),
    "repeat_session": Deed(
        serve=lambda connection, _: connection.repeat_session(), examples=(None, None)
    ),
}
"""By name: drop breaks a connection without a word, repeat_session sends session.updated again as
the service does after each of its memory cycles (which random calls do twice as often)."""


class Moments:
    """Watches a session's trace (``take`` is a sink) and the clock; ``run`` does what is due."""

    def __init__(self, moments: Sequence[Moment], stage: Stage) -> None:
        self._waiting = list(moments)
        self._stage = stage
        self._events = 0
        self._woken = trio.Event()

    def take(self, entry: Entry) -> None:
        """Count the events the scenario is sent."""
        if entry.kind == "event":
            self._events += 1
            self._woken.set()

    async def run(self) -> None:
        """Do everything in its time, until nothing is left to do."""
        began_s = clock.now()
        while self._waiting:
            times = [m.at_s for m in self._waiting if m.at_s is not None]
            with trio.move_on_at(began_s + min(times, default=math.inf)):
                await self._woken.wait()
            self._woken = trio.Event()
            passed_s = clock.now() - began_s
            for moment in [m for m in self._waiting if self._is_due(m, passed_s)]:
                self._waiting.remove(moment)
                DEEDS[moment.does].do(self._stage, moment.value)

    def _is_due(self, moment: Moment, passed_s: float) -> bool:
        if moment.at_event is not None:
            return self._events >= moment.at_event
        return moment.at_s is not None and passed_s >= moment.at_s


# -- YAML ------------------------------------------------------------------------------------------


def read_moments(given: Given) -> tuple[Moment, ...]:
    """Return what happens when. Raises ConfigError."""
    return tuple(_moment(item) for item in given.items())


def _moment(given: Given) -> Moment:
    if not isinstance(given.value, dict):
        raise given.error("a moment is {at_event: N, do: ...} or {at_s: SECONDS, do: ...}")
    fields = given.fields(("at_event", "at_s", "do"))
    if ("at_event" in fields) == ("at_s" in fields):
        raise given.error("a moment has either at_event or at_s")
    does, value = _deed(fields.section("do"))
    if "at_s" in fields:
        return Moment(does=does, at_s=fields.need("at_s").number(), value=value)
    at_event = fields.need("at_event").whole(at_least=1)
    return Moment(does=does, at_event=at_event, value=value)


def _deed(given: Given) -> tuple[str, Any]:
    pair = given.mapping() if isinstance(given.value, dict) else {given.value: given}
    if len(pair) != 1:
        raise given.error(f"do is one of {', '.join(DEEDS)}, not {given.value!r}")
    ((does, below),) = pair.items()
    if does not in DEEDS:
        known = f"(known: {', '.join(DEEDS)})"
        raise given.error(f"unknown {does!r}{nearest(str(does), DEEDS)} {known}")
    value = None if below is given else below.value
    read = DEEDS[does].read
    if read is not None:
        return does, read(attrs.evolve(below, value=value))
    if value is not None:
        raise given.error(f"{does} takes no value")
    return does, None


def written_moment(moment: Moment) -> dict[str, Any]:
    """Return the YAML of one."""
    when = {"at_s": moment.at_s} if moment.at_event is None else {"at_event": moment.at_event}
    return {**when, "do": moment.does if moment.value is None else {moment.does: moment.value}}
