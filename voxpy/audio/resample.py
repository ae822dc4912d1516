"""Change of sample rate for live audio: a polyphase windowed-sinc FIR with 2 ms of delay.

*The filter.* A low-pass of 4 ms at the lowest common rate of both sides (97 taps for 8 and 24 kHz),
Kaiser window, 6 dB down at half the lower rate. It is flat up to 600 Hz below that point and has
more than 70 dB of rejection from 600 Hz above it: the telephone band ends at 3400 Hz, so what
G.711 carries is untouched and its images, which start at 4600 Hz, are gone. Being symmetrical
it delays every frequency by exactly 2 ms; library resamplers that are sharper hold back 12-60 ms.

*The arithmetic.* The ratio repeats every ``M`` inputs and ``L`` outputs. A block of such periods is
one row of overlapping input times one constant matrix, so that a frame costs one gather of rows
and one small matrix product. Frames are always computed one at a time: the same shapes give the
same rounding, hence the result cannot depend on how many frames were handed over at once.
"""

from __future__ import annotations

from functools import cache
from math import gcd

import attrs
import numpy as np
import numpy.typing as npt

from voxpy.audio.frame import PCM16_RATES_HZ, Samples, pcm16

_DELAY_S = 0.002
_DELAYS_PER_SECOND = 500
# Measured over all 30 pairs: 7.4 leaves < 0.001 dB of ripple and -74.0 dB of worst rejection with
# edges at ±600 Hz. More narrows the rejection (8.2: -60 dB), less lifts the floor (6.5: -68 dB).
_KAISER_BETA = 7.4
# A frame in ten blocks of 2 ms is the flat bottom of the measured cost: fewer blocks multiply
# mostly by zeros, more copy every sample too often. 44.1 kHz has only 1 to 6 periods in a frame.
_BLOCKS_PER_FRAME = 10

_Floats = npt.NDArray[np.float32]
_NOTHING: Samples = np.empty(0, np.int16)


@attrs.frozen(eq=False)
class _Plan:
    """What all resamplers between two rates share, read-only."""

    matrix: _Floats  # (row_samples, outputs per block)
    blocks: int
    step_samples: int  # inputs from one block to the next
    history_samples: int  # inputs before the frame that its first output needs


def _phases(from_hz: int, to_hz: int) -> npt.NDArray[np.float64]:
    """Return the filter as ``taps[j, p]``: the weight of the j-th last input in phase ``p``."""
    up = to_hz // gcd(from_hz, to_hz)
    common_hz = from_hz * up
    delay = common_hz // _DELAYS_PER_SECOND  # whole: every two different rates have a 500 in it
    # Without the very last tap: it is below -90 dB and would cost every phase one more.
    window = np.kaiser(2 * delay + 1, _KAISER_BETA)[:-1]
    position = np.arange(-delay, delay)
    taps = np.sinc(min(from_hz, to_hz) * position / common_hz) * window
    taps = np.pad(taps, (0, -len(taps) % up)).reshape(-1, up)
    # Each phase sums to 1, so that a constant stays constant instead of humming.
    return np.asarray(taps / taps.sum(axis=0))


@cache
def _plan(from_hz: int, to_hz: int) -> _Plan:
    divisor = gcd(from_hz, to_hz)
    up, down = to_hz // divisor, from_hz // divisor
    periods = pcm16(from_hz).frame_samples // down
    blocks = _BLOCKS_PER_FRAME if periods % _BLOCKS_PER_FRAME == 0 else periods
    per_block = periods // blocks
    newest_first = _phases(from_hz, to_hz)
    reach = len(newest_first)
    matrix = np.zeros((reach - 1 + per_block * down, per_block * up), np.float32)
    for output in range(per_block * up):
        newest, phase = divmod(output * down, up)
        matrix[newest : newest + reach, output] = newest_first[::-1, phase]
    matrix.flags.writeable = False
    return _Plan(matrix, blocks, per_block * down, reach - 1)


class Resampler:
    """Converts a stream from one rate to another; keeps 4 ms of history.

    Both rates are members of ``PCM16_RATES_HZ``, else ValueError. ``delay_s`` is the group delay:
    0.002, or 0.0 between equal rates, where the samples are returned as they came.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        for rate_hz in (from_hz, to_hz):
            if rate_hz not in PCM16_RATES_HZ:
                expected = ", ".join(map(str, PCM16_RATES_HZ))
                raise ValueError(f"cannot resample at {rate_hz!r} Hz: expected one of {expected}")
        self.from_hz = from_hz
        self.to_hz = to_hz
        self.delay_s = 0.0 if from_hz == to_hz else _DELAY_S
        self._in_samples = pcm16(from_hz).frame_samples
        self._out_samples = pcm16(to_hz).frame_samples
        self._rest = _NOTHING
        if from_hz != to_hz:
            self._prepare(_plan(from_hz, to_hz))

    def _prepare(self, plan: _Plan) -> None:
        """Make the buffers that every frame is computed in."""
        self._matrix = plan.matrix
        self._history = plan.history_samples
        self._line = np.zeros(plan.history_samples + self._in_samples, np.float32)
        row_samples, block_samples = plan.matrix.shape
        item = self._line.itemsize
        self._windows = np.lib.stride_tricks.as_strided(
            self._line, (plan.blocks, row_samples), (plan.step_samples * item, item)
        )
        self._rows = np.empty((plan.blocks, row_samples), np.float32)
        self._product = np.empty((plan.blocks, block_samples), np.float32)
        self._flat = self._product.reshape(-1)

    def process(self, samples: Samples) -> Samples:
        """Return the audio at the other rate, saturated to 16 bits, in whole frames of 20 ms.

        ``samples`` may be of any length, as a decoder or another packet time gives them: what does
        not fill a frame waits for the rest of it. However a stream is cut, the result is the same.
        """
        if self.from_hz == self.to_hz:
            return samples
        if len(self._rest):
            samples = np.concatenate([self._rest, samples])
        frames, rest = divmod(len(samples), self._in_samples)
        self._rest = samples[len(samples) - rest :].copy() if rest else _NOTHING
        output = np.empty(frames * self._out_samples, np.int16)
        for n in range(frames):
            self._frame(
                samples[n * self._in_samples : (n + 1) * self._in_samples],
                output[n * self._out_samples : (n + 1) * self._out_samples],
            )
        return output

    def _frame(self, samples: Samples, output: Samples) -> None:
        line, flat = self._line, self._flat
        line[self._history :] = samples
        # Copying the overlapping rows first is what lets the product run in BLAS.
        np.copyto(self._rows, self._windows)
        np.matmul(self._rows, self._matrix, out=self._product)
        np.rint(flat, out=flat)
        np.minimum(flat, 32767.0, out=flat)
        np.maximum(flat, -32768.0, out=flat)
        output[:] = flat
        line[: self._history] = line[self._in_samples :]

    def reset(self) -> None:
        """Forget the audio seen so far, as if newly made."""
        self._rest = _NOTHING
        if self.from_hz != self.to_hz:
            self._line[:] = 0.0
