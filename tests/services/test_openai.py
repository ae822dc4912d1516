"""What is OpenAI's own: addresses, Azure's key, the beta's arguments, sessions that only listen."""

from __future__ import annotations

import orjson
import pytest

from voxpy.openai.realtime import realtime_url
from voxpy.testing import CallKit, WorldCall
from voxpy.testing.service import Service, Talk

SCENARIO = """
from voxpy import AppEvents, CallEvents, Logger, OpenAI, VoxEngine
from voxpy.errors import VoxpyError

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.answer()
    try:
        client = await CREATE
        VoxEngine.send_media_between(call, client)
        DO
    except VoxpyError as error:
        Logger.write(str(error))
        VoxEngine.terminate()
"""


async def stay(talk: Talk) -> None:
    await talk.stay()


def run(voxpy: CallKit, create: str, do: str = "pass") -> tuple[WorldCall, list[Talk]]:
    service = Service(stay)
    source = SCENARIO.replace("CREATE", f"OpenAI.{create}").replace("DO", do)
    caller = "- wait: answered\n- wait: 1\n- hang_up"
    call = voxpy.call(source, caller, serve=service, endpoint="ws://local.test")
    return call, service.talks


@pytest.mark.parametrize(
    ("base", "whole"),
    [
        ("wss://api.openai.com/v1/realtime", "wss://api.openai.com/v1/realtime?model=m"),
        ("https://api.openai.com/v1", "wss://api.openai.com/v1/realtime?model=m"),
        ("http://127.0.0.1:8000/v1/", "ws://127.0.0.1:8000/v1/realtime?model=m"),
        (
            "https://r.openai.azure.com/openai?api-version=2025-04-01-preview&model=mine",
            "wss://r.openai.azure.com/openai/realtime?api-version=2025-04-01-preview&model=mine",
        ),
    ],
)
def test_the_address(base: str, whole: str) -> None:
    assert realtime_url({"model": "m"}, base, 1) == whole


def test_where_it_connects_and_who_it_is_there(voxpy: CallKit) -> None:
    _, (talk,) = run(voxpy, "create_realtime_api_client(api_key='sk-1', model='gpt-realtime')")
    assert talk.path == "/v1/realtime?model=gpt-realtime"
    assert talk.headers["authorization"] == "Bearer sk-1"
    _, (talk,) = run(
        voxpy,
        "create_realtime_api_client(api_key='k', model='mine',"
        " base_url='https://res.openai.azure.com/openai/v1')",
    )
    assert (talk.path, talk.headers["api-key"]) == ("/openai/v1/realtime?model=mine", "k")
    assert "authorization" not in talk.headers


def test_the_beta(voxpy: CallKit) -> None:
    do = "; ".join(
        [
            "client.session_update({'voice': 'echo'}, 'e1')",
            "client.conversation_item_create({'type': 'message'}, None, 'e2')",
            "client.conversation_item_truncate('i', 0, 700)",
            "client.response_create({'modalities': ['text']})",
            "client.response_cancel()",
        ]
    )
    _, (talk,) = run(voxpy, "Beta.create_realtime_api_client(api_key='k', model='m')", do)
    assert talk.headers["openai-beta"] == "realtime=v1"
    sent = [e for e in talk.received if e["type"] != "input_audio_buffer.append"]
    formats = {"input_audio_format": "g711_ulaw", "output_audio_format": "g711_ulaw"}
    assert sent == [
        {"type": "session.update", "session": {"voice": "echo", **formats}, "event_id": "e1"},
        {"type": "conversation.item.create", "item": {"type": "message"}, "event_id": "e2"},
        {
            "type": "conversation.item.truncate",
            "item_id": "i",
            "content_index": 0,
            "audio_end_ms": 700,
        },
        {"type": "response.create", "response": {"modalities": ["text"]}},
        {"type": "response.cancel"},
    ]


def test_what_a_service_does_not_take_is_said_with_what_to_do_instead(voxpy: CallKit) -> None:
    call, _ = run(
        voxpy, "create_realtime_api_client(api_key='k')", "client.output_audio_buffer_clear({})"
    )
    (told,) = [e.personal["text"] for e in call.entries if e.name == "Logger.write"]
    assert "OpenAI takes no output_audio_buffer.clear" in told
    assert "clear_media_buffer()" in told


def test_a_missing_key_names_the_secret(voxpy: CallKit) -> None:
    call, talks = run(voxpy, "create_realtime_api_client(base_url='wss://other.test/v1')")
    (told,) = [e.personal["text"] for e in call.entries if e.name == "Logger.write"]
    assert talks == []
    assert "OPENAI_API_KEY" in told


LISTENS = """
from voxpy import AppEvents, CallEvents, Logger, OpenAI, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.answer()
    E = OpenAI.RealtimeAPIEvents
    client = await OpenAI.create_realtime_api_client(
        type=OpenAI.RealtimeAPIClientType.TRANSCRIPTION)
    client.add_event_listener(E.SessionCreated, lambda e: client.session_update({"session": {
        "type": "transcription", "audio": {"input": {
            "transcription": {"model": "gpt-4o-transcribe"}}}}}))
    client.add_event_listener(E.SessionUpdated, lambda e: call.send_media_to(client))
    client.add_event_listener(
        E.ConversationItemInputAudioTranscriptionCompleted, lambda e: Logger.write(e.transcript))
"""


async def test_a_session_that_only_writes_down(voxpy: CallKit, autojump_clock: object) -> None:
    async with voxpy.world(LISTENS) as world:
        caller = await world.dial()
        await caller.wait_answered()
        await caller.pause(0.5)
        await caller.say("The quick brown fox")
        await caller.pause(30)  # nobody answers, and no watchdog barks
        caller.hang_up()
        await world.wait_ended()
    assert [e.personal["text"] for e in world.find("Logger.write")] == ["The quick brown fox"]
    assert world.agent.turns == []
    (connected,) = world.find("OpenAI.create_realtime_api_client")
    assert connected.data["url"].endswith("/v1/realtime?intent=transcription")
    updated = orjson.loads(orjson.dumps(world.find("session.update")[0].personal["payload"]))
    assert updated["session"]["audio"]["input"]["format"] == {"type": "audio/pcmu"}
    assert "output" not in updated["session"]["audio"]
