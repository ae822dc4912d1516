"""What a scenario makes in the moment its session ends does nothing, and is no error."""

from __future__ import annotations

import textwrap

import pytest

from voxpy.testing import CallKit

SCENARIO = """
from voxpy import (AMD, AppEvents, ASREvents, CallEvents, Conference, Logger, PlayerEvents, Silero,
                   VoxEngine)
import trio

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.answer()
    await call.wait_event(CallEvents.Connected)
    VoxEngine.terminate()
{body}
    Logger.write("went on")
"""
MADE = {
    "asr": "asr = VoxEngine.create_asr(profile='en-US'); call.send_media_to(asr); asr.stop()",
    "player": "p = VoxEngine.create_url_player('a.wav'); p.send_media_to(call); p.stop()",
    "speech": "p = VoxEngine.create_tts_player('hello'); p.add_marker(10); p.resume()",
    "tones": "VoxEngine.create_tone_script_player('425@-19;10(1/4/1)').send_media_to(call)",
    "recorder": "r = VoxEngine.create_recorder(); call.send_media_to(r); r.mute(True); r.stop()",
    "room": "c = VoxEngine.create_conference(); VoxEngine.send_media_between(call, c); c.stop()",
    "amd": "AMD.create(model='us', call=call)",
    "record": "call.record(stereo=True)",
    "say": "call.say('hello'); call.start_playback('a.wav'); call.stop_playback()",
    "listen": "call.handle_tones(True); call.handle_mic_status(True); call.enable_beep_detection()",
    "call": "other = VoxEngine.call_pstn('+1555', '+1556'); VoxEngine.easy_process(call, other)",
}


@pytest.mark.parametrize("made", MADE)
def test_a_unit_made_as_the_session_ends_is_inert(voxpy: CallKit, made: str) -> None:
    body = textwrap.indent(MADE[made].replace("; ", "\n"), "    ")
    call = voxpy.call(SCENARIO.format(body=body), "- wait: answered\n- wait: 1\n- hang_up")
    assert call.log == ["went on"]


def test_a_recogniser_that_loads_while_the_caller_hangs_up(voxpy: CallKit) -> None:
    """Its second task was started after the end, which was an internal error of ours."""
    body = """
    call.add_event_listener(CallEvents.Disconnected, VoxEngine.terminate)
    asr = VoxEngine.create_asr(profile="en-US")
    call.hangup()
"""
    scenario = SCENARIO.replace("    VoxEngine.terminate()\n", "").format(body=body)
    call = voxpy.call(scenario, "- wait: answered\n- wait: 1\n- hang_up")
    assert call.log == ["went on"]
    assert call.errors == []
