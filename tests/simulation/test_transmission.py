"""A simulated line with a receiver at its end."""

from __future__ import annotations

import numpy as np
import pytest

from voxpy.audio.convert import decode, encode
from voxpy.audio.frame import PCMA, PCMU, Format, pcm16
from voxpy.audio.line import Line
from voxpy.channels.simulated import Transmission


def words(fmt: Format, frames: int) -> list[bytes]:
    """Return noise that comes and goes every half second, no two frames alike."""
    random = np.random.default_rng(4)
    samples = (random.standard_normal(frames * fmt.frame_samples) * 3000).astype(np.int16)
    data = bytearray(encode(samples, fmt))
    n = fmt.frame_bytes
    for frame in range(frames):
        if frame // 25 % 2:
            data[frame * n : frame * n + n] = fmt.silence
    return [bytes(data[i : i + n]) for i in range(0, len(data), n)]


AT_WORK = 1e-300
"""So small a loss never happens; but the line is not perfect, so the receiver is asked."""


@pytest.mark.parametrize("loss", [0.0, AT_WORK])
@pytest.mark.parametrize("fmt", [PCMU, PCMA, pcm16(16000)], ids=str)
def test_a_perfect_line_adds_nothing_not_even_a_frame_of_delay(fmt: Format, loss: float) -> None:
    path = Transmission(Line(fmt=fmt, loss=loss))
    for frame in words(fmt, 400):
        assert path.carry(frame) is frame
    assert path.statistics.concealed == path.statistics.discarded == 0
    assert path.statistics.delay_s == 0.0


def test_a_lost_frame_is_covered_up_and_the_others_are_themselves() -> None:
    frames = words(PCMU, 25)
    path = Transmission(Line(loss=0.2, seed=2))
    out = [path.carry(frame) for frame in frames]
    missing = path.statistics.lost
    assert 0 < missing < 10
    altered = sum(a is not b for a, b in zip(out, frames, strict=True))
    assert missing <= altered <= 2 * missing  # the one behind a hole is overlapped with it
    assert all(heard is not None and np.abs(decode(heard, PCMU)).max() > 100 for heard in out)


@pytest.mark.parametrize(("jitter_ms", "most_ms"), [(3, 20), (10, 60), (20, 100), (40, 200)])
def test_jitter_costs_a_delay_and_hardly_a_frame(jitter_ms: float, most_ms: float) -> None:
    frames = words(PCMU, 3000)
    path = Transmission(Line(jitter_ms=jitter_ms, seed=1))
    out = [path.carry(frame) for frame in frames]
    statistics = path.statistics
    assert statistics.late < 15
    assert statistics.concealed < 90
    assert 0 <= statistics.delay_s * 1000 <= most_ms
    heard = {frame for frame in out if frame is not None}
    sounding = [frame for frame in frames if frame != PCMU.silence]
    assert sum(frame in heard for frame in sounding) > 0.96 * len(sounding)


def test_when_nothing_arrives_it_says_so() -> None:
    path = Transmission(Line(loss=1.0))
    assert [path.carry(frame) for frame in words(PCMU, 20)] == [None] * 20


def test_the_sequence_numbers_of_a_long_call_wrap_unnoticed() -> None:
    path = Transmission(Line(loss=AT_WORK))
    frame = words(PCMU, 1)[0]
    assert all(path.carry(frame) is frame for _ in range(66_000))  # 22 minutes
