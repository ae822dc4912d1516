from __future__ import annotations

from pathlib import Path

import pytest

from voxpy.testing import sweep

SCENARIOS = Path(__file__).parents[2] / "scenarios"
CALL = """
speech: tones
service:
  says: [{call: get_weather, with: {city: Paris}}, It is sunny.]
steps:
  - wait: answered
  - wait: 0.4
  - say: Weather?
  - wait: 1
"""
FORGETS_THE_TIMER = """
from voxpy import AppEvents, CallEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def answer(event):
    event.call.answer()
    event.call.add_event_listener(CallEvents.Connected, connected)

def connected(event):
    event.call.add_event_listener(CallEvents.Disconnected, lambda _: VoxEngine.terminate())
"""


def test_a_call_may_end_at_any_of_its_events() -> None:
    """That of scenarios/answer.py is swept by the guide (test_guide.py)."""
    swept = sweep(SCENARIOS / "tools.py", CALL)
    assert swept.events > 40
    assert swept.calls == 1 + 3 * swept.events


def test_the_event_at_which_an_end_is_missed_is_told() -> None:
    with pytest.raises(AssertionError) as raised:
        sweep(FORGETS_THE_TIMER, "speech: tones\nsteps: [wait: answered, wait: 1]")
    told = str(raised.value)
    assert "the session ends" in told
    assert "at_event: 1\n  do: hang_up" in told


def test_a_call_that_fails_by_itself_is_told_first() -> None:
    raising = FORGETS_THE_TIMER.replace("event.call.answer()", "event.call.reject()")
    with pytest.raises(AssertionError, match="the call itself broke a rule"):
        sweep(raising, "speech: tones\nsteps: [wait: 1]")


def test_an_unknown_ending_is_refused() -> None:
    with pytest.raises(AssertionError, match="a call can end by hang_up"):
        sweep(SCENARIOS / "echo.py", CALL, endings=["explode"])
