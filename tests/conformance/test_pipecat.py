"""Pipecat's services for OpenAI's and for Inworld's Realtime API, unchanged, in a pipeline."""

from __future__ import annotations

import asyncio
import importlib
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.conformance.conftest import PATIENCE_S, VOICE_HZ, Agent

pytest.importorskip("pipecat", reason="voxpy[clients] is not installed")


def module(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # others' deprecations are not ours to mend
        return importlib.import_module(f"pipecat.{name}")


frames = module("frames.frames")
processors = module("processors.frame_processor")
contexts = module("processors.aggregators.llm_context")
aggregators = module("processors.aggregators.llm_response_universal")
workers = module("pipeline.worker")
runners = module("workers.runner")
pipelines = module("pipeline.pipeline")
functions = module("adapters.llm.schemas.function_schema")
schemas = module("adapters.llm.schemas.tools_schema")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

FRAME_BYTES = VOICE_HZ // 50 * 2


def service(agent: Agent, *, by_hand: bool) -> Any:
    services = module(f"services.{agent.flavour}.realtime.llm")
    events = module(f"services.{agent.flavour}.realtime.events")
    if agent.flavour == "openai":
        kind, url = services.OpenAIRealtimeLLMService, "v1/realtime"
        transcription = events.InputAudioTranscription(model="gpt-4o-transcribe")
        detection: Any = False if by_hand else events.SemanticTurnDetection()
    else:
        kind, url = services.InworldRealtimeLLMService, "api/v1/realtime/session"
        transcription = events.InputTranscription(model="inworld/inworld-stt-1")
        detection = None if by_hand else events.TurnDetection(type="semantic_vad")
    sound = {"turn_detection": detection, "transcription": transcription}
    session = events.SessionProperties(
        audio=events.AudioConfiguration(input=events.AudioInput(**sound))
    )
    settings = kind.Settings(system_instruction="You are Voxi.", session_properties=session)
    return kind(api_key="any", base_url=f"ws://127.0.0.1:{agent.port}/{url}", settings=settings)


class Talk(processors.FrameProcessor):  # type: ignore[misc, name-defined]
    """What comes out behind the service."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: asyncio.Queue[Any] = asyncio.Queue()
        self.worker: Any = None

    async def process_frame(self, frame: Any, direction: Any) -> None:
        await super().process_frame(frame, direction)
        assert not isinstance(frame, frames.ErrorFrame), frame
        self.frames.put_nowait(frame)
        await self.push_frame(frame, direction)

    async def until(self, kind: type[Any]) -> list[Any]:
        found: list[Any] = []
        while not found or not isinstance(found[-1], kind):
            found.append(await asyncio.wait_for(self.frames.get(), PATIENCE_S))
        return found

    async def answer(self) -> str:
        """Return the words of the answer that ends next, which has some."""
        words = ""
        while not words:
            told = await self.until(frames.LLMFullResponseEndFrame)
            words = "".join(f.text for f in told if isinstance(f, frames.TTSTextFrame))
        return words

    async def say(self, sound: bytes) -> None:
        for start in range(0, len(sound) // FRAME_BYTES * FRAME_BYTES, FRAME_BYTES):
            data = sound[start : start + FRAME_BYTES]
            await self.worker.queue_frame(frames.InputAudioRawFrame(data, VOICE_HZ, 1))


@asynccontextmanager
async def talk(
    agent: Agent, said: str, *, by_hand: bool = False, tool: Callable[..., Any] | None = None
) -> AsyncIterator[Talk]:
    """A pipeline that begins with ``said``."""
    llm = service(agent, by_hand=by_hand)
    tools = {}
    if tool is not None:
        llm.register_function("get_weather", tool)
        city = {"city": {"type": "string"}}
        schema = functions.FunctionSchema("get_weather", "Return the weather.", city, ["city"])
        tools = {"tools": schemas.ToolsSchema(standard_tools=[schema])}
    messages = [{"role": "user", "content": said}] if said else []
    context = contexts.LLMContext(messages, **tools)
    pair = aggregators.LLMContextAggregatorPair(context)
    talk = Talk()
    pipeline = pipelines.Pipeline([pair.user(), llm, talk, pair.assistant()])
    params = workers.PipelineParams(audio_in_sample_rate=VOICE_HZ, audio_out_sample_rate=VOICE_HZ)
    worker = talk.worker = workers.PipelineWorker(
        pipeline, cancel_on_idle_timeout=False, params=params
    )
    runner = runners.WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    try:
        await talk.until(frames.StartFrame)
        await worker.queue_frame(frames.LLMContextFrame(context))
        yield talk
    finally:
        await worker.cancel()
        await asyncio.wait_for(running, PATIENCE_S)


def test_a_text_turn(agent: Agent) -> None:
    async def main() -> None:
        async with talk(agent, "Good morning") as client:
            assert await client.answer() == "You said Good morning"

    asyncio.run(main())


def test_an_audio_turn(agent: Agent) -> None:
    async def main() -> None:
        async with talk(agent, "Good morning") as client:
            await client.answer()
            await client.say(agent.spoken("hello my good friend"))
            assert await client.answer() == "You said hello my good friend"

    asyncio.run(main())


def test_push_to_talk(agent: Agent) -> None:
    async def main() -> None:
        async with talk(agent, "Good morning", by_hand=True) as client:
            await client.answer()
            await client.say(agent.spoken("good evening", silence_s=0.2))
            await client.worker.queue_frame(frames.UserStartedSpeakingFrame())
            await client.worker.queue_frame(frames.UserStoppedSpeakingFrame())
            assert await client.answer() == "You said good evening"

    asyncio.run(main())


def test_a_tool_call(agent: Agent) -> None:
    async def get_weather(params: Any) -> None:
        await params.result_callback({"degrees": 7, "city": params.arguments["city"]})

    async def main() -> None:
        async with talk(agent, "weather please", tool=get_weather) as client:
            assert await client.answer() == "It is 7 degrees"

    asyncio.run(main())


def test_a_barge_in(agent: Agent) -> None:
    async def main() -> None:
        async with talk(agent, "Tell me a story") as client:
            await client.until(frames.TTSAudioRawFrame)
            await client.say(agent.spoken("stop it now please"))
            while (words := await client.answer()) != "You said stop it now please":
                assert words.startswith("Once upon a time")

    asyncio.run(main())
