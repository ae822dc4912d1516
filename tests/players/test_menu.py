"""The menu that ships with voxpy, with the caller that ships with it."""

from __future__ import annotations

from pathlib import Path

from voxpy.testing.calls import CallKit

SCENARIOS = Path(__file__).parents[2] / "scenarios"
CALLER = (SCENARIOS / "callers" / "menu.yaml").read_text(encoding="utf-8")


def test_its_own_caller_finds_what_it_wants(voxpy: CallKit) -> None:
    call = voxpy.call(SCENARIOS / "menu.py", CALLER)
    assert call.result.failure == ""
    assert call.result.end.reason.value == "terminated"
    assert call.log == [f"the caller pressed {key}" for key in "192"]
    names = call.names("event")
    assert names.index("Call.AudioStarted") < names.index("Call.Connected")
    assert names.count("Player.PlaybackFinished") == 2  # the wrong key, and the busy office


def test_three_wrong_keys_or_none_end_the_call(voxpy: CallKit) -> None:
    steps = "- wait: answered\n- press: '333'\n- wait: {for: hung_up, within_s: 20}"
    assert voxpy.call(SCENARIOS / "menu.py", steps).result.failure == ""
    silent = "- wait: answered\n- wait: {for: hung_up, within_s: 20}"
    assert voxpy.call(SCENARIOS / "menu.py", silent).result.failure == ""
