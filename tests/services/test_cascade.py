"""The cascade of scenarios/, whole: each part over its own wire, against the local agent."""

from __future__ import annotations

from pathlib import Path

from voxpy.engine.loader import compile_scenarios
from voxpy.lab.replay import read_recording, replay
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import scripted_engines
from voxpy.testing import CallKit

SCENARIO = Path(__file__).parents[2] / "scenarios" / "cascade.py"
STORY = "Once upon a time there was a very long story about a telephone that nobody answered"


async def test_a_conversation_with_barge_in(voxpy: CallKit, autojump_clock: object) -> None:
    async with voxpy.world(SCENARIO, agent=["It is sunny.", STORY, "Good bye."]) as world:
        caller = await world.dial()
        await caller.wait_hears("how can I help you")
        await caller.pause(0.5)
        await caller.say("How is the weather?")
        await caller.wait_hears("it is sunny")
        await caller.pause(0.5)
        await caller.say("Tell me a story")
        await caller.interrupt("Stop it please", after_s=1.0)
        await caller.wait_hears("good bye")
        caller.hang_up()
        await world.wait_ended()
    assert STORY not in " ".join(caller.heard)
    said = [str(e.personal["text"]) for e in world.find("Logger.write")]
    assert "CALLER: How is the weather?" in said
    assert "AGENT: Good bye." in said
    contents = [[i["role"] for i in turn.items] for turn in world.agent.turns]
    assert contents[1][:2] == ["user", "assistant"]  # the context is sent along


async def test_a_replay_needs_no_service(voxpy: CallKit, autojump_clock: object) -> None:
    """The model's words, cut off or whole, come out of the recording, piece by piece."""
    engines = scripted_engines(ScriptedResponder(["It is sunny.", STORY, "Good bye."]))
    async with voxpy.world(SCENARIO, engines=engines) as world:
        caller = await world.dial()
        await caller.wait_hears("how can I help you")
        await caller.say("How is the weather?")
        await caller.wait_hears("it is sunny")
        await caller.say("Tell me a story")
        await caller.interrupt("Stop it please", after_s=1.0)
        await caller.wait_hears("good bye")
        caller.hang_up()
        await world.wait_ended()
    recording = read_recording(world.folder)
    assert not recording.gaps
    program = compile_scenarios(recording.scenarios)
    outcome = await replay(recording, program, tolerance_s=0.021, speech=lambda: engines)
    assert outcome.difference is None
    said = [str(e.personal["text"]) for e in outcome.entries if e.kind == "log"]
    assert "AGENT: Good bye." in said
