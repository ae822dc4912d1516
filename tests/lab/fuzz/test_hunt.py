"""Random callers as a whole: the hunt, the decorator, and what they found in voxpy itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings

from voxpy.lab.fuzz.hunt import AFTERWARDS, examine, hunt
from voxpy.lab.fuzz.perform import Conditions, perform
from voxpy.lab.fuzz.strategies import ScenarioFacts, plans
from voxpy.simulation.callerfile import parse_script
from voxpy.simulation.script import CallerScript
from voxpy.testing import WorldCall, fuzz_callers

SCENARIOS = Path(__file__).parents[3] / "scenarios"
FORGETS_TO_END = """
from voxpy import AppEvents, CallEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def answer(event):
    event.call.answer()
"""


@pytest.mark.parametrize("name", sorted(path.stem for path in SCENARIOS.glob("*.py")))
def test_the_scenarios_keep_every_rule(name: str) -> None:
    hunted = hunt(Conditions(scenario=SCENARIOS / f"{name}.py"), calls=15, first_seed=11)
    assert hunted.failure is None, f"{hunted.failure.violations}\n{hunted.failure.yaml}"
    assert hunted.calls == 15


def test_a_scenario_is_got_to_know_by_a_plain_call() -> None:
    facts, _ = examine(Conditions(scenario=SCENARIOS / "tools.py"))
    assert facts.realtime
    assert [tool["name"] for tool in facts.tools] == ["get_weather", "hang_up"]
    assert facts.events > 20
    facts, _ = examine(Conditions(scenario=SCENARIOS / "echo.py"))
    assert not facts.realtime
    assert facts.tools == ()


def test_two_processes_find_it_too() -> None:
    conditions = Conditions(scenario=(SCENARIOS / "echo.py",))
    seen: list[int] = []
    hunted = hunt(conditions, calls=100, jobs=2, progress=seen.append)
    assert hunted.failure is None
    assert hunted.calls == seen[-1] == 100


def test_the_same_seed_makes_the_same_calls() -> None:
    def called(seed: int) -> list[tuple[float, str]]:
        traces: list[tuple[float, str]] = []

        @fuzz_callers(SCENARIOS / "backchannel.py", max_examples=6, seed=seed)
        def note(call: WorldCall) -> None:
            traces.extend((e.t, e.name) for e in call.entries)

        note()
        return traces

    assert called(1) == called(1) != called(2)


def test_it_stops_when_time_is_up() -> None:
    hunted = hunt(Conditions(scenario=SCENARIOS / "echo.py"), calls=100_000, seconds=0.0)
    assert 1 < hunted.calls < 100


def test_a_failing_call_is_told_with_its_timeline_and_its_script() -> None:
    @fuzz_callers(FORGETS_TO_END, max_examples=5)
    def forgets(call: WorldCall) -> None:
        """Assert nothing more."""

    with pytest.raises(AssertionError) as raised:
        forgets()
    told = str(raised.value)
    assert "the session ends: after the last call nobody ended the session" in told
    assert "Call.answer" in told
    script = parse_script(told[told.index("speech: tones") :], file="told", folder=Path())
    assert len(script.steps) == 1


def test_a_rule_can_be_left_out() -> None:
    seen: list[WorldCall] = []

    @fuzz_callers(FORGETS_TO_END, max_examples=5, ignore=["the session ends"])
    def forgets(call: WorldCall) -> None:
        seen.append(call)

    forgets()
    assert len(seen) == 5


def test_a_test_can_ask_for_more() -> None:
    @fuzz_callers(SCENARIOS / "echo.py", max_examples=5)
    def never_answered(call: WorldCall) -> None:
        assert not call.find("Call.answer"), "it was answered"

    with pytest.raises(AssertionError, match=f"{AFTERWARDS}: it was answered"):
        never_answered()


@settings(max_examples=15)
@given(plan=plans(ScenarioFacts(tools=())))
def test_the_same_plan_leads_to_the_same_trace(plan: CallerScript) -> None:
    conditions = Conditions(scenario=SCENARIOS / "menu.py")
    first, second = (perform(plan, conditions).call.entries for _ in range(2))
    assert list(first) == list(second)


FOUND = {
    "an async handler began although the host had just ended the session": (
        "menu",
        "moments: [{at_s: 0, do: drain}]\nsteps: [wait: 0.5]",
    ),
    "a handler that woke up with the end was blamed for it": (
        "menu",
        'moments: [{at_event: 11, do: drain}]\nsteps: [wait: answered, press: "1", wait: 2]',
    ),
}


@pytest.mark.parametrize("what", FOUND)
def test_what_was_found_before_is_not_found_again(what: str) -> None:
    scenario, caller = FOUND[what]
    plan = parse_script("speech: tones\n" + caller, file="found", folder=Path())
    outcome = perform(plan, Conditions(scenario=SCENARIOS / f"{scenario}.py"))
    assert outcome.violations == []
    assert outcome.call.errors == []
