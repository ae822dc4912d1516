"""A new step is one class and its name in the table: everything else goes by what it says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest
from hypothesis import find

from voxpy.audio.frame import Samples
from voxpy.errors import ConfigError
from voxpy.lab.fuzz.hunt import shrink
from voxpy.lab.fuzz.strategies import ScenarioFacts, plans
from voxpy.simulation import steps
from voxpy.simulation.caller import SimulatedCaller
from voxpy.simulation.callerfile import parse_script, write_script
from voxpy.simulation.script import CallerScript
from voxpy.simulation.sounds import beep
from voxpy.simulation.steps import STEPS, Sounds, Speak, Step, number
from voxpy.testing import CallKit

ECHO = Path(__file__).parents[2] / "scenarios" / "echo.py"
LEAVES = """
from voxpy import AppEvents, VoxEngine, set_timeout

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    event.call.answer()
    set_timeout(VoxEngine.terminate, 1000)
"""
CALLER = "steps:\n- wait: answered\n- hum: 4\n- hum\n- hum: {seconds: 3}\n- hang_up\n"


@attrs.frozen(kw_only=True)
class Hum(Step):
    name = "hum"
    is_audible = True

    seconds: float = number(2.0, simplest=0.5)

    async def sound(self, speak: Speak) -> Samples:
        return beep(220.0, self.seconds)

    async def act(self, person: SimulatedCaller, sounds: Sounds) -> None:
        await person.say(sounds[self], "[hum]")

    @classmethod
    def examples(cls) -> Sequence[Step]:
        return (Hum(), Hum(seconds=4.0))


@pytest.fixture(autouse=True)
def with_hum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "STEPS", {**STEPS, "hum": Hum})
    monkeypatch.setattr("voxpy.lab.fuzz.strategies.STEPS", {**STEPS, "hum": Hum})


def parse(text: str) -> CallerScript:
    return parse_script(text, file="me.yaml", folder=Path())


def hums(script: CallerScript) -> list[float]:
    return [step.seconds for step in script.steps if isinstance(step, Hum)]


def test_it_is_read_and_written_in_every_form() -> None:
    script = parse(CALLER)
    assert hums(script) == [4.0, 2.0, 3.0]
    written = write_script(script)
    assert "- hum: 4.0\n- hum\n- hum: 3.0\n" in written
    assert hums(parse(written)) == [4.0, 2.0, 3.0]


def test_what_is_wrong_with_it_is_told() -> None:
    with pytest.raises(ConfigError, match=r"me\.yaml:2: .*hum must be a number from 0 up, not 'x'"):
        parse("steps:\n- hum: x")
    with pytest.raises(ConfigError, match=r"unknown step 'humm'; did you mean 'hum'\?.*known: wai"):
        parse("steps:\n- humm: 3")


def test_it_is_acted_and_named_where_it_fails(voxpy: CallKit) -> None:
    call = voxpy.call(ECHO, CALLER)
    spoken = [e.data["seconds"] for e in call.find("caller speaks")]
    assert spoken == [4.0, 2.0, 3.0]
    assert call.result.failure == ""
    left = voxpy.call(LEAVES, CALLER)
    assert "caller.yaml:3: step 2 (hum: 4.0)" in left.result.failure


def test_random_callers_do_it_and_a_failure_of_it_is_made_small() -> None:
    plan = find(plans(ScenarioFacts()), lambda plan: bool(hums(plan)))
    assert hums(plan)
    small, _ = shrink(parse(CALLER), lambda candidate: bool(hums(candidate)))
    assert [step.name for step in small.steps] == ["hum"]
    assert hums(small) == [0.5]
