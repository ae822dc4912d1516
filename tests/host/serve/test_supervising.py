"""Listening in to a call, whispering and talking: who hears whom, and what the trace says of it."""

from __future__ import annotations

import numpy as np
import pytest
import trio

from tests.host.serve.conftest import Hosting, Running
from tests.host.serve.test_pages import HERE, START, Page, dial, page
from voxpy.audio.convert import decode, encode
from voxpy.audio.frame import pcm16
from voxpy.errors import HandshakeRefused

FORMAT = pcm16(24000)
SILENT = """
from voxpy import AppEvents, CallEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    event.call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    event.call.answer()
"""
TWO = """
from voxpy import AppEvents, CallEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    event.call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    event.call.answer()
    player = VoxEngine.create_tone_script_player(script="425@-20;.1(1/0/1)", loop=True)
    player.send_media_to(event.call)
"""


def tone(hz: float, seconds: float = 0.02, level: int = 6000, at: int = 0) -> bytes:
    n = np.arange(round(FORMAT.rate_hz * seconds)) + at
    return encode((level * np.sin(2 * np.pi * hz * n / FORMAT.rate_hz)).astype(np.int16), FORMAT)


def share(audio: bytes, hz: float) -> float:
    """Return how loud a tone is in the last half second."""
    samples = decode(audio, FORMAT)[-FORMAT.rate_hz // 2 :].astype(float)
    n = np.arange(len(samples))
    turns = np.exp(-2j * np.pi * hz * n / FORMAT.rate_hz)
    return float(abs((samples * turns).mean()) * 2)


async def say(who: Page, hz: float, seconds: float = 1.0) -> None:
    for n in range(round(seconds / 0.02)):
        who.socket.send(tone(hz, at=n * FORMAT.frame_samples))
        await trio.sleep(0.02)


async def listening(running: Running) -> tuple[Page, Page, str]:
    """Return a caller, somebody who listens in, and the id of the session."""
    caller = await page(running)
    caller.say(**START)
    await running.until(lambda: len(caller.events) == 2)
    session_id = caller.events[0]["id"]
    return caller, await page(running, f"/calls/{session_id}/listen"), session_id


@pytest.mark.parametrize(
    ("mode", "caller_hears", "agent_hears"),
    [("listen", False, False), ("whisper", False, True), ("talk", True, True)],
)
async def test_who_hears_a_supervisor(
    hosting: Hosting, mode: str, caller_hears: bool, agent_hears: bool, autojump_clock: object
) -> None:
    async with hosting(scenario=TWO) as running:
        caller, boss, session_id = await listening(running)
        boss.say(mode=mode)
        async with trio.open_nursery() as both:
            both.start_soon(say, caller, 1000.0)
            both.start_soon(say, boss, 2000.0)
        at_once = (share(caller.audio, 2000), share(boss.audio, 1000), share(boss.audio, 425))
        heard_by_agent = share(boss.audio, 2000) > 1000  # what comes out of the caller's port
        boss.socket.close()
        await trio.sleep(1)
        afterwards = share(caller.audio, 2000)
        trace = (await running.ask("GET", f"/api/sessions/{session_id}/trace", headers=HERE)).text
    by_caller, of_caller, of_far_side = at_once
    assert (by_caller > 1000) is caller_hears
    assert heard_by_agent is agent_hears
    assert of_caller > 1000
    assert of_far_side > 100
    assert afterwards < 100
    assert "supervisor listens in" in trace
    assert "supervisor left" in trace


async def test_a_supervisor_talks_to_a_caller_who_hears_nobody(
    hosting: Hosting, autojump_clock: object
) -> None:
    async with hosting(scenario=SILENT) as running:
        caller, boss, _ = await listening(running)
        boss.say(mode="talk")
        await say(boss, 2000.0)
        while_talking = share(caller.audio, 2000)
        boss.say(mode="listen")
        before = len(caller.audio)
        await say(boss, 2000.0)
        later = caller.audio[before:]
    assert while_talking > 1000
    assert FORMAT.duration_s(len(later)) < 0.3  # what was under way


async def test_it_ends_with_the_call_and_odd_messages_end_nothing(
    hosting: Hosting, autojump_clock: object
) -> None:
    async with hosting() as running:
        caller, boss, _ = await listening(running)
        for message in ("{", "[]", '{"mode":"shout"}', b"\x01"):
            boss.socket.send(message)
        await trio.sleep(1)
        assert not boss.socket.closed
        caller.say(event="stop")
        await running.until(lambda: boss.socket.closed)
        assert running.calls == 0


async def test_no_more_listen_in_than_a_call_bears(
    hosting: Hosting, autojump_clock: object
) -> None:
    async with hosting() as running:
        _, _, session_id = await listening(running)
        for _ in range(3):
            await page(running, f"/calls/{session_id}/listen")
        with pytest.raises(HandshakeRefused) as full:
            await dial(running, f"/calls/{session_id}/listen")
        with pytest.raises(HandshakeRefused) as nobody:
            await dial(running, "/calls/unknown/listen")
    assert (full.value.status, nobody.value.status) == (503, 404)
