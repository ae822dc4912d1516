"""scenarios/voicemail.py, unchanged, with real voices: a machine, a person, nobody."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from voxpy.errors import EngineMissing
from voxpy.lab.replay import read_recording
from voxpy.localagent.engines import Engines, local_engines
from voxpy.simulation.service import ScriptedResponder
from voxpy.testing.calls import CallKit

SCENARIOS = Path(__file__).parents[2] / "scenarios"
CALLER = (SCENARIOS / "callers" / "voicemail.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def engines() -> Engines:
    try:
        return local_engines(ScriptedResponder([]))
    except EngineMissing as exc:
        pytest.skip(str(exc))


@pytest.mark.parametrize(
    ("callee", "result", "report"),
    [
        ("", "VOICEMAIL", "I left a message"),
        ("answer", "HUMAN", "I talked to the patient"),
        ("busy", "CALL_ENDED", "I did not reach the patient"),
    ],
)
def test_the_patient_is_reminded(
    voxpy: CallKit, engines: Engines, tmp_path: Path, callee: str, result: str, report: str
) -> None:
    shutil.copy(SCENARIOS / "callers" / "beep.wav", tmp_path)
    caller = CALLER
    if callee:
        start, end = CALLER.index("callees:"), CALLER.index("\nsteps:")
        caller = f'{CALLER[:start]}callees: {{"+15550188": {callee}}}{CALLER[end:]}'
    call = voxpy.call(SCENARIOS / "voicemail.py", caller, engines=engines)
    assert call.result.failure == ""
    assert call.log[0].startswith(f"+15550188: {result}")
    (heard,) = [e for e in call.find("caller heard") if e.personal["text"]]
    assert report in heard.personal["text"]
    assert read_recording(call.hosted.folder.root).gaps == (), "a replay hears the callee too"
    beeped = [e.t for e in call.find("Call.BeepDetectionComplete")]
    spoken = [e.t for e in call.find("Call.PlaybackStarted")]
    if result == "VOICEMAIL":
        assert 0 <= spoken[0] - beeped[0] < 0.1  # the message begins after the beep
