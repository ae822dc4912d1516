"""LiveKit's plugin for OpenAI's Realtime API, unchanged, against the agent like OpenAI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.conformance.conftest import PATIENCE_S, VOICE_HZ, Agent

openai = pytest.importorskip("livekit.plugins.openai", reason="voxpy[clients] is not installed")
agents = pytest.importorskip("livekit.agents")
rtc = pytest.importorskip("livekit.rtc")

pytestmark = pytest.mark.slow

FRAME_SAMPLES = VOICE_HZ // 50


@asynccontextmanager
async def talk(agent: Agent, **settings: Any) -> AsyncIterator[Talk]:
    base = f"http://127.0.0.1:{agent.port}/v1"
    model = openai.realtime.RealtimeModel(base_url=base, api_key="any", **settings)
    session = model.session()
    talk = Talk(session)
    try:
        await session.update_instructions("You are Voxi.")
        yield talk
    finally:
        await session.aclose()
        await model.aclose()
    assert talk.errors == []


class Talk:
    """One session of the plugin, and what it told."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.errors: list[Any] = []
        self.words: list[str] = []
        self._generations: asyncio.Queue[Any] = asyncio.Queue()
        self.speech = asyncio.Event()
        session.on("error", self.errors.append)
        session.on("generation_created", self._generations.put_nowait)
        session.on("input_speech_started", lambda _: self.speech.set())
        session.on("input_audio_transcription_completed", self._heard)

    def _heard(self, event: Any) -> None:
        if event.is_final:
            self.words.append(event.transcript)

    async def generation(self) -> Any:
        return await asyncio.wait_for(self._generations.get(), PATIENCE_S)

    async def write(self, text: str) -> None:
        context = self.session.chat_ctx.copy()
        context.add_message(role="user", content=text)
        await self.session.update_chat_ctx(context)

    def say(self, sound: bytes) -> None:
        step = FRAME_SAMPLES * 2
        for start in range(0, len(sound) // step * step, step):
            data = sound[start : start + step]
            self.session.push_audio(rtc.AudioFrame(data, VOICE_HZ, 1, FRAME_SAMPLES))


async def answer(generation: Any) -> tuple[str, float]:
    """Return the words of a generation and the seconds of its audio."""
    words, seconds = "", 0.0
    async for message in generation.message_stream:
        words += "".join([str(text) async for text in message.text_stream])
        async for frame in message.audio_stream:
            seconds += frame.samples_per_channel / frame.sample_rate
    return words, seconds


def test_a_text_turn(openai_agent: Agent) -> None:
    async def main() -> None:
        async with talk(openai_agent) as client:
            await client.write("Good morning")
            generation = await asyncio.wait_for(client.session.generate_reply(), PATIENCE_S)
            words, seconds = await answer(generation)
            assert words == "You said Good morning"
            assert seconds >= 4 * 0.3

    asyncio.run(main())


def test_an_audio_turn(openai_agent: Agent) -> None:
    async def main() -> None:
        async with talk(openai_agent) as client:
            client.say(openai_agent.spoken("hello my good friend"))
            words, _ = await answer(await client.generation())
            assert words == "You said hello my good friend"
            assert client.words == ["hello my good friend"]

    asyncio.run(main())


def test_push_to_talk(openai_agent: Agent) -> None:
    async def main() -> None:
        async with talk(openai_agent, turn_detection=None) as client:
            client.say(openai_agent.spoken("good evening", silence_s=0.2))
            client.session.commit_audio()
            generation = await asyncio.wait_for(client.session.generate_reply(), PATIENCE_S)
            words, _ = await answer(generation)
            assert words == "You said good evening"

    asyncio.run(main())


def test_a_tool_call(openai_agent: Agent) -> None:
    @agents.function_tool  # type: ignore[untyped-decorator]
    async def get_weather(city: str) -> str:
        """Return the weather."""
        return '{"degrees": 7}'

    async def main() -> None:
        async with talk(openai_agent) as client:
            await client.session.update_tools([get_weather])
            await client.write("weather please")
            generation = await asyncio.wait_for(client.session.generate_reply(), PATIENCE_S)
            calls = [call async for call in generation.function_stream]
            assert [(call.name, call.arguments) for call in calls] == [
                ("get_weather", '{"city":"Oslo"}')
            ]
            context = client.session.chat_ctx.copy()
            output = agents.llm.FunctionCallOutput(
                call_id=calls[0].call_id,
                name="get_weather",
                output='{"degrees": 7}',
                is_error=False,
            )
            context.items.append(output)
            await client.session.update_chat_ctx(context)
            generation = await asyncio.wait_for(client.session.generate_reply(), PATIENCE_S)
            assert (await answer(generation))[0] == "It is 7 degrees"

    asyncio.run(main())


def test_a_barge_in(openai_agent: Agent) -> None:
    async def main() -> None:
        async with talk(openai_agent) as client:
            await client.write("Tell me a story")
            generation = await asyncio.wait_for(client.session.generate_reply(), PATIENCE_S)
            async for message in generation.message_stream:
                item_id = message.message_id
                async for _ in message.audio_stream:  # only what is heard can be broken off
                    break
                break
            client.say(openai_agent.spoken("stop it now please"))
            await asyncio.wait_for(client.speech.wait(), PATIENCE_S)
            client.session.truncate(
                message_id=item_id, modalities=["audio"], audio_end_ms=100, audio_transcript="Once"
            )
            words, _ = await answer(await client.generation())
            while words != "You said stop it now please":
                words, _ = await answer(await client.generation())

    asyncio.run(main())
