"""Real voices dial nothing and beep nothing. An hour of it: ``benchmarks/dtmf.py``."""

from __future__ import annotations

import numpy as np
import pytest

from voxpy.audio.beep import BeepDetector
from voxpy.audio.dtmf import DigitBegan, DtmfDetector
from voxpy.audio.frame import Samples
from voxpy.audio.g711 import decode_ulaw, encode_ulaw
from voxpy.audio.resample import Resampler
from voxpy.audio.tones import dtmf
from voxpy.errors import EngineMissing
from voxpy.localagent.voice import SPEAKERS, Voice

TEXT = (
    "One two three, four five six, seven eight nine, star zero pound. Ooh, you knew who moved the "
    "moon. Please leave your message after the beep. Yes, I see these trees; we agree!"
)


@pytest.fixture(scope="module")
def speech() -> Samples:
    """Every voice of the local agent, one after the other, through mu-law."""
    try:
        voice = Voice()
    except EngineMissing as missing:
        pytest.skip(str(missing))
    parts = [audio for name in SPEAKERS for audio in voice.speak(TEXT, speaker=name)]
    wide = np.concatenate(parts)
    narrow = Resampler(24000, 8000).process(wide[: len(wide) // 480 * 480])
    return decode_ulaw(encode_ulaw(narrow))


def test_speech_is_neither_digit_nor_beep(speech: Samples) -> None:
    assert len(speech) > 120 * 8000
    detector = DtmfDetector(8000)
    muted = 0
    for frame in speech[: len(speech) // 160 * 160].reshape(-1, 160):
        assert detector.process(frame) == []
        muted += detector.looks_like_a_digit
    assert muted == 0  # of the speech itself, handle_tones takes nothing away
    assert BeepDetector(8000).process(speech) == []


def test_digits_between_words_are_heard(speech: Samples) -> None:
    parts = []
    for n, digit in enumerate("0123456789*#"):
        parts += [speech[n * 16000 : n * 16000 + 16000], dtmf(digit, tone_ms=60, gap_ms=60)]
    detector = DtmfDetector(8000)
    events = detector.process(np.concatenate(parts))
    assert "".join(e.digit for e in events if isinstance(e, DigitBegan)) == "0123456789*#"
