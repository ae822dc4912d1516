"""The vocabulary of each service: every event reaches a scenario by its name, every method the
service.

The far side is a peer that says and notes what it is told to; the fakes say only what they mean.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
import trio

import voxpy
from tests.wire.realtime.test_examples import SERVER
from voxpy.sockets import SocketLimits, receive_upgrade
from voxpy.testing import CallKit, World

Serve = Callable[[trio.abc.Stream], Awaitable[None]]
SCENARIO = """
from voxpy import AppEvents, Logger, VoxEngine, {name}


@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    event.call.answer()
    client = await {create}
    for kind in {events}.members().values():
        if getattr(kind, "wire_type", ""):
            client.add_event_listener(kind, lambda e: Logger.write(e.name))
{body}
"""
CREATE = {
    "Inworld.RealtimeAPIEvents": "Inworld.create_realtime_api_client(session_key='k', {more})",
    "OpenAI.RealtimeAPIEvents": "OpenAI.create_realtime_api_client(model='m', {more})",
    "OpenAI.Beta.RealtimeAPIEvents": "OpenAI.Beta.create_realtime_api_client(model='m', {more})",
    "Grok.VoiceAgentAPIEvents": "Grok.create_voice_agent_api_client({more})",
    "Yandex.RealtimeAPIEvents": "Yandex.create_realtime_api_client(folder_id='f', {more})",
    "Gemini.LiveAPIEvents": "Gemini.create_live_api_client(model='m', {more})",
    "ElevenLabs.AgentsEvents": "ElevenLabs.create_agents_client(agent_id='a', {more})",
    "Deepgram.VoiceAgentEvents": (
        "Deepgram.create_voice_agent_client(settings_options={{}}, {more})"
    ),
    "Ultravox.WebSocketAPIEvents": (
        "Ultravox.create_web_socket_api_client(endpoint=Ultravox.HTTPEndpoint.JOIN_CALL,"
        " join_url='ws://local-agent/join', {more})"
    ),
    "Cartesia.AgentsEvents": "Cartesia.create_agents_client(agent_id='a', {more})",
}
EXAMPLES = {told["type"]: told for told in (orjson.loads(text) for _, text in SERVER)}
WHOLE = {
    "item_id": "i",
    "response_id": "r",
    "output_index": 0,
    "content_index": 0,
    "delta": "d",
    "item": {"id": "i", "type": "message", "role": "user", "content": []},
    "arguments": "{}",
    "transcript": "t",
    "text": "t",
    "id": "s",
    "speaker": "a",
    "start": 0.0,
    "end": 1.0,
}
"""Of types whose examples stand under other names, or nowhere."""
CLOSES = "on_web_socket_close=lambda e: VoxEngine.terminate()"


def space(path: str) -> Any:
    found: Any = voxpy
    for name in path.split("."):
        found = getattr(found, name)
    return found


def kinds(path: str) -> list[Any]:
    members = space(path).members().values()
    return [k for k in members if getattr(k, "wire_type", "") and not k.never]


def scenario(path: str, body: str = "    pass", more: str = CLOSES) -> str:
    create = CREATE[path].format(more=more).replace(", )", ")")
    name = path.split(".")[0]
    return SCENARIO.format(name=name, create=create, events=path, body=body)


def frame(path: str, wire_type: str) -> dict[str, Any]:
    """Return a message of the service's of that type, as whole as it must be."""
    match path.split(".")[0]:
        case "Gemini":
            return {wire_type: {"turnComplete": True}}
        case "Cartesia":
            return {"event": wire_type, "stream_id": "s", "config": {"input_format": "mulaw_8000"}}
        case "ElevenLabs":
            formats = {"agent_output_audio_format": "ulaw_8000",
                       "user_input_audio_format": "ulaw_8000"}  # fmt: skip
            inside = {"conversation_id": "c", "tool_name": "t", "tool_call_id": "1", **formats}
            return {"type": wire_type, f"{wire_type}_event": inside, "client_tool_call": inside}
    return {**EXAMPLES.get(wire_type, WHOLE), "type": wire_type}


def saying(*frames: dict[str, Any], heard: list[Any] | None = None) -> Serve:
    """Return a far side that says these and, unless it is to listen, closes."""

    async def serve(stream: trio.abc.Stream) -> None:
        upgrade = await receive_upgrade(stream, limits=SocketLimits.without_pings())
        offered = upgrade.subprotocols
        socket = await upgrade.accept(subprotocol=offered[0] if offered else None)
        if heard is not None:
            socket.on_message = lambda m: heard.append(orjson.loads(m))
        for each in frames:
            socket.send(orjson.dumps(each).decode())
        if heard is None:
            socket.close(1000, "")
        await socket.run()

    return serve


async def ended(voxpy: CallKit, source: str, **options: Any) -> World:
    async with voxpy.world(source, **options) as world:
        await world.dial()
        await world.wait_ended()
    return world


@pytest.mark.parametrize("path", CREATE)
async def test_events_come_by_their_names(
    voxpy: CallKit, autojump_clock: object, path: str
) -> None:
    frames = [frame(path, kind.wire_type) for kind in kinds(path)]
    world = await ended(voxpy, scenario(path), serve=saying(*frames))
    missing = {kind.name for kind in kinds(path)} - set(world.log)
    assert missing == set()


def answering(*events: dict[str, Any]) -> Serve:
    """Return a server of text that answers any request with these."""
    body = b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in events)
    head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(body)}"

    async def serve(stream: trio.abc.Stream) -> None:
        await stream.receive_some(65536)
        await stream.send_all(head.encode() + b"\r\n\r\n" + body)

    return serve


TEXT = """
from voxpy import AppEvents, Logger, OpenAI, VoxEngine, set_timeout


@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    client = await OpenAI.{create}
    for kind in OpenAI.{events}.members().values():
        if getattr(kind, "wire_type", ""):
            client.add_event_listener(kind, lambda e: Logger.write(e.name))
    client.{ask}
    set_timeout(VoxEngine.terminate, 1000)
"""


async def test_events_of_responses(voxpy: CallKit, autojump_clock: object) -> None:
    path = "OpenAI.ResponsesAPIEvents"
    source = TEXT.format(
        create="create_responses_api_client()",
        events="ResponsesAPIEvents",
        ask="create_responses({'model': 'm', 'input': 'hi'})",
    )
    told = [{"type": kind.wire_type} for kind in kinds(path)]
    world = await ended(voxpy, source, serve=answering(*told))
    assert world.log == [kind.name for kind in kinds(path)]


async def test_events_of_chat_completions(voxpy: CallKit, autojump_clock: object) -> None:
    path = "OpenAI.ChatCompletionsAPIEvents"
    source = TEXT.format(
        create="create_chat_completions_api_client()",
        events="ChatCompletionsAPIEvents",
        ask="create_chat_completions({'model': 'm', 'messages': []})",
    )
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}
    delta = {"content": "Hello", "refusal": "no", "tool_calls": [call]}
    probable = {"content": [{"token": "Hello"}], "refusal": [{"token": "no"}]}
    chunk = {"choices": [{"index": 0, "delta": delta, "logprobs": probable}]}
    world = await ended(voxpy, source, serve=answering(chunk))
    assert set(world.log) == {kind.name for kind in kinds(path)}
    done = next(e for e in world.events if e.name.endswith("LogProbsContentDone"))
    assert len(done.payload["content"]) == 1  # its token looks like a secret, and is masked


METHODS: dict[str, dict[str, tuple[str, dict[str, Any]]]] = {
    "Deepgram.VoiceAgentEvents": {
        "send_update_speak": ("UpdateSpeak", {"speak": {"provider": {"type": "deepgram"}}}),
        "send_update_prompt": ("UpdatePrompt", {"prompt": "Be brief."}),
        "send_inject_agent_message": ("InjectAgentMessage", {"message": "Hello"}),
        "send_inject_user_message": ("InjectUserMessage", {"content": "Hello"}),
    },
    "ElevenLabs.AgentsEvents": {
        "contextual_update": ("contextual_update", {"text": "It rains."}),
        "user_message": ("user_message", {"text": "Hello"}),
    },
    "Ultravox.WebSocketAPIEvents": {
        "input_text_message": ("input_text_message", {"text": "Hello"}),
        "user_text_message": ("user_text_message", {"text": "Hello", "urgency": "soon"}),
        "set_output_medium": ("set_output_medium", {"medium": "text"}),
        "data_connection_tool_result": ("data_connection_tool_result", {"invocationId": "1"}),
        "forced_agent_message": ("forced_agent_message", {"content": "Hello"}),
    },
}


@pytest.mark.parametrize("path", METHODS)
async def test_methods_send_the_services_message(
    voxpy: CallKit, autojump_clock: object, path: str
) -> None:
    heard: list[Any] = []
    asked = METHODS[path]
    body = [f"    client.{method}({given!r})" for method, (_, given) in asked.items()]
    body.append("    set_timeout(VoxEngine.terminate, 100)")
    source = scenario(path, "\n".join(body), more="")
    source = source.replace("VoxEngine, ", "VoxEngine, set_timeout, ", 1)
    first = frame(path, "conversation_initiation_metadata")
    await ended(voxpy, source, serve=saying(first, heard=heard))
    wanted = [{"type": kind, **given} for kind, given in asked.values()]
    assert [m for m in heard if m in wanted] == wanted


SPEAKS = """
from voxpy import AppEvents, Cartesia, VoxEngine, set_timeout


@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    event.call.answer()
    player = Cartesia.create_realtime_tts_player("Good morning")
    player.cancel_context_request({})
    set_timeout(VoxEngine.terminate, 100)
"""


async def test_a_context_of_cartesias_is_given_up(voxpy: CallKit, autojump_clock: object) -> None:
    heard: list[Any] = []
    await ended(voxpy, SPEAKS, serve=saying(heard=heard))
    assert heard[1] == {"context_id": heard[0]["context_id"], "cancel": True}


CALL_LIST = """
from voxpy import AppEvents, CallList, Logger, VoxEngine


@VoxEngine.on(AppEvents.Started)
async def started(event):
    CallList.report_progress({"at": 1}, lambda r: Logger.write(r.code))
    await CallList.report_progress_async({"at": 2})
    CallList.request_next_attempt({"at": 3}, lambda r: Logger.write(r.code))
    await CallList.request_next_attempt_async({"at": 4})
    VoxEngine.terminate()
"""


async def test_a_call_list_hears_of_progress(voxpy: CallKit, autojump_clock: object) -> None:
    async with voxpy.world(CALL_LIST) as world:
        call = await world.start({"row": 1})
        await world.wait_ended()
    kinds = [(kind, data["at"]) for kind, data in call.reports]
    assert sorted(kinds, key=lambda k: k[1]) == [
        ("progress", 1),
        ("progress", 2),
        ("next attempt", 3),
        ("next attempt", 4),
    ]
