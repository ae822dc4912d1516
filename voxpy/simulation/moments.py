"""Lets what a caller's script has planned happen at its moment."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import trio

from voxpy.engine import clock
from voxpy.engine.trace import Entry
from voxpy.localagent.connection import AgentConnection
from voxpy.simulation.service import Deed, Moment
from voxpy.wire.realtime.server.faults import Close, Stall

__all__ = ["Moments"]


class Moments:
    """Watches a session's trace (``take`` is a sink) and the clock; ``run`` does what is due.

    What the service should do while nothing is connected is forgotten.
    """

    def __init__(
        self,
        moments: Sequence[Moment],
        *,
        hang_up: Callable[[], None],
        drain: Callable[[], None],
        connections: Sequence[AgentConnection],
    ) -> None:
        self._waiting = list(moments)
        self._connections = connections
        self._people: Mapping[Deed, Callable[[], None]] = {"hang_up": hang_up, "drain": drain}
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
                self._do(moment)

    def _is_due(self, moment: Moment, passed_s: float) -> bool:
        if moment.at_event is not None:
            return self._events >= moment.at_event
        return moment.at_s is not None and passed_s >= moment.at_s

    def _do(self, moment: Moment) -> None:
        if moment.does in self._people:
            self._people[moment.does]()
        elif self._connections:
            self._serve(moment, self._connections[-1])

    def _serve(self, moment: Moment, connection: AgentConnection) -> None:
        match moment.does:
            case "drop":
                connection.drop()
            case "close":
                connection.put(Close(moment.value, "closed by the script"))
            case "stall":
                connection.put(Stall(moment.value))
            case "send":
                connection.put(moment.value)
            case "repeat_session":
                connection.repeat_session()
            case "error":
                error = {"type": "server_error", "code": moment.value, "message": "by the script"}
                connection.put({"type": "error", "event_id": "event_scripted", "error": error})
