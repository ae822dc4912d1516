"""What the ``voxpy`` fixture is: worlds in a folder of its own, and whole calls from a script."""

from __future__ import annotations

from collections import deque
from functools import partial
from pathlib import Path
from typing import Unpack

from voxpy.simulation.callerfile import parse_script
from voxpy.simulation.script import CallerScript
from voxpy.simulation.virtual import run_virtual
from voxpy.testing.world import Scenario, World, WorldOptions
from voxpy.testing.worldcall import WorldCall

WORLDS_SHOWN = 3
"""The timelines of a failed test are those of its last worlds."""


class CallKit:
    """Runs calls in a folder of its own. The ``voxpy`` fixture of the pytest plugin is one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._worlds: deque[World] = deque(maxlen=WORLDS_SHOWN)

    def world(self, scenario: Scenario, **options: Unpack[WorldOptions]) -> World:
        """Return a World in this folder, for ``async with``."""
        options.setdefault("folder", self._folder)
        world = World(scenario, **options)
        self._worlds.append(world)
        return world

    def call(self, scenario: Scenario, caller: str, **options: Unpack[WorldOptions]) -> WorldCall:
        """Run one call on virtual time, in a world of its own, and return it.

        ``caller`` is the YAML of a caller's script, or only its steps. For tests that are no
        coroutines. Raises what makes a call impossible (ConfigError, ScenarioError), and what World
        raises.
        """
        text = caller if "steps:" in caller else "steps:\n" + caller
        script = parse_script(text, file="caller.yaml", folder=self._folder)
        world = self.world(scenario, **options)
        return run_virtual(partial(_act, world, script), seed=options.get("seed", 0))

    def timelines(self) -> list[str]:
        """Return the calls of the last worlds as texts to read."""
        return [call.timeline() for world in self._worlds for call in world.calls]


async def _act(world: World, script: CallerScript) -> WorldCall:
    async with world:
        return await world.act(script)
