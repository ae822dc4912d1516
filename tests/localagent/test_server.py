"""The local agent's server, spoken to as any client of the protocol would: frames in, frames out."""

# ruff: noqa: E501  tables and scenario sources read better in whole lines

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import pytest
import trio
import trio.testing
from trio_websocket import (
    ConnectionRejected,
    WebSocketConnection,
    open_websocket_url,
    wrap_client_stream,
)

from voxpy.audio.convert import Converter
from voxpy.audio.frame import PCMA, PCMU, Format, pcm16
from voxpy.errors import VoxpyError
from voxpy.localagent.engines import Engines
from voxpy.localagent.responder import Act, CallTool, Say, Turn
from voxpy.localagent.server import serve_stream, serve_tcp
from voxpy.localagent.vad import EnergyGate
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import Airwaves, ToneEars, ToneVoice

Samples = npt.NDArray[np.int16]
TARGET = "/api/v1/realtime/session?key=k&protocol=realtime"
AUTH = [(b"authorization", b"Basic a2V5")]
MANUAL: dict[str, Any] = {"audio": {"input": {"turn_detection": None}}}


@attrs.define
class Voice:
    """A tone voice that remembers how it was asked to speak."""

    tones: ToneVoice
    asked: list[tuple[str, str, float]] = attrs.field(factory=list)

    def warm_up(self) -> None:
        self.tones.warm_up()

    def speak(self, text: str, *, speaker: str, speed: float) -> Iterator[Samples]:
        self.asked.append((text, speaker, speed))
        return self.tones.speak(text, speaker=speaker, speed=speed)


@attrs.define
class Client:
    """A client of the protocol; ``events`` is everything it received, in order."""

    socket: WebSocketConnection
    air: Airwaves
    voice: Voice
    turns: list[Turn]
    reports: list[str]
    events: list[dict[str, Any]] = attrs.field(factory=list)

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send_message(json.dumps({"type": kind, **fields}))

    async def next(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(await self.socket.get_message())
        self.events.append(event)
        return event

    async def until(self, kind: str, *, within_s: float = 30) -> dict[str, Any]:
        with trio.fail_after(within_s):
            while (event := await self.next())["type"] != kind:
                pass
        return event

    async def configure(self, session: dict[str, Any]) -> dict[str, Any]:
        await self.send("session.update", session={"type": "realtime", **session})
        return (await self.until("session.updated"))["session"]  # type: ignore[no-any-return]

    async def say(
        self, text: str, fmt: Format | str = "audio/pcm", *, after_s: float = 1.5
    ) -> None:
        """Append the tone of ``text`` with silence behind it, in 40 ms pieces in real time."""
        source = pcm16(24000)
        speech = b"".join(
            s.astype("<i2").tobytes() for s in self.voice.tones.speak(text, speaker="", speed=1.0)
        )
        data = speech + bytes(source.bytes_for(after_s))
        if isinstance(fmt, Format):
            data = Converter(source, fmt).convert(data[: len(data) // 960 * 960])
            step = fmt.bytes_for(0.04)
        elif fmt == "audio/float32":
            data = (np.frombuffer(data, "<i2").astype("<f4") / 32768).tobytes()
            step = 3840
        else:
            step = source.bytes_for(0.04)
        for n in range(0, len(data), step):
            chunk = base64.b64encode(data[n : n + step]).decode()
            await self.send("input_audio_buffer.append", audio=chunk)
            await trio.sleep(0.04)

    def spoken(self, text: str, *, after_s: float = 0.0) -> bytes:
        """Return the tone of ``text`` as PCM at 24 kHz, with silence behind it."""
        sound = self.voice.tones.speak(text, speaker="", speed=1.0)
        return b"".join(s.astype("<i2").tobytes() for s in sound) + bytes(round(after_s * 48_000))

    async def append(self, sound: bytes, *, step: int = 1920) -> None:
        """Append audio as fast as it goes."""
        for n in range(0, len(sound), step):
            chunk = base64.b64encode(sound[n : n + step]).decode()
            await self.send("input_audio_buffer.append", audio=chunk)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [e for e in self.events if e["type"] == kind]

    def audio(self) -> bytes:
        return b"".join(
            base64.b64decode(e["delta"]) for e in self.of("response.output_audio.delta")
        )


Script = Sequence[str | Act] | Callable[[Turn], Sequence[Act]]


@asynccontextmanager
async def talking(
    script: Script = (), *, responder: Any = None, ears: Any = None, behaviour: Any = None
) -> AsyncIterator[Client]:
    """Connect a client to a server of tones over memory; the session is created."""
    air = Airwaves()
    voice, brain = Voice(ToneVoice(air)), responder or ScriptedResponder(script)
    heard_by = ears or ToneEars(air)
    engines = Engines(gate=EnergyGate, ears=heard_by, voice=voice, responder=brain)
    ours, theirs = trio.testing.memory_stream_pair()
    reports: list[str] = []
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            await serve_stream(theirs, engines, report=reports.append, behaviour=behaviour)

        nursery.start_soon(serve)
        socket = await wrap_client_stream(
            nursery,
            ours,  # type: ignore[arg-type]
            "agent.test",
            TARGET,
            extra_headers=AUTH,
            message_queue_size=10_000,
        )
        client = Client(socket, air, voice, getattr(brain, "turns", []), reports)
        assert (await client.next())["type"] == "session.created"
        yield client
        nursery.cancel_scope.cancel()


# -- turns ------------------------------------------------------------------------------------------


async def test_the_server_ends_the_turn_and_answers(autojump_clock: object) -> None:
    async with talking(["It is sunny today"]) as client:
        vad = {"type": "server_vad", "silence_duration_ms": 400}
        await client.configure({"audio": {"input": {"turn_detection": vad}}})
        await client.say("what is the weather")
        done = await client.until("response.done")
        assert done["response"]["status"] == "completed"
        kinds = [e["type"] for e in client.events]
        wanted = [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.input_audio_transcription.completed",
            "response.created",
            "response.output_audio.delta",
            "response.output_audio.done",
            "response.done",
        ]
        places = [kinds.index(k) for k in wanted]
        assert places == sorted(places)
        heard = client.of("conversation.item.input_audio_transcription.completed")
        assert [e["transcript"] for e in heard] == ["what is the weather"]
        said = client.of("response.output_audio_transcript.done")
        assert [e["transcript"] for e in said] == ["It is sunny today"]
        seconds = len(client.audio()) / 48000
        assert seconds == pytest.approx(4 * 0.3 + 0.16, abs=0.03)


async def test_manual_turns_wait_for_the_client(autojump_clock: object) -> None:
    async with talking(["Very well"]) as client:
        await client.configure(MANUAL)
        await client.say("please do it now")
        with trio.move_on_after(5):
            await client.until("response.created", within_s=60)
        assert client.of("response.created") == []
        await client.send("input_audio_buffer.commit")
        heard = await client.until("conversation.item.input_audio_transcription.completed")
        assert heard["transcript"] == "please do it now"
        with trio.move_on_after(5):
            await client.until("response.created", within_s=60)
        assert client.of("response.created") == []  # a commit alone asks for nothing
        await client.send("response.create")
        await client.until("response.done")
        assert client.of("response.output_audio_transcript.done")[0]["transcript"] == "Very well"


async def test_a_cleared_buffer_is_not_transcribed(autojump_clock: object) -> None:
    async with talking() as client:
        await client.configure(MANUAL)
        await client.say("forget all of this")
        await client.send("input_audio_buffer.clear")
        await client.until("input_audio_buffer.cleared")
        await client.say("keep this part")
        await client.send("input_audio_buffer.commit")
        heard = await client.until("conversation.item.input_audio_transcription.completed")
        assert heard["transcript"] == "keep this part"


async def test_speaking_over_the_answer_stops_it(autojump_clock: object) -> None:
    long = " ".join(["and so on"] * 20)
    async with talking([long, "Yes"]) as client:
        await client.configure({"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}})
        await client.say("tell me everything", after_s=2)
        await client.until("response.created")
        await client.say("stop it please")
        await client.until("response.created")
        await client.until("response.done")
        assert [t.items[-1]["role"] for t in client.turns] == ["user", "user"]


# -- answers ----------------------------------------------------------------------------------------


async def test_a_tool_call_and_its_result(autojump_clock: object) -> None:
    def brain(turn: Turn) -> Sequence[Act]:
        results = [i for i in turn.items if i["type"] == "function_call_output"]
        if results:
            return [Say(f"It is {json.loads(results[-1]['output'])['degrees']} degrees")]
        return [CallTool("weather", {"city": "Paris"})]

    tool = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
    async with talking(brain) as client:
        await client.configure({"tools": [tool], **MANUAL})
        await client.send("response.create")
        done = await client.until("response.function_call_arguments.done")
        assert json.loads(done["arguments"]) == {"city": "Paris"}
        finished = await client.until("response.done")
        (call,) = finished["response"]["output"]
        assert (call["type"], call["name"]) == ("function_call", "weather")
        await client.send(
            "conversation.item.create",
            item={
                "type": "function_call_output",
                "call_id": call["call_id"],
                "output": '{"degrees": 21}',
            },
        )
        await client.send("response.create")
        said = await client.until("response.output_audio_transcript.done")
        assert said["transcript"] == "It is 21 degrees"


async def test_text_only_makes_no_audio(autojump_clock: object) -> None:
    async with talking(["just text"]) as client:
        await client.configure({"output_modalities": ["text"], **MANUAL})
        await client.send("response.create")
        await client.until("response.done")
        assert client.of("response.output_text.done")[0]["text"] == "just text"
        assert client.audio() == b""
        assert client.voice.asked == []


async def test_one_response_may_be_text_only(autojump_clock: object) -> None:
    async with talking(["just text", "aloud"]) as client:
        await client.configure(MANUAL)
        await client.send("response.create", response={"output_modalities": ["text"]})
        await client.until("response.done")
        assert client.audio() == b""
        await client.send("response.create")
        await client.until("response.done")
        assert client.audio() != b""


async def test_a_response_while_one_is_active_is_refused_and_harms_nothing(
    autojump_clock: object,
) -> None:
    never = trio.Event()

    class Slow:
        async def respond(self, turn: Turn) -> AsyncIterator[Act]:
            yield Say("first")
            await never.wait()

    async with talking(responder=Slow()) as client:
        await client.configure(MANUAL)
        await client.send("response.create")
        await client.until("response.created")
        await client.send("response.create", event_id="second")
        error = await client.until("error")
        assert error["error"]["code"] == "conversation_already_has_active_response"
        assert error["error"]["event_id"] == "second"
        never.set()
        assert (await client.until("response.done"))["response"]["status"] == "completed"


@pytest.mark.parametrize("wait_for_audio", [True, False])
async def test_cancelling(autojump_clock: object, wait_for_audio: bool) -> None:
    closed = trio.Event()

    class Endless:
        async def respond(self, turn: Turn) -> AsyncIterator[Act]:
            try:
                while True:
                    yield Say("and on and on")
                    await trio.sleep(1)
            finally:
                closed.set()

    async with talking(responder=Endless()) as client:
        await client.configure(MANUAL)
        await client.send("response.create")
        if wait_for_audio:
            await client.until("response.output_audio.delta")
        await client.send("response.cancel")
        done = await client.until("response.done")
        assert done["response"]["status"] == "cancelled"
        n = len(client.events)
        with trio.move_on_after(5):
            while True:
                await client.next()
        late = [e["type"] for e in client.events[n:] if e["type"].startswith("response.")]
        assert late == []
        assert closed.is_set() or not wait_for_audio
        await client.send("response.cancel")
        error = await client.until("error")
        assert error["error"]["code"] == "response_cancel_not_active"


@pytest.mark.parametrize("error", [VoxpyError("the chat endpoint is down"), ZeroDivisionError("x")])
async def test_a_brain_that_fails_costs_the_response_and_not_the_call(
    autojump_clock: object, error: Exception
) -> None:
    class Broken:
        async def respond(self, turn: Turn) -> AsyncIterator[Act]:
            if error is not None:
                raise error
            yield Say("")

    async with talking(responder=Broken()) as client:
        await client.configure(MANUAL)
        await client.send("response.create")
        told = await client.until("error")
        assert str(error) in told["error"]["message"]
        assert (await client.until("response.done"))["response"]["status"] == "failed"
        await client.send("response.create")
        await client.until("response.done")
        assert len(client.reports) == (2 if isinstance(error, ZeroDivisionError) else 0)


# -- voice and formats ------------------------------------------------------------------------------


async def test_speed_and_voice_reach_the_engine(autojump_clock: object) -> None:
    async with talking(["four words of speech"] * 2) as client:
        output = {"voice": "Ashley", "speed": 1.5}
        await client.configure({"audio": {"input": {"turn_detection": None}, "output": output}})
        await client.send("response.create")
        await client.until("response.done")
        assert client.voice.asked == [("four words of speech", "Ashley", 1.5)]
        assert len(client.audio()) / 48000 == pytest.approx(1.2 / 1.5 + 0.16, abs=0.03)


FORMATS: list[tuple[dict[str, Any], Any, float]] = [
    ({"type": "audio/pcmu"}, PCMU, 8000),
    ({"type": "audio/pcma"}, PCMA, 8000),
    ({"type": "audio/pcm", "rate": 8000}, pcm16(8000), 16000),
    ({"type": "audio/pcm", "rate": 16000}, pcm16(16000), 32000),
    ({"type": "audio/pcm", "rate": 24000}, pcm16(24000), 48000),
    ({"type": "audio/pcm", "rate": 48000}, pcm16(48000), 96000),
    ({"type": "audio/float32"}, "audio/float32", 96000),
]


@pytest.mark.parametrize(("named", "fmt", "bytes_per_s"), FORMATS)
async def test_every_format_both_ways(
    autojump_clock: object, named: dict[str, Any], fmt: Any, bytes_per_s: float
) -> None:
    async with talking(["one two three four"]) as client:
        audio = {"input": {"format": named, "turn_detection": None}, "output": {"format": named}}
        await client.configure({"audio": audio})
        await client.say("can you hear me", fmt)
        await client.send("input_audio_buffer.commit")
        heard = await client.until("conversation.item.input_audio_transcription.completed")
        assert heard["transcript"] == "can you hear me"
        await client.send("response.create")
        await client.until("response.done")
        assert len(client.audio()) / bytes_per_s == pytest.approx(1.36, abs=0.03)
        if fmt == "audio/float32":
            floats = np.frombuffer(client.audio(), "<f4")
            assert 0.3 < np.abs(floats).max() < 0.45  # three tones: 1.73 times 8000 of 32768


# -- wrong input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [
        "{broken",
        "[]",
        "",
        '{"no":"type"}',
        '{"type":"nothing.like.this"}',
        '{"type":"session.update"}',
        '{"type":"session.update","session":{"audio":{"input":{"format":{"type":"audio/mp3"}}}}}',
        '{"type":"session.update","session":{"audio":{"output":{"speed":"fast"}}}}',
        '{"type":"session.update","session":{"audio":{"input":{"turn_detection":{"type":"server_vad","threshold":"high"}}}}}',
        '{"type":"input_audio_buffer.append","audio":"%%%"}',
        '{"type":"input_audio_buffer.append"}',
        '{"type":"input_audio_buffer.commit"}',
        '{"type":"conversation.item.create","item":{"type":"nonsense"}}',
        '{"type":"conversation.item.truncate","item_id":"none","content_index":0,"audio_end_ms":1}',
        '{"type":"conversation.item.delete","item_id":"none"}',
        '{"type":"response.create","response":7}',
    ],
)
async def test_a_wrong_frame_gets_an_error_and_the_connection_lives(
    autojump_clock: object, frame: str
) -> None:
    async with talking(["still here"]) as client:
        await client.socket.send_message(frame)
        error = await client.until("error")
        assert error["error"]["message"]
        await client.configure(MANUAL)
        await client.send("response.create")
        assert (await client.until("response.done"))["response"]["status"] == "completed"
        assert client.reports == []


async def test_a_binary_frame_does_not_end_the_connection(autojump_clock: object) -> None:
    async with talking(["still here"]) as client:
        await client.socket.send_message(b"\x00\x01")
        await client.configure(MANUAL)
        await client.send("response.create")
        assert (await client.until("response.done"))["response"]["status"] == "completed"


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        ("/session?protocol=realtime", AUTH, 400),
        ("/session?key=k", AUTH, 400),
        ("/session?key=k&protocol=other", AUTH, 400),
        (TARGET, [], 401),
        (TARGET, [(b"authorization", b"Digest x")], 401),
        (TARGET, [(b"authorization", b"Basic")], 401),
    ],
)
async def test_a_refused_request(
    autojump_clock: object, target: str, headers: list[tuple[bytes, bytes]], status: int
) -> None:
    air = Airwaves()
    engines = Engines(
        gate=EnergyGate, ears=ToneEars(air), voice=ToneVoice(air), responder=ScriptedResponder([])
    )
    ours, theirs = trio.testing.memory_stream_pair()
    with pytest.raises(ExceptionGroup) as group:  # noqa: PT012  the nursery is what raises
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_stream, theirs, engines)
            await wrap_client_stream(nursery, ours, "agent.test", target, extra_headers=headers)  # type: ignore[arg-type]
    (refused,) = group.value.exceptions
    assert isinstance(refused, ConnectionRejected)
    assert refused.status_code == status
    assert json.loads(refused.body or b"")["error"]["message"]


async def test_a_client_that_vanishes_in_mid_answer_leaves_nothing(autojump_clock: object) -> None:
    stopped = trio.Event()

    class Endless:
        async def respond(self, turn: Turn) -> AsyncIterator[Act]:
            try:
                while True:
                    yield Say("and on and on")
                    await trio.sleep(0.1)
            finally:
                stopped.set()

    air = Airwaves()
    engines = Engines(
        gate=EnergyGate, ears=ToneEars(air), voice=ToneVoice(air), responder=Endless()
    )
    ours, theirs = trio.testing.memory_stream_pair()
    returned = trio.Event()
    reports: list[str] = []

    async def serve() -> None:
        await serve_stream(theirs, engines, report=reports.append)
        returned.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        socket = await wrap_client_stream(
            nursery, ours, "agent.test", TARGET, extra_headers=AUTH, message_queue_size=1000  # type: ignore[arg-type]
        )  # fmt: skip
        await socket.send_message(json.dumps({"type": "response.create"}))
        while "output_audio.delta" not in await socket.get_message():
            pass
        await ours.aclose()
        with trio.fail_after(1):
            await stopped.wait()
            await returned.wait()
        assert reports == []
        nursery.cancel_scope.cancel()


async def test_a_handshake_that_never_comes_is_given_up(autojump_clock: object) -> None:
    air = Airwaves()
    engines = Engines(
        gate=EnergyGate, ears=ToneEars(air), voice=ToneVoice(air), responder=ScriptedResponder([])
    )
    _ours, theirs = trio.testing.memory_stream_pair()
    began = trio.current_time()
    await serve_stream(theirs, engines)
    assert trio.current_time() - began == pytest.approx(10.0)


@pytest.mark.slow
async def test_over_tcp_a_taken_port_says_so_and_a_free_one_serves() -> None:
    air = Airwaves()
    engines = Engines(
        gate=EnergyGate,
        ears=ToneEars(air),
        voice=ToneVoice(air),
        responder=ScriptedResponder(["Hi"]),
    )

    async def serve(port: int, task_status: trio.TaskStatus[int]) -> None:
        await serve_tcp(engines, host="127.0.0.1", port=port, task_status=task_status)

    async with trio.open_nursery() as nursery:
        port = await nursery.start(_Starter(serve, 0))
        with pytest.raises(ExceptionGroup) as taken:
            async with trio.open_nursery() as other:
                await other.start(_Starter(serve, port))
        assert taken.group_contains(VoxpyError, match=rf"port {port} on 127\.0\.0\.1 is taken")
        url = f"ws://127.0.0.1:{port}{TARGET}"
        async with open_websocket_url(url, extra_headers=AUTH, message_queue_size=100) as socket:
            assert "session.created" in await socket.get_message()
            await socket.send_message(json.dumps({"type": "response.create"}))
            with trio.fail_after(5):
                while "response.done" not in await socket.get_message():
                    pass
        nursery.cancel_scope.cancel()


class _Starter:
    """``serve_tcp`` with its port, as ``nursery.start`` wants it."""

    def __init__(self, serve: Callable[..., Any], port: int) -> None:
        self._serve = serve
        self._port = port

    async def __call__(self, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
        await self._serve(self._port, task_status=task_status)
