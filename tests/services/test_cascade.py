"""The cascade of scenarios/, whole: each part over its own wire, against the local agent."""

from __future__ import annotations

from pathlib import Path

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
