"""What is Gemini's own: a session that goes on over another connection, and Vertex AI's address."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from voxpy.errors import ScenarioError
from voxpy.gemini import Backend, Gemini, _vertex
from voxpy.testing import CallKit
from voxpy.testing.service import Service, Talk

SCENARIO = """
from voxpy import AppEvents, CallEvents, Gemini, Logger, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.answer()
    E = Gemini.LiveAPIEvents
    client = await Gemini.create_live_api_client(
        connect_config={"session_resumption": {}},
        on_web_socket_close=lambda e: Logger.write(f"closed {e.code}"))
    client.add_event_listener(
        E.SetupComplete, lambda e: VoxEngine.send_media_between(call, client))
    client.add_event_listener(E.SetupComplete, lambda e: Logger.write("ready"))
    client.add_event_listener(E.ServerContent, lambda e: Logger.write(str(e.data.payload)))
"""
WORDS = {"serverContent": {"outputTranscription": {"text": "Still here"}}}


def audio(ms: int) -> dict[str, Any]:
    data = base64.b64encode(b"\x00\x10" * (24 * ms)).decode()
    part = {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": data}}
    return {"serverContent": {"modelTurn": {"role": "model", "parts": [part]}}}


def test_the_session_goes_on_elsewhere_when_the_service_leaves(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        setup = (await talk.next())["setup"]
        await talk.send(orjson.dumps({"setupComplete": {}}))
        if setup["sessionResumption"] == {}:  # the first
            update = {"newHandle": "h1", "resumable": True}
            await talk.send({"sessionResumptionUpdate": update})
            await talk.send(audio(1000))
            await talk.send({"goAway": {"timeLeft": "50s"}})
            while len(talk.received) < 10:
                await talk.next()
            await talk.send({"serverContent": {"turnComplete": True}})
        else:
            await talk.next()  # audio of the caller comes here now
            await talk.send(WORDS)
        await talk.stay()

    service = Service(play)
    caller = "- wait: answered\n- wait: 4\n- hang_up"
    call = voxpy.call(SCENARIO, caller, serve=service, endpoint="ws://local.test")
    first, second = service.talks
    assert second.received[0]["setup"]["sessionResumption"] == {"handle": "h1"}
    assert first.closed == (1000, "")
    assert "realtimeInput" in second.received[1]
    said = [e.personal["text"] for e in call.entries if e.name == "Logger.write"]
    # One SetupComplete, no close of the first; the answer was played to its end before the move.
    assert said == ["ready", "{'turnComplete': True}", str(WORDS["serverContent"])]
    moved = call.find("session resumed on another connection")[0]
    assert moved.t >= 1.0


async def test_where_vertex_ai_is() -> None:
    service, token, model = _vertex("p", "us-central1", "ya29.token", {}, "m")
    assert service.endpoint.startswith("wss://us-central1-aiplatform.googleapis.com/ws/")
    assert service.authentication(str(token)) == [("Authorization", "Bearer ya29.token")]
    assert model == "projects/p/locations/us-central1/publishers/google/models/m"
    with pytest.raises(ScenarioError, match="project="):
        await Gemini.create_live_api_client(backend=Backend.VERTEX_AI)
