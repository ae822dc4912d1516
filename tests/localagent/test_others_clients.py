"""What clients of others do to the agent: everything at once, sound in messages, turns by hand."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pytest
import trio
import trio.testing

from tests.localagent.test_server import MANUAL, Client, talking
from voxpy.engine.ports import Endpoint
from voxpy.inworld.voice import RealtimeVoice
from voxpy.localagent.connection import Behaviour
from voxpy.localagent.engines import Engines
from voxpy.localagent.listening import MOST_WAITING_BYTES, Listening
from voxpy.localagent.responder import Act, CallTool, Say, Turn, text_of
from voxpy.localagent.rules import RuleResponder
from voxpy.localagent.server import serve_stream
from voxpy.localagent.vad import EnergyGate
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import Airwaves, ToneEars, ToneVoice
from voxpy.wire.realtime.events.codec import encode_append, parse_server
from voxpy.wire.realtime.events.server_events import ErrorEvent
from voxpy.wire.realtime.events.types import item_text
from voxpy.wire.realtime.server.effects import InputCommitted
from voxpy.wire.realtime.server.protocol import RealtimeServer
from voxpy.wire.realtime.server.quirks import LIKE

TRANSCRIBED = "conversation.item.input_audio_transcription.completed"


def echo(turn: Turn) -> Sequence[Act]:
    return [Say(f"You said {text_of(turn.items[-1])}" if turn.items else "Nothing")]


async def answered(client: Client) -> str:
    await client.until("response.done")
    return str(client.of("response.output_audio_transcript.done")[-1]["transcript"])


async def test_push_to_talk_in_one_breath(autojump_clock: object) -> None:
    async with talking(echo) as client:
        await client.configure(MANUAL)
        await client.append(client.spoken("good evening my friend"))
        await client.send("input_audio_buffer.commit")
        await client.send("response.create")
        assert await answered(client) == "You said good evening my friend"
        kinds = [event["type"] for event in client.events]
        assert kinds.index(TRANSCRIBED) < kinds.index("response.output_audio_transcript.delta")


async def test_half_a_minute_unpaced_is_heard_and_so_is_the_commit(autojump_clock: object) -> None:
    async with talking(echo) as client:
        await client.configure(MANUAL)
        sound = client.spoken("the last words count")
        await client.append(bytes(30 * 48_000) + sound, step=960)
        await client.send("input_audio_buffer.commit")
        heard = await client.until(TRANSCRIBED)
        assert heard["transcript"] == "the last words count"
        await client.send("response.create")
        assert await answered(client) == "You said the last words count"
        assert client.of("error") == []
        assert client.reports == []


async def test_a_turn_that_was_detected_is_in_no_commit(autojump_clock: object) -> None:
    async with talking(echo) as client:
        await client.configure({})
        await client.say("the first turn")
        assert await answered(client) == "You said the first turn"
        await client.configure(MANUAL)
        await client.say("the second")
        await client.send("input_audio_buffer.commit")
        heard = await client.until(TRANSCRIBED)
        assert heard["transcript"] == "the second"


async def test_a_commit_beside_turn_detection_means_what_came_before_it(
    autojump_clock: object,
) -> None:
    """Sent at once: the turn ends by its silence, and the commit is for what followed."""
    async with talking(echo) as client:
        await client.configure({})
        await client.append(client.spoken("one of two", after_s=1.5))
        await client.append(client.spoken("two of two"))
        await client.send("input_audio_buffer.commit")
        words = [(await client.until(TRANSCRIBED))["transcript"] for _ in range(2)]
        assert words == ["one of two", "two of two"]
        assert len(client.of("input_audio_buffer.committed")) == 2


async def test_a_format_holds_for_what_came_in_it(autojump_clock: object) -> None:
    async with talking(echo) as client:
        await client.configure(MANUAL)
        await client.append(client.spoken("in the old format"))
        other = {"audio": {"input": {"format": {"type": "audio/pcmu"}}}}
        await client.send("session.update", session={"type": "realtime", **other})
        await client.send("input_audio_buffer.commit")
        heard = await client.until(TRANSCRIBED)
        assert heard["transcript"] == "in the old format"


async def test_lost_audio_is_told_and_the_commit_is_not_lost(autojump_clock: object) -> None:
    """More than may wait, at once, before the ears have begun."""
    air = Airwaves()
    voice = ToneVoice(air)
    engines = Engines(
        gate=EnergyGate, ears=ToneEars(air), voice=voice, responder=ScriptedResponder(echo)
    )
    numbers = itertools.count()
    server = RealtimeServer(session_id="s", new_id=lambda kind: f"{kind}_{next(numbers)}")
    said: list[str] = []
    listening = Listening(server, engines, apply=lambda _: None, report=said.append)
    server.receive(orjson.dumps({"type": "session.update", "session": MANUAL}), 0)
    server.receive(encode_append(bytes(9600)), 0)
    sound = b"".join(s.tobytes() for s in voice.speak("still here", speaker="", speed=1.0))
    listening.hear(sound)
    listening.hear(bytes(MOST_WAITING_BYTES - len(sound)))
    listening.hear(bytes(48_000))
    listening.hear(bytes(24_000))
    for effect in server.receive('{"type":"input_audio_buffer.commit"}', 0):
        assert isinstance(effect, InputCommitted)
        listening.note(effect)
    assert said == ["a client appends audio faster than it can be heard; some of it is lost"]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listening.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    events = [parse_server(frame) for frame in server.outgoing()]
    (error,) = [event for event in events if isinstance(event, ErrorEvent)]
    assert error.error.code == "input_audio_buffer_overflow"
    assert error.error.message.startswith("1500 ms of input audio were lost")
    assert any(event.type == TRANSCRIBED for event in events)
    assert not listening.behind


async def test_the_largest_append(autojump_clock: object) -> None:
    async with talking(echo) as client:
        await client.configure(MANUAL)
        largest = bytes(15 * 1024 * 1024 - 200_000) + client.spoken("at the very end")
        largest = bytes(15 * 1024 * 1024 - len(largest)) + largest
        await client.append(largest, step=len(largest))
        await client.send("input_audio_buffer.commit")
        heard = await client.until(TRANSCRIBED)
        assert heard["transcript"].endswith("at the very end")
        await client.append(bytes(15 * 1024 * 1024 + 2), step=len(largest) + 2)
        assert "at most" in (await client.until("error"))["error"]["message"]


def message(sound: bytes) -> dict[str, Any]:
    part = {"type": "input_audio", "audio": base64.b64encode(sound).decode()}
    return {"type": "message", "role": "user", "content": [part]}


@pytest.mark.parametrize("together", [False, True])
async def test_sound_in_a_message(autojump_clock: object, together: bool) -> None:
    async with talking(echo) as client:
        await client.configure(MANUAL if together else {})
        await client.send("conversation.item.create", item=message(client.spoken("listen to me")))
        await client.send("response.create")
        assert await answered(client) == "You said listen to me"


class BrokenEars:
    languages = ("en",)

    def warm_up(self) -> None:
        pass

    def transcribe(self, samples: npt.NDArray[np.int16]) -> str:
        raise RuntimeError("no battery")


@pytest.mark.parametrize("by_hand", [False, True])
async def test_ears_that_fail(autojump_clock: object, by_hand: bool) -> None:
    async with talking(echo, ears=BrokenEars()) as client:
        await client.configure(MANUAL if by_hand else {})
        await client.say("can you hear me")
        if by_hand:
            await client.send("input_audio_buffer.commit")
        failed = await client.until("conversation.item.input_audio_transcription.failed")
        assert failed["error"]["message"] == "no battery"
        assert any("no battery" in report for report in client.reports)
        await client.send("response.create")
        assert (await answered(client)).strip() == "You said"


async def test_a_field_that_means_nothing_is_said_once(autojump_clock: object) -> None:
    async with talking(echo) as client:
        for _ in range(2):
            await client.configure({"voice": "alloy", "turn_detection": None})
        await client.configure({"voice\x1b[31m": "alloy"})
        assert client.reports == [
            "session.update: session.voice means nothing here and is ignored",
            "session.update: session.voice?[31m means nothing here and is ignored",
        ]


async def test_a_session_like_openais(autojump_clock: object) -> None:
    async with talking(echo, behaviour=Behaviour(quirks=LIKE["openai"])) as client:
        transcription = {"model": "gpt-4o-transcribe", "language": "en"}
        await client.configure({"audio": {"input": {"transcription": transcription}}})
        await client.say("hello there")
        assert await answered(client) == "You said hello there"
        assert client.of("response.output_text.delta") == []
        (heard,) = client.of(TRANSCRIBED)
        assert heard["usage"]["type"] == "duration"
        assert heard["usage"]["seconds"] == pytest.approx(0.9, abs=0.5)


@pytest.mark.parametrize("limit", [1, 6, 4096, "inf"])
async def test_a_limit_of_tokens(autojump_clock: object, limit: int | str) -> None:
    text = "one two three four five six seven eight nine"
    async with talking([text, CallTool("note", {"text": text})]) as client:
        await client.configure({"max_output_tokens": limit, **MANUAL})
        await client.send("response.create")
        response = (await client.until("response.done"))["response"]
        said = "".join(e["delta"] for e in client.of("response.output_audio_transcript.delta"))
        if limit == 6:
            assert said == "one two three four five"
            assert response["status"] == "incomplete"
            assert response["status_details"]["reason"] == "max_output_tokens"
            assert response["output"][0]["status"] == "incomplete"
        elif limit == 1:
            assert (said, response["status"]) == ("one", "incomplete")
        else:
            assert (said, response["status"]) == (text, "completed")
        usage = response["usage"]
        assert usage["output_tokens"] <= (limit if isinstance(limit, int) else 1000)
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
        await client.send("response.create", response={"max_output_tokens": 3})
        (*_, done) = [await client.until("response.done")]
        assert done["response"]["status"] == "incomplete"
        assert client.of("response.function_call_arguments.done") == []


async def test_our_own_voice_listens_and_pushes_to_talk(autojump_clock: object) -> None:
    """RealtimeVoice and an agent whose brain is its rules."""
    air = Airwaves()
    voice = ToneVoice(air)
    engines = Engines(gate=EnergyGate, ears=ToneEars(air), voice=voice, responder=RuleResponder())

    def spoken(text: str) -> bytes:
        return b"".join(s.tobytes() for s in voice.speak(text, speaker="", speed=1.0))

    async with trio.open_nursery() as nursery:

        async def open_stream(endpoint: Endpoint) -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            ours, theirs = trio.testing.memory_stream_pair()
            nursery.start_soon(serve_stream, theirs, engines)
            return ours

        off = {"audio": {"input": {"turn_detection": None}}}
        url = "ws://agent.test/api/v1/realtime/session"
        async with RealtimeVoice(
            api_key="k", url=url, session=off, open_stream=open_stream
        ) as mine:
            said: list[str] = []
            answered = trio.Event()

            def done(event: Any) -> None:
                said.append(item_text(event.response["output"][0]))
                if len(said) == 2:
                    answered.set()

            mine.on("response.done", done)
            assert await mine.listen(spoken("is there anybody home")) == "is there anybody home"
            await mine.send(spoken("how are you"))
            mine.commit_input()
            mine.answer()
            with trio.fail_after(30):
                await answered.wait()
        assert said == ["is there anybody home", "Very well, thank you. What can I do for you?"]
        nursery.cancel_scope.cancel()
