"""The agent's audio in every format of the protocol."""

from __future__ import annotations

import numpy as np
import pytest

from voxpy.localagent.wireaudio import CHUNK_S, Speech, linear
from voxpy.wire.realtime.events.formats import BYTES_PER_SAMPLE, PCM_RATES_HZ

FORMATS = [
    *(("pcm16", rate_hz) for rate_hz in PCM_RATES_HZ),
    *(("float32", rate_hz) for rate_hz in PCM_RATES_HZ),
    ("pcmu", 8000),
    ("pcma", 8000),
]
SILENT = {"pcm16": b"\0", "pcmu": b"\xff", "pcma": b"\xd5", "float32": b"\0"}


@pytest.mark.parametrize(("encoding", "rate_hz"), FORMATS)
def test_duration_is_kept_and_chunks_are_even(encoding: str, rate_hz: int) -> None:
    samples = np.zeros(24000 + 1, np.int16)  # one sample over: filled up to a frame
    chunks = list(Speech(encoding, rate_hz).chunks(samples, pause_s=0.16))
    size = BYTES_PER_SAMPLE[encoding]
    assert sum(map(len, chunks)) == round(rate_hz * (1.02 + 0.16)) * size
    assert {len(chunk) for chunk in chunks[:-1]} == {round(rate_hz * CHUNK_S) * size}
    assert set(b"".join(chunks)) == set(SILENT[encoding])


@pytest.mark.parametrize(("encoding", "rate_hz"), FORMATS)
def test_a_tone_comes_through_both_ways(encoding: str, rate_hz: int) -> None:
    tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(24000) / 24000)).astype(np.int16)
    data = b"".join(Speech(encoding, rate_hz).chunks(tone))
    heard, fmt = linear(data, encoding, rate_hz)
    assert fmt.rate_hz == rate_hz
    if encoding in ("pcm16", "float32"):
        there = np.frombuffer(heard, "<i2").astype(np.float64)
        spectrum = np.abs(np.fft.rfft(there))
        assert np.argmax(spectrum) * rate_hz / len(there) == pytest.approx(440, abs=2)
        assert np.abs(there).max() == pytest.approx(8000, rel=0.03)


@pytest.mark.parametrize(("gain", "peak"), [(0.6, 6000), (0.0, 0), (5.0, 32767)])
def test_gain_multiplies_and_clips(gain: float, peak: int) -> None:
    samples = np.full(480, 10000, np.int16)
    (chunk,) = Speech("pcm16", 24000, gain=gain).chunks(samples)
    assert set(np.frombuffer(chunk, "<i2")) == {peak}


def test_float_input_is_clipped_and_its_nonsense_is_silence() -> None:
    data = np.array([0.0, 1.0, -1.0, 7.0, np.nan, -np.inf], "<f4").tobytes()
    heard, fmt = linear(data, "float32", 16000)
    assert np.frombuffer(heard, "<i2").tolist() == [0, 32767, -32767, 32767, 0, -32767]
    assert fmt.rate_hz == 16000
