"""The official clients for Python of services with wires of their own, against our fakes.

Each holds a conversation: a greeting, a spoken question, a function. What they cannot read of ours
they drop or raise, so a fake that is wrong is found here.
"""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.conftest import BATCH_BYTES, PATIENCE_S, Agent
from voxpy.audio.convert import Converter
from voxpy.audio.frame import pcm16

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # they leave sockets to the collector
]
WHY = "voxpy[clients] is not installed"
QUESTION = "how is the weather"
WEATHER = {
    "name": "get_weather",
    "description": "Return the weather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def at_16k(agent: Agent, text: str) -> bytes:
    return Converter(pcm16(24000), pcm16(16000)).convert(agent.spoken(text))


def batches(sound: bytes) -> list[bytes]:
    return [sound[n : n + BATCH_BYTES] for n in range(0, len(sound), BATCH_BYTES)]


def test_google_genai(
    secure_agent: Agent, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genai = pytest.importorskip("google.genai", reason=WHY)
    types = genai.types
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))  # it speaks TLS alone
    where = f"https://localhost:{secure_agent.port}"
    client = genai.Client(api_key="any", http_options={"base_url": where})
    config = {
        "response_modalities": ["AUDIO"],
        "system_instruction": "Be brief.",
        "output_audio_transcription": {},
        "input_audio_transcription": {},
        "tools": [{"function_declarations": [WEATHER]}],
    }
    seen: dict[str, Any] = {"heard": "", "said": "", "audio": 0, "calls": []}

    async def turn(session: Any) -> None:
        async for message in session.receive():
            if message.tool_call:
                (call,) = message.tool_call.function_calls
                seen["calls"].append((call.name, call.args))
                answer = types.FunctionResponse(
                    id=call.id, name=call.name, response={"degrees": 21}
                )
                await session.send_tool_response(function_responses=[answer])
            content = message.server_content
            if content and content.input_transcription:
                seen["heard"] += content.input_transcription.text or ""
            if content and content.output_transcription:
                seen["said"] += content.output_transcription.text or ""
            seen["audio"] += len(message.data or b"")

    async def talk() -> None:
        async with client.aio.live.connect(model="gemini-live", config=config) as session:
            hello = types.Content(role="user", parts=[types.Part(text="hello")])
            await session.send_client_content(turns=hello, turn_complete=True)
            await asyncio.wait_for(turn(session), PATIENCE_S)
            assert seen["said"] == "You said hello"
            assert seen["audio"] > 0
            for batch in batches(at_16k(secure_agent, QUESTION)):
                blob = types.Blob(data=batch, mime_type="audio/pcm;rate=16000")
                await session.send_realtime_input(audio=blob)
            while not seen["said"].endswith("degrees"):
                await asyncio.wait_for(turn(session), PATIENCE_S)

    asyncio.run(talk())
    assert seen["heard"] == QUESTION
    assert seen["calls"] == [("get_weather", {"city": "Oslo"})]
    assert seen["said"].endswith("It is 21 degrees")


def test_elevenlabs(openai_agent: Agent) -> None:
    elevenlabs = pytest.importorskip("elevenlabs", reason=WHY)
    conversation = pytest.importorskip("elevenlabs.conversational_ai.conversation", reason=WHY)
    said: list[str] = []
    heard: list[str] = []
    over = asyncio.Event

    class Line(conversation.AsyncAudioInterface):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            self.played = 0

        async def start(self, input_callback: Callable[[bytes], Awaitable[None]]) -> None:
            self.speak = input_callback

        async def stop(self) -> None:
            pass

        async def output(self, audio: bytes) -> None:
            self.played += len(audio)

        async def interrupt(self) -> None:
            pass

    async def talk() -> None:
        line, changed = Line(), over()

        async def agent_says(text: str) -> None:
            said.append(text)
            changed.set()

        async def caller_said(text: str) -> None:
            heard.append(text)

        talks = conversation.AsyncConversation(
            elevenlabs.ElevenLabs(api_key="any", base_url=f"http://127.0.0.1:{openai_agent.port}"),
            "agent-1",
            requires_auth=False,
            audio_interface=line,
            callback_agent_response=agent_says,
            callback_user_transcript=caller_said,
        )
        await talks.start_session()
        await asyncio.wait_for(changed.wait(), PATIENCE_S)
        assert said == ["Good morning"]
        changed.clear()
        for batch in batches(at_16k(openai_agent, "hello there")):
            await line.speak(batch)
        await asyncio.wait_for(changed.wait(), PATIENCE_S)
        assert line.played > 0
        await talks.end_session()
        await talks.wait_for_session_end()

    asyncio.run(talk())
    gc.collect()
    assert heard == ["hello there"]
    assert said[-1] == "You said hello there"


def test_deepgram(openai_agent: Agent) -> None:
    deepgram = pytest.importorskip("deepgram", reason=WHY)
    environment = pytest.importorskip("deepgram.environment", reason=WHY)
    where = f"ws://127.0.0.1:{openai_agent.port}"
    made = environment.DeepgramClientEnvironment
    names = [n for n in made.__init__.__annotations__ if n != "return"]
    here = made(**dict.fromkeys(names, where))
    settings = {
        "type": "Settings",
        "audio": {
            "input": {"encoding": "linear16", "sample_rate": 16000},
            "output": {"encoding": "linear16", "sample_rate": 16000, "container": "none"},
        },
        "agent": {
            "think": {
                "provider": {"type": "open_ai", "model": "gpt-4o-mini"},
                "prompt": "Be brief.",
                "functions": [WEATHER],
            },
            "greeting": "Good morning",
        },
    }
    texts: list[tuple[str, str]] = []
    kinds: list[str] = []

    async def talk() -> None:
        client = deepgram.AsyncDeepgramClient(api_key="any", environment=here)
        async with client.agent.v1.connect() as agent:
            types = pytest.importorskip("deepgram.agent.v1.types")
            await agent.send_settings(types.AgentV1Settings(**settings))
            asked = False
            async for message in agent:
                if isinstance(message, bytes):
                    kinds.append("audio")
                    continue
                kinds.append(message.type)
                assert message.type != "Error", message
                if message.type == "ConversationText":
                    texts.append((str(message.role), message.content))
                if message.type == "FunctionCallRequest":
                    (function,) = message.functions
                    assert json.loads(function.arguments) == {"city": "Oslo"}
                    answer = types.AgentV1SendFunctionCallResponse(
                        id=function.id, name=function.name, content='{"degrees": 21}'
                    )
                    await agent.send_function_call_response(answer)
                if message.type == "AgentAudioDone":
                    if asked:
                        return
                    asked = True
                    for batch in batches(at_16k(openai_agent, QUESTION)):
                        await agent.send_media(batch)

    asyncio.run(asyncio.wait_for(talk(), 3 * PATIENCE_S))
    assert texts == [
        ("assistant", "Good morning"),
        ("user", QUESTION),
        ("assistant", "It is 21 degrees"),
    ]
    assert kinds[:2] == ["Welcome", "SettingsApplied"]
    assert "audio" in kinds
