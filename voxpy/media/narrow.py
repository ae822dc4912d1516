"""Frames of any format as samples at a rate that detectors work at."""

from __future__ import annotations

from voxpy.audio.convert import Converter, decode
from voxpy.audio.frame import Format, Samples, pcm16

_RATES_HZ = (8000, 16000)


class Narrow:
    """Turns frames of ``format`` into samples at ``rate_hz``: 8 or 16 kHz, whichever costs less.

    16 kHz stays as it is; what is above is brought down to 8 kHz, where all telephone tones are.
    """

    def __init__(self, fmt: Format) -> None:
        self.format = fmt
        self.rate_hz = fmt.rate_hz if fmt.rate_hz in _RATES_HZ else _RATES_HZ[0]
        self._target = fmt if fmt.rate_hz == self.rate_hz else pcm16(self.rate_hz)
        self._converter = Converter(fmt, self._target)

    def samples(self, frame: bytes) -> Samples:
        """Return the samples of a frame of ``format``."""
        return decode(self._converter.convert(frame), self._target)
