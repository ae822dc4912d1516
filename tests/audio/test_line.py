"""The simulated line."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.audio.convert import decode, encode
from voxpy.audio.frame import PCMA, PCMU, Format, pcm16
from voxpy.audio.line import Line, LineStatistics
from voxpy.audio.mix import rms_dbfs

formats = st.sampled_from([PCMU, PCMA, pcm16(16000)])


def numbered(fmt: Format, n: int) -> list[bytes]:
    """Return ``n`` frames, neighbours different, none silent."""
    return [bytes([1 + i % 80]) * fmt.frame_bytes for i in range(n)]


@given(formats)
def test_a_perfect_line_hands_over_the_objects_themselves(fmt: Format) -> None:
    line = Line(fmt=fmt)
    for frame in numbered(fmt, 5):
        assert line.carry(frame) is frame
    assert line.statistics == LineStatistics(frames=5, lost=0, late=0, concealed=0, delay_frames=0)


@given(
    formats,
    st.floats(0, 1),
    st.sampled_from([0.0, 5.0, 20.0, 45.0]),
    st.sampled_from([None, -60.0, -20.0]),
    st.integers(0, 2**64),
)
def test_a_seed_decides_everything(
    fmt: Format, loss: float, jitter_ms: float, noise_dbfs: float | None, seed: int
) -> None:
    def run() -> tuple[list[bytes], LineStatistics]:
        line = Line(loss=loss, jitter_ms=jitter_ms, noise_dbfs=noise_dbfs, seed=seed, fmt=fmt)
        out = [line.carry(frame) for frame in numbered(fmt, 30)]
        assert all(len(frame) == fmt.frame_bytes for frame in out)
        return out, line.statistics

    assert run() == run()


def test_different_seeds_differ() -> None:
    def lost(seed: int) -> list[bool]:
        line = Line(loss=0.3, seed=seed)
        return [line.carry(frame) is not frame for frame in numbered(PCMU, 100)]

    assert lost(1) != lost(2)


@given(st.floats(0, 1), st.sampled_from([0.0, 7.0, 20.0]), st.integers(0, 1000))
def test_every_frame_arrives_in_its_turn_or_is_counted(
    loss: float, jitter_ms: float, seed: int
) -> None:
    line = Line(loss=loss, jitter_ms=jitter_ms, seed=seed)
    frames = numbered(PCMU, 60)
    depth = line.statistics.delay_frames
    out = [line.carry(frame) for frame in frames + [PCMU.silence] * depth]
    arrived = sum(a is b for a, b in zip(out[depth:], frames, strict=True))
    missing = 60 - arrived
    statistics = line.statistics
    assert statistics.frames == 60 + depth
    assert 0 <= statistics.lost + statistics.late - missing <= depth
    assert statistics.concealed <= missing


@pytest.mark.parametrize(
    ("jitter_ms", "depth"), [(0, 0), (1, 1), (20 / 3, 1), (7, 2), (20, 3), (50, 8)]
)
def test_jitter_costs_a_fixed_delay(jitter_ms: float, depth: int) -> None:
    line = Line(jitter_ms=jitter_ms)
    assert line.statistics.delay_frames == depth
    out = [line.carry(frame) for frame in numbered(PCMU, depth + 1)]
    assert out[:depth] == [PCMU.silence] * depth
    assert out[depth] == numbered(PCMU, 1)[0]


def test_packets_are_late_as_often_as_three_deviations_say() -> None:
    line = Line(jitter_ms=20, seed=3)
    frame = b"\x00" * 160
    for _ in range(20_000):
        line.carry(frame)
    # P(|normal| > 3) is 0.0027: 54 expected, with a deviation of 7.3.
    assert 35 <= line.statistics.late <= 75
    assert line.statistics.lost == 0


def test_loss_is_as_frequent_as_asked() -> None:
    line = Line(loss=0.1, seed=5)
    for _ in range(5000):
        line.carry(b"\x00" * 160)
    assert 400 <= line.statistics.lost <= 600
    assert 0 < line.statistics.concealed <= line.statistics.lost


def test_a_hole_fades_over_three_frames_into_silence() -> None:
    fmt = pcm16(8000)
    frame = encode(np.full(160, 9000, np.int16), fmt)
    # A seed and a loss for which the first frame arrives and the next five do not.
    line = next(
        candidate
        for seed in range(1000)
        if _pattern(seed, 0.7) == [False, True, True, True, True, True]
        for candidate in [Line(loss=0.7, seed=seed, fmt=fmt)]
    )
    out = [decode(line.carry(frame), fmt) for _ in range(6)]
    heard = np.concatenate(out[1:4])
    assert out[0].tolist() == [9000] * 160
    assert heard[0] == 9000
    assert heard[-1] == 0
    assert np.all(np.diff(heard) <= 0)
    assert np.all(np.diff(heard) >= -20)  # evenly, without a step
    assert not out[4].any()
    assert not out[5].any()
    assert line.statistics.lost == 5
    assert line.statistics.concealed == 3


def test_after_a_good_frame_the_next_hole_fades_from_it_anew() -> None:
    fmt = pcm16(8000)
    wanted = [False, True, True, True, True, False, True]
    seed = next(seed for seed in range(10_000) if _pattern(seed, 0.7, 7) == wanted)
    line = Line(loss=0.7, seed=seed, fmt=fmt)
    levels = (9000, 1, 1, 1, 1, 6000, 1)
    out = [line.carry(encode(np.full(160, level, np.int16), fmt)) for level in levels]
    assert not decode(out[4], fmt).any()
    assert decode(out[6], fmt)[0] == 6000
    assert line.statistics.concealed == 4


def _pattern(seed: int, loss: float, n: int = 6) -> list[bool]:
    line = Line(loss=loss, seed=seed)
    return [line.carry(frame) is not frame for frame in numbered(PCMU, n)]


@given(formats)
def test_when_nothing_ever_arrives_there_is_silence(fmt: Format) -> None:
    line = Line(loss=1.0, fmt=fmt)
    assert [line.carry(frame) for frame in numbered(fmt, 5)] == [fmt.silence] * 5
    assert line.statistics.lost == 5
    assert line.statistics.concealed == 0


@pytest.mark.parametrize("noise_dbfs", [-20.0, -45.0])
def test_noise_has_the_level_asked_for(noise_dbfs: float) -> None:
    fmt = pcm16(8000)
    line = Line(noise_dbfs=noise_dbfs, fmt=fmt)
    heard = b"".join(line.carry(fmt.silence) for _ in range(100))
    assert rms_dbfs(decode(heard, fmt)) == pytest.approx(noise_dbfs, abs=0.2)


def test_noise_is_added_to_what_is_said_and_saturates() -> None:
    fmt = pcm16(8000)
    loud = encode(np.full(160, 32767, np.int16), fmt)
    heard = decode(Line(noise_dbfs=-20, fmt=fmt).carry(loud), fmt)
    assert heard.max() == 32767
    assert heard.min() > 0
    assert rms_dbfs(decode(Line(noise_dbfs=0.0, fmt=fmt).carry(fmt.silence), fmt)) > -3


def test_noise_leaves_the_pattern_of_losses_alone() -> None:
    quiet, noisy = Line(loss=0.3, seed=9), Line(loss=0.3, seed=9, noise_dbfs=-50)
    for frame in numbered(PCMU, 200):
        quiet.carry(frame)
        noisy.carry(frame)
        assert quiet.statistics == noisy.statistics
    assert quiet.statistics.lost > 0


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"loss": 1.5}, "loss=1.5"),
        ({"loss": math.nan}, "loss=nan"),
        ({"jitter_ms": -1.0}, "jitter_ms=-1.0"),
        ({"jitter_ms": math.inf}, "jitter_ms=inf"),
        ({"noise_dbfs": 3.0}, "noise_dbfs=3.0"),
    ],
)
def test_impossible_lines_are_refused(keywords: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Line(**keywords)  # type: ignore[arg-type]


def test_a_frame_of_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="320 bytes are not one 20 ms frame of pcmu/8000"):
        Line().carry(bytes(320))
