"""Formats: what is allowed, and how long things are."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.audio.frame import FRAME_MS, FRAME_S, PCM16_RATES_HZ, PCMA, PCMU, Format, pcm16

FORMATS = [PCMU, PCMA, *map(pcm16, PCM16_RATES_HZ)]


def test_a_frame_is_20_ms() -> None:
    assert FRAME_MS == 20
    assert FRAME_S == 0.02


@pytest.mark.parametrize(
    ("fmt", "name", "samples", "n_bytes", "per_second", "silent_byte"),
    [
        (PCMU, "pcmu/8000", 160, 160, 8000, 0xFF),
        (PCMA, "pcma/8000", 160, 160, 8000, 0xD5),
        (pcm16(8000), "pcm16/8000", 160, 320, 16000, 0),
        (pcm16(24000), "pcm16/24000", 480, 960, 48000, 0),
        (pcm16(44100), "pcm16/44100", 882, 1764, 88200, 0),
    ],
)
def test_sizes(
    fmt: Format, name: str, samples: int, n_bytes: int, per_second: int, silent_byte: int
) -> None:
    assert str(fmt) == name
    assert fmt.frame_samples == samples
    assert fmt.frame_bytes == n_bytes
    assert fmt.bytes_per_second == per_second
    assert fmt.silence == bytes([silent_byte]) * n_bytes
    assert fmt.silence is fmt.silence


@pytest.mark.parametrize(
    ("encoding", "rate_hz", "message"),
    [
        ("pcmu", 16000, "pcmu at 16000 Hz: expected one of 8000 Hz"),
        ("pcma", 24000, "pcma at 24000 Hz: expected one of 8000 Hz"),
        ("pcm16", 22050, "pcm16 at 22050 Hz: expected one of 8000, 16000, 24000, 32000, 44100"),
        ("pcm16", 8000.0, "pcm16 at 8000.0 Hz"),
        ("pcm16", "8000", "pcm16 at '8000' Hz"),
        ("opus", 48000, "encoding 'opus': expected one of pcm16, pcmu, pcma"),
    ],
)
def test_what_is_not_allowed(encoding: Any, rate_hz: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Format(encoding, rate_hz)


def test_equal_formats_are_one_key_and_pcm16_is_one_object() -> None:
    assert {Format("pcmu", 8000): "line"}[PCMU] == "line"
    assert Format("pcm16", 24000) == pcm16(24000)
    assert pcm16(24000) is pcm16(24000)
    assert PCMU != PCMA
    with pytest.raises(AttributeError):
        PCMU.rate_hz = 16000  # type: ignore[misc]


@given(st.sampled_from(FORMATS), st.integers(0, 10_000_000))
def test_durations_and_sizes_are_inverse(fmt: Format, n_samples: int) -> None:
    n_bytes = n_samples * fmt.sample_bytes
    assert fmt.bytes_for(fmt.duration_s(n_bytes)) == n_bytes


@given(st.sampled_from(FORMATS), st.floats(0, 3600))
def test_sizes_are_whole_samples_within_half_of_one(fmt: Format, seconds: float) -> None:
    n_bytes = fmt.bytes_for(seconds)
    assert n_bytes % fmt.sample_bytes == 0
    assert abs(fmt.duration_s(n_bytes) - seconds) <= 0.5001 / fmt.rate_hz


@pytest.mark.parametrize("seconds", [-0.1, math.nan])
def test_impossible_durations(seconds: float) -> None:
    with pytest.raises(ValueError, match=r"negative|NaN"):
        PCMU.bytes_for(seconds)
