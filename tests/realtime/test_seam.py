"""The seam above the wire: frames of a service's own, through the client of all services."""

from __future__ import annotations

import base64

from voxpy.testing import CallKit
from voxpy.testing.service import Service, Talk

SCENARIO = """
from tests.realtime.own_service import Own
from voxpy import AppEvents, CallEvents, Inworld, Logger, VoxEngine

tools = Inworld.ToolSet()

@tools.add
def price(of: str) -> int:
    return 7

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.answer()
    client = await Own.create_client(auto_truncate=True, trace=True)
    client.use_tools(tools)
    client.add_event_listener(Own.Events.Interrupted, lambda e: Logger.write(e.name))
    VoxEngine.send_media_between(call, client)
    client.say("hello")
"""
TWO_SECONDS = {"audio": base64.b64encode(b"\x00\x10" * 32000).decode()}


def test_a_wire_of_its_own(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        while "say" not in await talk.next():
            pass
        await talk.send(TWO_SECONDS)
        while len([e for e in talk.received if "heard" in e]) < 30:  # 40 ms each
            await talk.next()
        await talk.send({"interrupted": True})
        await talk.send({"call": {"id": "c1", "name": "price", "args": {"of": "tea"}}})
        while "result" not in await talk.next():
            pass
        await talk.send("no JSON")
        await talk.send({"over": True})
        await talk.stay()

    service = Service(play)
    call = voxpy.call(SCENARIO, "- wait: answered\n- wait: 4\n- hang_up", serve=service)
    (talk,) = service.talks
    assert (talk.path, talk.headers["authorization"]) == ("/session", "Bearer key")
    told = [e for e in talk.received if "heard" not in e]
    (heard_ms,) = [e["cut_at_ms"] for e in told if "cut_at_ms" in e]
    assert told == [{"say": "hello"}, {"cut_at_ms": heard_ms}, {"result": 7, "id": "c1"}]
    assert 1000 <= heard_ms <= 1300
    # The agent fell silent before the handler ran, and what was heard of its words is in the trace.
    names = [e.name for e in call.entries if e.unit == "client-1" or e.name == "Logger.write"]
    at = names.index("playout cleared")
    assert names[at : at + 5] == [
        "playout cleared",
        "agent heard as",
        "cut",
        "Own.API.Interrupted",
        "Logger.write",
    ]
    assert call.find("agent heard as")[0].personal == {"text": f"{heard_ms} ms of turn-1"}
    assert len(call.find("tool answered")) == 1
    assert [e.name for e in call.entries if "no JSON" in str(e.personal)] == []
    assert call.find("Own.API.Unknown")[-1].personal["payload"] == {"over": True}
