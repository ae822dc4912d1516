"""What the ``voxpy`` fixture is: worlds in a folder of its own, and whole calls from a script."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from voxpy.engine.http import Fetch
from voxpy.engine.ports import OpenStream
from voxpy.engine.settings import Settings
from voxpy.localagent.connection import Behaviour
from voxpy.localagent.engines import Engines
from voxpy.simulation.callerfile import parse_script
from voxpy.simulation.script import CallerScript
from voxpy.simulation.service import AgentScript
from voxpy.simulation.virtual import run_virtual
from voxpy.testing.grounds import Serve
from voxpy.testing.httpstub import Web
from voxpy.testing.world import Scenario, World
from voxpy.testing.worldcall import WorldCall

__all__ = ["CallKit"]

WORLDS_SHOWN = 3
"""The timelines of a failed test are those of its last worlds."""


class CallKit:
    """Runs calls in a folder of its own. The ``voxpy`` fixture of the pytest plugin is one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._worlds: deque[World] = deque(maxlen=WORLDS_SHOWN)

    def world(
        self,
        scenario: Scenario,
        *,
        secrets: Mapping[str, str] | None = None,
        agent: AgentScript | None = None,
        settings: Settings | None = None,
        http: Web | None = None,
        seed: int = 0,
        behaviour: Behaviour | None = None,
        engines: Engines | None = None,
        endpoint: str = "local",
        serve: Serve | None = None,
        open_stream: OpenStream | None = None,
        fetch: Fetch | None = None,
        check_errors: bool = True,
    ) -> World:
        """Return a World in this folder, for ``async with``; see there for the arguments."""
        world = World(
            scenario,
            secrets=secrets,
            agent=agent,
            settings=settings,
            http=http,
            seed=seed,
            folder=self._folder,
            behaviour=behaviour,
            engines=engines,
            endpoint=endpoint,
            serve=serve,
            open_stream=open_stream,
            fetch=fetch,
            check_errors=check_errors,
        )
        self._worlds.append(world)
        return world

    def call(
        self,
        scenario: Scenario,
        caller: str,
        *,
        agent: AgentScript | None = None,
        secrets: Mapping[str, str] | None = None,
        settings: Settings | None = None,
        http: Web | None = None,
        seed: int = 0,
        behaviour: Behaviour | None = None,
        engines: Engines | None = None,
        endpoint: str = "local",
        serve: Serve | None = None,
        open_stream: OpenStream | None = None,
        fetch: Fetch | None = None,
        check_errors: bool = True,
    ) -> WorldCall:
        """Run one call on virtual time, in a world of its own, and return it.

        ``caller`` is the YAML of a caller's script, or only its steps; for the other arguments see
        World. For tests that are no coroutines.
        Raises what makes a call impossible (ConfigError, ScenarioError), and what World raises.
        """
        text = caller if "steps:" in caller else "steps:\n" + caller
        script = parse_script(text, file="caller.yaml", folder=self._folder)
        world = self.world(
            scenario,
            agent=agent,
            secrets=secrets,
            settings=settings,
            http=http,
            seed=seed,
            behaviour=behaviour,
            engines=engines,
            endpoint=endpoint,
            serve=serve,
            open_stream=open_stream,
            fetch=fetch,
            check_errors=check_errors,
        )
        return run_virtual(partial(_act, world, script), seed=seed)

    def timelines(self) -> list[str]:
        """Return the calls of the last worlds as texts to read."""
        return [call.timeline() for world in self._worlds for call in world.calls]


async def _act(world: World, script: CallerScript) -> WorldCall:
    async with world:
        return await world.act(script)
