"""What the agent does beside answering, what may differ, and what goes wrong on purpose."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import numpy as np
import pytest
import trio
import trio.testing
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    WebSocketConnection,
    wrap_client_stream,
)

from voxpy.localagent.connection import Behaviour
from voxpy.localagent.responder import Act, CallTool, Say, Turn
from voxpy.localagent.server import serve_stream
from voxpy.localagent.speaking import FILLERS, PHRASES
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import Airwaves, ToneVoice, scripted_engines
from voxpy.wire.realtime.server.faults import Faults
from voxpy.wire.realtime.server.quirks import Quirks

TARGET = "/api/v1/realtime/session?key=k&protocol=realtime"


class SlowResponder(ScriptedResponder):
    """A brain that takes ``delay_s`` for everything but its first line."""

    def __init__(self, lines: Sequence[str], *, delay_s: float) -> None:
        super().__init__(lines)
        self.delay_s = delay_s

    async def respond(self, turn: Turn) -> AsyncIterator[Act]:
        if self.turns:
            await trio.sleep(self.delay_s)
        async for act in super().respond(turn):
            yield act


@attrs.define
class Client:
    socket: WebSocketConnection
    voice: ToneVoice
    turns: list[Turn]
    events: list[dict[str, Any]] = attrs.field(factory=list)
    times: list[float] = attrs.field(factory=list)

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send_message(json.dumps({"type": kind, **fields}))

    async def next(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(await self.socket.get_message())
        self.events.append(event)
        self.times.append(trio.current_time())
        return event

    async def until(self, kind: str, *, within_s: float = 30) -> dict[str, Any]:
        with trio.fail_after(within_s):
            while (event := await self.next())["type"] != kind:
                pass
        return event

    async def configure(self, **session: Any) -> None:
        await self.send("session.update", session=session)
        await self.until("session.updated")

    async def say(self, text: str, *, after_s: float = 1.5) -> None:
        (tone,) = self.voice.speak(text, speaker="", speed=1.0)
        data = tone.tobytes() + bytes(round(after_s * 48000))
        for start in range(0, len(data), 1920):
            audio = base64.b64encode(data[start : start + 1920]).decode()
            await self.send("input_audio_buffer.append", audio=audio)
            await trio.sleep(0.04)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    def samples(self, kind: str) -> np.ndarray[Any, Any]:
        data = b"".join(base64.b64decode(event["delta"]) for event in self.of(kind))
        return np.frombuffer(data, "<i2")


@asynccontextmanager
async def talking(
    responder: ScriptedResponder, behaviour: Behaviour | None = None
) -> AsyncIterator[Client]:
    """Connect a client to a server of tones over memory."""
    engines = scripted_engines(responder)
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            await serve_stream(theirs, engines, behaviour=behaviour)

        nursery.start_soon(serve)
        socket = await wrap_client_stream(
            nursery,
            ours,  # type: ignore[arg-type]
            "agent.test",
            TARGET,
            extra_headers=[(b"authorization", b"Basic a2V5")],
            message_queue_size=10_000,
        )
        assert isinstance(engines.voice, ToneVoice)
        yield Client(socket, engines.voice, responder.turns)
        nursery.cancel_scope.cancel()


def message(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


LONG = " ".join(f"word{n}" for n in range(20))  # six seconds


# -- beside the answers --------------------------------------------------------------


async def test_back_channels_while_the_caller_speaks(autojump_clock: object) -> None:
    settings = {"enabled": True, "min_gap_ms": 2000, "volume_gain": 0.5}
    async with talking(ScriptedResponder(["All right"])) as client:
        await client.configure(providerData={"backchannel": settings})
        await client.say(LONG)
        await client.until("response.done")
        phrases = [event["phrase"] for event in client.of("response.backchannel.audio.done")]
        assert phrases == list(PHRASES[: len(phrases)])
        assert len(phrases) >= 2
        kinds = [event["type"] for event in client.events]
        first = kinds.index("response.backchannel.audio.delta")
        assert kinds.index("input_audio_buffer.speech_started") < first
        assert first < kinds.index("input_audio_buffer.speech_stopped")
        loudest = np.abs(client.samples("response.backchannel.audio.delta").astype(int)).max()
        assert loudest == pytest.approx(6920, rel=0.02)  # half of the voice's
        assert len(client.samples("response.output_audio.delta")) > 0
        done = client.of("response.done")[0]["response"]
        assert [item["content"][0]["transcript"] for item in done["output"]] == ["All right"]


async def test_the_rule_decider_follows_its_seed(autojump_clock: object) -> None:
    settings = {"enabled": True, "min_gap_ms": 0, "max_per_turn": 9, "eval_interval_ms": 500}
    rule = {"decider_kind": "rule", "rule_fire_probability": 0.5}
    heard = []
    for seed in (1, 1, 2):
        async with talking(ScriptedResponder(["Yes"]), Behaviour(seed=seed)) as client:
            await client.configure(providerData={"backchannel": {**settings, **rule}})
            await client.say(LONG)
            await client.until("response.done")
            heard.append(
                [
                    event.get("phrase") or event.get("reason")
                    for event in client.events
                    if event["type"].startswith("response.backchannel")
                    and not event["type"].endswith("delta")
                ]
            )
    assert heard[0] == heard[1]
    assert heard[0] != heard[2]
    assert "no_phrase" in heard[0]


async def test_a_filler_while_the_answer_is_slow(autojump_clock: object) -> None:
    async with talking(SlowResponder(["Hello there", "Forty two"], delay_s=4)) as client:
        await client.configure(providerData={"responsiveness": {"enabled": True}})
        await client.send("response.create")
        await client.until("response.done")
        client.events.clear()
        client.times.clear()
        await client.say("how many of them are there", after_s=0.65)
        await client.until("response.done")
        kinds = [event["type"] for event in client.events]
        stopped = client.times[kinds.index("input_audio_buffer.speech_stopped")]
        filler = kinds.index("response.output_audio.delta")
        answer = kinds.index("response.output_audio_transcript.delta")
        assert client.times[filler] - stopped == pytest.approx(1.2, abs=0.15)
        assert client.times[answer] - stopped == pytest.approx(4.0, abs=0.2)
        texts = [
            event["transcript"] for event in client.of("response.output_audio_transcript.done")
        ]
        assert texts == ["Forty two"]
        seconds = len(client.samples("response.output_audio.delta")) / 24000
        spoken = len(FILLERS[0].split()) * 0.3 + 2 * 0.3 + 0.16
        assert seconds == pytest.approx(spoken, abs=0.03)


async def test_no_filler_for_a_quick_answer(autojump_clock: object) -> None:
    async with talking(SlowResponder(["Hello there", "Forty two"], delay_s=0.5)) as client:
        await client.configure(providerData={"responsiveness": {"enabled": True}})
        for _ in range(2):
            await client.send("response.create")
            await client.until("response.done")
        seconds = len(client.samples("response.output_audio.delta")) / 24000
        assert seconds == pytest.approx(2 * (0.6 + 0.16), abs=0.03)


async def test_the_memory_reaches_client_and_brain(autojump_clock: object) -> None:
    async with talking(ScriptedResponder(["Hello Ann", "Of course"])) as client:
        memory = {"enabled": True, "turn_interval": 1, "trim_after_summarize": True}
        await client.configure(instructions="Be brief.", providerData={"memory": memory})
        for text in ("My name is Ann", "Remember me?"):
            await client.send("conversation.item.create", item=message(text))
            await client.send("response.create")
            updated = await client.until("session.updated")
        state = updated["session"]["providerData"]["memory"]["state"]
        assert state["version"] == 2
        assert state["facts"] == ["My name is Ann"]
        assert state["items_trimmed"] == 2
        assert client.turns[0].instructions == "Be brief."
        assert client.turns[1].instructions.startswith("Be brief.\n\nKnown of the caller: My name")


async def test_speaking_up_when_the_caller_is_silent(autojump_clock: object) -> None:
    detection = {"type": "server_vad", "idle_timeout_ms": 3000}
    async with talking(ScriptedResponder(["Hello there", "Still there"])) as client:
        await client.configure(audio={"input": {"turn_detection": detection}})
        await client.send("response.create")
        await client.until("response.done")
        done_at = trio.current_time()
        await client.until("input_audio_buffer.timeout_triggered")
        assert trio.current_time() - done_at == pytest.approx(0.76 + 3, abs=0.05)
        await client.until("response.done")
        said = client.of("response.output_audio_transcript.done")
        assert said[-1]["transcript"] == "Still there"


# -- one response unlike the others --------------------------------------------------------------


async def test_overrides_of_one_response(autojump_clock: object) -> None:
    tool = {"type": "function", "name": "f", "parameters": {}}
    asked: list[tuple[str, str]] = []
    responder = ScriptedResponder(["One", "Two", "Three"])
    async with talking(responder) as client:
        speak = client.voice.speak

        def listen(text: str, *, speaker: str, speed: float) -> Any:
            asked.append((text, speaker))
            return speak(text, speaker=speaker, speed=speed)

        client.voice.speak = listen  # type: ignore[method-assign]
        await client.configure(
            instructions="Be brief.", tools=[tool], audio={"output": {"voice": "Sarah"}}
        )
        await client.send("conversation.item.create", item=message("Hi"))
        await client.send("response.create")
        await client.until("response.done")
        overrides: dict[str, Any] = {
            "instructions": "Say two.",
            "voice": "Hades",
            "tools": [],
            "tool_choice": "none",
            "input": [message("Something else")],
        }
        await client.send("response.create", response=overrides)
        await client.until("response.done")
        await client.send("response.create", response={"output_modalities": ["text"]})
        await client.until("response.done")
    plain, special, text_only = client.turns
    assert (list(plain.tools), plain.response_instructions) == ([tool], None)
    assert special.response_instructions == "Say two."
    assert list(special.tools) == []
    assert special.tool_choice == "none"
    assert [item["content"][0]["text"] for item in special.items] == ["Something else"]
    assert list(text_only.tools) == [tool]
    assert asked == [("One", "Sarah"), ("Two", "Hades")]


async def test_a_turn_that_waited_is_answered_after_the_response(autojump_clock: object) -> None:
    """The effects that the end of a response makes due are carried out."""

    def acts(turn: Turn) -> list[Act]:
        last = turn.items[-1]["type"] if turn.items else "none"
        return [Say("Done")] if last == "function_call_output" else [CallTool("f", {})]

    async with talking(ScriptedResponder(acts)) as client:
        await client.configure()
        await client.send("response.create")
        call = await client.until("response.function_call_arguments.done")
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": "1"}
        await client.send("conversation.item.create", item=output)
        await client.until("response.done")
        await client.until("response.done")
        assert client.of("response.output_audio_transcript.done")[0]["transcript"] == "Done"


# -- quirks --------------------------------------------------------------


@pytest.mark.parametrize("told", [True, False])
async def test_events_of_speech_in_manual_mode(told: bool, autojump_clock: object) -> None:
    behaviour = Behaviour(quirks=Quirks(manual_vad_events=told))
    async with talking(ScriptedResponder(["Very well"]), behaviour) as client:
        await client.configure(audio={"input": {"turn_detection": None}})
        await client.say("do as I say")
        await client.send("input_audio_buffer.commit")
        heard = await client.until("conversation.item.input_audio_transcription.completed")
        assert heard["transcript"] == "do as I say"
        kinds = [event["type"] for event in client.events]
        assert ("input_audio_buffer.speech_started" in kinds) == told
        assert ("input_audio_buffer.speech_stopped" in kinds) == told
        assert "response.created" not in kinds


async def test_a_turn_suggestion_that_is_revoked(autojump_clock: object) -> None:
    async with talking(ScriptedResponder(["Very well"])) as client:
        await client.configure()
        await client.say("that is all", after_s=0.4)
        await client.say("or not quite yet", after_s=1.5)
        await client.until("response.done")
        kinds = [
            event["type"].removeprefix("input_audio_buffer.")
            for event in client.events
            if "turn_suggestion" in event["type"] or "speech_" in event["type"]
        ]
        assert kinds == [
            "speech_started",
            "turn_suggestion",
            "turn_suggestion_revoked",
            "turn_suggestion",
            "speech_stopped",
        ]


async def test_pings(autojump_clock: object) -> None:
    behaviour = Behaviour(quirks=Quirks(ping_interval_s=20))
    async with talking(ScriptedResponder([]), behaviour) as client:
        stamps = [(await client.until("ping"))["timestamp"] for _ in range(3)]
        assert [b - a for a, b in itertools.pairwise(stamps)] == [20_000, 20_000]
        assert stamps[0] > 946_684_800_000  # after the year 2000: a time of day, not of the clock


# -- faults --------------------------------------------------------------


async def test_refused_on_purpose(autojump_clock: object) -> None:
    behaviour = Behaviour(faults=Faults(refuse_status=429, refuse_message="too many"))
    with pytest.raises(BaseExceptionGroup) as caught:
        async with talking(ScriptedResponder([]), behaviour):
            pass
    (refused,) = caught.value.exceptions
    while isinstance(refused, BaseExceptionGroup):
        (refused,) = refused.exceptions
    assert isinstance(refused, ConnectionRejected)
    assert refused.status_code == 429
    assert json.loads(refused.body or b"")["error"]["message"] == "too many"


async def test_closed_on_purpose(autojump_clock: object) -> None:
    faults = Faults(close_at_event="response.created", close_code=1001, close_reason="enough")
    async with talking(ScriptedResponder(["Hello"]), Behaviour(faults=faults)) as client:
        await client.send("response.create")
        with pytest.raises(ConnectionClosed) as caught:
            await client.until("response.done")
        assert caught.value.reason is not None
        assert (caught.value.reason.code, caught.value.reason.reason) == (1001, "enough")
        assert client.events[-1]["type"] == "response.created"


async def test_stalled_and_slow_on_purpose(autojump_clock: object) -> None:
    faults = Faults(stall_at_event="response.created", stall_s=7, delay_ms=100)
    async with talking(ScriptedResponder(["Hello"]), Behaviour(faults=faults)) as client:
        await client.send("response.create")
        await client.until("response.created")
        began = trio.current_time()
        await client.next()
        assert trio.current_time() - began == pytest.approx(7.1)
        await client.next()
        assert trio.current_time() - began == pytest.approx(7.2)


async def test_disorder_on_purpose_ends_when_there_is_no_more(autojump_clock: object) -> None:
    faults = Faults(reorder_window=50, duplicate_share=1.0)
    async with talking(ScriptedResponder(["Hello"]), Behaviour(faults=faults)) as client:
        await client.send("response.create")
        with trio.move_on_after(5):
            while True:
                await client.next()
        ids = [event["event_id"] for event in client.events]
        assert len(ids) == 2 * len(set(ids))
        assert len(client.of("response.done")) == 2
        assert list(dict.fromkeys(ids)) != sorted(set(ids))


async def test_half_frames_of_any_text_can_be_sent(autojump_clock: object) -> None:
    """Cut in the middle of a letter of several bytes, a frame is not UTF-8 any more."""
    behaviour = Behaviour(faults=Faults(malformed_every=1))
    async with talking(ScriptedResponder(["é" * 301]), behaviour) as client:
        await client.send("response.create")
        with trio.fail_after(5):
            frames = [await client.socket.get_message() for _ in range(8)]
        for frame in frames:
            with pytest.raises(json.JSONDecodeError):
                json.loads(frame)


def test_the_scripted_voice_is_what_these_tests_think() -> None:
    (tone,) = ToneVoice(Airwaves()).speak("one two three", speaker="", speed=1.0)
    assert len(tone) == round(0.9 * 24000)
