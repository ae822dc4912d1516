"""call.record and the recording that the host makes of every call: what is in the files."""

# ruff: noqa: E501  tables and scenario sources read better in whole lines

from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from voxpy.testing import CallKit, WorldCall

Samples = npt.NDArray[np.int16]

RECORDS = """
from voxpy import AppEvents, CallEvents, Logger, VoxEngine
import trio

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.RecordStarted, lambda e: Logger.write("started " + e.url))
    call.add_event_listener(
        CallEvents.RecordStopped, lambda e: (Logger.write(f"stopped {e.duration}"), VoxEngine.terminate())
        if e.reason == "Call ended" else Logger.write(f"replaced {e.duration}"))
    call.answer()
    await call.wait_event(CallEvents.Connected)
    call.send_media_to(call)
    BODY
"""
CALLER = "- wait: answered\n- wait: 1\n- say: one two three\n- wait: 1\n- hang_up"


def record(voxpy: CallKit, body: str, caller: str = CALLER) -> WorldCall:
    return voxpy.call(RECORDS.replace("BODY", body), caller)


def read(path: Path) -> tuple[int, Samples]:
    with wave.open(str(path)) as file:
        data = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return file.getframerate(), data.reshape(-1, file.getnchannels())


def path_of(url: str) -> Path:
    return Path(unquote(urlsplit(url).path))


def hz(samples: Samples, rate_hz: int) -> float:
    """Return the loudest frequency."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * rate_hz / len(samples)


def test_stereo_has_the_caller_left_and_what_it_hears_right(voxpy: CallKit) -> None:
    call = record(voxpy, "call.record(stereo=True)")
    (started,) = call.find("Call.RecordStarted")
    (stopped,) = call.find("Call.RecordStopped")
    assert stopped.data["url"] == started.data["url"]
    rate_hz, both = read(path_of(started.data["url"]))
    assert rate_hz == 8000
    assert both.shape[1] == 2
    assert stopped.data["duration"] == pytest.approx(len(both) / 8000, abs=0.001)
    assert np.abs(both[:, 0]).max() > 5000
    assert call.result.record.recordings[1] == started.data["url"]
    names = call.names("event")
    assert names.index("Call.Disconnected") < names.index("Call.RecordStopped")


def test_mono_is_the_sum_of_both(voxpy: CallKit) -> None:
    call = record(voxpy, "call.record()")
    rate_hz, one = read(path_of(call.find("Call.RecordStarted")[0].data["url"]))
    assert one.shape[1] == 1
    whole_hz, both = read(call.hosted.recording)
    assert rate_hz == whole_hz
    offset = len(both) - len(one)
    summed = both.astype(np.int32).sum(axis=1)[offset:].clip(-32768, 32767)
    assert np.array_equal(one[:, 0], summed)


def test_hd_audio_is_48_khz(voxpy: CallKit) -> None:
    call = record(voxpy, "call.record(hd_audio=True, stereo=True)")
    rate_hz, both = read(path_of(call.find("Call.RecordStarted")[0].data["url"]))
    assert rate_hz == 48000
    loud = np.flatnonzero(np.abs(both[:, 0]) > 2000)
    middle = both[loud[0] + 4800 : loud[0] + 28800, 0]
    assert hz(middle, 48000) == pytest.approx(2440, abs=5)  # the first text's loudest tone


def test_a_second_recording_replaces_the_first(voxpy: CallKit) -> None:
    call = record(voxpy, "call.record()\n    await trio.sleep(1)\n    call.record(stereo=True)")
    urls = [e.data["url"] for e in call.find("Call.RecordStarted")]
    assert len(set(urls)) == 2
    assert [e.data["url"] for e in call.find("Call.RecordStopped")] == urls
    assert [path_of(u).name for u in urls] == ["record.wav", "record-2.wav"]
    assert [e.data["reason"] for e in call.find("Call.RecordStopped")] == [
        "Replaced by another recording",
        "Call ended",
    ]
    lengths = [len(read(path_of(u))[1]) / 8000 for u in urls]
    assert lengths[0] == pytest.approx(1.0, abs=0.021)
    stopped = [e.data["duration"] for e in call.find("Call.RecordStopped")]
    assert stopped == pytest.approx(lengths, abs=0.001)
    assert call.result.record.recordings == [call.hosted.recording.as_uri(), *urls]


def test_a_recording_is_finished_when_the_session_ends_first(voxpy: CallKit) -> None:
    call = record(voxpy, "call.record()\n    await trio.sleep(1)\n    VoxEngine.terminate()")
    rate_hz, one = read(path_of(call.find("Call.RecordStarted")[0].data["url"]))
    assert len(one) / rate_hz == pytest.approx(1.0, abs=0.041)


def test_video_is_warned_about_and_the_sound_recorded(voxpy: CallKit) -> None:
    call = record(voxpy, "call.record(video=True)")
    warned = [e.name for e in call.entries if e.kind == "warning"]
    assert warned == ["call.record cannot record video; recording the sound"]
    assert len(call.find("Call.RecordStopped")) == 1


def test_mp3_is_what_was_asked_for(voxpy: CallKit) -> None:
    call = record(voxpy, "call.record(format='mp3', stereo=True, record_name_prefix='desk/7')")
    (stopped,) = call.find("Call.RecordStopped")
    path = path_of(stopped.data["url"])
    assert path.name == "desk-7-record.mp3"
    both, rate_hz = soundfile.read(path, dtype="int16", always_2d=True)
    assert rate_hz == 8000
    assert len(both) / rate_hz == pytest.approx(stopped.data["duration"], abs=0.001)
    loud = np.flatnonzero(np.abs(both[:, 0]) > 2000)
    assert hz(both[loud[0] + 800 : loud[0] + 4800, 0], 8000) == pytest.approx(2440, abs=5)


def test_lossless_is_flac_and_loses_nothing(voxpy: CallKit) -> None:
    call = record(voxpy, "call.record(lossless=True, stereo=True)")
    path = path_of(call.find("Call.RecordStarted")[0].data["url"])
    assert path.suffix == ".flac"
    both, rate_hz = soundfile.read(path, dtype="int16", always_2d=True)
    assert rate_hz == 48000
    _, narrow = read(call.hosted.recording)
    level = np.sqrt((both[:, 0].astype(float) ** 2).mean() * len(both) / 6)
    same = np.sqrt((narrow[:, 0].astype(float) ** 2).mean() * len(narrow))
    assert level == pytest.approx(same, rel=0.02)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [("lossless=True, format='mp3'", "lossless writes flac"), ("format='ogg'", "wav, mp3 or flac")],
)
def test_what_cannot_be_is_refused(voxpy: CallKit, arguments: str, told: str) -> None:
    source = RECORDS.replace("BODY", f"call.record({arguments})")
    call = voxpy.call(source, CALLER, check_errors=False)
    assert told in str(call.errors[0])
    assert call.find("Call.RecordStarted") == []


def test_a_secret_is_not_in_the_name_of_a_file(voxpy: CallKit) -> None:
    body = "call.record(record_name_prefix=VoxEngine.get_secret_value('KEY'))"
    call = voxpy.call(RECORDS.replace("BODY", body), CALLER, secrets={"KEY": "hunter2hunter2"})
    (started,) = call.find("Call.RecordStarted")
    assert path_of(started.data["url"]).exists()
    assert "hunter2" not in "".join(str(p) for p in call.result.folder.iterdir())


def test_a_folder_that_is_gone_is_told_and_the_call_goes_on(voxpy: CallKit) -> None:
    body = """
    import shutil
    from voxpy.engine.context import current
    folder = current("").context.files.folder.root
    folder.rename(folder.with_name("gone"))
    call.add_event_listener(CallEvents.RecordError, lambda e: Logger.write("error " + e.error))
    call.record()
    await trio.sleep(1)
    folder.with_name("gone").rename(folder)
    Logger.write(call.state())
    VoxEngine.terminate()
    """
    call = record(voxpy, body.strip())
    assert call.log == [
        "error record.wav cannot be recorded: No such file or directory",
        "CONNECTED",
    ]
    assert call.find("Call.RecordStarted") == []


WORDS = """
    call.add_event_listener(CallEvents.RecordError, lambda e: Logger.write("error " + e.error))
    call.record(ARGUMENTS, transcribe=True)
"""
TALK = "- wait: answered\n- wait: 1\n- say: one two three\n- wait: 2\n- say: four five six seven\n- wait: 1\n- hang_up"


def transcript(call: WorldCall) -> dict[str, Any]:
    (written,) = call.find("recording transcribed")
    (stopped,) = call.find("Call.RecordStopped")
    assert stopped.data["transcript_url"] == written.data["url"]
    assert call.result.record.transcripts == [written.data["url"]]
    content: dict[str, Any] = json.loads(path_of(written.data["url"]).read_text())
    assert content["personal"].keys() == {"utterances"}
    assert written.data["utterances"] == len(content["personal"]["utterances"])
    return content


@pytest.mark.parametrize("arguments", ["stereo=True", "stereo=True, format='mp3', hd_audio=True"])
def test_the_words_are_written_with_their_times_and_sides(voxpy: CallKit, arguments: str) -> None:
    call = record(voxpy, WORDS.strip().replace("ARGUMENTS", arguments), TALK)
    content = transcript(call)
    # The call is sent to itself: it hears what it says, in the same tick.
    said = [(u["channel"], u["text"]) for u in content["personal"]["utterances"]]
    assert sorted(said) == sorted(
        (side, text)
        for side in ("left", "right")
        for text in ("one two three", "four five six seven")
    )
    (connected,) = call.find("Call.Connected")
    for text, step in zip(
        ("one two three", "four five six seven"), call.find("caller speaks"), strict=True
    ):
        for u in content["personal"]["utterances"]:
            if u["text"] == text:
                assert u["start_s"] == pytest.approx(step.t - connected.t, abs=0.4)
                assert 0.9 < u["end_s"] - u["start_s"] < 2.2


def test_a_mixed_recording_has_one_side(voxpy: CallKit) -> None:
    body = "\n".join(line for line in WORDS.strip().splitlines())
    source = RECORDS.replace("    call.send_media_to(call)\n", "").replace(
        "BODY", body.replace("ARGUMENTS", "format='json', labels=['sales']")
    )
    content = transcript(voxpy.call(source, TALK))
    assert [u["channel"] for u in content["personal"]["utterances"]] == ["mono", "mono"]
    assert content["labels"] == ["sales"]


def test_a_language_nobody_understands_is_told_and_the_sound_recorded(voxpy: CallKit) -> None:
    call = record(voxpy, WORDS.strip().replace("ARGUMENTS", "language='ru-RU'"))
    assert (
        call.log[1]
        == "error no transcript of record.wav: the recogniser understands en, not 'ru-RU'"
    )
    (stopped,) = call.find("Call.RecordStopped")
    assert stopped.data["duration"] > 2
    assert call.find("recording transcribed") == []


def test_a_transcript_while_the_call_goes_on(voxpy: CallKit) -> None:
    body = "call.record(transcribe=True)\n    await trio.sleep(3)\n    call.record()\n    await trio.sleep(1.5)\n    VoxEngine.terminate()"
    call = record(voxpy, body, "- wait: answered\n- wait: 1\n- say: one two three\n- wait: 9")
    (written,) = call.find("recording transcribed")
    assert written.t < call.find("ending")[0].t - 1


@pytest.mark.parametrize(("handled", "audible"), [(True, False), (False, True)])
def test_digits_sound_in_the_recording_only_if_nobody_handles_them(
    voxpy: CallKit, handled: bool, audible: bool
) -> None:
    call = record(
        voxpy,
        f"call.handle_tones({handled})",
        "- wait: answered\n- wait: 0.5\n- press: '5'\n- wait: 1\n- hang_up",
    )
    _, both = read(call.hosted.recording)
    loudest = np.abs(both[:, 0]).max()
    assert (loudest > 1000) == audible
    assert bool(call.find("Call.ToneReceived")) == handled
    if audible:  # a 5 is 770 and 1336 Hz (ITU-T Q.23)
        loud = np.flatnonzero(np.abs(both[:, 0]) > 500)
        spectrum = np.abs(np.fft.rfft(both[loud[0] : loud[-1], 0]))
        at = np.arange(len(spectrum)) * 8000 / (loud[-1] - loud[0])
        peaks = {round(float(at[n])) for n in np.argsort(spectrum)[-2:]}
        assert any(abs(p - 770) < 20 for p in peaks)
        assert any(abs(p - 1336) < 20 for p in peaks)


def test_the_caller_is_not_heard_in_early_media(voxpy: CallKit) -> None:
    source = """
from voxpy import AppEvents, CallEvents, VoxEngine
import trio

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.start_early_media()
    call.send_media_to(call)
    await trio.sleep(3)
    call.answer()
"""
    call = voxpy.call(source, "- say: one two three\n- wait: 1\n- hang_up")
    (connected,) = call.find("Call.Connected")
    _, both = read(call.hosted.recording)
    before = both[: round(connected.t * 8000) - 160, 0]
    assert not before.any()
    assert np.abs(both[len(before) :, 0]).max() > 5000
