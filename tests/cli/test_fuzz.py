from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from voxpy.cli import main
from voxpy.simulation.callerfile import read_script

ECHO = Path(__file__).parents[2] / "scenarios" / "echo.py"
FORGETS_TO_END = """
from voxpy import AppEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def answer(event):
    event.call.answer()
"""


@pytest.fixture
def forgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("forgets.py").write_text(FORGETS_TO_END)
    return "forgets.py"


def fuzz(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["fuzz", *map(str, arguments)], prog_name="voxpy")


def test_a_scenario_that_keeps_every_rule() -> None:
    result = fuzz(ECHO, "--calls", 10, "--jobs", 1, "--seed", 4)
    assert result.exit_code == 0
    assert result.output.startswith("10 calls in ")
    assert result.output.endswith(" a second), seed 4: every rule was kept\n")


def test_a_failure_is_shown_written_and_replayed(forgets: str) -> None:
    result = fuzz(forgets, "--jobs", 1)
    assert result.exit_code == 1
    assert "the session ends: after the last call nobody ended the session" in result.output
    assert "scenario  call-1: Call.answer" in result.output
    case = Path(".voxpy/fuzz/forgets.yaml")
    assert f"voxpy fuzz forgets.py --replay {case}" in result.output
    assert f"voxpy run forgets.py --caller {case} --fast --verbose" in result.output
    assert len(read_script(case).steps) == 1
    again = fuzz(forgets, "--replay", case)
    assert again.exit_code == 1
    assert "the session ends:" in again.output


def test_what_is_printed_replays_as_an_ordinary_call(forgets: str) -> None:
    fuzz(forgets, "--jobs", 1, "-o", "case.yaml")
    call = ["run", forgets, "--caller", "case.yaml", "--fast", "--no-play", "--json"]
    record = json.loads(CliRunner().invoke(main, call).output)
    assert record["end_reason"] == "no calls"
    assert record["duration_s"] > 60


def test_json(forgets: str) -> None:
    told = json.loads(fuzz(forgets, "--jobs", 1, "--json", "-o", "case.yaml").output)
    assert told["violations"][0]["rule"] == "the session ends"
    assert told["case"] == "case.yaml"
    assert told["calls"] == 1
    replayed = json.loads(fuzz(forgets, "--replay", "case.yaml", "--json").output)
    assert replayed["violations"][0]["rule"] == "the session ends"


def test_a_rule_that_is_ignored_and_one_that_is_not_known(forgets: str) -> None:
    assert fuzz(forgets, "--jobs", 1, "--calls", 3, "--ignore", "the session ends").exit_code == 0
    result = fuzz(forgets, "--ignore", "the session end")
    assert result.exit_code == 2
    assert "did you mean 'the session ends'" in result.output


def test_a_file_that_is_not_there(forgets: str) -> None:
    assert fuzz("nowhere.py").exit_code == 2
    assert fuzz(forgets, "--replay", "nowhere.yaml").exit_code == 2


def test_help_lists_the_rules() -> None:
    assert "no stale audio" in fuzz("--help").output
