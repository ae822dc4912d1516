"""Change of sample rate for files: any rate in, no delay, off the path of live audio.

A live resampler must answer at once and knows six rates; a file may have 22.05 or 96 kHz, and the
samples behind the one being computed are at hand. So the filter may be longer, and it is centred:
what comes out begins where the file begins.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_ZERO_CROSSINGS = 24
# With 24 zero crossings to each side a beta of 9 gives 90 dB from 8 % above the edge.
_KAISER_BETA = 9.0
_PASSED = 0.94
"""The edge, as a part of the lower Nyquist frequency: what is above it would be mirrored."""
_OUTPUTS_AT_ONCE = 4096  # bounds the memory of the gathered rows


@lru_cache(maxsize=16)
def _kernel(from_hz: int, to_hz: int) -> Floats:
    """Return the taps of every phase, shape (phases, taps); each phase sums to 1."""
    phases = to_hz // gcd(from_hz, to_hz)
    cutoff = _PASSED * min(1.0, to_hz / from_hz)  # as a part of the input's Nyquist frequency
    half = _half(from_hz, to_hz)
    offsets = np.arange(-half + 1, half + 1)
    fractions = np.arange(phases) * (from_hz // gcd(from_hz, to_hz)) % phases / phases
    distance = offsets[None, :] - fractions[:, None]
    window = np.i0(_KAISER_BETA * np.sqrt(np.clip(1 - (distance / half) ** 2, 0, None)))
    taps = np.sinc(cutoff * distance) * window
    return np.asarray(taps / taps.sum(axis=1, keepdims=True), np.float32)


def _half(from_hz: int, to_hz: int) -> int:
    return int(np.ceil(_ZERO_CROSSINGS * max(1.0, from_hz / to_hz)))


class AnyRate:
    """Converts a stream of float samples from ``from_hz`` to ``to_hz``, both whole and positive.

    The results do not depend on how the stream is cut. Between equal rates it changes nothing.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self.from_hz = from_hz
        self.to_hz = to_hz
        self._step = from_hz // gcd(from_hz, to_hz)
        self._phases = to_hz // gcd(from_hz, to_hz)
        self._half = _half(from_hz, to_hz)
        self.reset()

    def reset(self) -> None:
        """Forget the stream so far."""
        self._line: Floats = np.zeros(self._half - 1, np.float32)
        self._first = 1 - self._half  # which input the line begins with
        self._made = 0
        self._taken = 0

    def process(self, samples: Floats) -> Floats:
        """Return what can be computed so far; the last few milliseconds wait for what follows."""
        if self.from_hz == self.to_hz:
            return samples
        self._taken += len(samples)
        self._line = np.concatenate([self._line, samples])
        # Output m stands at input m * step / phases and needs `half` inputs behind it.
        ready = -((self._half - self._taken) * self._phases // self._step)
        return self._make(max(0, ready - self._made))

    def finish(self) -> Floats:
        """Return the rest, as if silence followed."""
        if self.from_hz == self.to_hz:
            return np.empty(0, np.float32)
        whole = round(self._taken * self._phases / self._step)
        self._line = np.concatenate([self._line, np.zeros(2 * self._half, np.float32)])
        return self._make(max(0, whole - self._made))

    def _make(self, count: int) -> Floats:
        kernel = _kernel(self.from_hz, self.to_hz)
        made = []
        while count > 0:
            part = min(count, _OUTPUTS_AT_ONCE)
            positions = (self._made + np.arange(part)) * self._step
            starts = positions // self._phases - (self._half - 1) - self._first
            rows = np.lib.stride_tricks.sliding_window_view(self._line, 2 * self._half)[starts]
            taps = kernel[(self._made + np.arange(part)) % self._phases]
            made.append(np.einsum("ij,ij->i", rows, taps))
            self._made += part
            count -= part
        self._forget()
        return np.concatenate(made) if made else np.empty(0, np.float32)

    def _forget(self) -> None:
        """Drop the inputs that no later output needs."""
        needed = self._made * self._step // self._phases - (self._half - 1)
        spare = min(max(0, needed - self._first), len(self._line))
        self._line = self._line[spare:]
        self._first += spare
