"""``voxpy test``: what it runs, what it prints and writes, and its exit codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from voxpy.cli import main
from voxpy.cli.test import DEFAULT_FOLDER

ROOT = Path(__file__).parents[2]
SCENARIO = """
from voxpy import AppEvents, CallEvents, Logger, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    event.call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    event.call.answer()
    Logger.write("hello")
"""
CALLER = "scenario: s.py\nsteps:\n- wait: answered\n- wait: 1\n- hang_up\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.py").write_text(SCENARIO)
    (tmp_path / "good.yaml").write_text(CALLER + "expect: {log: hello}\n")
    return tmp_path


def run(*args: str) -> Result:
    return CliRunner().invoke(main, ["test", *args])


def test_our_own_callers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "scenarios", tmp_path / "scenarios")
    monkeypatch.chdir(tmp_path)
    ran = run("--json")
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    callers = sorted(p.stem for p in (ROOT / DEFAULT_FOLDER).glob("*.yaml"))
    assert [s["name"] for s in told["scripts"]] == callers
    assert told["ok"]
    answer = told["reports"][0]["measures"]
    assert len(answer["interruptions_ms"]) == 1
    assert len(answer["reply_ms"]) == 4


def test_a_failure_is_shown_and_written(folder: Path) -> None:
    (folder / "bad.yaml").write_text(CALLER + "expect: {log: goodbye}\n")
    ran = run(".", "--junit", "out/junit.xml")
    assert ran.exit_code == 1
    assert "log: no line has /goodbye/ (1 lines)" in ran.output
    assert "2 calls: 1 passed, 1 failed" in ran.output
    suite = ET.parse(folder / "out" / "junit.xml").getroot()[0]
    assert [(c.attrib["name"], [e.tag for e in c]) for c in suite] == [
        ("bad", ["failure"]),
        ("good", []),
    ]
    kept = folder / ".voxpy" / "tests"
    assert [p.relative_to(kept).parts[0] for p in kept.rglob("call.wav")] == ["bad"]


def test_every_bad_script_is_named_before_anything_runs(folder: Path) -> None:
    (folder / "bad.yaml").write_text(CALLER + "expect: {lgo: hello}\n")
    (folder / "worse.yaml").write_text("steps: 5\n")
    ran = run(".")
    assert ran.exit_code == 2
    assert "bad.yaml:6: expect has no 'lgo'; did you mean 'log'?" in ran.output
    assert "worse.yaml:1: `steps:` must be a list" in ran.output
    assert not (folder / ".voxpy").exists()


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["nowhere"], "nowhere: there is no such caller's script or folder"),
        (["good.yaml", "-k", "x"], "no caller's script in good.yaml whose name contains 'x'"),
        (["good.yaml", "--repeat", "0"], "--repeat"),
        (["good.yaml", "--real", "--speech"], "--speech is for virtual time"),
        (["good.yaml", "--judge", "http://x"], "which model is to judge?"),
    ],
)
def test_wrong_usage(folder: Path, args: list[str], told: str) -> None:
    ran = run(*args)
    assert ran.exit_code == 2
    assert told in ran.output


def test_some_of_them_and_stopping(folder: Path) -> None:
    for name in ("bad1", "bad2"):
        (folder / f"{name}.yaml").write_text(CALLER + "expect: {log: goodbye}\n")
    assert len(json.loads(run(".", "--json").stdout)["reports"]) == 3
    assert len(json.loads(run(".", "--json", "-x").stdout)["reports"]) == 1
    found = json.loads(run(".", "--json", "-k", "BAD").stdout)["reports"]
    assert [r["name"] for r in found] == ["bad1", "bad2"]


def test_repetitions_give_rates(folder: Path) -> None:
    ran = run("good.yaml", "--repeat", "3")
    assert ran.exit_code == 0
    assert "3/3 = 100 % (44-100 %)" in ran.output


def test_update_writes_the_transcript_into_the_script(folder: Path) -> None:
    text = CALLER.replace("- wait: 1", "- press: '1'\n- wait: 1")
    (folder / "good.yaml").write_text(text)
    ran = run("good.yaml", "--update")
    assert ran.exit_code == 0
    assert "good.yaml: transcript written" in ran.output
    assert (folder / "good.yaml").read_text() == (text + "expect:\n  transcript: |\n    keys: 1\n")
    assert "good.yaml: unchanged" in run("good.yaml", "--update").output


@pytest.mark.slow
def test_real_time(folder: Path) -> None:
    ran = run("good.yaml", "--real", "--json")
    assert ran.exit_code == 0, ran.output
    (report,) = json.loads(ran.stdout)["reports"]
    assert report["real_s"] >= report["virtual_s"] >= 1.0
