"""A recorded call of every service runs again without it."""

from __future__ import annotations

import pytest

from tests.services.talks import TALKS
from voxpy.engine.loader import compile_scenarios
from voxpy.lab.replay import read_recording, replay
from voxpy.localagent.responder import CallTool
from voxpy.testing import CallKit

STORY = "Once upon a time there was a very long story about a telephone that nobody answered"


@pytest.mark.parametrize("name", TALKS)
async def test_it_goes_the_same_way(voxpy: CallKit, autojump_clock: object, name: str) -> None:
    talk = TALKS[name]
    turns: list[str | CallTool] = ["Good morning", STORY]
    if talk.has_tools:
        turns.insert(1, CallTool("get_price", {"item": "tea"}))
    async with voxpy.world(talk.source, agent=turns) as world:
        caller = await world.dial()
        await caller.wait_hears("good morning")
        await caller.say("What is the price of tea?")
        await caller.interrupt("Stop it please", after_s=1.0)
        await caller.pause(2)
        caller.hang_up()
        await world.wait_ended()
    recording = read_recording(world.folder)
    program = compile_scenarios(recording.scenarios)
    outcome = await replay(recording, program, tolerance_s=0.021)
    assert outcome.difference is None
