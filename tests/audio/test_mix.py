"""Sums, gains and levels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.audio.convert import decode, encode
from voxpy.audio.frame import PCMA, PCMU, Format, Samples, pcm16
from voxpy.audio.mix import SILENCE_DBFS, amplitude, audible, gain, gain_db, mix, peak, rms_dbfs

FORMATS = [PCMU, PCMA, pcm16(8000), pcm16(24000)]
values = st.lists(st.integers(-32768, 32767), min_size=1, max_size=20)


def array(*samples: int) -> Samples:
    return np.array(samples, np.int16)


def clamp(value: int) -> int:
    return max(-32768, min(32767, value))


@given(st.integers(1, 6), st.integers(0, 10), st.randoms(use_true_random=False))
def test_mix_is_the_clamped_sum(streams: int, length: int, random: object) -> None:
    seed = random.getrandbits(32)  # type: ignore[attr-defined]
    rows = np.random.default_rng(seed).integers(-32768, 32768, (streams, length))
    mixed = mix(*rows.astype(np.int16))
    assert mixed.dtype == np.int16
    assert mixed.tolist() == [clamp(int(s)) for s in rows.sum(axis=0)]


def test_mix_saturates_only_at_the_end() -> None:
    # 30000 + 30000 passes full scale on the way, the sum of all three does not.
    assert mix(array(30000), array(30000), array(-30000)).tolist() == [30000]


def test_mix_leaves_its_inputs_alone() -> None:
    one, two = array(1, 2), array(10, 20)
    mix(one, two)
    assert (one.tolist(), two.tolist()) == ([1, 2], [10, 20])
    assert mix(one) is one


@pytest.mark.parametrize("arrays", [(), (array(1), array(1, 2)), (array(1), array())])
def test_mix_refuses_what_does_not_fit(arrays: tuple[Samples, ...]) -> None:
    with pytest.raises(ValueError, match="arrays of one length"):
        mix(*arrays)


@given(values, st.floats(-10, 10))
def test_gain_is_the_clamped_product(samples: list[int], factor: float) -> None:
    expected = [clamp(round(s * factor)) for s in samples]
    assert gain(array(*samples), factor).tolist() == expected


@pytest.mark.parametrize(
    ("level_db", "expected"), [(6.0206, 2000), (-20, 100), (0, 1000), (40, 32767)]
)
def test_gain_in_decibels(level_db: float, expected: int) -> None:
    assert gain_db(array(1000), level_db).tolist() == [expected]
    assert gain_db(array(1000), -math.inf).tolist() == [0]


@pytest.mark.parametrize("level_db", [math.inf, math.nan])
def test_impossible_decibels_are_refused(level_db: float) -> None:
    with pytest.raises(ValueError, match="cannot be applied"):
        gain_db(array(1), level_db)


@pytest.mark.parametrize("level_dbfs", [-3.0, -20.0, -60.0])
def test_an_amplitude_has_its_level(level_dbfs: float) -> None:
    square = np.resize([1, -1], 1000) * amplitude(level_dbfs)
    assert rms_dbfs(np.rint(square).astype(np.int16)) == pytest.approx(level_dbfs, abs=0.1)


def test_fifty_at_full_scale_saturate_and_do_not_wrap() -> None:
    assert mix(*[array(32767, -32768)] * 50).tolist() == [32767, -32768]


def test_gain_of_one_changes_nothing_and_of_nothing_is_refused() -> None:
    samples = array(1, 2, 3)
    assert gain(samples, 1.0) is samples
    with pytest.raises(ValueError, match="nan"):
        gain(samples, math.nan)


@given(values)
def test_peak_is_the_largest_magnitude(samples: list[int]) -> None:
    assert peak(array(*samples)) == max(map(abs, samples))


def test_levels_of_known_signals() -> None:
    wave = np.sin(2 * np.pi * np.arange(8000) / 80)
    assert rms_dbfs(np.rint(wave * 32767).astype(np.int16)) == pytest.approx(-3.01, abs=0.01)
    assert rms_dbfs(array(-32768, -32768)) == 0.0
    assert rms_dbfs(array(3277, -3277)) == pytest.approx(-20, abs=0.01)


def test_silence_has_a_finite_level() -> None:
    assert rms_dbfs(np.zeros(160, np.int16)) == SILENCE_DBFS == -120.0
    assert rms_dbfs(array()) == -120.0
    assert peak(array()) == 0
    one_bit = np.zeros(100_000, np.int16)
    one_bit[0] = 1
    assert rms_dbfs(one_bit) == -120.0


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_audible_agrees_with_the_level(fmt: Format) -> None:
    rng = np.random.default_rng(1)
    for level in (-70, -60, -55, -51, -49, -40, -20, -6):
        samples = 32768 * 10 ** (level / 20) * rng.standard_normal(fmt.frame_samples)
        data = encode(np.clip(np.rint(samples), -32768, 32767).astype(np.int16), fmt)
        loudness = rms_dbfs(decode(data, fmt))
        assert audible(data, fmt) == (loudness > -50)
        assert audible(data, fmt, threshold_dbfs=loudness - 0.1)
        assert not audible(data, fmt, threshold_dbfs=loudness + 0.1)


@pytest.mark.parametrize("fmt", [PCMU, PCMA], ids=str)
@given(st.lists(st.integers(-400, 400), min_size=1, max_size=160))
def test_the_short_way_to_an_answer_is_the_long_one(fmt: Format, values: list[int]) -> None:
    data = encode(np.array(values, np.int16), fmt)
    if (level := rms_dbfs(decode(data, fmt))) != pytest.approx(-50, abs=1e-6):
        assert audible(data, fmt) == (level > -50)


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_digital_silence_is_never_audible(fmt: Format) -> None:
    # A-law's silence is really a constant of 8, which a threshold this low would notice.
    assert not audible(fmt.silence, fmt, threshold_dbfs=-119)
    assert not audible(b"", fmt)
    loud = encode(np.full(fmt.frame_samples, 9000, np.int16), fmt)
    assert audible(fmt.silence + loud, fmt)
