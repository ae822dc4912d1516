"""The beep detector: which tones are a beep, and what a telephone network plays besides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxpy.audio.beep import BEEP_RATES_HZ, Beep, BeepDetector
from voxpy.audio.frame import Samples
from voxpy.audio.tones import DTMF_HZ, dtmf

Floats = npt.NDArray[np.float64]


def sine(hz: float, ms: float, rate_hz: int = 8000, *, peak: float = 8000.0) -> Floats:
    return peak * np.sin(2 * np.pi * hz * np.arange(round(ms * rate_hz / 1000)) / rate_hz)


def silence(ms: float, rate_hz: int = 8000) -> Floats:
    return np.zeros(round(ms * rate_hz / 1000))


def pcm(*parts: Floats) -> Samples:
    return np.clip(np.rint(np.concatenate(parts)), -32768, 32767).astype(np.int16)


def heard(
    sound: Samples, rate_hz: int = 8000, frequencies_hz: Sequence[float] | None = None
) -> list[Beep]:
    detector = BeepDetector(rate_hz, frequencies_hz=frequencies_hz)
    return detector.process(sound) + detector.process(np.zeros(rate_hz // 5, np.int16))


@pytest.mark.parametrize("rate_hz", BEEP_RATES_HZ)
@pytest.mark.parametrize("hz", [560, 850, 1000, 1371.3, 1400, 1990])
@pytest.mark.parametrize("ms", [120, 400, 2000])
def test_a_tone_is_a_beep(hz: float, ms: float, rate_hz: int) -> None:
    for start_ms in (0, 103.7, 250):
        (beep,) = heard(pcm(silence(start_ms, rate_hz), sine(hz, ms, rate_hz)), rate_hz)
        assert beep.frequency_hz == pytest.approx(hz, abs=1)
        assert beep.start_s == pytest.approx(start_ms / 1000, abs=0.012)
        assert beep.duration_s == pytest.approx(ms / 1000, abs=0.012)


@pytest.mark.parametrize("ms", [50, 80, 100, 4500])
def test_too_short_or_too_long_is_none(ms: float) -> None:
    for start_ms in range(30, 50, 3):
        assert heard(pcm(silence(start_ms), sine(1000, ms))) == []


def test_a_beep_is_told_when_it_is_over() -> None:
    detector, told = BeepDetector(8000), []
    sound = pcm(silence(100), sine(1000, 500), silence(200))
    for n, frame in enumerate(sound.reshape(-1, 160), start=1):
        told += [(n * 20, beep) for beep in detector.process(frame)]
    ((at_ms, _),) = told
    assert 600 < at_ms <= 660


def test_noise_15_db_below_does_not_hide_it_and_a_voice_like_sound_does() -> None:
    rng = np.random.default_rng(1)
    noisy = sine(1000, 300) + 8000 / 2**0.5 * 10 ** (-15 / 20) * rng.standard_normal(2400)
    assert len(heard(pcm(silence(60), noisy))) == 1
    harmonics = sum(sine(hz, 300, peak=4000) for hz in (600, 800, 1000))
    assert heard(pcm(silence(60), np.asarray(harmonics))) == []


def test_soft_is_heard_and_almost_nothing_is_not() -> None:
    assert len(heard(pcm(sine(1000, 300, peak=500)))) == 1
    assert heard(pcm(sine(1000, 300, peak=100))) == []


def test_a_tone_that_slides_is_none() -> None:
    time_s = np.arange(4000) / 8000
    assert heard(pcm(8000 * np.sin(2 * np.pi * (600 + 600 * time_s) * time_s))) == []


@pytest.mark.parametrize("digit", DTMF_HZ)
def test_digits_are_none_whatever_is_listened_for(digit: str) -> None:
    sound = dtmf(digit, tone_ms=500)
    assert heard(sound) == []
    assert heard(sound, frequencies_hz=[hz for pair in DTMF_HZ.values() for hz in pair]) == []


PROGRESS_HZ = [(425,), (440, 480), (400, 450), (350, 440), (480, 620), (450,), (400,)]


@pytest.mark.parametrize("tones_hz", PROGRESS_HZ)
def test_what_networks_play_is_none(tones_hz: tuple[int, ...]) -> None:
    sound = pcm(silence(50), np.asarray(sum(sine(hz, 1000) for hz in tones_hz)))
    assert heard(sound) == []
    # Even if one of its frequencies is asked for, unless it is all there is.
    assert len(heard(sound, frequencies_hz=tones_hz)) == (len(tones_hz) == 1)


def test_only_what_is_listened_for_counts() -> None:
    sound = pcm(sine(915, 300), silence(200), sine(1371, 300), silence(200), sine(1777, 300))
    found = heard(sound, frequencies_hz=[900, 1777])
    assert [round(b.frequency_hz) for b in found] == [915, 1777]
    assert [round(b.frequency_hz) for b in heard(sound)] == [915, 1371, 1777]


@settings(max_examples=30)
@given(st.lists(st.integers(1, 500), min_size=1, max_size=6), st.sampled_from(BEEP_RATES_HZ))
def test_any_cuts_give_the_same_beeps(cuts: list[int], rate_hz: int) -> None:
    sound = pcm(silence(70, rate_hz), sine(1000, 150, rate_hz), silence(200, rate_hz))
    pieces: list[list[Beep]] = []
    detector, at = BeepDetector(rate_hz), 0
    while at < len(sound):
        size = cuts[len(pieces) % len(cuts)]
        pieces.append(detector.process(sound[at : at + size]))
        at += size
    assert [b for piece in pieces for b in piece] == BeepDetector(rate_hz).process(sound)


@pytest.mark.parametrize("wrong", [[], [199], [1000, 3501], [float("nan")]])
def test_frequencies_that_cannot_be_heard_are_refused(wrong: list[float]) -> None:
    with pytest.raises(ValueError, match=r"200 to 3500 Hz|no frequency"):
        BeepDetector(8000, frequencies_hz=wrong)


def test_other_rates_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 8000 or 16000 Hz"):
        BeepDetector(24000)
