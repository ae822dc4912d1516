"""Every service's connector in whole calls on virtual time, against the local agent as it."""

from __future__ import annotations

import pytest

from tests.services.talks import TALKS, Talk
from voxpy.engine.ending import EndReason
from voxpy.localagent.connection import Behaviour
from voxpy.localagent.responder import CallTool
from voxpy.testing import CallKit, World
from voxpy.wire.realtime.server.faults import Faults

GREETING, ANSWER = "Good morning", "It costs three dollars"
STORY = "Once upon a time there was a very long story about a telephone that nobody answered"


@pytest.fixture(params=list(TALKS))
def talk(request: pytest.FixtureRequest) -> Talk:
    return TALKS[request.param]


def logged(world: World) -> list[str]:
    return [str(e.personal.get("text", "")) for e in world.entries if e.name == "Logger.write"]


async def test_a_whole_call(voxpy: CallKit, autojump_clock: object, talk: Talk) -> None:
    turns: list[str | CallTool] = [
        GREETING,
        CallTool("get_price", {"item": "tea"}),
        ANSWER,
        STORY,
        "Good bye",
    ]
    if not talk.has_tools:
        del turns[1]
    async with voxpy.world(talk.source, agent=turns) as world:
        caller = await world.dial()
        await caller.wait_hears(GREETING)
        await caller.say("What is the price of tea?")
        await caller.wait_hears(ANSWER)
        await caller.say("Tell me a story")
        await caller.interrupt("Stop it please", after_s=1.0)
        await caller.wait_hears("good bye")
        caller.hang_up()
        await world.wait_ended()
    if talk.has_tools:  # it ran, and its result reached the agent's brain
        assert [t.name for t in world.tools] == ["get_price"]
        items = [item for turn in world.agent.turns for item in turn.items]
        outputs = [item for item in items if item["type"] == "function_call_output"]
        assert outputs[0]["output"] == '{"dollars":3}'
    if talk.tells_words:  # both sides are known; of the story the caller heard the beginning alone
        said = {s.text: s for s in world.transcript if s.who == "agent"}
        assert [GREETING in said, ANSWER in said] == [True, True]
        assert said[STORY].interrupted
        assert 0 < len(said[STORY].heard_text or "") < len(STORY) / 2
        assert f"agent: {ANSWER}" in logged(world)
        assert "caller: Stop it please" in logged(world)
    assert STORY not in " ".join(caller.heard)
    assert talk.speech in [e.name for e in world.events]
    # All ends well.
    assert world.call.result.end.reason is EndReason.TERMINATED
    assert world.agent.troubles == []
    assert world.agent.script_left == 0


async def test_g711_passes_through(voxpy: CallKit, autojump_clock: object, talk: Talk) -> None:
    if not talk.passes_g711:
        pytest.skip("the service takes no G.711")
    async with voxpy.world(talk.source, agent=[GREETING]) as world:
        caller = await world.dial()
        await caller.wait_hears(GREETING)
        caller.hang_up()
        await world.wait_ended()
    started = [e for e in world.events if e.name.endswith("WebSocketMediaStarted")]
    assert started[0].payload["encoding"] == "pcmu/8000"


async def test_a_service_that_refuses(voxpy: CallKit, autojump_clock: object, talk: Talk) -> None:
    behaviour = Behaviour(faults=Faults(refuse_status=429, refuse_message="too many"))
    async with voxpy.world(talk.source, behaviour=behaviour) as world:
        await world.dial()
        await world.wait_ended()
    assert logged(world) == ["no agent: 429"]
    assert world.call.result.end.reason is EndReason.AGENT_FAILED
    assert "429" in world.call.result.end.detail


async def test_a_service_that_breaks_down(
    voxpy: CallKit, autojump_clock: object, talk: Talk
) -> None:
    """The connection is lost in the middle of an answer: the scenario is told, and the record."""
    behaviour = Behaviour(
        faults=Faults(close_at_event="response.done", close_code=1011, close_reason="gone wrong")
    )
    async with voxpy.world(talk.source, agent=[GREETING], behaviour=behaviour) as world:
        await world.dial()
        await world.wait_ended()
    assert world.call.result.end.reason is EndReason.AGENT_FAILED
    assert "gone wrong" in world.call.result.end.detail


async def test_a_service_that_falls_silent(
    voxpy: CallKit, autojump_clock: object, talk: Talk
) -> None:
    """It takes the connection and then says nothing: the watchdog ends the call."""
    behaviour = Behaviour(faults=Faults(stall_after_frames=1))
    async with voxpy.world(talk.source, agent=[GREETING], behaviour=behaviour) as world:
        await world.dial()
        await world.wait_ended(within_s=120)
    assert "Watchdog.AgentSilent" in [e.name for e in world.events]
    assert world.call.result.end.reason in (EndReason.AGENT_FAILED, EndReason.WATCHDOG)
