"""Leaving after a goodbye: when it is said and heard, and not if the caller goes on."""

# ruff: noqa: E501  tables and scenario sources read better in whole lines

from __future__ import annotations

import base64
from typing import Any

import pytest
import trio

from voxpy.testing import CallKit, WorldCall
from voxpy.testing.service import Service, Talk

SCENARIO = """
from voxpy import AppEvents, CallEvents, Inworld, Logger, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.answer()
    client = await Inworld.create_realtime_api_client(session_key="k", OPTIONS)
    tools = Inworld.ToolSet()

    @tools.add
    def hang_up() -> str:
        client.after_goodbye(call.hangup, within_s=6)
        return "ok"

    R = Inworld.RealtimeAPIEvents
    client.use_tools(tools)
    client.add_event_listener(R.SessionCreated, lambda e: client.session_update({"session": {"providerData": {"auto_tool_response": False}}}))
    client.add_event_listener(R.SessionUpdated, lambda e: VoxEngine.send_media_between(call, client))
"""
CALLER = "- wait: answered\n- wait: {for: hung_up, within_s: 30}\n"
SECONDS = bytes([0x20, 0xA0] * 4000 * 3)
LINGERS_S = 0.3


def delta(response: str, seconds: float, number: int = 0) -> dict[str, Any]:
    audio = base64.b64encode(SECONDS[: round(8000 * seconds)]).decode()
    return {
        "type": "response.output_audio.delta",
        "event_id": f"a{response}{number}",
        "response_id": response,
        "item_id": "i" + response,
        "output_index": 0,
        "content_index": 0,
        "delta": audio,
    }


def created(response: str) -> dict[str, Any]:
    return {"type": "response.created", "event_id": "c" + response, "response": {"id": response}}


def done(response: str, status: str = "completed", **call: str) -> dict[str, Any]:
    output = [{"type": "function_call", "arguments": "{}", **call}] if call else []
    return {
        "type": "response.done",
        "event_id": "d" + response,
        "response": {"id": response, "status": status, "output": output},
    }


SPOKE = {
    "type": "input_audio_buffer.speech_started",
    "event_id": "s",
    "item_id": "u",
    "audio_start_ms": 100,
}


async def calls_hang_up(talk: Talk, call_id: str = "c1") -> None:
    await talk.send(done("r" + call_id, name="hang_up", call_id=call_id))
    await talk.read_until("response.create")


async def pause(talk: Talk, seconds: float) -> None:
    with trio.move_on_after(seconds):
        await talk.stay()


def run(
    voxpy: CallKit, play: Any, options: str = "", caller: str = CALLER
) -> tuple[WorldCall, float]:
    """Return the call, and how long it lasted."""
    call = voxpy.call(SCENARIO.replace("OPTIONS", options), caller, serve=Service(play))
    (over,) = call.find("call over")
    return call, over.t


def test_it_leaves_when_the_goodbye_is_done_and_played(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        await calls_hang_up(talk)
        for event in (created("g"), delta("g", 2.0), done("g")):
            await talk.send(event)
        await talk.stay()

    call, over_s = run(voxpy, play)
    assert over_s == pytest.approx(2.0 + LINGERS_S, abs=0.1)
    assert call.find("agent heard as")[-1].data["played_ms"] == 2000


@pytest.mark.parametrize("gap_s", [1.3, 4.0])
def test_a_pause_inside_the_goodbye_does_not_cut_it(voxpy: CallKit, gap_s: float) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        await calls_hang_up(talk)
        await talk.send(created("g"))
        await talk.send(delta("g", 1.0))
        await pause(talk, 1.0 + gap_s)
        await talk.send(delta("g", 1.0, 1))
        await talk.send(done("g"))
        await talk.stay()

    call, over_s = run(voxpy, play)
    assert over_s == pytest.approx(2.0 + gap_s + LINGERS_S, abs=0.1)
    assert call.find("agent heard as")[-1].data["played_ms"] == 2000


def test_what_was_said_before_the_goodbye_is_no_goodbye(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        await talk.send(created("rc1"))
        await talk.send(delta("rc1", 3.0))  # "Alright!", still sounding when the tool runs
        await calls_hang_up(talk)
        await pause(talk, 4.0)
        for event in (created("g"), delta("g", 1.0), done("g")):
            await talk.send(event)
        await talk.stay()

    _, over_s = run(voxpy, play)
    assert over_s == pytest.approx(5.0 + LINGERS_S, abs=0.1)


@pytest.mark.parametrize("options", ["", "auto_truncate=True"])
@pytest.mark.parametrize("when", ["over it", "before it"])
def test_a_barge_in_cancels_leaving(voxpy: CallKit, options: str, when: str) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        await calls_hang_up(talk)
        if when == "over it":
            await talk.send(created("g"))
            await talk.send(delta("g", 2.0))
            await pause(talk, 0.5)
        await talk.send(SPOKE)
        if when == "over it":
            await talk.send(done("g", "cancelled"))
        await talk.stay()

    caller = "- wait: answered\n- wait: 15\n- hang_up"
    call, over_s = run(voxpy, play, options, caller)
    assert over_s > 15
    assert len(call.find("goodbye interrupted; the call goes on")) == 1


def test_the_model_may_say_goodbye_again(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        await calls_hang_up(talk, "c1")
        await talk.send(SPOKE)
        await pause(talk, 8.0)
        await calls_hang_up(talk, "c2")
        for event in (created("g"), delta("g", 1.0), done("g")):
            await talk.send(event)
        await talk.stay()

    _, over_s = run(voxpy, play)
    assert over_s == pytest.approx(9.0 + LINGERS_S, abs=0.1)


def test_nobody_waits_for_a_goodbye_that_does_not_come(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        await calls_hang_up(talk)
        await talk.stay()

    _, over_s = run(voxpy, play)
    assert over_s == pytest.approx(6.0, abs=0.1)


def test_a_caller_who_may_not_interrupt_does_not_keep_the_agent(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        detection = {"type": "server_vad", "interrupt_response": False}
        format = {"type": "audio/pcmu"}
        await talk.open_session(
            audio={
                "input": {"turn_detection": detection, "format": format},
                "output": {"format": format},
            }
        )
        await calls_hang_up(talk)
        await talk.send(created("g"))
        await talk.send(delta("g", 2.0))
        await talk.send(SPOKE)
        await talk.send(done("g"))
        await talk.stay()

    _, over_s = run(voxpy, play)
    assert over_s == pytest.approx(2.0 + LINGERS_S, abs=0.1)
