"""How the realtime service of one simulated call behaves: what the agent says, and its faults.

The ``service:`` section of a caller's script as data, from YAML and back, and the brain that does
what it says.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import attrs

from voxpy.engine.userfile import Given
from voxpy.localagent.connection import Behaviour
from voxpy.localagent.responder import Act, CallTool, Say, Turn
from voxpy.wire.realtime.server.faults import Faults
from voxpy.wire.realtime.server.quirks import parse_switches

TurnScript = str | Act | Sequence[str | Act]
"""What an agent does in one turn: a text to say, a tool to call, or several of these."""

AgentScript = Sequence[TurnScript] | Callable[[Turn], Sequence[Act]]
"""What it does turn by turn, or a function that is asked at each."""


@attrs.frozen(kw_only=True)
class ServiceScript:
    """How the realtime service of one call behaves.

    ``says`` is what the agent says and does, turn by turn; empty: whatever it likes. ``seed`` is
    of the faults' luck.
    """

    says: tuple[tuple[str | CallTool, ...], ...] = ()
    faults: Faults = attrs.field(factory=Faults)
    seed: int = 0

    def behaviour(self, *, seed: int = 0) -> Behaviour:
        """Return what the server is told of it; ``seed`` is added to its own."""
        return Behaviour(faults=self.faults, seed=self.seed + seed)


class ScriptedResponder:
    """A brain that does the next turn of a list, or what a function of the Turn returns.

    ``turns`` is what it was asked, ``script`` the turns it has left, which may grow.
    """

    def __init__(self, script: AgentScript) -> None:
        self._function = script if callable(script) else None
        self.script: list[TurnScript] = [] if callable(script) else list(script)
        self.turns: list[Turn] = []

    async def respond(self, turn: Turn) -> AsyncIterator[Act]:
        """Yield the acts for this turn; a script that has run out says so."""
        self.turns.append(turn)
        for act in self._next(turn):
            yield Say(act) if isinstance(act, str) else act

    def _next(self, turn: Turn) -> Sequence[str | Act]:
        if self._function is not None and not self.script:
            return self._function(turn)
        line = self.script.pop(0) if self.script else "The script is over."
        return [line] if isinstance(line, str | Say | CallTool) else line


# -- YAML ------------------------------------------------------------------------------------------


def read_service(given: Given) -> ServiceScript:
    """Return how the service behaves. Raises ConfigError."""
    fields = given.fields(("says", "faults", "seed"))
    return ServiceScript(
        says=tuple(_turn(turn) for turn in fields.section("says").items()),
        faults=fields.get("faults", _faults, Faults()),
        seed=fields.get("seed", Given.whole, 0),
    )


def _turn(given: Given) -> tuple[str | CallTool, ...]:
    acts = given.items() if isinstance(given.value, list) else [given]
    return tuple(_act(act) for act in acts)


def _act(given: Given) -> str | CallTool:
    if not isinstance(given.value, dict):
        return given.words()
    fields = given.fields(("call", "with"))
    arguments = given.value.get("with", {})
    if not isinstance(arguments, dict | str):
        problem = "a tool is called with a mapping, or text as it is"
        raise fields.section("with").error(problem)
    return CallTool(fields.need("call").words(), arguments)


def _faults(given: Given) -> Faults:
    if not isinstance(given.value, dict):
        raise given.error("`faults:` must be a mapping; `voxpy agent --help` lists them")
    settings = []
    for name, below in given.mapping().items():
        value = below.value
        text = str(value).lower() if value is None or isinstance(value, bool) else str(value)
        settings.append(f"{name}={text}")
        try:
            parse_switches(Faults(), settings[-1:])
        except ValueError as error:
            raise below.error(f"faults: {error}") from error
    return parse_switches(Faults(), settings)


def written_service(service: ServiceScript) -> dict[str, Any]:
    """Return the YAML of it: what is as by default is left out."""
    faults = {
        f.name: value
        for f in attrs.fields(Faults)
        if (value := getattr(service.faults, f.name)) != getattr(Faults(), f.name)
    }
    told = {"says": [_written(t) for t in service.says], "faults": faults, "seed": service.seed}
    return {key: value for key, value in told.items() if value}


def _written(turn: tuple[str | CallTool, ...]) -> Any:
    acts = [act if isinstance(act, str) else _written_call(act) for act in turn]
    return acts[0] if len(acts) == 1 else acts


def _written_call(call: CallTool) -> dict[str, Any]:
    given = call.arguments
    return {"call": call.name, "with": dict(given) if isinstance(given, Mapping) else given}
