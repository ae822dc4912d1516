"""The Agents SDK of OpenAI for Python, unchanged, against the local agent (--as openai)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.conformance.conftest import BATCH_BYTES, PATIENCE_S, VOICE_HZ, Agent

realtime = pytest.importorskip("agents.realtime", reason="voxpy[clients] is not installed")
agents = pytest.importorskip("agents")

pytestmark = pytest.mark.slow


class Talk:
    """One session of the SDK, and everything it told."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.told: list[Any] = []

    async def until(self, kind: str, fits: Callable[[Any], bool] = lambda _: True) -> list[Any]:
        """Return the events up to the next of this kind that fits."""
        since = len(self.told)
        async with asyncio.timeout(PATIENCE_S):
            async for event in self.session:
                assert event.type != "error", event.error
                self.told.append(event)
                if event.type == kind and fits(event):
                    return self.told[since:]
        raise AssertionError(f"the session ended before {kind}")

    async def answered(self) -> str:
        """Return the words of the answer that ends next."""
        events = await self.until("raw_model_event", lambda e: e.data.type == "turn_ended")
        deltas = [e.data for e in events if e.type == "raw_model_event"]
        return "".join(d.delta for d in deltas if d.type == "transcript_delta")

    async def say(self, sound: bytes, *, commit: bool = False) -> None:
        for start in range(0, len(sound), BATCH_BYTES):
            last = commit and start + BATCH_BYTES >= len(sound)
            await self.session.send_audio(sound[start : start + BATCH_BYTES], commit=last)


@asynccontextmanager
async def talk(agent: Agent, *, tools: Any = (), **settings: Any) -> AsyncIterator[Talk]:
    base: dict[str, Any] = {"modalities": ["audio"], "model_name": "gpt-realtime", "voice": "ash"}
    model: Any = {
        "url": f"ws://127.0.0.1:{agent.port}/v1/realtime?model=gpt-realtime",
        "api_key": "any",
        "initial_model_settings": {**base, **settings},
    }
    person = realtime.RealtimeAgent(name="Voxi", instructions="You are Voxi.", tools=list(tools))
    config = {"tracing_disabled": True}
    runner = realtime.RealtimeRunner(person, config=config)
    async with await runner.run(model_config=model) as session:
        yield Talk(session)


def test_a_text_turn(openai_agent: Agent) -> None:
    async def main() -> None:
        async with talk(openai_agent) as client:
            await client.session.send_message("Good morning")
            assert await client.answered() == "You said Good morning"

    asyncio.run(main())


def test_an_audio_turn(openai_agent: Agent) -> None:
    async def main() -> None:
        async with talk(openai_agent, turn_detection={"type": "semantic_vad"}) as client:
            await client.say(openai_agent.spoken("hello my good friend"))
            assert await client.answered() == "You said hello my good friend"
            sound = [e.audio.data for e in client.told if e.type == "audio"]
            assert sum(map(len, sound)) / (2 * VOICE_HZ) >= 6 * 0.3

    asyncio.run(main())


def test_push_to_talk(openai_agent: Agent) -> None:
    async def main() -> None:
        async with talk(openai_agent, turn_detection=None) as client:
            await client.say(openai_agent.spoken("good evening", silence_s=0.2), commit=True)
            create = {"type": "response.create"}
            raw = realtime.RealtimeModelSendRawMessage(message=create)
            await client.session.model.send_event(raw)
            assert await client.answered() == "You said good evening"

    asyncio.run(main())


def test_a_tool_call(openai_agent: Agent) -> None:
    asked: list[str] = []

    @agents.function_tool  # type: ignore[untyped-decorator]
    def get_weather(city: str) -> str:
        """Return the weather."""
        asked.append(city)
        return '{"degrees": 7}'

    async def main() -> None:
        async with talk(openai_agent, tools=[get_weather]) as client:
            await client.session.send_message("weather please")
            await client.answered()
            assert await client.answered() == "It is 7 degrees"
        assert asked == ["Oslo"]

    asyncio.run(main())


def test_a_barge_in(openai_agent: Agent) -> None:
    async def main() -> None:
        async with talk(openai_agent, turn_detection={"type": "server_vad"}) as client:
            await client.session.send_message("Tell me a story")
            await client.answered()
            await client.say(openai_agent.spoken("stop it now please"))
            await client.until("audio_interrupted")
            assert await client.answered() == "You said stop it now please"

    asyncio.run(main())
