"""The service at the far end of a scenario's realtime client, as a test plays it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from voxpy.engine.speech import ENGLISH
from voxpy.errors import VoxpyError
from voxpy.localagent.connection import AgentConnection, Behaviour
from voxpy.localagent.engines import Engines
from voxpy.localagent.responder import CallTool, Turn
from voxpy.localagent.server import serve_stream
from voxpy.simulation.service import AgentScript, ScriptedResponder, TurnScript
from voxpy.simulation.tones import scripted_engines
from voxpy.wire.realtime.server.faults import Close, Stall

if TYPE_CHECKING:
    import trio


class ScriptedAgent:
    """The real realtime server with a scripted brain: it listens, takes turns, can be interrupted.

    What it says and which tools it calls is planned, turn by turn: ``script``, ``says``,
    ``call_tool``. It takes a turn when the caller has spoken, or when the client asks for one.
    What happens on the wire happens at once: ``error``, ``send``, ``stall``, ``close``, ``drop``.
    """

    def __init__(
        self,
        script: AgentScript | None,
        *,
        engines: Engines | None,
        behaviour: Behaviour,
        languages: Sequence[str] = ENGLISH,
    ) -> None:
        """Without ``engines`` all speech is tones; without a script, theirs is the brain."""
        self._responder = ScriptedResponder(script or ())
        self._scripted = script is not None or engines is None
        self._behaviour = behaviour
        if engines is None:
            self.engines = scripted_engines(self._responder, languages=languages)
        elif script is None:
            self.engines = engines
        else:
            self.engines = attrs.evolve(engines, responder=self._responder)
        self.connections: list[AgentConnection] = []
        """Every connection that was accepted, oldest first."""
        self.troubles: list[str] = []
        """What went wrong inside the server: a scripted function that raised."""

    @property
    def turns(self) -> list[Turn]:
        """What the agent was asked, turn by turn."""
        return self._responder.turns

    @property
    def script_left(self) -> int:
        """How many planned turns have not been taken."""
        return len(self._responder.script)

    # -- turns to come ---------------------------------------------------------------------------

    def script(self, turns: list[TurnScript]) -> None:
        """Plan these turns behind those already planned.

        Each is a text to say, ``CallTool(name, arguments)``, or a list of several of these. Raises
        VoxpyError if the world's engines have a brain of their own.
        """
        if not self._scripted:
            raise VoxpyError("the world's engines have a brain of their own; give it agent=[] too")
        self._responder.script.extend(turns)

    def says(self, text: str) -> None:
        """Plan a turn in which the agent says ``text``."""
        self.script([text])

    def call_tool(self, name: str, arguments: Mapping[str, Any] | None = None) -> None:
        """Plan a turn in which the agent calls a tool."""
        self.script([CallTool(name, dict(arguments or {}))])

    def take_turn(self) -> None:
        """Take the next turn now, unasked, as if the client had sent ``response.create``.

        The client gets an error event if a response is under way. Raises VoxpyError without a
        connection, as all below do.
        """
        self._connection().take_turn()

    # -- on the wire, now, on the newest connection -----------------------------------------------

    def send(self, event: Mapping[str, Any]) -> None:
        """Send an event as it is, behind what is on its way."""
        self._connection().put(event)

    def error(self, message: str, *, code: str | None = None, kind: str = "server_error") -> None:
        """Send an ``error`` event."""
        error = {"type": kind, "code": code, "message": message, "param": None, "event_id": None}
        self.send({"type": "error", "event_id": "event_scripted", "error": error})

    def stall(self, seconds: float) -> None:
        """Send nothing for so long; what would have been sent comes afterwards."""
        self._connection().put(Stall(seconds))

    def close(self, code: int = 1011, reason: str = "closed by the test") -> None:
        """Close the connection in order."""
        self._connection().put(Close(code, reason))

    def drop(self) -> None:
        """Break the connection without a word, as a lost network does."""
        self._connection().drop()

    # -- the inside ------------------------------------------------------------------------------

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Be the far side of one connection, to its end."""
        await serve_stream(
            stream,
            self.engines,
            report=self.troubles.append,
            behaviour=self._behaviour,
            began=self.connections.append,
        )

    def _connection(self) -> AgentConnection:
        if not self.connections:
            raise VoxpyError(
                "the scenario has not connected to the scripted agent (yet); wait until it has: "
                "await caller.wait_answered(), caller.wait_hears(...) or "
                "world.call.wait_event('SessionCreated')"
            )
        return self.connections[-1]
