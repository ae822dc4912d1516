"""G.722 at the edge of a leg."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from voxpy.audio.frame import Samples
from voxpy.audio.g722 import FRAME_BYTES, RATE_HZ, G722Decoder, G722Encoder
from voxpy.errors import EngineMissing


def tone(tone_hz: float, frames: int = 25) -> Samples:
    t = np.arange(320 * frames) / RATE_HZ
    return np.asarray(np.rint(8000 * np.sin(2 * np.pi * tone_hz * t)), np.int16)


@pytest.mark.parametrize("tone_hz", [300, 3400, 6500])
def test_what_a_wideband_phone_says_is_heard(tone_hz: float) -> None:
    pytest.importorskip("G722", reason="the extra 'wideband' is not installed")
    encoder, decoder = G722Encoder(), G722Decoder()
    frames = np.split(tone(tone_hz), 25)
    payloads = [encoder.encode(frame) for frame in frames]
    assert {len(p) for p in payloads} == {FRAME_BYTES}
    heard = np.concatenate([decoder.decode(p) for p in payloads])
    assert heard.dtype == np.int16
    assert len(heard) == 25 * 320
    spectrum = np.abs(np.fft.rfft(heard[4000:] * np.hanning(4000)))
    at = int(spectrum.argmax())
    assert at * RATE_HZ / 4000 == pytest.approx(tone_hz, abs=8)
    around = spectrum[max(0, at - 4) : at + 5]
    assert np.sum(around**2) / np.sum(spectrum**2) > 0.99


def test_each_stream_has_a_state_of_its_own() -> None:
    pytest.importorskip("G722", reason="the extra 'wideband' is not installed")
    one, other = G722Encoder(), G722Encoder()
    one.encode(tone(500))
    assert one.encode(tone(700, 1)) != other.encode(tone(700, 1))
    with pytest.raises(ValueError, match="321 samples"):
        one.encode(np.zeros(321, np.int16))


@pytest.mark.parametrize("make", [G722Encoder, G722Decoder])
def test_without_the_library_it_says_what_to_install(
    make: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "G722", None)
    with pytest.raises(EngineMissing, match=r"pip.* install .*\[wideband\]'"):
        make()
