"""The real engines, loaded once; without them the tests that need them are skipped and say why."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from voxpy.audio.g711 import decode_ulaw, encode_ulaw
from voxpy.audio.resample import Resampler
from voxpy.errors import EngineMissing
from voxpy.localagent.ears import Ears
from voxpy.localagent.voice import Voice

Audio = npt.NDArray[np.int16]


@pytest.fixture(scope="session")
def voice() -> Voice:
    try:
        return Voice()
    except EngineMissing as exc:
        pytest.skip(str(exc))


@pytest.fixture(scope="session")
def ears() -> Ears:
    try:
        return Ears()
    except EngineMissing as exc:
        pytest.skip(str(exc))


class PhoneLine:
    """24 kHz speech as it comes out of a mu-law call, at 16 kHz, with silence before and after."""

    def carry(self, audio: Audio, *, after_ms: int = 1000) -> Audio:
        before, after = np.zeros(24 * 400, np.int16), np.zeros(24 * after_ms, np.int16)
        whole = np.concatenate([before, audio, after])
        whole = whole[: len(whole) // 480 * 480]
        narrow = Resampler(24_000, 8_000).process(whole)
        return Resampler(8_000, 16_000).process(decode_ulaw(encode_ulaw(narrow)))


@pytest.fixture
def phone_line() -> PhoneLine:
    return PhoneLine()
