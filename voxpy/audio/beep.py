"""Hears a beep: one pure tone, such as an answering machine gives before it records.

*What is looked at.* Every 10 ms, the spectrum of a Hann window of 64 ms: lines 32 Hz apart, so that
the two tones of a ring-back or a digit are two peaks. A window is pure if one peak holds nearly
all of its energy.

*What is a beep.* A tone in the expected range which stays pure and on its frequency from its
beginning to its end, 100 ms to 4 s. It is reported when it is over: a message spoken into the beep
would lack its first words. A longer tone is none (a fax, a dead line).

By default any tone from 550 to 2000 Hz counts. VoxEngine documents no default; this one leaves out
what telephone networks send by themselves as a single tone: dial, ring-back and busy tones of 350
to 480 Hz (ITU-T E.180) below, the answer tone of modems at 2100 Hz (V.25) above.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import attrs
import numpy as np
import numpy.typing as npt

from voxpy.audio.frame import Samples

BEEP_RATES_HZ = (8000, 16000)
"""Rates a detector works at; resample others to 8 kHz."""
DEFAULT_RANGE_HZ = (550.0, 2000.0)
TOLERANCE = 0.025
"""How far a tone may be from an expected frequency; machines keep theirs within 1 or 2 %."""
LOWEST_HZ, HIGHEST_HZ = 200.0, 3500.0
"""What can be listened for on a telephone line."""

HOP_S = 0.01
SHORTEST_HOPS = 11
"""More than 100 ms."""
LONGEST_HOPS = 400
WINDOW_S = 0.064
HOPS_PER_BLOCK = 2
PUREST = 0.9
"""Share of the energy in the peak; noise 15 dB below the tone leaves 0.97."""
PEAK_LINES = 2
"""Lines on either side of the peak that belong to it: the main lobe of a Hann window."""
STEADY = 0.03
"""How far the frequency may wander, as a share of it: less than a half-tone, which is 6 %."""
LOWEST_DBFS = -45.0

_LOWEST_POWER = 32768.0**2 * 10 ** (LOWEST_DBFS / 10)
_Floats = npt.NDArray[np.float64]


@attrs.frozen
class Beep:
    """A beep that is over; ``start_s`` is seconds of audio since the detector was made."""

    frequency_hz: float
    start_s: float
    duration_s: float


@cache
def _hann(rate_hz: int) -> _Floats:
    n = round(WINDOW_S * rate_hz)
    window: _Floats = np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2
    window /= np.sqrt((window**2).sum() * n / 2)  # a spectrum's energy is then the mean square
    window.flags.writeable = False
    return window


@attrs.define(eq=False)
class _Tone:
    """One tone that lasts, counted in windows; each stands for the 10 ms in its middle."""

    first: int
    last: int
    frequencies_hz: list[float]

    @property
    def hops(self) -> int:
        return self.last - self.first + 1

    @property
    def frequency_hz(self) -> float:
        ordered = sorted(self.frequencies_hz)
        return ordered[len(ordered) // 2]


class BeepDetector:
    """Finds beeps in a stream of mono samples at 8 or 16 kHz; the cuts of the stream do not matter.

    ``frequencies_hz`` are those to listen for, each with 2.5 % to either side; None means any from
    550 to 2000 Hz. Raises ValueError for another rate, for no frequency at all and for one outside
    200 to 3500 Hz.
    """

    def __init__(self, rate_hz: int, *, frequencies_hz: Sequence[float] | None = None) -> None:
        if rate_hz not in BEEP_RATES_HZ:
            expected = " or ".join(map(str, BEEP_RATES_HZ))
            raise ValueError(f"beeps at {rate_hz!r} Hz: expected {expected} Hz")
        self._ranges_hz = _ranges_hz(frequencies_hz)
        self._hann = _hann(rate_hz)
        window, hop = len(self._hann), round(HOP_S * rate_hz)
        self._block_samples = HOPS_PER_BLOCK * hop
        self._history_samples = window - hop
        self._buffer: Samples = np.zeros(self._history_samples + self._block_samples, np.int16)
        self._windows = np.lib.stride_tricks.sliding_window_view(self._buffer, window)[::hop]
        self._line_hz = rate_hz / window
        self._waiting: Samples = np.empty(0, np.int16)
        self._hops = 0
        self._tone: _Tone | None = None

    def process(self, samples: Samples) -> list[Beep]:
        """Listen to ``samples`` (any number) and return the beeps that ended, in order.

        A beep is reported 30 to 60 ms after its end.
        """
        found: list[Beep] = []
        if len(self._waiting):
            samples = np.concatenate([self._waiting, samples])
        whole = len(samples) - len(samples) % self._block_samples
        for start in range(0, whole, self._block_samples):
            self._listen(samples[start : start + self._block_samples], found)
        self._waiting = samples[whole:]
        return found

    def _listen(self, block: Samples, found: list[Beep]) -> None:
        self._buffer[: self._history_samples] = self._buffer[-self._history_samples :]
        self._buffer[self._history_samples :] = block
        lines = self._spectra() if self._buffer.any() else None
        for hop in range(HOPS_PER_BLOCK):
            pure_hz = self._pure_hz(lines[hop]) if lines is not None else None
            self._follow(self._hops + hop, pure_hz, found)
        self._hops += HOPS_PER_BLOCK

    def _spectra(self) -> _Floats:
        spectrum = np.fft.rfft(self._windows * self._hann)
        return spectrum.real**2 + spectrum.imag**2

    def _pure_hz(self, lines: _Floats) -> float | None:
        """Return the frequency of the only tone in a spectrum, or None if it is not so."""
        peak = int(lines.argmax())
        near = lines[max(0, peak - PEAK_LINES) : peak + PEAK_LINES + 1]
        around, total = float(near.sum()), float(lines.sum())
        if around < _LOWEST_POWER or around < PUREST * total or not 0 < peak < len(lines) - 1:
            return None
        # Between lines a Hann peak leans towards the louder neighbour: for amplitudes a < b of the
        # two loudest lines, the tone is (2b - a) / (a + b) lines away from the first.
        left, middle, right = (math.sqrt(float(p)) for p in lines[peak - 1 : peak + 2])
        side, other = (1, right) if right > left else (-1, left)
        return (peak + side * (2 * other - middle) / (other + middle)) * self._line_hz

    def _follow(self, hop: int, pure_hz: float | None, found: list[Beep]) -> None:
        tone = self._tone
        if tone is not None and pure_hz is not None and _same(tone, pure_hz):
            tone.last = hop
            if tone.hops <= LONGEST_HOPS:
                tone.frequencies_hz.append(pure_hz)
            return
        self._tone = None if pure_hz is None else _Tone(hop, hop, [pure_hz])
        if tone is not None and SHORTEST_HOPS <= tone.hops <= LONGEST_HOPS:
            heard_hz = tone.frequency_hz
            if any(low <= heard_hz <= high for low, high in self._ranges_hz):
                start_s = (tone.first + 0.5) * HOP_S - WINDOW_S / 2
                found.append(Beep(heard_hz, max(0.0, start_s), tone.hops * HOP_S))


def _same(tone: _Tone, pure_hz: float) -> bool:
    return abs(pure_hz - tone.frequency_hz) <= STEADY * pure_hz


def _ranges_hz(frequencies_hz: Sequence[float] | None) -> list[tuple[float, float]]:
    if frequencies_hz is None:
        return [DEFAULT_RANGE_HZ]
    for frequency_hz in frequencies_hz:
        if not LOWEST_HZ <= frequency_hz <= HIGHEST_HZ:
            raise ValueError(
                f"a beep of {frequency_hz!r} Hz: expected {LOWEST_HZ:g} to {HIGHEST_HZ:g} Hz"
            )
    if not frequencies_hz:
        raise ValueError("no frequency to listen for; leave them out to take the default range")
    return [(hz * (1 - TOLERANCE), hz * (1 + TOLERANCE)) for hz in frequencies_hz]
