"""The face of a realtime client: every method, every wrong argument."""

# ruff: noqa: E501  tables and scenario sources read better in whole lines

from __future__ import annotations

import pytest

from voxpy.errors import ScenarioError, UnknownName
from voxpy.testing.calls import CallKit
from voxpy.testing.service import Service, Talk

SOURCE = """
from voxpy import AppEvents, CallEvents, Inworld, Logger, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.answer()
    client = await Inworld.create_realtime_api_client(session_key="k")
    BODY
"""
CALLER = "- wait: answered\n- wait: 1\n- hang_up"


async def stay(talk: Talk) -> None:
    await talk.stay()


SENDS = {
    "session_update": "session.update",
    "conversation_item_create": "conversation.item.create",
    "conversation_item_truncate": "conversation.item.truncate",
    "conversation_item_delete": "conversation.item.delete",
    "conversation_item_retrieve": "conversation.item.retrieve",
    "response_create": "response.create",
    "response_cancel": "response.cancel",
    "input_audio_buffer_append": "input_audio_buffer.append",
    "input_audio_buffer_commit": "input_audio_buffer.commit",
    "input_audio_buffer_clear": "input_audio_buffer.clear",
    "output_audio_buffer_clear": "output_audio_buffer.clear",
}


@pytest.mark.parametrize(("method", "kind"), SENDS.items())
def test_a_method_forwards_its_object_unchanged(voxpy: CallKit, method: str, kind: str) -> None:
    service = Service(stay)
    body = f"client.{method}({{'event_id': 'mine', 'nested': {{'a': [1, None, True]}}}})"
    call = voxpy.call(SOURCE.replace("BODY", body), CALLER, serve=service)
    assert service.talks[0].received == [
        {"type": kind, "event_id": "mine", "nested": {"a": [1, None, True]}}
    ]
    (command,) = call.find(kind)
    assert command.kind == "command"
    assert command.personal["payload"]["event_id"] == "mine"


@pytest.mark.parametrize("method", SENDS)
@pytest.mark.parametrize("wrong", ["'text'", "None", "[1]"])
def test_what_is_no_object_is_refused_at_the_call(voxpy: CallKit, method: str, wrong: str) -> None:
    body = f"client.{method}({wrong})"
    call = voxpy.call(SOURCE.replace("BODY", body), CALLER, serve=Service(stay), check_errors=False)
    (error,) = call.errors
    assert isinstance(error, ScenarioError)
    assert f"{SENDS[method]} takes a dict, not" in str(error)


def test_values_that_are_no_json_are_named(voxpy: CallKit) -> None:
    call = voxpy.call(
        SOURCE.replace("BODY", "client.response_create({'response': {1, 2}})"),
        CALLER,
        serve=Service(stay),
        check_errors=False,
    )
    assert "response" in str(call.errors[0])
    assert call.result.end.reason.value == "handler error"


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ("client.sessionUpdate({})", "did you mean 'session_update'?"),
        ("client.clearMediaBuffer()", "did you mean 'clear_media_buffer'?"),
        ("client.add_event_listener(Inworld.RealtimeAPIEvents.SesionCreated, print)", "SessionCreated"),
        ("Inworld.createRealtimeAPIClient(session_key='k')", "create_realtime_api_client"),
    ],
)  # fmt: skip
def test_misspelt_names_fail_with_the_nearest(voxpy: CallKit, body: str, hint: str) -> None:
    call = voxpy.call(SOURCE.replace("BODY", body), CALLER, serve=Service(stay), check_errors=False)
    (error,) = call.errors
    assert isinstance(error, UnknownName)
    assert hint in str(error)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("session_key=''", "session_key must be a unique string, not ''"),
        ("session_key=7", "session_key must be a unique string, not 7"),
        ("session_key='k', on_web_socket_close='later'", "on_web_socket_close must be a function"),
        ("session_key='k', api_key='two words'", "blanks"),
        ("session_key='k', auth_scheme='digest'", "neither 'basic' nor 'bearer'"),
        ("session_key='k', api_key='k', url='mailto:x'", "must be ws(s)://host/path"),
        ("session_key='k', url='ws://other.test/'", "api_key is None"),
    ],
)
def test_wrong_arguments_of_the_factory_are_named(
    voxpy: CallKit, arguments: str, words: str
) -> None:
    source = SOURCE.replace('session_key="k"', arguments).replace("BODY", "")
    call = voxpy.call(source, CALLER, serve=Service(stay), check_errors=False)
    assert words in str(call.errors[0])
    assert call.result.end.reason.value == "handler error"
    assert not call.find("websocket closed")


def test_the_rest_of_the_face(voxpy: CallKit) -> None:
    body = """
    Logger.write(client.id() + " " + client.web_socket_id())
    client.send_media_to(call)
    client.stop_media_to(call)
    client.clear_media_buffer()
    Logger.write(str(client.audio_played_ms("nothing")))
    client.close()
"""
    call = voxpy.call(SOURCE.replace("BODY", body.strip()), CALLER, serve=Service(stay))
    assert call.log == ["client-1 client-1-websocket", "0.0"]
    names = call.names("command")
    assert names[-5:-1] == [
        "send_media_to",
        "stop_media_to",
        "RealtimeAPIClient.clear_media_buffer",
        "RealtimeAPIClient.close",
    ]
