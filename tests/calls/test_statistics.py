"""Figures of a call's streams, on a line that loses packets, in virtual time."""

from __future__ import annotations

import pytest

from voxpy.errors import ScenarioError
from voxpy.testing import CallKit

SCENARIO = """
from voxpy import AppEvents, CallEvents, Logger, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, VoxEngine.terminate)

    def told(event):
        (came,), (went,) = event.audio.in_, event.audio.out
        loud = came.audio_level > -40
        Logger.write(f"{came.num_packets} {came.packet_loss > 0} {loud} {went.num_packets}")

    call.add_event_listener(CallEvents.MediaStatisticsReceived, told)
    call.answer()
    await call.wait_event(CallEvents.Connected)
    call.monitor_media_statistics(monitor=True, interval=INTERVAL)
"""
CALLER = """steps:
- wait: answered
- say: Good morning, I would like to hear how my line is doing today.
- wait: 8.5
- hang_up
"""


def test_they_come_at_every_interval(voxpy: CallKit) -> None:
    call = voxpy.call(SCENARIO.replace("INTERVAL", "3"), CALLER)
    assert len(call.log) >= 3
    (came, lossy, loud, went), _, (_, _, later, _), *_ = (line.split() for line in call.log)
    assert {came, went} <= {"149", "150", "151"}
    assert (lossy, loud, later) == ("False", "True", "False")


def test_what_a_bad_line_loses_is_in_them(voxpy: CallKit) -> None:
    call = voxpy.call(SCENARIO.replace("INTERVAL", "5"), "line: {loss: 0.1}\n" + CALLER.lstrip())
    packets, lossy, *_ = call.log[0].split()
    assert 200 < int(packets) < 245
    assert lossy == "True"


@pytest.mark.parametrize("interval", ["2", "11", "'5'", "True"])
def test_an_interval_that_voxengine_has_not(voxpy: CallKit, interval: str) -> None:
    call = voxpy.call(SCENARIO.replace("INTERVAL", interval), CALLER, check_errors=False)
    (error,) = call.errors
    assert isinstance(error, ScenarioError)
    assert "3 to 10 seconds" in str(error)
