"""What a piece of audio is: its format, and the 20 ms frame everything is cut into.

Audio travels through voxpy as ``bytes`` in a `Format`, not as arrays, so that G.711 from a phone
line can pass through undecoded. Arrays (`Samples`) exist only where something computes on them.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import Any, Literal, TypeAlias

import attrs
import numpy as np
import numpy.typing as npt

FRAME_MS = 20
"""Length of a frame: what SIP phones and media streams send by default (RFC 3551 section 4.2)."""
FRAME_S = 0.02

_FRAMES_PER_SECOND = 50

PCM16_RATES_HZ = (8000, 16000, 24000, 32000, 44100, 48000)
"""Rates at which 20 ms is a whole number of samples and which some side of voxpy really uses."""

Encoding = Literal["pcm16", "pcmu", "pcma"]

Samples: TypeAlias = npt.NDArray[np.int16]
"""A one-dimensional array of linear 16-bit samples, mono."""

_RATES_HZ: dict[str, tuple[int, ...]] = {
    "pcm16": PCM16_RATES_HZ,
    "pcmu": (8000,),  # RFC 3551 section 4.5.14: G.711 has one rate
    "pcma": (8000,),
}
# G.711 counts magnitudes with inverted bits: the smallest positive value of mu-law is all ones;
# A-law inverts every other bit.
_SILENT_BYTE = {"pcm16": b"\x00", "pcmu": b"\xff", "pcma": b"\xd5"}


@attrs.frozen
class Format:
    """Encoding and rate of mono audio.

    ``pcm16`` is signed 16-bit little-endian; ``pcmu`` and ``pcma`` are G.711 mu-law and A-law, one
    byte per sample. Raises ValueError, naming what is allowed, for any other encoding or rate.
    """

    encoding: Encoding = attrs.field()
    rate_hz: int = attrs.field()

    @encoding.validator
    def _known(self, _attribute: Any, value: object) -> None:
        if value not in _RATES_HZ:
            raise ValueError(f"encoding {value!r}: expected one of {', '.join(_RATES_HZ)}")

    @rate_hz.validator
    def _possible(self, _attribute: Any, value: object) -> None:
        allowed = _RATES_HZ[self.encoding]
        if not isinstance(value, int) or value not in allowed:
            expected = ", ".join(map(str, allowed))
            raise ValueError(f"{self.encoding} at {value!r} Hz: expected one of {expected} Hz")

    @cached_property
    def sample_bytes(self) -> int:
        """Bytes per sample: 2 for pcm16, 1 for G.711."""
        return 2 if self.encoding == "pcm16" else 1

    @cached_property
    def frame_samples(self) -> int:
        """Samples in 20 ms."""
        return self.rate_hz // _FRAMES_PER_SECOND

    @cached_property
    def frame_bytes(self) -> int:
        """Bytes in 20 ms."""
        return self.frame_samples * self.sample_bytes

    @cached_property
    def bytes_per_second(self) -> int:
        """Bytes in one second."""
        return self.rate_hz * self.sample_bytes

    @cached_property
    def silence(self) -> bytes:
        """One frame of digital silence; always the same object."""
        return _SILENT_BYTE[self.encoding] * self.frame_bytes

    def duration_s(self, n_bytes: int) -> float:
        """Return how many seconds ``n_bytes`` of this format last."""
        return n_bytes / self.bytes_per_second

    def bytes_for(self, seconds: float) -> int:
        """Return the size of ``seconds`` of audio, rounded to the nearest whole sample.

        Raises ValueError for a negative or not-a-number duration, OverflowError for infinity.
        """
        if seconds < 0:
            raise ValueError(f"a duration of {seconds} s is negative")
        return round(seconds * self.rate_hz) * self.sample_bytes

    def __str__(self) -> str:
        return f"{self.encoding}/{self.rate_hz}"


PCMU = Format("pcmu", 8000)
"""G.711 mu-law, RTP payload type 0."""
PCMA = Format("pcma", 8000)
"""G.711 A-law, RTP payload type 8."""


@cache
def pcm16(rate_hz: int) -> Format:
    """Return the linear format at ``rate_hz``, the same object every time.

    Raises ValueError for a rate outside `PCM16_RATES_HZ`.
    """
    return Format("pcm16", rate_hz)
