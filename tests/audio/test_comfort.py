"""Comfort noise: as loud and as coloured as the descriptor says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.audio.comfort import ComfortNoise, silence_descriptor
from voxpy.audio.convert import decode
from voxpy.audio.frame import PCMA, PCMU, Format, Samples, pcm16
from voxpy.audio.mix import rms_dbfs

NARROW = pcm16(8000)


def noise(payload: bytes, fmt: Format = NARROW, *, frames: int = 100, seed: int = 1) -> Samples:
    comfort = ComfortNoise(fmt, seed=seed)
    comfort.describe(payload)
    return decode(b"".join(comfort.pull() or b"" for _ in range(frames)), fmt)


@pytest.mark.parametrize("level_db", [20, 45, 70])
@pytest.mark.parametrize("fmt", [pcm16(8000), pcm16(16000)], ids=str)
def test_the_level_is_the_one_described(level_db: int, fmt: Format) -> None:
    assert rms_dbfs(noise(bytes([level_db]), fmt)) == pytest.approx(-level_db, abs=0.3)


@pytest.mark.parametrize("reflections", [(247,), (7,), (200, 60, 150), (255,) * 30])
def test_the_shape_leaves_the_level_alone(reflections: tuple[int, ...]) -> None:
    loud = noise(bytes([30, *reflections]), frames=400)
    assert rms_dbfs(loud) == pytest.approx(-30, abs=1.0)


def test_a_coefficient_tilts_the_spectrum() -> None:
    def low_to_high(payload: bytes) -> float:
        power = np.abs(np.fft.rfft(noise(payload).reshape(-1, 160), axis=1)) ** 2
        return float(power[:, :20].sum() / power[:, 60:].sum())

    # The first reflection coefficient is minus the correlation with the sample before.
    assert low_to_high(bytes([30])) == pytest.approx(1, abs=0.2)
    assert low_to_high(bytes([30, 37])) > 10
    assert low_to_high(bytes([30, 217])) < 0.1


def test_a_seed_decides_and_stopping_stops() -> None:
    assert noise(b"\x1e", seed=3).tolist() == noise(b"\x1e", seed=3).tolist()
    assert noise(b"\x1e", seed=3).tolist() != noise(b"\x1e", seed=4).tolist()
    comfort = ComfortNoise(PCMU, seed=0)
    assert comfort.pull() is None
    comfort.describe(b"\x1e")
    first = comfort.pull()
    comfort.describe(b"")
    assert first not in (None, comfort.pull())
    comfort.stop()
    assert comfort.pull() is None


@pytest.mark.parametrize(
    ("level_dbfs", "payload"), [(-45.2, b"\x2d"), (0.0, b"\x00"), (3.0, b"\x00"), (-200.0, b"\x7f")]
)
def test_a_descriptor_of_white_noise(level_dbfs: float, payload: bytes) -> None:
    assert silence_descriptor(level_dbfs) == payload


@given(st.sampled_from([PCMU, PCMA, pcm16(48000)]), st.lists(st.binary(max_size=40), max_size=4))
def test_any_descriptor_gives_whole_frames(fmt: Format, payloads: list[bytes]) -> None:
    comfort = ComfortNoise(fmt, seed=0)
    for payload in payloads:
        comfort.describe(payload)
        frame = comfort.pull()
        assert frame is None or len(frame) == fmt.frame_bytes
    assert (comfort.pull() is None) == (not any(payloads))
