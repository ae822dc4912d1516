"""Barge-in: what the service is told was heard is what the leg really heard."""

from __future__ import annotations

import base64
from typing import Any

import attrs
import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.audio.frame import PCMA, PCMU, Format, pcm16
from voxpy.audio.wav import read_wav
from voxpy.media.graph import MediaGraph
from voxpy.media.unit import MediaPort
from voxpy.realtime.media import Voice, VoiceReports
from voxpy.testing import CallKit, WorldCall
from voxpy.testing.service import Service, Talk
from voxpy.wire.realtime.client.protocol import Audio, RealtimeClient
from voxpy.wire.realtime.events.client_events import (
    ConversationItemDelete,
    ConversationItemTruncate,
)

# -- any cutting, any moment -----------------------------------------------------------------------

WIRE = {
    pcm16(24000): {"type": "audio/pcm", "rate": 24000},
    pcm16(44100): {"type": "audio/pcm", "rate": 44100},
    PCMU: {"type": "audio/pcmu"},
    PCMA: {"type": "audio/pcma"},
}
FIRST, SECOND = 0x11, 0x22  # what the bytes of the two items are; silence has neither


@attrs.define
class Leg:
    """The far end of the graph: counts the bytes of each item that reach it."""

    format: Format
    heard: bytearray = attrs.field(factory=bytearray)

    def push(self, frame: bytes) -> None:
        self.heard += frame

    def ms(self, byte: int) -> float:
        return self.heard.count(byte) * 1000 / self.format.bytes_per_second


class Joined:
    """A client, its voice, and a leg that hears it: the path of the audio, without sockets."""

    def __init__(self, fmt: Format) -> None:
        self.client = RealtimeClient()
        reports = VoiceReports(
            started=lambda: None, ended=lambda _: None, overflowed=lambda _: None
        )
        self.voice = Voice(fmt, limit_s=120.0, reports=reports)
        self.leg = Leg(fmt)
        self.graph = MediaGraph()
        self.graph.connect(
            MediaPort(name="agent", source=self.voice), MediaPort(name="leg", sink=self.leg)
        )
        detection = {"type": "server_vad"}
        session = {
            "audio": {"input": {"turn_detection": detection}, "output": {"format": WIRE[fmt]}}
        }
        self.receive("session.updated", session=session)
        self.receive("response.created", response={"id": "r"})

    def receive(self, kind: str, **fields: Any) -> None:
        for event in self.client.receive(orjson.dumps({"type": kind, **fields})):
            if isinstance(event, Audio):
                self.voice.write(event.data, item_id=event.item_id, backchannel=event.backchannel)

    def delta(self, item_id: str, data: bytes) -> None:
        audio = base64.b64encode(data).decode()
        self.receive("response.output_audio.delta", response_id="r", item_id=item_id, delta=audio)


formats = st.sampled_from(sorted(WIRE, key=str))
cuts = st.lists(st.integers(1, 9000), min_size=1, max_size=12)


@given(formats, cuts, cuts, st.integers(0, 60), st.lists(st.integers(0, 3), max_size=24))
def test_truncate_equals_what_the_leg_heard(
    fmt: Format, first: list[int], second: list[int], ticks: int, pauses: list[int]
) -> None:
    joined = Joined(fmt)
    pieces = [("one", FIRST, n) for n in first] + [("two", SECOND, n) for n in second]
    pauses += [0] * len(pieces)
    for (item_id, byte, n), pause in zip(pieces, pauses, strict=False):
        joined.delta(item_id, bytes([byte]) * (n * fmt.sample_bytes))
        for _ in range(pause):  # deltas come while others play
            joined.graph.tick(0.0)
    for _ in range(ticks):
        joined.graph.tick(0.0)
    joined.receive("response.done", response={"id": "r", "status": "completed"})
    joined.voice.clear_speech()
    told = {
        event.item_id: event
        for event in joined.client.interrupt(joined.voice.speech.played_ms)
        if isinstance(event, ConversationItemTruncate | ConversationItemDelete)
    }
    for item_id, byte, sizes in (("one", FIRST, first), ("two", SECOND, second)):
        heard_ms = int(joined.leg.ms(byte))
        if heard_ms == int(sum(sizes) * 1000 / fmt.rate_hz):
            assert item_id not in told
        elif heard_ms == 0:
            assert told[item_id] == ConversationItemDelete(item_id=item_id)
        else:
            event = told[item_id]
            assert isinstance(event, ConversationItemTruncate)
            assert event.audio_end_ms == heard_ms
    for _ in range(50):
        joined.graph.tick(0.0)
    for event in told.values():  # nothing of it comes later
        joined.client.send(event)
    assert joined.client.interrupt(joined.voice.speech.played_ms) == []


# -- whole calls -----------------------------------------------------------------------------------


def scenario(options: str = "", session: str = "{}") -> str:
    return f"""
from voxpy import AppEvents, CallEvents, Inworld, Logger, VoxEngine

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
    client.add_event_listener(R.Error, lambda e: Logger.write("error " + e.error["message"]))
"""


SECONDS = "- wait: answered\n- wait: 6\n- hang_up"
ULAW_SECOND = bytes([0x20, 0xA0] * 4000)


def delta(seconds: int = 1, *, item: str = "i1", kind: str = "response.output_audio.delta") -> Any:
    audio = base64.b64encode(ULAW_SECOND * seconds).decode()
    where = {"response_id": "r1", "item_id": item, "output_index": 0, "content_index": 0}
    if "backchannel" in kind:
        where = {"backchannel_id": item}
    return {"type": kind, "event_id": "e", **where, "delta": audio}


def done(status: str = "completed") -> dict[str, Any]:
    return {"type": "response.done", "event_id": "e", "response": {"id": "r1", "status": status}}


CREATED = {"type": "response.created", "event_id": "e", "response": {"id": "r1"}}
STARTED = {"type": "input_audio_buffer.speech_started", "event_id": "e", "item_id": "u1"}
TRUNCATE, DELETE = "conversation.item.truncate", "conversation.item.delete"


async def wait(talk: Talk, seconds: float) -> None:
    """Read for a while: audio comes every 40 ms."""
    for _ in range(round(seconds / 0.04)):
        await talk.next()


def heard_ms(call: WorldCall) -> float:
    """How long the agent really sounded on the caller's side of the recording."""
    with call.hosted.recording.open("rb") as file:
        right = np.asarray(read_wav(file, name="call.wav").samples).reshape(-1, 2)[:, 1]
    return float(np.count_nonzero(np.abs(right.astype(int)) > 100)) / 8


def barge_in(*before: dict[str, Any], again: bool = False) -> Service:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        for event in before:
            await talk.send(event)
        await wait(talk, 1.5)
        await talk.send(STARTED)
        await talk.send(delta(3))  # late: the service had sent it already
        await talk.send(done("cancelled"))
        if again:
            await wait(talk, 0.5)
            await talk.send(STARTED)
        await talk.stay()

    return Service(play)


def sent(service: Service) -> list[dict[str, Any]]:
    kinds = (TRUNCATE, DELETE, "response.cancel")
    return [e for e in service.talks[0].received if e["type"] in kinds]


@pytest.mark.parametrize(("options", "divisor"), [("", 3), ("mulaw_thirds=False", 1)])
def test_the_service_is_told_what_the_caller_heard(
    voxpy: CallKit, options: str, divisor: int
) -> None:
    service = barge_in(CREATED, delta(5), again=True)
    call = voxpy.call(scenario(f"auto_truncate=True, {options}"), SECONDS, serve=service)
    (truncate,) = sent(service)  # once, though the caller is heard to begin twice
    real_ms = heard_ms(call)
    assert 1000 < real_ms < 2000
    assert truncate == {
        "type": TRUNCATE,
        "item_id": "i1",
        "content_index": 0,
        "audio_end_ms": int(real_ms) // divisor,
    }
    (step,) = call.find(TRUNCATE)
    assert step.data["audio_end_ms"] == truncate["audio_end_ms"]


def test_an_item_that_waited_its_turn_is_deleted(voxpy: CallKit) -> None:
    service = barge_in(CREATED, delta(3), delta(3, item="i2"))
    voxpy.call(scenario("auto_truncate=True"), SECONDS, serve=service)
    assert [(e["type"], e["item_id"]) for e in sent(service)] == [(TRUNCATE, "i1"), (DELETE, "i2")]


def test_what_was_heard_to_its_end_is_left_alone(voxpy: CallKit) -> None:
    service = barge_in(CREATED, delta(1), done())
    call = voxpy.call(scenario("auto_truncate=True"), SECONDS, serve=service)
    # what the faulty service sent afterwards, of a response that was over, is heard
    assert [e["type"] for e in sent(service)] == []
    assert call.find("playout cleared") == []


def test_it_is_off_unless_asked_for(voxpy: CallKit) -> None:
    service = barge_in(CREATED, delta(2))
    call = voxpy.call(scenario(), SECONDS, serve=service)
    assert sent(service) == []
    assert heard_ms(call) > 2000


def test_a_caller_who_may_not_interrupt_does_not(voxpy: CallKit) -> None:
    detection = "{'type': 'server_vad', 'interrupt_response': False}"
    session = f"{{'audio': {{'input': {{'turn_detection': {detection}}}}}}}"
    service = barge_in(CREATED, delta(2))
    call = voxpy.call(scenario("auto_truncate=True", session), SECONDS, serve=service)
    assert sent(service) == []
    assert heard_ms(call) > 2000


def test_with_manual_turns_the_response_is_cancelled_first(voxpy: CallKit) -> None:
    session = "{'audio': {'input': {'turn_detection': None}}}"
    service = barge_in(CREATED, delta(5))
    call = voxpy.call(scenario("auto_truncate=True", session), SECONDS, serve=service)
    assert [e["type"] for e in sent(service)] == ["response.cancel", TRUNCATE]
    assert sent(service)[0]["response_id"] == "r1"
    assert heard_ms(call) < 2000


def test_a_murmur_survives_the_caller_but_not_a_clear(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        await talk.send(delta(3, item="bc", kind="response.backchannel.audio.delta"))
        await wait(talk, 1.0)
        await talk.send(STARTED)
        await talk.stay()

    call = voxpy.call(scenario("auto_truncate=True"), SECONDS, serve=Service(play))
    assert heard_ms(call) == pytest.approx(3000, abs=1)
    clear = """
    import trio
    await trio.sleep(2)
    client.output_audio_buffer_clear({})
"""
    service = Service(play)
    call = voxpy.call(scenario("auto_truncate=True") + clear, SECONDS, serve=service)
    assert 500 < heard_ms(call) < 2100
    assert sent(service) == []


def test_the_local_agent_agrees(voxpy: CallKit) -> None:
    source = scenario("auto_truncate=True")
    source += """
    client.add_event_listener(R.ConversationItemTruncated, lambda e: Logger.write("truncated"))
    await client.wait_event(R.SessionUpdated)
    client.response_create({})
"""
    caller = """
- wait: answered
- interrupt: {after_s: 1.5, say: Stop please I want something else}
- wait: 3
- hang_up
"""
    story = " ".join(["once upon a time there was a tone"] * 4)
    call = voxpy.call(source, caller, agent=[story, "What would you like"])
    assert call.result.failure == ""
    assert call.log == ["truncated"]
    last = call.turns[-1].items
    told = next(i for i in last if i.get("role") == "assistant")["content"][0]["transcript"]
    assert story.startswith(told)
    assert 2 <= len(told.split()) <= 12  # about two seconds at 0.3 s a word
    (heard,) = (
        e for e in call.find("agent heard as") if e.personal["text"] != "What would you like"
    )
    assert heard.personal["text"] == told
