"""A voice that an installed package brings, and the options of speech."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voxpy.audio.wav import read_wav
from voxpy.errors import ScenarioError
from voxpy.players.speech import check_spoken
from voxpy.testing.calls import CallKit

VOICE = '''
import numpy as np

class Hum:
    """Every word is a tenth of a second of 300 Hz, for joe, or 600 Hz."""

    speakers = {"joe", "ann"}

    def warm_up(self): ...

    def speak(self, text, *, speaker, speed):
        hz = 300 if speaker == "joe" else 600
        for word in text.split():
            t = np.arange(round(2400 / speed)) / 24000
            yield (8000 * np.sin(2 * np.pi * hz * t)).astype(np.int16)

def make_voice():
    return Hum()
'''
SCENARIO = """
from voxpy import *

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.answer()
    await call.wait_event(CallEvents.Connected)
    call.say(
        "one two three four", voice="acme/joe", progressive_playback=%r,
        tts_options={"rate": "slow", "pitch": "high"},
    )
    Logger.write((await call.wait_event(CallEvents.PlaybackFinished)).error)
    VoxEngine.terminate()
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a package, as far as importlib.metadata can see."""
    site = tmp_path / "site"
    info = site / "acme-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[voxpy.voices]\nacme = acme_voice:make_voice\n")
    (site / "acme_voice.py").write_text(VOICE)
    monkeypatch.syspath_prepend(site)


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("progressive", [False, True])
def test_a_package_brings_a_voice(voxpy: CallKit, progressive: bool) -> None:
    call = voxpy.call(SCENARIO % progressive, "- wait: answered\n- wait: {for: hung_up}")
    assert call.log == ["null"]
    (started,) = call.find("Call.PlaybackStarted")
    assert started.data["duration"] == (0 if progressive else 500)  # 4 words at 0.8 of the pace
    with call.hosted.recording.open("rb") as file:
        heard = np.asarray(read_wav(file, name="call.wav").samples).reshape(-1, 2)[:, 1]
    part = heard[round((started.t + 0.05) * 8000) :][:3200].astype(float)
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), n=8000))
    assert int(np.argmax(spectrum)) == pytest.approx(300, abs=10)
    (unused,) = call.find("options that the voice has no use for")
    assert list(unused.data["names"]) == ["pitch"]


@pytest.mark.parametrize(
    ("options", "speed"),
    [
        (None, 1.0),
        ({"speed": 1.2}, 1.2),
        ({"rate": 0.5}, 0.5),
        ({"rate": "x-slow"}, 0.6),
        ({"speed": 2, "rate": "slow"}, 2.0),
    ],
)
def test_the_pace(options: dict[str, object] | None, speed: float) -> None:
    spoken = check_spoken(
        "say", "x", voice=None, progressive=False, tts_options=options, request=None
    )
    assert spoken.speed == speed


@pytest.mark.parametrize("options", [{"speed": 0}, {"speed": True}, {"rate": "quick"}])
def test_a_pace_that_is_none(options: dict[str, object]) -> None:
    with pytest.raises(ScenarioError, match="speed and rate are factors above 0"):
        check_spoken("say", "x", voice=None, progressive=False, tts_options=options, request=None)


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(("voice", "warned"), [("acme/Joe", False), ("acme/jo", True)])
def test_a_speaker_that_a_voice_does_not_have_is_told_of(
    voxpy: CallKit, voice: str, warned: bool
) -> None:
    scenario = SCENARIO.replace("acme/joe", voice) % False
    call = voxpy.call(scenario, "- wait: answered\n- wait: {for: hung_up}")
    told = [entry.data for entry in call.find("the voice has no such speaker")]
    assert [data["speaker"] for data in told] == (["jo"] if warned else [])
