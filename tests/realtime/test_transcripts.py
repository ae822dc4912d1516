"""What the agent said and what the caller heard are kept apart."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from voxpy.testing import CallKit, WorldCall
from voxpy.testing.service import Service, Talk

SECOND = base64.b64encode(bytes([0x20, 0xA0] * 4000)).decode()
WORDS = "one two three four five six seven eight"
WHERE = {"event_id": "e", "response_id": "r1", "output_index": 0, "content_index": 0}
CREATED = {"type": "response.created", "event_id": "e", "response": {"id": "r1"}}
DONE = {
    "type": "response.done",
    "event_id": "e",
    "response": {"id": "r1", "status": "completed"},
}
SECONDS = "- wait: answered\n- wait: 8\n- hang_up"


def scenario(options: str = "", body: str = "") -> str:
    lines = "\n".join("    " + line for line in body.strip().splitlines())
    return f"""
from voxpy import AppEvents, CallEvents, Inworld, Logger, VoxEngine
import trio

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.answer()
    client = await Inworld.create_realtime_api_client(session_key="k", {options})
    R = Inworld.RealtimeAPIEvents
    asked = {{"session": {{}}}}
    client.add_event_listener(R.SessionCreated, lambda e: client.session_update(asked))
    bridge = lambda e: VoxEngine.send_media_between(call, client)
    client.add_event_listener(R.SessionUpdated, bridge)
{lines}
"""


def words(text: str, item: str = "i1") -> dict[str, Any]:
    return {
        "type": "response.output_audio_transcript.delta",
        **WHERE,
        "item_id": item,
        "delta": text,
    }


def audio(item: str = "i1") -> dict[str, Any]:
    return {"type": "response.output_audio.delta", **WHERE, "item_id": item, "delta": SECOND}


def says(*frames: dict[str, Any]) -> Service:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        for each in frames:
            await talk.send(each)
        await talk.stay()

    return Service(play)


def heard(call: WorldCall) -> list[tuple[str, int, int, str]]:
    return [
        (e.data["item_id"], e.data["played_ms"], e.data["of_ms"], e.personal["text"])
        for e in call.find("agent heard as")
    ]


def test_what_plays_to_its_end_is_heard_as_it_was_said(voxpy: CallKit) -> None:
    service = says(CREATED, words(WORDS), audio(), audio(), DONE)
    call = voxpy.call(scenario(), SECONDS, serve=service)
    assert heard(call) == [("i1", 2000, 2000, WORDS)]
    (told,) = call.find("agent heard as")
    (started,) = call.find("Inworld.Events.WebSocketMediaStarted")
    assert told.t - started.t == pytest.approx(2.0, abs=0.05)  # when it is over, not when it came


def test_an_item_is_not_over_while_more_of_it_may_come(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        for each in (CREATED, words(WORDS), audio()):
            await talk.send(each)
        for _ in range(75):  # three seconds: the audio has long run out
            await talk.next()
        await talk.send(DONE)
        await talk.stay()

    call = voxpy.call(scenario(), SECONDS, serve=Service(play))
    assert heard(call) == [("i1", 1000, 1000, WORDS)]
    assert call.find("agent heard as")[0].t > 3


def test_items_are_told_one_by_one(voxpy: CallKit) -> None:
    frames = (words("first", "i1"), audio("i1"), words("second", "i2"), audio("i2"))
    call = voxpy.call(scenario(), SECONDS, serve=says(CREATED, *frames, DONE))
    assert [(item, text) for item, _, _, text in heard(call)] == [("i1", "first"), ("i2", "second")]


CLEAR = """
await trio.sleep(2)
Logger.write(client.transcript_heard("i1"))
client.output_audio_buffer_clear({})
Logger.write(client.transcript_heard("i1"))
await trio.sleep(3)
Logger.write(client.transcript_heard("i1"))
Logger.write("unknown: " + client.transcript_heard("i9"))
"""


def test_what_is_cut_off_is_heard_in_part(voxpy: CallKit) -> None:
    service = says(CREATED, words(WORDS), *[audio()] * 4, DONE)
    call = voxpy.call(scenario(body=CLEAR), SECONDS, serve=service)
    ((item, played_ms, of_ms, text),) = heard(call)
    assert (item, of_ms) == ("i1", 4000)
    assert 1500 < played_ms < 2100
    assert text in ("one two three", "one two three four")
    assert call.log == [text, text, text, "unknown: "]


def test_a_response_that_goes_on_after_a_clear_is_heard_on(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        for each in (CREATED, words(WORDS), audio(), audio(), audio()):
            await talk.send(each)
        await talk.read_until("output_audio_buffer.clear")
        await talk.send({"type": "output_audio_buffer.cleared", "event_id": "e"})
        await talk.send(audio())
        await talk.send(DONE)
        await talk.stay()

    call = voxpy.call(scenario(body=CLEAR), SECONDS, serve=Service(play))
    cut, rest = heard(call)
    assert rest[1] == cut[1] + 1000
    assert len(rest[3]) > len(cut[3])


@pytest.mark.parametrize("private", [True, False])
def test_privacy_keeps_the_words_out(voxpy: CallKit, private: bool) -> None:
    service = says(CREATED, words("the patient has the flu"), audio(), DONE)
    call = voxpy.call(scenario(f"privacy={private}"), SECONDS, serve=service)
    (step,) = call.find("agent heard as")
    assert step.data["played_ms"] == 1000
    trace = (call.result.folder / "trace.jsonl").read_text()
    assert ("flu" in trace) is not private


def test_audio_beyond_the_limit_was_never_heard(voxpy: CallKit) -> None:
    service = says(CREATED, words(WORDS), *[audio()] * 4, DONE)
    call = voxpy.call(scenario("playout_limit_s=2.0"), SECONDS, serve=service)
    assert heard(call) == [("i1", 2000, 4000, "one two three four")]
