"""Once means once, and one after the other: what a service sends twice, or two things at once."""

# ruff: noqa: E501  tables and scenario sources read better in whole lines

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

from voxpy.audio.wav import read_wav
from voxpy.testing import CallKit, WorldCall
from voxpy.testing.service import Service, Talk

SCENARIO = """
from voxpy import AppEvents, CallEvents, Inworld, Logger, VoxEngine

tools = Inworld.ToolSet()

@tools.add
def note(what: str) -> str:
    Logger.write("noted " + what)
    return what

@tools.add
def broken() -> None:
    {}["drawer"]

@tools.add
def remember() -> Inworld.Silent:
    return Inworld.Silent("kept")

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.answer()
    client = await Inworld.create_realtime_api_client(session_key="k", OPTIONS)
    R = Inworld.RealtimeAPIEvents
    client.use_tools(tools)
    client.add_event_listener(R.SessionCreated, lambda e: client.session_update({"session": {"providerData": {"auto_tool_response": False}}}))
    client.add_event_listener(R.SessionUpdated, lambda e: VoxEngine.send_media_between(call, client))
    client.add_event_listener(R.ResponseDone, lambda e: Logger.write("done " + e.response["id"]))
"""
CALLER = "- wait: answered\n- wait: 5\n- hang_up"


def run(voxpy: CallKit, play: Any, options: str = "") -> tuple[WorldCall, Talk]:
    service = Service(play)
    call = voxpy.call(SCENARIO.replace("OPTIONS", options), CALLER, serve=service)
    return call, service.talks[0]


def called(response_id: str, event_id: str, *call_ids: str) -> dict[str, Any]:
    output = [
        {
            "id": f"item-{n}",
            "type": "function_call",
            "name": "note",
            "call_id": call_id,
            "arguments": f'{{"what": "{call_id}"}}',
        }
        for n, call_id in enumerate(call_ids)
    ]
    return {
        "type": "response.done",
        "event_id": event_id,
        "response": {"id": response_id, "status": "completed", "output": output},
    }


def delta(item: str, tenths: int, event_id: str, *, response: str = "") -> dict[str, Any]:
    byte = {"A": b"\x20", "B": b"\xa5"}[item]
    audio = base64.b64encode(byte * 800 * tenths).decode()
    return {
        "type": "response.output_audio.delta",
        "event_id": event_id,
        "response_id": response or "r" + item,
        "item_id": item,
        "output_index": 0,
        "content_index": 0,
        "delta": audio,
    }


def created(response_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": "response.created",
        "event_id": "c" + response_id,
        "response": {"id": response_id, **fields},
    }


def audio_done(item: str) -> dict[str, Any]:
    return {
        "type": "response.output_audio.done",
        "event_id": "ad" + item,
        "response_id": "r" + item,
        "item_id": item,
        "output_index": 0,
        "content_index": 0,
    }


TWICE = [
    pytest.param([called("r1", "e1", "c1"), called("r1", "e1", "c1")], ["c1"], id="the same frame"),
    pytest.param(
        [called("r1", "e1", "c1"), called("r1", "e2", "c1")],
        ["c1"],
        id="the same end under another id",
    ),
    pytest.param([called("r1", "e1", "c1", "c1")], ["c1"], id="named twice in a response"),
    pytest.param(
        [called("r1", "e1", "c1"), called("r2", "e2", "c1", "c2")],
        ["c1", "c2"],
        id="again in the next",
    ),
    pytest.param(
        [called("r1", "e1", "c1"), called("r2", "e2", "c2"), called("r1", "e3", "c1")],
        ["c1", "c2"],
        id="later",
    ),
]


@pytest.mark.parametrize(("frames", "ran"), TWICE)
def test_a_tool_runs_once_and_is_answered_once(
    voxpy: CallKit, frames: list[dict[str, Any]], ran: list[str]
) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        for frame in frames:
            await talk.send(frame)
        await talk.stay()

    call, talk = run(voxpy, play)
    assert [line for line in call.log if "noted" in line] == [f"noted {c}" for c in ran]
    outputs = [e["item"]["call_id"] for e in talk.sent("conversation.item.create")]
    assert outputs == ran


def test_the_end_of_a_response_is_told_once(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        for event_id in ("e1", "e1", "e2"):
            await talk.send(called("r1", event_id))
        await talk.stay()

    call, _ = run(voxpy, play)
    assert call.log == ["done r1"]
    assert [w for w in call.record.warnings if "twice" in w]
    assert len([w for w in call.record.warnings if "twice" in w]) == 1


def heard_s(call: WorldCall) -> dict[str, float]:
    """Return how much of each item the caller heard."""
    return {e.data["item_id"]: e.data["played_ms"] / 1000 for e in call.find("agent heard as")}


def test_a_repeated_frame_of_audio_plays_once(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        await talk.send(created("rA"))
        for n in range(10):
            for _ in range(2):
                await talk.send(delta("A", 1, f"a{n}"))
        await talk.send(audio_done("A"))
        await talk.stay()

    call, _ = run(voxpy, play)
    assert heard_s(call) == {"A": pytest.approx(1.0, abs=0.03)}


def test_a_service_whose_ids_are_no_ids_is_heard_whole(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        await talk.send({**created("rA"), "event_id": "same"})
        for _ in range(10):
            await talk.send(delta("A", 1, "same"))
        await talk.send({**audio_done("A"), "event_id": "same"})
        await talk.stay()

    call, _ = run(voxpy, play)
    assert heard_s(call) == {"A": pytest.approx(1.0, abs=0.03)}


def test_two_responses_at_once_are_heard_one_after_the_other(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        for response in ("rA", "rB"):
            await talk.send(created(response))
        for n in range(10):
            await talk.send(delta("A", 1, f"a{n}"))
            await talk.send(delta("B", 1, f"b{n}"))
        await talk.send(audio_done("B"))
        await talk.send(audio_done("A"))
        await talk.stay()

    call, _ = run(voxpy, play)
    assert heard_s(call) == {"A": pytest.approx(1.0, abs=0.03), "B": pytest.approx(1.0, abs=0.03)}
    with call.hosted.recording.open("rb") as file:
        heard = np.asarray(read_wav(file, name="call.wav").samples).reshape(-1, 2)[:, 1]
    signs = np.sign(heard[np.abs(heard.astype(int)) > 1000])  # A is below zero, B above
    assert np.count_nonzero(np.diff(signs)) == 1


def test_an_item_whose_end_is_never_told_does_not_silence_the_next(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        await talk.send(created("rA"))
        await talk.send(delta("A", 5, "a"))
        while len(talk.sent("input_audio_buffer.append")) < 30:
            await talk.next()
        await talk.send(created("rB"))
        await talk.send(delta("B", 5, "b"))
        await talk.send(audio_done("B"))
        await talk.stay()

    call, _ = run(voxpy, play)
    assert heard_s(call)["B"] == pytest.approx(0.5, abs=0.03)


def test_a_barge_in_voids_all_that_was_under_way(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        for response in ("rA", "rB"):
            await talk.send(created(response))
        await talk.send(delta("A", 10, "a"))
        await talk.send(delta("B", 10, "b"))
        while len(talk.sent("input_audio_buffer.append")) < 10:
            await talk.next()
        await talk.send(
            {
                "type": "input_audio_buffer.speech_started",
                "event_id": "s",
                "item_id": "u",
                "audio_start_ms": 400,
            }
        )
        for n in range(10):
            await talk.send(delta("B", 2, f"bb{n}"))
            await talk.send(delta("A", 2, f"aa{n}"))
        await talk.stay()

    call, talk = run(voxpy, play, "auto_truncate=True")
    heard = heard_s(call)
    assert 0.2 < heard["A"] < 0.7
    assert "B" not in heard
    assert [e["item_id"] for e in talk.sent("conversation.item.truncate")] == ["A"]
    assert [e["item_id"] for e in talk.sent("conversation.item.delete")] == ["B"]


# -- what becomes of a tool's result ------------------------------------------------------------------


def calls(*names: str) -> dict[str, Any]:
    done = called("r1", "e1", *(f"c{n}" for n, _ in enumerate(names)))
    for item, name in zip(done["response"]["output"], names, strict=True):
        item["name"] = name
        item["arguments"] = '{"what": "it"}' if name == "note" else "{}"
    return done


@pytest.mark.parametrize(
    ("names", "creates"),
    [(["remember"], 0), (["remember", "remember"], 0), (["remember", "note"], 1), (["note"], 1)],
)
def test_silent_answers_ask_for_no_response(voxpy: CallKit, names: list[str], creates: int) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        await talk.send(calls(*names))
        await talk.stay()

    _, talk = run(voxpy, play)
    assert len(talk.sent("conversation.item.create")) == len(names)
    assert len(talk.sent("response.create")) == creates


def test_an_error_in_a_tool_has_a_sentence_for_the_model_and_a_traceback_for_its_author(
    voxpy: CallKit,
) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        await talk.send(calls("broken", "note"))
        await talk.stay()

    service = Service(play)
    source = SCENARIO.replace("OPTIONS", "")
    with pytest.raises(ExceptionGroup) as raised:
        voxpy.call(source, CALLER, serve=service)
    assert isinstance(raised.value.exceptions[0], KeyError)

    service = Service(play)
    call = voxpy.call(source, CALLER, serve=service, check_errors=False)
    (told, noted) = [e["item"]["output"] for e in service.talks[0].sent("conversation.item.create")]
    assert told == """{"error":"broken failed: KeyError 'drawer'"}"""
    assert noted == '"it"'  # the call goes on
    (entry,) = [e for e in call.entries if e.kind == "error"]
    assert entry.name == "tool broken"
    assert '{}["drawer"]' in entry.data["frames"]
    assert call.record.errors == ["KeyError: 'drawer'"]
    assert "in broken" in (call.result.folder / "session.log").read_text()
