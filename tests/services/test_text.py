"""OpenAI's text clients, in calls whose service is the local agent's brain in writing."""

from __future__ import annotations

from typing import Any

import pytest

from voxpy import OpenAI
from voxpy.engine.ending import EndReason
from voxpy.localagent.connection import Behaviour
from voxpy.localagent.responder import CallTool
from voxpy.testing import CallKit, World
from voxpy.wire.realtime.server.faults import Faults

HEAD = """
from voxpy import AppEvents, CallEvents, Logger, OpenAI, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    event.call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    event.call.answer()
"""
CHAT = (
    HEAD
    + """
    C = OpenAI.ChatCompletionsAPIEvents
    client = await OpenAI.create_chat_completions_api_client(store_context=True)
    def log(e):
        Logger.write(f"{e.name.rpartition('.')[2]}: {e.delta or e.content or e.arguments}")
    for kind in (C.ContentDelta, C.ContentDone, C.FunctionToolCallArgumentsDone):
        client.add_event_listener(kind, log)
    failed = lambda e: Logger.write(f"failed: {e.status}")
    client.add_event_listener(C.ChatCompletionsAPIError, failed)
    client.create_chat_completions(
        {"model": "m", "messages": [{"role": "system", "content": "Be brief."},
                                    {"role": "user", "content": "Hello"}]})
    client.create_chat_completions({"model": "m", "messages": [
        {"role": "user", "content": "And the weather?"}]})
"""
)
RESPONSES = (
    HEAD
    + """
    R = OpenAI.ResponsesAPIEvents
    client = await OpenAI.create_responses_api_client(store_context=True)
    for kind in (R.ResponseCreated, R.ResponseTextDelta, R.ResponseTextDone,
                 R.ResponseFunctionCallArgumentsDone, R.ResponseCompleted):
        client.add_event_listener(
            kind, lambda e: Logger.write(f"{e.name.rpartition('.')[2]}: {e.delta or e.text}"))
    client.create_responses({"model": "m", "instructions": "Be brief.", "input": "Hello"})
"""
)


async def run(voxpy: CallKit, scenario: str, **options: Any) -> World:
    async with voxpy.world(scenario, **options) as world:
        caller = await world.dial()
        await caller.wait_answered()
        await caller.pause(2)
        caller.hang_up()
        await world.wait_ended()
    return world


def logged(world: World) -> list[str]:
    return [str(e.personal["text"]) for e in world.find("Logger.write")]


async def test_chat_completions(voxpy: CallKit, autojump_clock: object) -> None:
    turns = [["Hello.", "How are you?"], CallTool("get_weather", {"city": "Oslo"})]
    world = await run(voxpy, CHAT, agent=turns)
    assert logged(world) == [
        "ContentDelta: Hello.",
        "ContentDelta:  How are you?",
        "ContentDone: Hello. How are you?",
        'FunctionToolCallArgumentsDone: {"city":"Oslo"}',
    ]
    first, second = world.agent.turns
    assert first.instructions == "Be brief."
    said = [(i["role"], i["content"][0]["text"]) for i in second.items]
    assert said == [  # the context is kept here and sent again
        ("user", "Hello"),
        ("assistant", "Hello. How are you?"),
        ("user", "And the weather?"),
    ]


async def test_responses(voxpy: CallKit, autojump_clock: object) -> None:
    world = await run(voxpy, RESPONSES, agent=[["Good morning."]])
    assert logged(world) == [
        "ResponseCreated: ",
        "ResponseTextDelta: Good morning.",
        "ResponseTextDone: Good morning.",
        "ResponseCompleted: ",
    ]


async def test_a_request_that_is_refused(voxpy: CallKit, autojump_clock: object) -> None:
    behaviour = Behaviour(faults=Faults(refuse_status=429, refuse_message="slow down"))
    world = await run(voxpy, CHAT, behaviour=behaviour)
    assert logged(world) == ["failed: 429", "failed: 429"]
    assert world.call.result.end.reason is EndReason.AGENT_FAILED


@pytest.mark.parametrize("method", ["create_chat_completions", "create_responses"])
def test_the_names_are_complete(method: str) -> None:
    events = {
        "create_chat_completions": OpenAI.ChatCompletionsAPIEvents,
        "create_responses": OpenAI.ResponsesAPIEvents,
    }[method]
    kinds = [k.wire_type for k in events.members().values() if k.wire_type]
    assert len(kinds) == len(set(kinds)) == {"create_chat_completions": 12}.get(method, 49)
