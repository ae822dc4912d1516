"""Realtime TTS players, in calls whose voice is the local agent's, over each service's wire."""

from __future__ import annotations

import pytest

from voxpy.localagent.connection import Behaviour
from voxpy.testing import CallKit, World
from voxpy.wire.realtime.server.faults import Faults

SCENARIO = """
from voxpy import AppEvents, CallEvents, Cartesia, ElevenLabs, Inworld, Logger
from voxpy import PlayerEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.answer()
    MAKE
    P = PlayerEvents
    for kind in (P.Started, P.AudioChunksPlaybackFinished, P.PlaybackFinished, P.Error):
        player.add_event_listener(kind, lambda e: Logger.write(e.name))
    player.send_media_to(call)
    MORE
"""
MULAW = {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000}
PLAYERS = {
    "elevenlabs": (
        "player = ElevenLabs.create_realtime_tts_player('Good morning caller.',"
        " query_parameters={'output_format': 'ulaw_8000'})",
        "player.append('How are you today?', True)",
    ),
    "cartesia": (
        "player = Cartesia.create_realtime_tts_player('Good morning caller.',"
        f" generation_request_parameters={{'output_format': {MULAW}}})",
        "player.generation_request({'transcript': 'How are you today?'})",
    ),
    "inworld": (
        "player = Inworld.create_realtime_tts_player(create_context_parameters="
        "{'create': {'voiceId': 'Ashley'}}); "
        "player.send({'send_text': {'text': 'Good morning caller.'}})",
        "player.send({'send_text': {'text': 'How are you today?', 'flush_context': {}}})",
    ),
}


def scenario(name: str, more: str | None = None) -> str:
    make, rest = PLAYERS[name]
    return SCENARIO.replace("MAKE", make).replace("MORE", rest if more is None else more)


def logged(world: World) -> list[str]:
    return [str(e.personal["text"]) for e in world.find("Logger.write")]


@pytest.mark.parametrize("name", PLAYERS)
async def test_it_speaks(voxpy: CallKit, autojump_clock: object, name: str) -> None:
    async with voxpy.world(scenario(name)) as world:
        caller = await world.dial()
        await caller.wait_hears("good morning caller")
        await caller.wait_hears("how are you today")
        await caller.pause(1)
        caller.hang_up()
        await world.wait_ended()
    assert logged(world)[0] == "Player.Started"
    assert logged(world)[-2:] == ["Player.AudioChunksPlaybackFinished", "Player.PlaybackFinished"]


@pytest.mark.parametrize("name", PLAYERS)
async def test_it_falls_silent_at_once(voxpy: CallKit, autojump_clock: object, name: str) -> None:
    more = (
        "await call.wait_event(CallEvents.PlaybackStarted); "
        "import trio; await trio.sleep(0.5); player.clear_buffer()"
    )
    async with voxpy.world(scenario(name, more)) as world:
        caller = await world.dial()
        await caller.wait_agent_speaks()
        await caller.wait_hears_silence(for_s=1.0, within_s=3.0)
        caller.hang_up()
        await world.wait_ended()
    assert "good morning caller" not in " ".join(caller.heard).lower()


@pytest.mark.parametrize("name", PLAYERS)
async def test_a_voice_that_refuses(voxpy: CallKit, autojump_clock: object, name: str) -> None:
    behaviour = Behaviour(faults=Faults(refuse_status=401, refuse_message="who are you?"))
    async with voxpy.world(scenario(name, "pass"), behaviour=behaviour) as world:
        caller = await world.dial()
        await caller.pause(2)
        caller.hang_up()
        await world.wait_ended()
    assert logged(world) == ["Player.Error", "Player.PlaybackFinished"]
    assert "401" in world.call.result.end.detail
