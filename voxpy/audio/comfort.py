"""Comfort noise: what is heard while a sender says it is silent (RFC 3389).

The descriptor is one byte of level, 0 to 127 dB below the overload point (a square wave of full
scale: our dBFS), then optional reflection coefficients of an all-pole filter, one byte each, of
which any number may be ignored (section 3.2). They are turned into the filter's impulse response
once per descriptor, so that a frame costs one convolution.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from voxpy.audio.convert import encode
from voxpy.audio.frame import Format
from voxpy.audio.mix import amplitude

_SOFTEST_DB = 127
_MOST_COEFFICIENTS = 12  # more shape than noise has; a descriptor may be as long as a packet
_RESPONSE_SAMPLES = 64
_STEADY = 0.98  # a coefficient of 1 would ring for ever

_Floats = npt.NDArray[np.float32]


def silence_descriptor(level_dbfs: float) -> bytes:
    """Return the payload that describes white noise at that level, clipped to 0 to -127."""
    return bytes([min(_SOFTEST_DB, max(0, round(-level_dbfs)))])


class ComfortNoise:
    """Noise in frames of ``fmt``, as the last descriptor says; the same for the same ``seed``."""

    def __init__(self, fmt: Format, *, seed: int) -> None:
        self.fmt = fmt
        self._random = np.random.default_rng(seed)
        self._response: _Floats | None = None
        self._past = np.zeros(_RESPONSE_SAMPLES - 1, np.float32)

    def describe(self, payload: bytes) -> None:
        """Take a descriptor; an empty one changes nothing."""
        if payload:
            reflections = (
                np.frombuffer(payload[1 : 1 + _MOST_COEFFICIENTS], np.uint8) - 127.0
            ) / 128
            response = _impulse_response(np.clip(reflections, -_STEADY, _STEADY))
            level = amplitude(-float(payload[0] & 0x7F))
            self._response = (response * level / np.sqrt(np.sum(response**2))).astype(np.float32)

    def stop(self) -> None:
        """Forget the descriptor: there is sound again."""
        self._response = None

    def pull(self, samples: int | None = None) -> bytes | None:
        """Return 20 ms of noise, or so many samples; None without a descriptor."""
        if self._response is None:
            return None
        white = self._random.standard_normal(samples or self.fmt.frame_samples, np.float32)
        line = np.concatenate([self._past, white])
        self._past = line[-len(self._past) :]
        coloured = np.convolve(line, self._response, "valid")
        return encode(np.clip(np.rint(coloured), -32768, 32767).astype(np.int16), self.fmt)


def _impulse_response(reflections: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the start of the response of the all-pole filter with those coefficients."""
    predictor = np.ones(1)
    for reflection in reflections:  # the step-up recursion
        longer = np.append(predictor, 0.0)
        predictor = longer + reflection * longer[::-1]
    response = np.zeros(_RESPONSE_SAMPLES)
    for n in range(_RESPONSE_SAMPLES):
        taken = min(n, len(predictor) - 1)
        response[n] = (n == 0) - predictor[1 : taken + 1] @ response[n - taken : n][::-1]
    return response
