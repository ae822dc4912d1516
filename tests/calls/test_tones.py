"""Digits in whole calls: however they are sent they are reported once, and gone from the audio."""

from __future__ import annotations

import pytest

from voxpy.audio.dtmf import DigitBegan, DtmfDetector
from voxpy.audio.frame import Samples
from voxpy.audio.wav import read_wav
from voxpy.errors import LimitExceeded
from voxpy.testing import CallKit, WorldCall

HEAD = """
from voxpy import AppEvents, CallEvents, DTMFType, Logger, VoxEngine

def over(event=None):
    VoxEngine.terminate()

def tone(event):
    Logger.write(f"{event.tone}/{event.type}")

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, over)
    call.add_event_listener(CallEvents.ToneReceived, tone)
    call.answer()
    await call.wait_event(CallEvents.Connected)
"""


def scenario(body: str) -> str:
    return HEAD + "".join(f"    {line}\n" for line in body.strip().splitlines())


def presses(*steps: str, wait_s: float = 2) -> str:
    return "\n".join(["- wait: answered", "- wait: 0.5", *steps, f"- wait: {wait_s}", "- hang_up"])


def press(digits: str, how: str) -> str:
    return f"- press: {{digits: '{digits}', how: {how}}}"


def said(call: WorldCall) -> Samples:
    """Return what the session heard of the caller: the left side of the call's recording."""
    with (call.result.folder / "call.wav").open("rb") as file:
        return read_wav(file, name="call.wav").samples[:, 0]


def dialled(samples: Samples) -> str:
    events = DtmfDetector(8000).process(samples)
    return "".join(e.digit for e in events if isinstance(e, DigitBegan))


WAYS = {"rfc4733": "1", "inband": "2", "info": "3"}
WANTED = {"ALL": "123", "TELEPHONE_EVENT": "1", "IN_BAND": "2", "SIP_INFO": "3"}


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("kind", WANTED)
def test_every_way_is_reported_if_it_is_wanted(voxpy: CallKit, kind: str, how: str) -> None:
    call = voxpy.call(
        scenario(f"call.handle_tones(True, DTMFType.{kind})"), presses(press("4*", how))
    )
    wanted = WAYS[how] in WANTED[kind]
    assert call.log == ([f"4/{WAYS[how]}", f"*/{WAYS[how]}"] if wanted else [])
    # Sound that nobody asked for stays in the audio; what was asked for is taken out.
    assert dialled(said(call)) == ("4*" if how == "inband" and not wanted else "")


def test_a_caller_presses_as_the_scenario_wants_it(voxpy: CallKit) -> None:
    for kind, log in (("ALL", ["7/1"]), ("IN_BAND", ["7/2"])):
        call = voxpy.call(
            scenario(f"call.handle_tones(True, DTMFType.{kind})"), presses("- press: 7")
        )
        assert call.log == log


def test_nothing_is_listened_to_without_handle_tones_or_after_it(voxpy: CallKit) -> None:
    bodies = ("pass", "call.handle_tones(True)\ncall.handle_tones(False)")
    for body in bodies:
        steps = presses(press("1", "rfc4733"), press("2", "inband"), press("3", "info"))
        call = voxpy.call(scenario(body), steps)
        assert call.log == []
        assert dialled(said(call)) == "2"


def test_digits_in_band_come_at_the_right_time(voxpy: CallKit) -> None:
    call = voxpy.call(scenario("call.handle_tones(True)"), presses(press("123", "inband")))
    times = [e.t for e in call.find("Call.ToneReceived")]
    (pressed,) = call.find("caller presses")
    waited = [t - pressed.t - 0.2 * n for n, t in enumerate(times)]
    assert all(0.04 < w <= 0.1 for w in waited)  # 45 to 65 ms, and the line's own tick


@pytest.mark.parametrize("beside", ["rfc4733", "info"])
def test_a_digit_sent_both_ways_is_one_digit(voxpy: CallKit, beside: str) -> None:
    # The events all come before the sounds, and the sounds 200 ms apart.
    steps = presses(press("1123", beside), press("1123", "inband"))
    call = voxpy.call(scenario("call.handle_tones(True)"), steps)
    kind = WAYS[beside]
    assert call.log == [f"{d}/{kind}" for d in "1123"]
    assert len(call.find("the same digit by another way")) == 4


def test_an_info_after_the_key_is_up_is_the_same_digit_and_a_later_one_is_not(
    voxpy: CallKit,
) -> None:
    steps = presses(
        press("5", "inband"), "- wait: 0.9", press("5", "info"), "- wait: 1.5", press("5", "info")
    )
    call = voxpy.call(scenario("call.handle_tones(True)"), steps)
    assert call.log == ["5/2", "5/3"]


def test_the_same_key_again_by_the_same_way_is_another_digit(voxpy: CallKit) -> None:
    call = voxpy.call(
        scenario("call.handle_tones(True)"), presses(press("555", "inband"), press("66", "info"))
    )
    assert sorted(call.log) == ["5/2", "5/2", "5/2", "6/3", "6/3"]


def test_digits_stay_out_of_the_scenarios_recording(voxpy: CallKit) -> None:
    body = "call.handle_tones(True)\ncall.record(stereo=True)"
    call = voxpy.call(scenario(body), presses(press("1234", "inband")))
    assert call.log == ["1/2", "2/2", "3/2", "4/2"]
    assert dialled(said(call)) == ""


def test_send_digits_too_many_is_an_error_of_the_scenario(voxpy: CallKit) -> None:
    call = voxpy.call(scenario("call.send_digits('1' * 601)"), presses(), check_errors=False)
    (error,) = call.errors
    assert isinstance(error, LimitExceeded)


def test_send_digits_sound_at_the_other_end_one_after_another(voxpy: CallKit) -> None:
    body = "call.send_digits('123')\ncall.send_digits('pp#')"
    call = voxpy.call(scenario(body), presses(wait_s=3))
    assert [e.personal["text"] for e in call.find("caller receives digits")] == ["123", "pp#"]
    # From the first frame that sounds to the last: 100 ms are five frames.
    assert [e.data["seconds"] for e in call.find("agent silent")] == [0.48, 0.08]
    first, second = (e.t for e in call.find("agent audible"))
    assert second - first == pytest.approx(0.6 + 1.0, abs=0.001)
