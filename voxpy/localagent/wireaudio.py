"""Between the agent's own audio (16-bit, 24 kHz) and what the session's formats put on the wire."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, cast

import numpy as np

from voxpy.audio.convert import Converter, encode, float32_of_pcm16, pcm16_of_float32
from voxpy.audio.frame import FRAME_S, Format, Samples, pcm16

VOICE_FORMAT = pcm16(24000)
CHUNK_S = 0.1
"""Audio in one delta: short enough to be cut well, long enough not to be mostly envelope."""

_FULL_SCALE = 32768


def _format(encoding: str, rate_hz: int) -> Format:
    """Return the format for the line; 32-bit float has none and goes as 16-bit until the end."""
    kind = cast("Literal['pcm16', 'pcmu', 'pcma']", "pcm16" if encoding == "float32" else encoding)
    return Format(kind, rate_hz)


class Speech:
    """Turns what the voice synthesises for one response into chunks for the wire.

    ``encoding`` and ``rate_hz`` as of ``audio_format``; ``gain`` multiplies the samples. Blocking,
    if briefly: call it where synthesis runs.
    """

    def __init__(self, encoding: str, rate_hz: int, *, gain: float = 1.0) -> None:
        self._is_float = encoding == "float32"
        self._format = _format(encoding, rate_hz)
        self._converter = Converter(VOICE_FORMAT, self._format)
        self._gain = gain

    def chunks(self, samples: Samples, *, pause_s: float = 0.0) -> Iterator[bytes]:
        """Yield the samples and a pause, filled up to whole frames, in chunks of CHUNK_S."""
        data = self._converter.convert(_whole_frames(self._amplified(samples), pause_s))
        step = self._format.bytes_for(CHUNK_S)
        for start in range(0, len(data), step):
            chunk = data[start : start + step]
            yield float32_of_pcm16(chunk) if self._is_float else chunk

    def _amplified(self, samples: Samples) -> Samples:
        if self._gain == 1.0:
            return samples
        return np.clip(np.round(samples * self._gain), -_FULL_SCALE, _FULL_SCALE - 1).astype(
            np.int16
        )


def linear(data: bytes, encoding: str, rate_hz: int) -> tuple[bytes, Format]:
    """Return appended audio with its format, 32-bit float made 16-bit; whole samples only."""
    fmt = _format(encoding, rate_hz)
    if encoding != "float32":
        return data, fmt
    return pcm16_of_float32(data), fmt


def _whole_frames(samples: Samples, pause_s: float) -> bytes:
    frame = VOICE_FORMAT.frame_samples
    wanted = len(samples) + round(pause_s / FRAME_S) * frame
    padded = np.zeros(math.ceil(wanted / frame) * frame, np.int16)
    padded[: len(samples)] = samples
    return encode(padded, VOICE_FORMAT)
