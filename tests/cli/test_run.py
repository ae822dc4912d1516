"""How ``voxpy run`` tells that a call failed: the cause comes last, and the exit code is 1."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from voxpy.cli import main

SCENARIOS = Path(__file__).parents[2] / "scenarios"
NOBODY = "ws://127.0.0.1:9"
FORGETS = """
from voxpy import AppEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    event.call.answer()
"""
LEAVES = "speech: tones\nsteps: [{wait: answered}, {wait: 1}, hang_up]"
LISTENS = "speech: tones\nsteps: [{wait: answered}, {expect: cannot be reached}, {wait: hung_up}]"
WANTS_MORE = "speech: tones\nsteps: [{wait: answered}, {expect: this is Voxi}]"


def run(folder: Path, scenario: Path, caller: str, *more: str) -> Result:
    (folder / "caller.yaml").write_text(caller)
    arguments = ["run", str(scenario), "--fast", "--caller", str(folder / "caller.yaml")]
    return CliRunner().invoke(main, [*arguments, "--out", str(folder / "out"), *more])


def test_a_session_that_nobody_ends_is_told_and_fails(tmp_path: Path) -> None:
    (tmp_path / "forgets.py").write_text(FORGETS)
    result = run(tmp_path, tmp_path / "forgets.py", LEAVES)
    assert result.exit_code == 1
    words = " ".join(result.output.split())
    assert "did you forget VoxEngine.terminate()" in words
    assert "It ends by itself 60 s after the last call." in words
    assert "did you forget VoxEngine.terminate()" in result.output.splitlines()[-1]


@pytest.mark.parametrize("name", ["answer", "backchannel", "tools"])
def test_an_agent_that_is_not_there_is_heard_of(tmp_path: Path, name: str) -> None:
    result = run(tmp_path, SCENARIOS / f"{name}.py", LISTENS, "--agent", NOBODY)
    assert "was not met" not in result.output
    last = result.output.splitlines()[-1]
    assert last.startswith("agent failed: no connection to the realtime service: 127.0.0.1:9")
    assert result.exit_code == 1


def test_the_cause_comes_before_the_callers_script(tmp_path: Path) -> None:
    result = run(tmp_path, SCENARIOS / "answer.py", WANTS_MORE, "--agent", NOBODY)
    assert result.output.splitlines()[-1].startswith("agent failed: no connection")
    assert result.exit_code == 1
