"""Watchdogs: first the event, then the end; and neither when all is well again."""

from __future__ import annotations

import math
import textwrap

import pytest

from voxpy.audio.frame import PCMU
from voxpy.channels.simulated import SimulatedLeg
from voxpy.engine.settings import Limits, Settings, Watchdogs
from voxpy.testing import CallKit, WorldCall

OFF = math.inf


def settings(**dogs: float) -> Settings:
    given = {"no_inbound_media_s": OFF, "dead_air_s": OFF, "longest_call_s": OFF, **dogs}
    return Settings(watchdogs=Watchdogs(**given))


def scenario(body: str = "", watch: str = "") -> str:
    return f"""
from voxpy import AppEvents, CallEvents, Logger, VoxEngine, WatchdogEvents
import trio

{watch}

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.answer()
    await call.wait_event(CallEvents.Connected)
{textwrap.indent(body.strip(), "    ")}
"""


def at(call: WorldCall, name: str) -> list[float]:
    return [e.t for e in call.find(name)]


STAY = "- wait: answered\n- wait: 100\n- hang_up"


def test_dead_air(voxpy: CallKit) -> None:
    call = voxpy.call(scenario(), STAY, settings=settings(dead_air_s=10.0, grace_s=4.0))
    (barked,) = at(call, "Watchdog.DeadAir")
    (ended,) = at(call, "ending")
    assert barked == pytest.approx(10.0, abs=1.1)
    assert ended - barked == pytest.approx(4.0, abs=0.001)
    assert call.result.end.reason.value == "watchdog"
    assert call.result.end.detail == "nobody has been audible for 14 s"
    assert call.result.record.finish_reason == "Timeout"
    assert call.result.record.calls[0]["end_reason"]["code"] == 16


def test_dead_air_is_forgiven_when_somebody_speaks(voxpy: CallKit) -> None:
    caller = "- wait: answered\n- wait: 12\n- say: I am still here\n- wait: 5\n- hang_up"
    call = voxpy.call(scenario(), caller, settings=settings(dead_air_s=10.0, grace_s=4.0))
    assert len(at(call, "Watchdog.DeadAir")) == 1
    assert call.result.end.reason.value == "terminated"
    assert call.result.failure == ""


def test_dead_air_barks_again_after_being_forgiven(voxpy: CallKit) -> None:
    caller = "- wait: answered\n- wait: 12\n- say: I am still here\n- wait: 60\n- hang_up"
    call = voxpy.call(scenario(), caller, settings=settings(dead_air_s=10.0, grace_s=4.0))
    first, second = at(call, "Watchdog.DeadAir")
    assert second - first > 10
    assert call.result.end.reason.value == "watchdog"


def test_a_caller_who_speaks_now_and_then_is_no_dead_air(voxpy: CallKit) -> None:
    steps = "- wait: answered\n" + "- wait: 8\n- say: hello there\n" * 4 + "- hang_up"
    call = voxpy.call(scenario(), steps, settings=settings(dead_air_s=10.0, grace_s=1.0))
    assert at(call, "Watchdog.DeadAir") == []
    assert call.result.end.reason.value == "terminated"


def test_the_longest_call(voxpy: CallKit) -> None:
    steps = "- wait: answered\n" + "- say: hello there my friend\n- wait: 1\n" * 30 + "- hang_up"
    call = voxpy.call(scenario(), steps, settings=settings(longest_call_s=20.0, grace_s=3.0))
    (barked,) = at(call, "Watchdog.CallTooLong")
    (ended,) = at(call, "ending")
    assert barked == pytest.approx(20.0, abs=1.1)
    assert ended - barked == pytest.approx(3.0, abs=0.001)
    assert "the call is too long" in call.result.end.detail


def test_a_scenario_may_say_goodbye_within_the_grace(voxpy: CallKit) -> None:
    watch = """
@VoxEngine.on(WatchdogEvents.CallTooLong)
async def too_long(event):
    Logger.write(f"{event.duration_s:.0f}")
    await trio.sleep(1)
    event.call.hangup()
"""
    call = voxpy.call(
        scenario(watch=watch), STAY, settings=settings(longest_call_s=20.0, grace_s=3.0)
    )
    assert call.log == ["20"]
    assert call.result.end.reason.value == "terminated"
    assert call.find("Call.Disconnected")[0].data["reason"] == "Hung up by the scenario"


def test_no_inbound_media(voxpy: CallKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that dies after five seconds: frames stop coming, nobody says goodbye."""
    pulled = 0
    whole = SimulatedLeg.pull

    def dying(leg: SimulatedLeg) -> bytes | None:
        nonlocal pulled
        pulled += 1
        frame = whole(leg)
        assert frame is None or len(frame) == PCMU.frame_bytes
        return frame if pulled < 250 else None

    monkeypatch.setattr(SimulatedLeg, "pull", dying)
    call = voxpy.call(scenario(), STAY, settings=settings(no_inbound_media_s=10.0, grace_s=2.0))
    (barked,) = at(call, "Watchdog.NoInboundMedia")
    assert barked == pytest.approx(15.0, abs=1.1)
    assert at(call, "ending")[0] - barked == pytest.approx(2.0, abs=0.001)
    assert call.result.end.detail == "no media from the caller for 12 s"


def test_silence_is_media(voxpy: CallKit) -> None:
    caller = "- wait: answered\n- wait: 30\n- hang_up"
    call = voxpy.call(scenario(), caller, settings=settings(no_inbound_media_s=5.0, grace_s=1.0))
    assert at(call, "Watchdog.NoInboundMedia") == []
    assert call.result.end.reason.value == "terminated"


def test_all_of_them_may_be_off(voxpy: CallKit) -> None:
    caller = "- wait: answered\n- wait: 300\n- hang_up"
    call = voxpy.call(scenario(), caller, settings=settings())
    assert not [n for n in call.names("event") if n.startswith("Watchdog")]
    assert call.find("Call.Disconnected")[0].t > 300


def test_the_time_to_answer_is_a_setting(voxpy: CallKit) -> None:
    source = """
from voxpy import AppEvents, CallEvents, VoxEngine
@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    event.call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
"""
    call = voxpy.call(
        source,
        "may_be_refused: true\nsteps:\n- wait: answered",
        settings=Settings(limits=Limits(unanswered_call_s=7.0)),
    )
    assert at(call, "Call.Disconnected") == [pytest.approx(7.0, abs=0.05)]


def test_early_media_without_an_answer_is_dropped(voxpy: CallKit) -> None:
    call = voxpy.call(
        """
from voxpy import AppEvents, CallEvents, Logger, VoxEngine

def alerting(event):
    event.call.add_event_listener(CallEvents.Disconnected, ended)
    event.call.start_early_media()

def ended(event):
    Logger.write(str(event.internal_code))
    VoxEngine.terminate()

VoxEngine.add_event_listener(AppEvents.CallAlerting, alerting)
""",
        "may_be_refused: true\nsteps:\n  - wait: {for: answered, within_s: 60}",
        settings=Settings(limits=Limits(early_media_s=20)),
    )
    assert call.names("warning") == ["early media without an answer"]
    assert call.log == ["408"]
    assert 20 <= call.result.record.duration_s < 22
