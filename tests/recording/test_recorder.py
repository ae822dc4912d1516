"""Recorders in whole calls: what is sent to them is in their file."""

# ruff: noqa: E501  scenario sources read better in whole lines

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from voxpy.errors import ScenarioError, UnknownName
from voxpy.testing import CallKit, WorldCall

SCENARIO = """
from voxpy import AppEvents, CallEvents, Logger, Modules, RecorderEvents, VoxEngine, require
import trio

require(Modules.Recorder)

def told(recorder):
    recorder.add_event_listener(RecorderEvents.Started, lambda e: Logger.write("started"))
    recorder.add_event_listener(RecorderEvents.Stopped, lambda e: Logger.write(f"stopped {e.duration} {e.reason}"))
    recorder.add_event_listener(RecorderEvents.RecorderError, lambda e: Logger.write("error " + e.error))
    return recorder

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.answer()
    await call.wait_event(CallEvents.Connected)
    BODY
"""
CALLER = "- wait: answered\n- say: one two three\n- wait: 9"
TWO = """
may_be_refused: true
callees:
  "200":
    steps:
      - wait: 0.5
      - say: four five six seven
      - wait: 9
steps:
  - wait: answered
  - wait: 3
  - say: one two three
  - wait: 9
"""


def run(voxpy: CallKit, body: str, caller: str = CALLER, **given: Any) -> WorldCall:
    return voxpy.call(SCENARIO.replace("BODY", body.strip()), caller, **given)


def read(call: WorldCall, name: str = "Recorder.Started") -> tuple[npt.NDArray[np.int16], int]:
    url = call.find(name)[0].data["url"]
    samples, rate_hz = soundfile.read(
        Path(unquote(urlsplit(url).path)), dtype="int16", always_2d=True
    )
    return samples, rate_hz


def loud_s(samples: npt.NDArray[np.int16], rate_hz: int) -> float:
    """Return the seconds in which there is sound, by blocks of 20 ms."""
    size = rate_hz // 50
    blocks = np.abs(samples[: len(samples) // size * size]).reshape(-1, size)
    return float((blocks.max(axis=1) > 500).sum()) * 0.02


def test_what_a_call_says_is_recorded_until_stop(voxpy: CallKit) -> None:
    call = run(
        voxpy,
        """
    recorder = told(VoxEngine.create_recorder(name="voice mail"))
    call.send_media_to(recorder)
    await trio.sleep(3)
    recorder.stop()
    recorder.stop()
    await recorder.wait_event(RecorderEvents.Stopped)
    call.send_media_to(recorder)
    VoxEngine.terminate()""",
    )
    assert call.log == ["started", "stopped 2.98 Stopped by the scenario"]
    (started,) = call.find("Recorder.Started")
    assert started.unit == "recorder-1"
    assert started.data["url"].endswith("/voice-mail.wav")
    assert call.result.record.recordings[1] == started.data["url"]
    samples, rate_hz = read(call)
    assert (rate_hz, samples.shape) == (8000, (23_840, 1))
    assert loud_s(samples[:, 0], rate_hz) == pytest.approx(0.9, abs=0.05)
    assert call.find("send_media_to")[-1].data["ignored"] == "has stopped"


def test_two_calls_into_one_recorder_are_mixed_or_side_by_side(voxpy: CallKit) -> None:
    call = run(
        voxpy,
        """
    other = VoxEngine.call_user(username="200", callerid="me")
    mixed, stereo = told(VoxEngine.create_recorder()), VoxEngine.create_recorder(stereo=True, hd_audio=True, format="mp3", name="both")
    await other.wait_event(CallEvents.Connected)
    for recorder in (mixed, stereo):
        call.send_media_to(recorder)
        other.send_media_to(recorder)
    await trio.sleep(4)
    mixed.stop()
    stereo.stop()
    await stereo.wait_event(RecorderEvents.Stopped)
    VoxEngine.terminate()""",
        TWO,
    )
    one, rate_hz = read(call)
    both_url = call.find("Recorder.Started")[1].data["url"]
    both, hd = soundfile.read(Path(unquote(urlsplit(both_url).path)), dtype="int16")
    assert hd == 48000
    assert both_url.endswith("both.mp3")
    assert loud_s(one[:, 0], rate_hz) == pytest.approx(2.1, abs=0.1)
    assert loud_s(both[:, 0], hd) == pytest.approx(0.9, abs=0.1)  # the first that was sent
    assert loud_s(both[:, 1], hd) == pytest.approx(1.2, abs=0.1)


def test_mute_is_silence_and_time_goes_on(voxpy: CallKit) -> None:
    call = run(
        voxpy,
        """
    recorder = told(VoxEngine.create_recorder())
    call.send_media_to(recorder)
    await trio.sleep(0.5)
    recorder.mute(True)
    await trio.sleep(2)
    recorder.mute(False)
    recorder.stop()
    await recorder.wait_event(RecorderEvents.Stopped)
    VoxEngine.terminate()""",
    )
    samples, rate_hz = read(call)
    assert len(samples) / 8000 == pytest.approx(2.5, abs=0.021)
    assert loud_s(samples[:, 0], rate_hz) == pytest.approx(0.5, abs=0.04)
    assert not samples[4400:].any()


def test_a_session_that_ends_leaves_whole_files(voxpy: CallKit) -> None:
    call = run(
        voxpy,
        """
    for n in range(3):
        recorder = VoxEngine.create_recorder(format="flac")
        call.send_media_to(recorder)
    await trio.sleep(1.3)
    VoxEngine.terminate()""",
    )
    names = sorted(p.name for p in call.result.folder.glob("recorder*"))
    assert names == ["recorder-2.flac", "recorder-3.flac", "recorder.flac"]
    for name in names:
        samples, rate_hz = soundfile.read(call.result.folder / name, dtype="int16")
        assert len(samples) / rate_hz == pytest.approx(1.3, abs=0.03)
    assert len(call.hosted.session.graph.attached) == 0


def test_the_words_are_written_here_too(voxpy: CallKit) -> None:
    call = run(
        voxpy,
        """
    recorder = told(VoxEngine.create_recorder(transcribe=True))
    call.send_media_to(recorder)
    await trio.sleep(2)
    VoxEngine.terminate()""",
    )
    (written,) = call.find("recording transcribed")
    assert written.unit == "recorder-1"
    path = Path(unquote(urlsplit(written.data["url"]).path))
    assert path.name == "recorder.transcript.json"
    assert "one two three" in path.read_text()


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("VoxEngine.create_recorder(name=7)", "name must be a string, not 7"),
        ("VoxEngine.create_recorder(lossless=True, hd_audio=True)", "lossless excludes hd_audio"),
        ("VoxEngine.create_recorder().mute(1)", "mute takes True or False, not 1"),
    ],
)
def test_wrong_arguments_say_what_was_expected(voxpy: CallKit, code: str, told: str) -> None:
    call = run(voxpy, code, check_errors=False)
    (error,) = call.errors
    assert isinstance(error, ScenarioError)
    assert told in str(error)


def test_a_recorder_says_nothing(voxpy: CallKit) -> None:
    call = run(
        voxpy,
        """
    VoxEngine.send_media_between(call, VoxEngine.create_recorder())
    VoxEngine.terminate()""",
    )
    assert [e.data["target"] for e in call.find("send_media_to")] == ["recorder-1/call-1"]


def test_names_that_a_recorder_has_not(voxpy: CallKit) -> None:
    call = run(voxpy, "VoxEngine.create_recorder().send_media_to(call)", check_errors=False)
    assert isinstance(call.errors[0], UnknownName)
    assert "it only hears" in str(call.errors[0])
    call = run(voxpy, "VoxEngine.create_recorder().stopp()", check_errors=False)
    assert "did you mean 'stop'" in str(call.errors[0])


def test_the_example_of_the_docs_runs(voxpy: CallKit) -> None:
    page = (Path(__file__).parents[2] / "docs" / "recording.md").read_text(encoding="utf-8")
    source = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    call = voxpy.call(source, "- wait: answered\n- say: one two three\n- hang_up")
    (line,) = call.log
    assert re.fullmatch(r"0\.\d+ s in file://.*/record\.mp3", line)
    assert len(call.result.record.transcripts) == 1
