"""Concealment: what stands in a hole, and how it joins on both sides."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.audio.conceal import Concealer
from voxpy.audio.convert import decode, encode
from voxpy.audio.frame import PCMA, PCMU, Format, pcm16
from voxpy.audio.mix import rms_dbfs

FORMATS = [PCMU, PCMA, pcm16(8000), pcm16(16000), pcm16(44100)]
NARROW = pcm16(8000)
Floats = npt.NDArray[np.float64]


def vowel(fmt: Format, frames: int, pitch_hz: float = 110.0) -> list[bytes]:
    """Return something voiced: a pitch with five harmonics."""
    t = np.arange(frames * fmt.frame_samples) / fmt.rate_hz
    wave = sum(np.sin(2 * np.pi * pitch_hz * k * t + k) / k for k in range(1, 6))
    data = encode(np.rint(6000 * np.asarray(wave)).astype(np.int16), fmt)
    return [data[i : i + fmt.frame_bytes] for i in range(0, len(data), fmt.frame_bytes)]


def played(fmt: Format, frames: list[bytes], lost: set[int]) -> Floats:
    concealer = Concealer(fmt)
    out = [concealer.play(None if n in lost else frame) for n, frame in enumerate(frames)]
    assert all(len(frame) == fmt.frame_bytes for frame in out)
    return decode(b"".join(out), fmt).astype(float)


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_without_holes_the_very_frames_come_out(fmt: Format) -> None:
    concealer = Concealer(fmt)
    for frame in vowel(fmt, 5):
        assert concealer.play(frame) is frame
    assert concealer.concealed == 0


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
@pytest.mark.parametrize("pitch_hz", [70.0, 110.0, 190.0])
def test_a_voice_goes_on_in_the_hole(fmt: Format, pitch_hz: float) -> None:
    frames = vowel(fmt, 8, pitch_hz)
    real = decode(b"".join(frames), fmt).astype(float)
    made = played(fmt, frames, {4})
    hole = slice(4 * fmt.frame_samples, 4 * fmt.frame_samples + fmt.frame_samples // 2)
    a, b = real[hole], made[hole]  # at full level for 10 ms
    assert a @ b / np.sqrt((a @ a) * (b @ b)) > 0.95
    assert np.array_equal(made[: hole.start], real[: hole.start])
    assert np.array_equal(made[6 * fmt.frame_samples :], real[6 * fmt.frame_samples :])


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_neither_end_of_a_hole_clicks(fmt: Format) -> None:
    frames = vowel(fmt, 12)
    steepest = np.abs(np.diff(decode(b"".join(frames), fmt).astype(float))).max()
    for lost in ({4}, {4, 5}, {4, 5, 6, 7}):
        assert np.abs(np.diff(played(fmt, frames, lost))).max() < 1.3 * steepest


@pytest.mark.parametrize("pitch_hz", [90.0, 120.0, 160.0])
def test_a_voice_that_grows_is_picked_up_where_it_was(pitch_hz: float) -> None:
    t = np.arange(8 * 160) / 8000
    wave = 3000 * np.exp(15 * t) * np.cos(2 * np.pi * pitch_hz * (t - 0.08))  # 0.08 is its top
    data = encode(np.clip(np.rint(wave), -32768, 32767).astype(np.int16), NARROW)
    frames = [data[i : i + 320] for i in range(0, len(data), 320)]
    made = played(NARROW, frames, {4})
    assert abs(made[640] - made[639]) < np.abs(np.diff(made[480:640])).max()
    assert abs(made[640] - made[639]) < 600  # a period ago it was some 1,500 lower


def test_it_fades_over_60_ms_into_silence() -> None:
    frames = vowel(NARROW, 12)
    concealer = Concealer(NARROW)
    for frame in frames[:4]:
        concealer.play(frame)
    made = [decode(concealer.play(None), NARROW) for _ in range(5)]
    before = rms_dbfs(decode(frames[3], NARROW))
    assert rms_dbfs(made[0][:80]) == pytest.approx(before, abs=1)
    levels = [rms_dbfs(part) for part in np.concatenate(made).reshape(-1, 80)]
    assert all(a > b for a, b in itertools.pairwise(levels[:6]))
    assert levels[5] < before - 15
    assert not np.concatenate(made[3:]).any()
    assert concealer.concealed == 3


def test_silence_is_continued_by_silence() -> None:
    concealer = Concealer(PCMU)
    assert concealer.play(None) == PCMU.silence  # nothing has come yet
    concealer.play(PCMU.silence)
    assert concealer.play(None) == PCMU.silence
    assert concealer.concealed == 0


def test_a_pause_is_not_continued() -> None:
    concealer = Concealer(PCMU)
    (loud,) = vowel(PCMU, 1)
    concealer.play(loud)
    concealer.pause()
    assert concealer.play(None) == PCMU.silence
    assert concealer.play(loud) is not loud  # and what follows swells from it
    assert decode(concealer.play(loud), PCMU).tolist() == decode(loud, PCMU).tolist()


def test_where_audio_was_left_out_the_joint_is_smooth() -> None:
    frames = vowel(NARROW, 9, pitch_hz=113.0)
    rough = decode(frames[3] + frames[5], NARROW).astype(float)
    assert abs(rough[160] - rough[159]) > 3000  # the two do not fit
    concealer = Concealer(NARROW)
    for frame in frames[:4]:
        concealer.play(frame)
    joined = decode(frames[3] + concealer.play(frames[5], spliced=True), NARROW).astype(float)
    steepest = np.abs(np.diff(decode(b"".join(frames), NARROW).astype(float))).max()
    assert np.abs(np.diff(joined)).max() < 1.3 * steepest
    assert np.array_equal(joined[240:], rough[240:])
    assert concealer.concealed == 0


@given(
    st.sampled_from(FORMATS),
    st.lists(st.sampled_from(["frame", "lost", "spliced", "pause"]), max_size=30),
    st.integers(0, 2**32),
)
def test_any_audio_with_any_holes_is_filled(fmt: Format, events: list[str], seed: int) -> None:
    random = np.random.default_rng(seed)
    concealer = Concealer(fmt)
    in_a_row = 0
    for event in events:
        if event == "pause":
            concealer.pause()
            continue
        frame = None if event == "lost" else random.bytes(fmt.frame_bytes)
        out = concealer.play(frame, spliced=event == "spliced")
        assert len(out) == fmt.frame_bytes
        in_a_row = in_a_row + 1 if frame is None else 0
        if in_a_row > 3:
            assert out == fmt.silence
