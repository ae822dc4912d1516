"""DTMF, heard with a Goertzel-like correlation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.audio.frame import Samples
from voxpy.audio.mix import peak, rms_dbfs
from voxpy.audio.tones import DTMF_HZ, dtmf

ALL_HZ = (697, 770, 852, 941, 1209, 1336, 1477, 1633)


def heard(samples: Samples, rate_hz: int) -> str:
    """Return the key whose two frequencies are the strongest."""
    time_s = np.arange(len(samples)) / rate_hz
    power = [abs(np.exp(-2j * np.pi * hz * time_s) @ samples) for hz in ALL_HZ]
    low, high = ALL_HZ[int(np.argmax(power[:4]))], ALL_HZ[4 + int(np.argmax(power[4:]))]
    return next(key for key, pair in DTMF_HZ.items() if pair == (low, high))


def test_the_keypad_is_the_one_of_q23() -> None:
    assert len(DTMF_HZ) == 16
    assert DTMF_HZ["1"] == (697, 1209)
    assert DTMF_HZ["0"] == (941, 1336)
    assert DTMF_HZ["*"] == (941, 1209)
    assert DTMF_HZ["#"] == (941, 1477)
    assert DTMF_HZ["D"] == (941, 1633)


@given(
    st.text("0123456789*#ABCD", max_size=6),
    st.sampled_from([8000, 16000, 24000]),
    st.sampled_from([40, 100]),
)
def test_what_is_dialled_is_heard(digits: str, rate_hz: int, tone_ms: int) -> None:
    samples = dtmf(digits, rate_hz=rate_hz, tone_ms=tone_ms, gap_ms=60)
    tone, period = tone_ms * rate_hz // 1000, (tone_ms + 60) * rate_hz // 1000
    assert samples.dtype == np.int16
    assert len(samples) == len(digits) * period
    for n, digit in enumerate(digits):
        assert heard(samples[n * period : n * period + tone], rate_hz) == digit
        assert not samples[n * period + tone : (n + 1) * period].any()


def test_a_pause_is_half_a_second() -> None:
    assert len(dtmf("p")) == 4000
    assert not dtmf("pp", rate_hz=24000).any()
    assert len(dtmf("1p2")) == 1600 + 4000 + 1600
    assert len(dtmf("")) == 0


@pytest.mark.parametrize("level_dbfs", [-6.1, -10.0, -30.0])
def test_the_level_is_that_of_both_tones_together(level_dbfs: float) -> None:
    steady = dtmf("5", tone_ms=500, level_dbfs=level_dbfs)[400:3600]
    assert rms_dbfs(steady) == pytest.approx(level_dbfs, abs=0.05)
    assert peak(steady) < 32767  # no clipping


def test_edges_are_soft() -> None:
    tone = dtmf("9", rate_hz=8000, tone_ms=100, gap_ms=0)
    assert peak(tone[:4]) < 0.02 * peak(tone)
    assert peak(tone[-4:]) < 0.02 * peak(tone)
    assert rms_dbfs(tone[40:80]) > -12  # and over after 5 ms


def test_very_short_tones_are_all_edge() -> None:
    assert len(dtmf("1", tone_ms=1, gap_ms=0)) == 8
    assert len(dtmf("1", tone_ms=0, gap_ms=0)) == 0


@pytest.mark.parametrize(("digits", "bad"), [("12x4", "'x' at position 2"), ("12-3", "'-'")])
def test_the_bad_character_is_named(digits: str, bad: str) -> None:
    with pytest.raises(ValueError, match=bad):
        dtmf(digits)


def test_bad_numbers_are_named() -> None:
    with pytest.raises(ValueError, match="tone_ms=-1"):
        dtmf("1", tone_ms=-1)
    with pytest.raises(ValueError, match=r"level_dbfs=-3\.0 would clip"):
        dtmf("1", level_dbfs=-3.0)
