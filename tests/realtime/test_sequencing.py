"""Tools and responses of a RealtimeAPIClient: who asks when, in whole calls."""

from __future__ import annotations

from typing import Any

import pytest

from voxpy.localagent.responder import Act, CallTool, Say, Turn
from voxpy.testing import CallKit, WorldCall
from voxpy.testing.service import Service, Talk

SECONDS = "- wait: answered\n- wait: 6\n- hang_up"
ITEM, CREATE = "conversation.item.create", "response.create"


def scenario(body: str, options: str = "", session: str = "{}") -> str:
    lines = "\n".join("    " + line for line in body.strip().splitlines())
    return f"""
from voxpy import AppEvents, CallEvents, Inworld, Logger, VoxEngine
from voxpy.realtime.tools import ToolOutcome
import trio

class Tools:
    '''Two functions, the first slower than the second.'''
    def schemas(self):
        return [{{"type": "function", "name": n, "parameters": {{}}}} for n in ("slow", "quick")]
    async def run(self, name, arguments_json):
        Logger.write(f"{{name}} {{arguments_json}}")
        await trio.sleep(1 if name == "slow" else 0)
        Logger.write(f"{{name}} done")
        return ToolOutcome(output=f'{{{{"from": "{{name}}"}}}}')

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.answer()
    client = await Inworld.create_realtime_api_client(session_key="k", {options})
    R = Inworld.RealtimeAPIEvents
    asked = {{"session": {session}}}
    client.add_event_listener(R.SessionCreated, lambda e: client.session_update(asked))
    bridge = lambda e: VoxEngine.send_media_between(call, client)
    client.add_event_listener(R.SessionUpdated, bridge)
    client.add_event_listener(R.Error, lambda e: Logger.write("error " + e.error["code"]))
{lines}
"""


USE = "client.use_tools(Tools())"
MANUAL = "{'providerData': {'auto_tool_response': False}}"


def created(response_id: str = "r1") -> dict[str, Any]:
    return {"type": "response.created", "event_id": "e", "response": {"id": response_id}}


def called(*names: str, status: str = "completed", response_id: str = "r1") -> dict[str, Any]:
    output = [
        {
            "id": f"item_{n}",
            "type": "function_call",
            "name": n,
            "call_id": f"call_{n}",
            "arguments": "{}",
        }
        for n in names
    ]
    response = {"id": response_id, "status": status, "output": output}
    return {"type": "response.done", "event_id": "e", "response": response}


def calling(*frames: dict[str, Any]) -> Service:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        for each in frames:
            await talk.send(each)
        await talk.stay()

    return Service(play)


def sent(service: Service) -> list[str]:
    """What was sent but audio and configuration: types, for outputs the call's id."""
    kinds = (ITEM, CREATE)
    found = [e for e in service.talks[0].received if e["type"] in kinds]
    return [e["item"]["call_id"] if e["type"] == ITEM else CREATE for e in found]


def test_the_functions_of_a_response_run_in_order_and_bring_one_response(voxpy: CallKit) -> None:
    service = calling(created(), called("slow", "quick"))
    call = voxpy.call(scenario(USE, session=MANUAL), SECONDS, serve=service)
    assert call.log == ["slow {}", "slow done", "quick {}", "quick done"]
    assert sent(service) == ["call_slow", "call_quick", CREATE]
    first, _ = service.talks[0].sent(ITEM)
    assert first["item"] == {
        "type": "function_call_output",
        "call_id": "call_slow",
        "output": '{"from": "slow"}',
    }
    steps = [(e.name, e.data["tool"]) for e in call.entries if e.name.startswith("tool ")]
    assert steps == [
        ("tool called", "slow"),
        ("tool answered", "slow"),
        ("tool called", "quick"),
        ("tool answered", "quick"),
    ]


def test_a_service_that_goes_on_by_itself_is_not_asked(voxpy: CallKit) -> None:
    service = calling(created(), called("quick"))
    voxpy.call(scenario(USE), SECONDS, serve=service)
    assert sent(service) == ["call_quick"]


@pytest.mark.parametrize("status", ["cancelled", "failed", "incomplete"])
def test_a_response_that_did_not_complete_runs_nothing(voxpy: CallKit, status: str) -> None:
    service = calling(created(), called("quick", status=status))
    call = voxpy.call(scenario(USE, session=MANUAL), SECONDS, serve=service)
    assert (call.log, sent(service)) == ([], [])


def test_the_create_waits_while_the_agent_answers_the_caller(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        await talk.send(created())
        await talk.send(called("slow"))
        await talk.send(created("turn"))  # the caller spoke while the function ran
        await talk.read_until(ITEM)
        for _ in range(25):
            await talk.next()
        assert not talk.sent(CREATE)
        await talk.send(called(response_id="turn"))
        await talk.stay()

    service = Service(play)
    voxpy.call(scenario(USE, session=MANUAL), SECONDS, serve=service)
    assert sent(service) == ["call_slow", CREATE]


def test_a_lost_race_is_no_end_and_the_create_is_sent_again(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        await talk.send(created())
        await talk.send(called("quick"))
        create = await talk.read_until(CREATE)
        await talk.send(created("own"))
        code = "conversation_already_has_active_response"
        error = {"message": "no", "code": code, "event_id": create["event_id"]}
        await talk.send({"type": "error", "event_id": "e", "error": error})
        await talk.send(called(response_id="own"))
        assert (await talk.read_until(CREATE)) == create
        await talk.stay()

    service = Service(play)
    call = voxpy.call(scenario(USE, session=MANUAL), SECONDS, serve=service)
    assert sent(service) == ["call_quick", CREATE, CREATE]
    assert call.log[-1] == "error conversation_already_has_active_response"
    assert call.find("Call.Disconnected")[0].data["reason"] == "Hung up by the caller"


def test_an_output_of_the_scenarios_own_counts(voxpy: CallKit) -> None:
    by_hand = """
client.use_tools(Tools())
item = {"type": "function_call_output", "call_id": "call_slow", "output": "mine"}
client.add_event_listener(R.ResponseDone, lambda e: client.conversation_item_create({"item": item}))
"""
    service = calling(created(), called("slow", "quick"))
    voxpy.call(scenario(by_hand, session=MANUAL), SECONDS, serve=service)
    assert sent(service) == ["call_slow", "call_quick", CREATE]
    assert service.talks[0].sent(ITEM)[0]["item"]["output"] == "mine"


def test_functions_end_with_their_client(voxpy: CallKit) -> None:
    body = USE + "\nawait client.wait_event(R.ResponseDone)\nclient.close()\nawait trio.sleep(3)"
    service = calling(created(), called("slow"))
    call = voxpy.call(scenario(body), SECONDS, serve=service)
    assert call.log == ["slow {}"]
    assert sent(service) == []


@pytest.mark.parametrize("private", [True, False])
def test_privacy_keeps_arguments_and_outputs_out(voxpy: CallKit, private: bool) -> None:
    service = calling(created(), called("quick"))
    call = voxpy.call(scenario(USE, f"privacy={private}"), SECONDS, serve=service)
    shown = [dict(e.personal) for e in call.entries if e.name.startswith("tool ")]
    content = [{"payload": {"arguments": "{}"}}, {"payload": {"output": '{"from": "quick"}'}}]
    assert shown == ([{}, {}] if private else content)


# -- what the model is told ------------------------------------------------------------------------


def names(update: dict[str, Any]) -> list[str]:
    return [tool["name"] for tool in update["session"].get("tools", ())]


def test_tools_go_with_the_first_update(voxpy: CallKit) -> None:
    own = "{'tools': [{'type': 'function', 'name': 'own'}]}"
    service = calling()
    voxpy.call(scenario(USE, session=own), SECONDS, serve=service)
    (update,) = service.talks[0].sent("session.update")
    assert names(update) == ["own", "slow", "quick"]


def test_tools_that_come_late_bring_an_update_of_their_own(voxpy: CallKit) -> None:
    own = "{'tools': [{'type': 'function', 'name': 'own'}]}"
    service = calling()
    late = "await client.wait_event(R.SessionUpdated)\n" + USE
    voxpy.call(scenario(late, session=own), SECONDS, serve=service)
    first, second = service.talks[0].sent("session.update")
    assert (names(first), names(second)) == (["own"], ["own", "slow", "quick"])
    assert second["session"]["type"] == "realtime"


# -- the scenario's own creates --------------------------------------------------------------------

TWICE = """
await client.wait_event(R.SessionUpdated)
for instructions in ("a", "b", "b"):
    client.response_create({"response": {"instructions": instructions}})
"""


def asked(service: Service) -> list[str]:
    return [e["response"]["instructions"] for e in service.talks[0].sent(CREATE)]


def test_what_a_scenario_sends_goes_at_once_and_unchanged(voxpy: CallKit) -> None:
    service = calling()
    voxpy.call(scenario(TWICE), SECONDS, serve=service)
    assert asked(service) == ["a", "b", "b"]
    assert service.talks[0].sent(CREATE)[0] == {"type": CREATE, "response": {"instructions": "a"}}


def test_or_one_at_a_time_if_it_wants(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        await talk.read_until(CREATE)
        await talk.send(created())
        for _ in range(25):
            await talk.next()
        assert len(talk.sent(CREATE)) == 1
        await talk.send(called())
        await talk.stay()

    service = Service(play)
    voxpy.call(scenario(TWICE, "queue=True"), SECONDS, serve=service)
    assert asked(service) == ["a", "b"]


EARLY = """
client.response_create({"response": {"instructions": "a"}})
client.conversation_item_create({"item": {"type": "message", "call_id": "x"}})
"""


@pytest.mark.parametrize("queue", [True, False])
def test_what_is_sent_too_early_waits_for_the_session_if_it_wants(
    voxpy: CallKit, queue: bool
) -> None:
    service = calling()
    voxpy.call(scenario(EARLY, f"queue={queue}"), SECONDS, serve=service)
    order = [e["type"] for e in service.talks[0].received if "audio" not in e]
    early = [CREATE, ITEM]
    assert order == (["session.update", *early] if queue else [*early, "session.update"])


# -- with the local agent --------------------------------------------------------------------------


def answers(turn: Turn) -> list[Act]:
    outputs = [i["output"] for i in turn.items if i.get("type") == "function_call_output"]
    if outputs:
        return [Say("I have " + str(len(outputs)) + " of 2 results")]
    return [CallTool("slow", {}), CallTool("quick", {})]


@pytest.mark.parametrize("session", [MANUAL, "{}"])
def test_the_agent_answers_once_with_all_results(voxpy: CallKit, session: str) -> None:
    body = USE + "\nawait client.wait_event(R.SessionUpdated)\nclient.response_create({})"
    caller = """
- wait: answered
- wait: agent_finished
- expect: {heard: "2 of 2 results", within_s: 2}
- wait: 3
- hang_up
"""
    call = voxpy.call(scenario(body, session=session), caller, agent=answers)
    assert call.result.failure == ""
    assert len(call.turns) == 2
    assert not any(line.startswith("error") for line in call.log)


def test_a_caller_who_speaks_while_a_function_runs_gets_two_answers(voxpy: CallKit) -> None:
    def agent(turn: Turn) -> list[Act]:
        results = [i for i in turn.items if i.get("type") == "function_call_output"]
        if not turn.items:
            return [CallTool("slow", {})]
        return [Say("Here is your result" if results else "One moment please")]

    body = USE + "\nawait client.wait_event(R.SessionUpdated)\nclient.response_create({})"
    caller = """
- wait: answered
- wait: 0.2
- say: Are you still there
- expect: {heard: "Here is your result", within_s: 8}
- hang_up
"""
    call = voxpy.call(scenario(body, session=MANUAL), caller, agent=agent)
    assert_fine(call)


def assert_fine(call: WorldCall) -> None:
    assert call.result.failure == ""
    assert not any(line.startswith("error") for line in call.log)


def test_a_tool_set_is_what_use_tools_takes(voxpy: CallKit) -> None:
    body = """
from voxpy.realtime.tools import ToolSet

def quick(city: str) -> dict:
    "Return the weather."
    return {"in": city}

client.use_tools(ToolSet(quick))
"""
    done = called("quick")
    done["response"]["output"][0]["arguments"] = '{"city": "Oslo"}'
    service = calling(created(), done)
    voxpy.call(scenario(body), SECONDS, serve=service)
    (update,) = service.talks[0].sent("session.update")
    assert update["session"]["tools"][0]["parameters"]["required"] == ["city"]
    (output,) = service.talks[0].sent(ITEM)
    assert output["item"]["output"] == '{"in":"Oslo"}'
