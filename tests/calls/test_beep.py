"""``enable_beep_detection`` in whole calls: found, timed out, switched off, too late."""

from __future__ import annotations

from typing import Any

import pytest

from voxpy.errors import ScenarioError
from voxpy.testing import CallKit, WorldCall

HEAD = """
import trio
from voxpy import AppEvents, CallEvents, Logger, VoxEngine

def over(event=None):
    VoxEngine.terminate()

def told(event):
    Logger.write(f"{event.frequencies} {event.timeout}")

def failed(event):
    Logger.write(event.reason)

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, over)
    call.add_event_listener(CallEvents.BeepDetectionComplete, told)
    call.add_event_listener(CallEvents.BeepDetectionError, failed)
    call.answer()
"""


def run(
    voxpy: CallKit, body: str, *steps: str, wait_s: float = 1, check_errors: bool = True
) -> WorldCall:
    scenario = HEAD + "".join(f"    {line}\n" for line in body.strip().splitlines())
    lines = ["- wait: answered", "- wait: 0.5", *steps, f"- wait: {wait_s}", "- hang_up"]
    return voxpy.call(scenario, "\n".join(lines), check_errors=check_errors)


def test_a_beep_is_reported_when_it_is_over(voxpy: CallKit) -> None:
    call = run(voxpy, "call.enable_beep_detection()", "- beep: {hz: 1400, seconds: 0.6}")
    assert call.log == ["[1400.0] None"]
    (heard,) = call.find("Call.BeepDetectionComplete")
    (ended,) = call.find("caller finished")
    assert 0 < heard.t - ended.t <= 0.08


def test_only_the_first_beep_is_reported(voxpy: CallKit) -> None:
    beeps = ["- beep: {hz: 1000, seconds: 0.3}", "- wait: 0.3", "- beep: {hz: 900, seconds: 0.3}"]
    assert run(voxpy, "call.enable_beep_detection(timeout=30000)", *beeps).log == ["[1000.0] None"]


def test_of_the_expected_frequencies_the_one_that_was_heard_is_reported(voxpy: CallKit) -> None:
    body = "call.enable_beep_detection(frequencies=[915, 1371, 1777])"
    beeps = ["- beep: {hz: 1000, seconds: 0.3}", "- wait: 0.3", "- beep: {hz: 1380, seconds: 0.3}"]
    assert run(voxpy, body, *beeps).log == ["[1371.0] None"]


def test_digits_speech_like_noise_and_ring_back_are_no_beep(voxpy: CallKit) -> None:
    steps = ["- press: '1590'", "- wait: 1.2", "- beep: {hz: 425, seconds: 1}"]
    assert run(voxpy, "call.enable_beep_detection(timeout=5000)", *steps, wait_s=3).log == [
        "None True"
    ]


def test_a_timeout_is_exact(voxpy: CallKit) -> None:
    call = run(voxpy, "call.enable_beep_detection(timeout=700)", wait_s=2)
    (asked,) = call.find("Call.enable_beep_detection")
    (told,) = call.find("Call.BeepDetectionComplete")
    assert told.t - asked.t == pytest.approx(0.7, abs=0.021)
    assert call.log == ["None True"]


def test_switching_it_off_is_reported_once(voxpy: CallKit) -> None:
    body = """
call.enable_beep_detection(timeout=5000)
await trio.sleep(1)
call.disable_beep_detection()
call.disable_beep_detection()
"""
    assert run(voxpy, body, "- wait: 1", "- beep: {hz: 1000, seconds: 0.3}").log == ["None False"]


def test_it_can_be_switched_on_again_and_starts_anew(voxpy: CallKit) -> None:
    body = """
call.enable_beep_detection(timeout=1000)
await trio.sleep(0.9)
call.enable_beep_detection(timeout=1000)
await call.wait_event(CallEvents.BeepDetectionComplete)
call.enable_beep_detection()
"""
    steps = ["- wait: 2", "- beep: {hz: 1000, seconds: 0.3}"]
    call = run(voxpy, body, *steps)
    assert call.log == ["None True", "[1000.0] None"]
    assert call.find("Call.BeepDetectionComplete")[0].t > 1.8


def test_the_end_of_the_call_is_an_error_only_while_it_listens(voxpy: CallKit) -> None:
    steps = "- wait: answered\n- wait: 0.5\n- hang_up"
    for body, log in (("call.enable_beep_detection()", ["the call has ended"]), ("pass", [])):
        scenario = HEAD.replace("VoxEngine.terminate()", "pass") + f"    {body}\n"
        assert voxpy.call(scenario, steps).log == log


def test_after_the_call_it_is_ignored(voxpy: CallKit) -> None:
    body = """
await call.wait_event(CallEvents.Disconnected)
call.enable_beep_detection()
"""
    scenario = HEAD.replace("VoxEngine.terminate()", "pass")
    scenario += "".join(f"    {line}\n" for line in body.strip().splitlines())
    call = voxpy.call(scenario, "- wait: answered\n- hang_up")
    (asked,) = call.find("Call.enable_beep_detection")
    assert asked.data["ignored_in_state"] == "TERMINATED"
    assert call.log == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("frequencies=[]", "frequencies are a list of 200 to 3500 Hz"),
        ("frequencies=[1000, 50]", "frequencies are a list of 200 to 3500 Hz"),
        ("frequencies='1000'", "frequencies are a list"),
        ("frequencies=1000", "frequencies are a list"),
        ("frequencies=[True]", "frequencies are a list"),
        ("timeout=0", "timeout is milliseconds above 0, not 0"),
        ("timeout=-1", "timeout is milliseconds above 0"),
        ("timeout='5 s'", "timeout is milliseconds above 0"),
        ("timeout=float('nan')", "timeout is milliseconds above 0"),
    ],
)
def test_misuse_is_named(voxpy: CallKit, arguments: str, words: Any) -> None:
    call = run(voxpy, f"call.enable_beep_detection({arguments})", check_errors=False)
    (error,) = call.errors
    assert isinstance(error, ScenarioError)
    assert words in str(error)
