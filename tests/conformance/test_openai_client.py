"""The official client of OpenAI's Realtime API, unchanged, against the local agent.

Over a real socket: the agent lives in a thread with a trio loop, the client in asyncio. Speech is
made of tones, and everything is sent as fast as it goes, so nothing here waits for real time.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.conformance.conftest import BATCH_BYTES, LONG_ANSWER, PATIENCE_S, VOICE_HZ, Agent

why = "voxpy[conformance] is not installed"
openai = pytest.importorskip("openai", reason=why)
pytest.importorskip("websockets", reason=why)
realtime = pytest.importorskip("openai.types.realtime", reason=why)
pydantic = pytest.importorskip("pydantic", reason=why)

pytestmark = pytest.mark.slow

UNLIKE_OPENAI: dict[str, set[str]] = {
    # Inworld's names nobody else has, and fields it leaves out: see server/quirks.py.
    "inworld": {
        "input_audio_buffer.turn_suggestion",
        "input_audio_buffer.turn_suggestion_revoked",
        "output_audio_buffer.cleared",
        "output_audio_buffer.started",
        "output_audio_buffer.stopped",
        "response.function_call_arguments.done",
    },
    "openai": set(),
}
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Return the weather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


class Talk:
    """One connection of the client, and everything it received."""

    def __init__(self, connection: Any, agent: Agent) -> None:
        self.connection = connection
        self.received: list[Any] = []
        self._agent = agent
        self._check = pydantic.TypeAdapter(realtime.RealtimeServerEvent)

    async def until(self, kind: str) -> list[Any]:
        """Return the events up to the next of ``kind``, each valid by OpenAI's own definition."""
        events: list[Any] = []
        while not events or events[-1].type != kind:
            event = await asyncio.wait_for(self.connection.recv(), PATIENCE_S)
            assert event.type != "error" or kind == "error", event
            self._validate(event)
            events.append(event)
        self.received += events
        return events

    async def say(self, sound: bytes) -> None:
        for start in range(0, len(sound), BATCH_BYTES):
            batch = sound[start : start + BATCH_BYTES]
            await self.connection.input_audio_buffer.append(audio=base64.b64encode(batch).decode())

    async def write(self, text: str) -> None:
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        await self.connection.conversation.item.create(item=item)

    def _validate(self, event: Any) -> None:
        if event.type not in UNLIKE_OPENAI[self._agent.flavour]:
            self._check.validate_python(json.loads(event.to_json()))


@asynccontextmanager
async def talk(agent: Agent, **session: Any) -> AsyncIterator[Talk]:
    async with openai.AsyncOpenAI(
        api_key="any", websocket_base_url=f"ws://127.0.0.1:{agent.port}/v1"
    ) as client:
        query = {"key": "conformance", "protocol": "realtime"} if agent.flavour == "inworld" else {}
        async with client.realtime.connect(model="any", extra_query=query) as connection:
            talk = Talk(connection, agent)
            await talk.until("session.created")
            await connection.session.update(session={"type": "realtime", **session})
            await talk.until("session.updated")
            yield talk


def of(events: list[Any], kind: str) -> list[Any]:
    return [event for event in events if event.type == kind]


def words(events: list[Any]) -> str:
    return "".join(e.delta for e in of(events, "response.output_audio_transcript.delta"))


def audio_ms(events: list[Any]) -> float:
    deltas = (base64.b64decode(e.delta) for e in of(events, "response.output_audio.delta"))
    return sum(map(len, deltas)) / (2 * VOICE_HZ) * 1000


def test_a_text_turn(agent: Agent) -> None:
    async def main() -> None:
        async with talk(agent, output_modalities=["text"]) as client:
            await client.write("Good morning")
            await client.connection.response.create()
            events = await client.until("response.done")
        (done,) = of(events, "response.output_text.done")
        assert done.text == "You said Good morning"
        assert of(events, "response.output_audio.delta") == []
        assert events[-1].response.status == "completed"
        (item,) = events[-1].response.output
        assert (item.type, item.role) == ("message", "assistant")

    asyncio.run(main())


@pytest.mark.parametrize("detection", ["semantic_vad", "server_vad"])
def test_an_audio_turn(agent: Agent, detection: str) -> None:
    async def main() -> None:
        model = "gpt-4o-transcribe" if agent.flavour == "openai" else "inworld/inworld-stt-1"
        transcription = {"model": model, "language": "en"}
        detected = {"type": detection}
        audio = {"input": {"turn_detection": detected, "transcription": transcription}}
        async with talk(agent, audio=audio) as client:
            await client.say(agent.spoken("hello my good friend"))
            events = await client.until("response.done")
        order = [event.type for event in events]
        for earlier, later in [
            ("input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"),
            ("input_audio_buffer.speech_stopped", "input_audio_buffer.committed"),
            ("input_audio_buffer.committed", "response.created"),
            ("response.created", "response.output_audio.delta"),
        ]:
            assert order.index(earlier) < order.index(later)
        (heard,) = of(events, "conversation.item.input_audio_transcription.completed")
        assert heard.transcript == "hello my good friend"
        assert words(events) == "You said hello my good friend"
        assert audio_ms(events) >= 6 * 300  # six words of 0.3 s

    asyncio.run(main())


def test_a_tool_call(agent: Agent) -> None:
    async def main() -> None:
        async with talk(agent, tools=[WEATHER], tool_choice="auto") as client:
            await client.write("weather please")
            await client.connection.response.create()
            events = await client.until("response.done")
            (call,) = events[-1].response.output
            assert (call.type, call.name) == ("function_call", "get_weather")
            assert json.loads(call.arguments) == {"city": "Oslo"}
            (arguments,) = of(events, "response.function_call_arguments.done")
            assert (arguments.call_id, arguments.arguments) == (call.call_id, call.arguments)
            output = {
                "type": "function_call_output",
                "call_id": call.call_id,
                "output": '{"degrees": 7}',
            }
            await client.connection.conversation.item.create(item=output)
            if agent.flavour == "openai":  # Inworld answers unasked
                await client.connection.response.create()
            events = await client.until("response.done")
        assert words(events) == "It is 7 degrees"

    asyncio.run(main())


def test_barge_in_with_a_truncate(agent: Agent) -> None:
    async def main() -> None:
        async with talk(agent) as client:
            await client.write("Tell me a story")
            await client.connection.response.create()
            told = await client.until("response.done")
            item_id = told[-1].response.output[0].id
            assert audio_ms(told) > 6000  # sent at once, so most of it is not played yet
            await client.say(agent.spoken("stop it now please"))
            events = await client.until("output_audio_buffer.cleared")
            (started,) = of(events, "input_audio_buffer.speech_started")
            assert started.item_id != item_id
            played_ms = math.floor(audio_ms(told) / 4)
            await client.connection.conversation.item.truncate(
                item_id=item_id, content_index=0, audio_end_ms=played_ms
            )
            (truncated,) = of(
                await client.until("conversation.item.truncated"), "conversation.item.truncated"
            )
            assert (truncated.item_id, truncated.audio_end_ms) == (item_id, played_ms)
            await client.connection.conversation.item.retrieve(item_id=item_id)
            (*_, kept) = await client.until("conversation.item.retrieved")
            heard = kept.item.content[0].transcript or ""
            assert len(heard) < len(LONG_ANSWER) / 2
            assert LONG_ANSWER.startswith(heard)

    asyncio.run(main())


def test_cancelling_a_response_that_is_over(agent: Agent) -> None:
    async def main() -> None:
        async with talk(agent, output_modalities=["text"]) as client:
            await client.connection.response.cancel()
            (*_, error) = await client.until("error")
            assert error.error.code == "response_cancel_not_active"
            await client.write("Still there?")
            await client.connection.response.create()
            await client.until("response.done")

    asyncio.run(main())


@pytest.mark.parametrize("at_once", [False, True])
def test_push_to_talk(agent: Agent, at_once: bool) -> None:
    async def main() -> None:
        async with talk(agent, audio={"input": {"turn_detection": None}}) as client:
            await client.say(agent.spoken("good evening", silence_s=0.2))
            await client.connection.input_audio_buffer.commit()
            if not at_once:
                events = await client.until("conversation.item.done")
                assert of(events, "response.created") == []
            await client.connection.response.create()
            events = await client.until("response.done")
        assert words(events) == "You said good evening"

    asyncio.run(main())


def test_sound_in_a_message(agent: Agent) -> None:
    async def main() -> None:
        async with talk(agent) as client:
            sound = base64.b64encode(agent.spoken("good evening", silence_s=0)).decode()
            content = [{"type": "input_audio", "audio": sound}]
            item = {"type": "message", "role": "user", "content": content}
            await client.connection.conversation.item.create(item=item)
            await client.connection.response.create()
            events = await client.until("response.done")
        assert words(events) == "You said good evening"

    asyncio.run(main())


def test_a_response_beside_the_conversation(agent: Agent) -> None:
    async def main() -> None:
        async with talk(agent) as client:
            await client.write("Good morning")
            asked = {"conversation": "none", "metadata": {"a": "b"}, "output_modalities": ["text"]}
            await client.connection.response.create(response=asked)
            events = await client.until("response.done")
        assert events[-1].response.conversation_id is None
        assert events[-1].response.metadata == {"a": "b"}
        assert of(events, "response.output_text.done")[0].text == "You said Good morning"

    asyncio.run(main())


def test_azures_client(openai_agent: Agent) -> None:
    """Its address names a deployment, its key stands in a header of its own."""

    async def main() -> None:
        async with (
            openai.AsyncAzureOpenAI(
                api_key="any",
                api_version="2025-08-28",
                base_url=f"http://127.0.0.1:{openai_agent.port}/openai",
                websocket_base_url=f"ws://127.0.0.1:{openai_agent.port}/openai",
            ) as client,
            client.realtime.connect(model="mine") as connection,
        ):
            talk = Talk(connection, openai_agent)
            (created,) = of(await talk.until("session.created"), "session.created")
            assert created.session.model == "mine"
            await talk.write("Good morning")
            await connection.response.create()
            assert words(await talk.until("response.done")) == "You said Good morning"

    asyncio.run(main())


class BetaTalk(Talk):
    """A connection of the beta client, whose events have other names."""

    async def turn(self) -> str:
        """Return the words of the answer that ends next."""
        events: list[Any] = []
        while not events or events[-1].type != "response.done":
            events.append(await asyncio.wait_for(self.connection.recv(), PATIENCE_S))
            assert events[-1].type != "error", events[-1]
        self.received += events
        return "".join(e.delta for e in events if e.type == "response.audio_transcript.delta")

    async def until(self, kind: str) -> list[Any]:
        while not self.received or self.received[-1].type != kind:
            self.received.append(await asyncio.wait_for(self.connection.recv(), PATIENCE_S))
        return self.received


@asynccontextmanager
async def beta_talk(agent: Agent, **session: Any) -> AsyncIterator[BetaTalk]:
    url = f"ws://127.0.0.1:{agent.port}/v1"
    async with (
        openai.AsyncOpenAI(api_key="any", websocket_base_url=url) as client,
        client.beta.realtime.connect(model="gpt-4o-realtime-preview") as connection,
    ):
        talk = BetaTalk(connection, agent)
        await talk.until("session.created")
        base = {"voice": "alloy", "input_audio_format": "pcm16", "modalities": ["audio", "text"]}
        await connection.session.update(session=base | session)
        await talk.until("session.updated")
        yield talk


@pytest.mark.parametrize("turn", ["text", "audio", "push_to_talk", "tool", "barge_in"])
def test_the_beta_client(beta_agent: Agent, turn: str) -> None:
    async def main() -> None:
        session: dict[str, Any] = {"tools": [WEATHER]}
        if turn == "push_to_talk":
            session["turn_detection"] = None
        async with beta_talk(beta_agent, **session) as client:
            if turn == "text":
                await client.write("Good morning")
                await client.connection.response.create()
                assert await client.turn() == "You said Good morning"
            elif turn == "audio":
                await client.say(beta_agent.spoken("hello my good friend"))
                assert await client.turn() == "You said hello my good friend"
            elif turn == "push_to_talk":
                await client.say(beta_agent.spoken("good evening", silence_s=0.2))
                await client.connection.input_audio_buffer.commit()
                await client.connection.response.create()
                assert await client.turn() == "You said good evening"
            elif turn == "tool":
                await client.write("weather please")
                await client.connection.response.create()
                await client.turn()
                (call,) = client.received[-1].response.output
                output = {"type": "function_call_output", "call_id": call.call_id}
                output["output"] = '{"degrees": 7}'
                await client.connection.conversation.item.create(item=output)
                await client.connection.response.create()
                assert await client.turn() == "It is 7 degrees"
            else:
                await client.write("Tell me a story")
                await client.connection.response.create()
                await client.turn()
                await client.say(beta_agent.spoken("stop it now please"))
                assert await client.turn() == "You said stop it now please"

    asyncio.run(main())
