"""Messages as the services' documents show them, read by the wires: what each means to a call."""

from __future__ import annotations

import base64
from contextlib import suppress
from typing import Any

import orjson
import pytest

from voxpy import Deepgram
from voxpy.cartesia.agents import CartesiaWire
from voxpy.deepgram.wire import DeepgramWire, settings_message
from voxpy.elevenlabs.agents import ElevenLabsWire
from voxpy.errors import RemoteProtocolError
from voxpy.gemini.wire import GeminiWire, setup_message
from voxpy.realtime.turns import TurnWire
from voxpy.realtime.wire import Audio, Told, ToolsCalled, Wire
from voxpy.ultravox.wire import UltravoxWire, call_body

SOUND = base64.b64encode(b"\x01\x02" * 160).decode()
TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "Return the weather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def read(wire: TurnWire, *frames: Any) -> list[str]:
    """Return in words what frames mean, and the frames that became due."""
    told: list[str] = []
    for frame in frames:
        if isinstance(frame, bytes):
            found: Any = wire.receive_binary(frame)
        else:
            found = wire.receive(orjson.dumps(frame).decode())
        for each in found:
            match each:
                case Audio():
                    told.append(f"audio {each.item_id}")
                case Told():
                    told.append(f"event {each.name}")
                case ToolsCalled():
                    told += [f"tool {c.name} {c.arguments}" for c in each.calls]
                case _:
                    told.append(type(each).__name__)
        told += [f"send {each.decode()}" for each in wire.outgoing()]
    return told


def test_gemini() -> None:
    """Google, "Live API - WebSockets API reference": setup, content, interruption, a tool."""
    setup = setup_message("models/m", {"systemInstruction": "Hi", "temperature": 0.5}, [TOOL])
    assert setup["setup"]["systemInstruction"] == {"parts": [{"text": "Hi"}]}
    assert setup["setup"]["generationConfig"] == {
        "responseModalities": ["AUDIO"],
        "temperature": 0.5,
    }
    (declared,) = setup["setup"]["tools"]
    assert declared["functionDeclarations"][0]["name"] == "get_weather"
    wire = GeminiWire()
    assert wire.owes == "has not confirmed the session"
    part = {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": SOUND}}
    assert read(
        wire,
        orjson.dumps({"setupComplete": {}}),
        {"serverContent": {"inputTranscription": {"text": "Hello"}}},
        {"serverContent": {"modelTurn": {"role": "model", "parts": [part]}}},
        {"serverContent": {"outputTranscription": {"text": "Hi there"}}},
        {"serverContent": {"interrupted": True}},
        {"toolCall": {"functionCalls": [{"id": "f1", "name": "get_weather", "args": {"a": 1}}]}},
        {"goAway": {"timeLeft": "50s"}},
    ) == [
        *("Ready", "event setupComplete"),
        "event serverContent",
        *("Understood", "audio turn-1"),
        "event serverContent",
        *("Said", "AudioOver", "Interrupted", "event serverContent"),
        *("event toolCall", 'tool get_weather {"a":1}'),
        "event goAway",
    ]
    assert (wire.leaving, wire.awaits_output("f1")) == (True, True)
    wire.tool_output("f1", '{"degrees":21}')
    assert [orjson.loads(frame) for frame in wire.outgoing()] == [
        {
            "toolResponse": {
                "functionResponses": [
                    {"id": "f1", "name": "get_weather", "response": {"degrees": 21}}
                ]
            }
        }
    ]


def test_elevenlabs() -> None:
    """ElevenLabs, "Agents WebSocket": metadata, ping, transcript, audio, interruption, a tool."""
    wire = ElevenLabsWire()
    assert wire.append(b"x") == b""

    def audio(number: int) -> dict[str, Any]:
        return {"type": "audio", "audio_event": {"audio_base_64": SOUND, "event_id": number}}

    call = {"tool_name": "get_weather", "tool_call_id": "t1", "parameters": {"city": "Oslo"}}
    metadata = {
        "conversation_id": "c1",
        "agent_output_audio_format": "pcm_16000",
        "user_input_audio_format": "ulaw_8000",
    }
    assert read(
        wire,
        {
            "type": "conversation_initiation_metadata",
            "conversation_initiation_metadata_event": metadata,
        },
        {"type": "ping", "ping_event": {"event_id": 7, "ping_ms": 50}},
        {"type": "user_transcript", "user_transcription_event": {"user_transcript": "Hello"}},
        {"type": "agent_response", "agent_response_event": {"agent_response": "Hi there"}},
        audio(1),
        {"type": "interruption", "interruption_event": {"event_id": 1}},
        audio(1),
        {"type": "client_tool_call", "client_tool_call": call},
    ) == [
        *("Ready", "event conversation_initiation_metadata"),
        *("event ping", 'send {"type":"pong","event_id":7}'),
        *("Understood", "event user_transcript"),
        "event agent_response",
        "audio turn-1",
        *("Said", "AudioOver", "Interrupted", "event interruption"),
        *("event client_tool_call", 'tool get_weather {"city":"Oslo"}'),
    ]
    assert str(wire.input_format) == "pcmu/8000"
    assert str(wire.output_format) == "pcm16/16000"


def test_deepgram() -> None:
    """Deepgram, "Voice Agent": welcome, settings, text, audio, barge-in, a function."""
    settings = settings_message({"agent": {"think": {"prompt": "Hi"}}}, [TOOL], "pcmu")
    assert settings["audio"]["input"] == {"encoding": "mulaw", "sample_rate": 8000}
    assert [f["name"] for f in settings["agent"]["think"]["functions"]] == ["get_weather"]
    wire = DeepgramWire()
    wire.settings = settings
    function = {"id": "f1", "name": "get_weather", "arguments": "{}", "client_side": True}
    there = {**function, "id": "f2", "client_side": False}
    told = read(
        wire,
        {"type": "Welcome", "request_id": "r"},
        {"type": "SettingsApplied"},
        {"type": "ConversationText", "role": "user", "content": "Hello"},
        {"type": "ConversationText", "role": "assistant", "content": "Hi there"},
        b"\xff" * 160,
        {"type": "AgentAudioDone"},
        {"type": "UserStartedSpeaking"},
        {"type": "FunctionCallRequest", "functions": [function, there]},
        {"type": "Error", "description": "no", "code": "BAD"},
    )
    assert told[1].startswith('send {"type":"Settings"')
    assert told[2:] == [
        *("Ready", "event SettingsApplied"),
        *("Understood", "event ConversationText"),
        "event ConversationText",
        "audio turn-1",
        *("Said", "AudioOver", "Works", "event AgentAudioDone"),
        *("Interrupted", "event UserStartedSpeaking"),
        *("event FunctionCallRequest", "tool get_weather {}"),
        *("Failed", "event Error"),
    ]


def test_ultravox() -> None:
    """Ultravox, "Protocol & Data Messages": state, transcript, audio, clearing, a client tool."""
    body = call_body({"systemPrompt": "Hi"}, [TOOL])
    (tool,) = body["selectedTools"]
    assert tool["temporaryTool"]["dynamicParameters"][0]["name"] == "city"
    wire = UltravoxWire(body)
    invocation = {"toolName": "get_weather", "invocationId": "i1", "parameters": {"city": "Oslo"}}
    said = {"type": "transcript", "role": "agent", "medium": "voice", "ordinal": 0}
    heard = {**said, "role": "user", "text": "Hello", "final": True}
    assert read(
        wire,
        {"type": "call_started", "callId": "c"},
        {**said, "delta": "Hi", "final": False},
        b"\x00\x01" * 160,
        {"type": "state", "state": "listening"},
        heard,
        {"type": "playback_clear_buffer"},
        {"type": "client_tool_invocation", **invocation},
    ) == [
        *("Ready", "event call_started"),
        "event transcript",
        "audio turn-1",
        *("Said", "AudioOver", "Works", "event state"),
        *("Understood", "event transcript"),
        *("Interrupted", "event playback_clear_buffer"),
        *("event client_tool_invocation", 'tool get_weather {"city":"Oslo"}'),
    ]
    wire.tool_output("i1", '"sunny"')
    assert orjson.loads(wire.outgoing()[0]) == {
        "type": "client_tool_result",
        "invocationId": "i1",
        "result": '"sunny"',
    }


def test_cartesia() -> None:
    """Cartesia, "Calls API": ack, audio, clear, keys, what the agent's code tells."""
    wire = CartesiaWire()
    assert wire.append(b"x") == b""
    config = {"input_format": "mulaw_8000"}
    assert read(
        wire,
        {"event": "ack", "stream_id": "s1", "config": config},
        {"event": "media_output", "stream_id": "s1", "media": {"payload": SOUND}},
        {"event": "clear", "stream_id": "s1"},
        {"event": "dtmf", "stream_id": "s1", "dtmf": "1"},
        {"event": "custom", "stream_id": "s1", "metadata": {"a": 1}},
    ) == [
        *("Ready", "event ack"),
        "audio turn-1",
        *("AudioOver", "Interrupted", "event clear"),
        "event dtmf",
        "event custom",
    ]
    assert orjson.loads(wire.append(b"\xff")) == {
        "event": "media_input",
        "stream_id": "s1",
        "media": {"payload": "/w=="},
    }


WIRES = [GeminiWire, ElevenLabsWire, DeepgramWire, lambda: UltravoxWire({}), CartesiaWire]


@pytest.mark.parametrize(
    "make", WIRES, ids=["gemini", "elevenlabs", "deepgram", "ultravox", "cartesia"]
)
def test_what_is_odd_ends_nothing(make: Any) -> None:
    wire: Wire = make()
    for text in ("", "no JSON", "[]", '"x"', "7"):
        with pytest.raises(RemoteProtocolError):
            wire.receive(text)
    odd: list[Any] = [None, 7, "x", [], {}, [7], {"a": None}]
    names = "type event serverContent toolCall functions media config role content medium text"
    kinds = "audio transcript FunctionCallRequest ConversationText ack media_output state Error"
    for field in names.split():
        for value in odd:
            for kind in kinds.split():
                frame = {"type": kind, "event": kind, field: value}
                with suppress(RemoteProtocolError):
                    wire.receive(orjson.dumps(frame).decode())


def test_names_of_events_are_voxengines() -> None:
    """Its typings have one that leaves the prefix of its namespace."""
    assert Deepgram.VoiceAgentEvents.HTTPResponse.name == "Deepgram.Agents.HTTPResponse"
    assert Deepgram.VoiceAgentEvents.Welcome.name == "Deepgram.VoiceAgent.Welcome"
