"""Hears DTMF digits in live audio, within the tolerances of ITU-T Q.24.

*What is looked at.* Every 5 ms, a Hann window of 25 ms is compared with the eight frequencies of
the keypad. The window is wide enough to tell neighbours apart (they are 73 Hz away from each other)
and its side lobes are so low that the louder tone does not bend the phase of the other. From one
window to the next the phase of a tone turns by its frequency: that gives the frequency within a few
hertz although the window itself cannot resolve it, and so 1.5 % off is accepted and 3.5 % is not.

*What is a digit.* A window is good if two tones, at the frequencies of a key and about equally
loud, make up nearly all of its energy. A press is three good windows in a row, and both tones must
have stayed above half of their amplitude for 31 ms: that is where the middle of a window crosses
an edge of the tone, so the measured duration is exact although the window is wide. A press is over
when a tone is below half for 25 ms; shorter interruptions belong to it.

Speech does not pass: a voice that puts nearly all its energy into two keypad frequencies does not
hold them. How much speech was tried is in ``benchmarks/dtmf.py``.
"""

from __future__ import annotations

import cmath
import math
from functools import cache

import attrs
import numpy as np
import numpy.typing as npt

from voxpy.audio.frame import Samples
from voxpy.audio.tones import DTMF_HZ

DTMF_RATES_HZ = (8000, 16000)
"""Rates a detector works at; resample others to 8 kHz, where the whole keypad is."""

HOP_S = 0.005
WINDOW_S = 0.025
HOPS_PER_BLOCK = 4

FREQUENCY_TOLERANCE = 0.025
"""Half-way between 1.5 %, which must be accepted, and 3.5 %, which must not (Q.24 table A-1)."""
HIGH_OVER_LOW_DB = 5.5
LOW_OVER_HIGH_DB = 9.5
"""Twist: Q.24 wants 4 and 8 dB (AT&T column); 1.5 dB more for what lines do to it."""
LEAST_TONES = 0.75
"""Share of a window's energy in the two tones; noise 15 dB below them leaves 0.97."""
LOWEST_DBM0 = -38.0
"""Per tone. Q.24 asks for -25 to -30 dBm0; 8 dB more for the weaker one of a twisted pair."""
SHORTEST_S = 0.031
"""Half-way between 23 ms, which must be rejected, and 40 ms, which must be accepted."""
BRIDGE_S = 0.025
"""Half-way between an interruption of 10 ms and a pause of 40 ms."""
GOOD_WINDOWS = 3
BAD_WINDOWS = 2
"""At the end of a tone of 40 ms, windows reach beyond it before their middles do."""
WORTH_A_LOOK = 0.4
"""Share of the energy in the two strongest bins below which a window is not looked at closer."""

_DBM0_OF_FULL_SCALE = 3.14  # a sine of full scale in mu-law: G.711 table 5
_LOWEST_POWER = 32768.0**2 / 2 * 10 ** ((LOWEST_DBM0 - _DBM0_OF_FULL_SCALE) / 10)
_KEYS = {pair: key for key, pair in DTMF_HZ.items()}
_ROWS_HZ = sorted({low for low, _ in _KEYS})
_COLUMNS_HZ = sorted({high for _, high in _KEYS})
_ALL_HZ = (*_ROWS_HZ, *_COLUMNS_HZ)

_HIGH_OVER_LOW = 10 ** (HIGH_OVER_LOW_DB / 10)
_LOW_OVER_HIGH = 10 ** (LOW_OVER_HIGH_DB / 10)
# How far each frequency's phase turns from one window to the next, taken back.
_TURNS = [cmath.exp(-2j * math.pi * tone_hz * HOP_S) for tone_hz in _ALL_HZ]

_Floats = npt.NDArray[np.float32]


@attrs.frozen
class DigitBegan:
    """A key is down; ``start_s`` is seconds of audio since the detector was made."""

    digit: str
    start_s: float


@attrs.frozen
class DigitEnded:
    """The key is up again."""

    digit: str
    start_s: float
    duration_s: float


@attrs.frozen(eq=False)
class _Plan:
    """What all detectors at one rate share, read-only."""

    basis: _Floats  # (window, 16): cosines, then sines
    weights: _Floats  # (window,): a dot product with squares is the mean square
    hop_samples: int


@cache
def _plan(rate_hz: int) -> _Plan:
    n = round(WINDOW_S * rate_hz)
    hann = np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2
    # Time zero is the middle of the window, so that a phase does not depend on how far off a tone
    # is. The scale makes the squared magnitude of a tone its mean square.
    time_s = (np.arange(n) - (n - 1) / 2) / rate_hz
    waves = np.exp(-2j * np.pi * np.outer(time_s, _ALL_HZ)) * hann[:, None] * np.sqrt(2)
    waves /= hann.sum()
    basis = np.concatenate([waves.real, waves.imag], axis=1).astype(np.float32)
    weights = (hann**2 / (hann**2).sum()).astype(np.float32)
    return _Plan(np.ascontiguousarray(basis), weights, round(HOP_S * rate_hz))


@attrs.define(eq=False)
class _Press:
    """Two tones that may be, or are, a key held down. Times are those of window middles."""

    low: int
    high: int
    digit: str
    track: list[tuple[float, float, float]]  # when, amplitude low, amplitude high
    good: int = 0  # windows in a row
    most_good: int = 0
    bad: int = 0  # windows since the last good one
    loudest: tuple[float, float] = (0.0, 0.0)
    below_since_s: float | None = None
    start_s: float = 0.0

    def see(self, when_s: float, low: float, high: float) -> None:
        self.track.append((when_s, low, high))
        self.loudest = (max(self.loudest[0], low), max(self.loudest[1], high))
        if self.level(-1) >= 0.5:
            self.below_since_s = None
        elif self.below_since_s is None:
            self.below_since_s = self._crossing(len(self.track) - 1)

    def level(self, index: int) -> float:
        """Return the weaker tone's amplitude at ``index``, as a share of its loudest."""
        _, low, high = self.track[index]
        return min(low / (self.loudest[0] or 1.0), high / (self.loudest[1] or 1.0))

    def _crossing(self, index: int) -> float:
        """Return when the level was one half, between the sight before ``index`` and this one."""
        if index == 0:
            return self.track[0][0]
        before, after = self.level(index - 1), self.level(index)
        share = (0.5 - before) / (after - before) if after != before else 0.0
        earlier_s, later_s = self.track[index - 1][0], self.track[index][0]
        return earlier_s + min(1.0, max(0.0, share)) * (later_s - earlier_s)

    def began_s(self) -> float:
        """Return when the tones rose above half of what they are now."""
        index = len(self.track) - 1
        while index > 0 and self.level(index - 1) >= 0.5:
            index -= 1
        return self._crossing(index)


class DtmfDetector:
    """Finds digits in a stream of mono samples at 8 or 16 kHz.

    Feed it any chunks: the digits do not depend on where the stream is cut. ``looks_like_a_digit``
    says whether the 20 ms looked at last may be part of one, before that is certain. Raises
    ValueError for another rate.
    """

    def __init__(self, rate_hz: int) -> None:
        if rate_hz not in DTMF_RATES_HZ:
            expected = " or ".join(map(str, DTMF_RATES_HZ))
            raise ValueError(f"DTMF at {rate_hz!r} Hz: expected {expected} Hz")
        self._plan = plan = _plan(rate_hz)
        self._rate_hz = rate_hz
        window = len(plan.weights)
        self._block_samples = HOPS_PER_BLOCK * plan.hop_samples
        self._history_samples = window - plan.hop_samples
        self._buffer: _Floats = np.zeros(
            self._history_samples + self._block_samples, dtype=np.float32
        )
        self._windows = np.lib.stride_tricks.sliding_window_view(self._buffer, window)[
            :: plan.hop_samples
        ]
        self._waiting: Samples = np.empty(0, np.int16)
        self._hops = 0
        self._power: _Floats = np.zeros((2 * HOPS_PER_BLOCK, 8), np.float32)
        self._spectrum: _Floats = np.zeros((1 + HOPS_PER_BLOCK, 16), np.float32)
        self._candidate: _Press | None = None
        self._held: _Press | None = None
        self.looks_like_a_digit = False

    @property
    def held(self) -> str | None:
        """The key that is down, or None."""
        return self._held.digit if self._held is not None else None

    def process(self, samples: Samples) -> list[DigitBegan | DigitEnded]:
        """Listen to ``samples`` (any number) and return what happened, in order.

        A digit is certain 45 to 65 ms after it began, and its end 38 to 58 ms after it ended.
        """
        found: list[DigitBegan | DigitEnded] = []
        if len(self._waiting):
            samples = np.concatenate([self._waiting, samples])
        whole = len(samples) - len(samples) % self._block_samples
        for start in range(0, whole, self._block_samples):
            self._listen(samples[start : start + self._block_samples], found)
        self._waiting = samples[whole:]
        return found

    # -- one block of 20 ms ------------------------------------------------------------------------

    def _listen(self, block: Samples, found: list[DigitBegan | DigitEnded]) -> None:
        buffer, history = self._buffer, self._history_samples
        buffer[:history] = buffer[-history:]
        buffer[history:] = block
        self.looks_like_a_digit = False
        self._power[:HOPS_PER_BLOCK] = self._power[HOPS_PER_BLOCK:]
        self._spectrum[0] = self._spectrum[-1]
        busy = self._held is not None or self._candidate is not None
        if not busy and float(buffer.dot(buffer)) < _LOWEST_POWER:
            self._power[HOPS_PER_BLOCK:] = 0.0  # digital silence, or almost
            self._spectrum[-1] = 0.0
            self._hops += HOPS_PER_BLOCK
            return
        spectrum = self._spectrum[1:]
        np.matmul(self._windows, self._plan.basis, out=spectrum)
        square = spectrum * spectrum
        power = self._power[HOPS_PER_BLOCK:]
        np.add(square[:, :8], square[:, 8:], out=power)
        energy = (self._windows * self._windows) @ self._plan.weights
        two = power.reshape(HOPS_PER_BLOCK, 2, 4).max(axis=2).sum(axis=1)
        worth = two > WORTH_A_LOOK * energy
        if busy or worth.any():
            # From here on a few numbers at a time: plain Python is faster than small arrays.
            seen = _Block(self._power.tolist(), self._spectrum.tolist(), energy.tolist())
            for hop, is_worth in enumerate(worth.tolist()):
                self._step(hop, seen, is_worth, found)
        self._hops += HOPS_PER_BLOCK

    def _when_s(self, hop: int) -> float:
        """Return the middle of a window of this block; negative ``hop`` is in the block before."""
        return (self._hops + hop + 1) * HOP_S - WINDOW_S / 2

    def _step(
        self, hop: int, seen: _Block, worth: bool, found: list[DigitBegan | DigitEnded]
    ) -> None:
        power = seen.power[HOPS_PER_BLOCK + hop]
        when_s = self._when_s(hop)
        self._follow_held(when_s, power, found)
        self._follow_candidate(hop, _key(hop, seen) if worth else None, when_s, seen)
        candidate = self._candidate
        if candidate is not None and _certain(candidate, when_s):
            self._end_held(when_s, found)
            candidate.start_s = max(0.0, candidate.began_s())
            self._held, self._candidate = candidate, None
            found.append(DigitBegan(candidate.digit, candidate.start_s))
        self.looks_like_a_digit |= self._candidate is not None or self._held is not None

    def _follow_held(
        self, when_s: float, power: list[float], found: list[DigitBegan | DigitEnded]
    ) -> None:
        held = self._held
        if held is not None:
            held.see(when_s, *_amplitudes(held, power))
            del held.track[:-2]  # a key may be held down for minutes
            if held.below_since_s is not None and when_s - held.below_since_s > BRIDGE_S:
                self._end_held(when_s, found)

    def _end_held(self, when_s: float, found: list[DigitBegan | DigitEnded]) -> None:
        held, self._held = self._held, None
        if held is not None:
            end_s = held.below_since_s if held.below_since_s is not None else when_s
            found.append(DigitEnded(held.digit, held.start_s, end_s - held.start_s))

    def _follow_candidate(
        self, hop: int, key: tuple[int, int] | None, when_s: float, seen: _Block
    ) -> None:
        candidate = self._candidate
        if key is not None and (candidate is None or key != (candidate.low, candidate.high)):
            self._candidate = candidate = self._suspect(hop, key, seen)
        if candidate is None:
            return
        candidate.see(when_s, *_amplitudes(candidate, seen.power[HOPS_PER_BLOCK + hop]))
        if key is not None:
            candidate.good, candidate.bad = candidate.good + 1, 0
            candidate.most_good = max(candidate.most_good, candidate.good)
        else:
            candidate.good, candidate.bad = 0, candidate.bad + 1
            if candidate.bad > BAD_WINDOWS:
                self._candidate = None

    def _suspect(self, hop: int, key: tuple[int, int], seen: _Block) -> _Press | None:
        """Return a press that begins to show, with what was seen of it before it was good."""
        low, high = key
        digit = _KEYS[_ROWS_HZ[low], _COLUMNS_HZ[high]]
        if self.held == digit:
            return None
        press = _Press(low, high, digit, [])
        for earlier in range(-HOPS_PER_BLOCK, hop):
            amplitudes = _amplitudes(press, seen.power[HOPS_PER_BLOCK + earlier])
            press.track.append((self._when_s(earlier), *amplitudes))
        return press


@attrs.frozen(eq=False)
class _Block:
    """What 20 ms look like: 4 + 4 rows of ``power``, 1 + 4 of ``spectrum``, 4 of ``energy``."""

    power: list[list[float]]
    spectrum: list[list[float]]
    energy: list[float]


def _key(hop: int, seen: _Block) -> tuple[int, int] | None:
    """Return row and column if this window holds the two tones of a key and little else."""
    rows, columns = seen.power[HOPS_PER_BLOCK + hop][:4], seen.power[HOPS_PER_BLOCK + hop][4:]
    row, column = rows.index(max(rows)), columns.index(max(columns))
    low = rows[row] * _correction(hop, row, seen)
    high = columns[column] * _correction(hop, 4 + column, seen)
    if (
        min(low, high) < _LOWEST_POWER
        or low + high < LEAST_TONES * seen.energy[hop]
        or high > low * _HIGH_OVER_LOW
        or low > high * _LOW_OVER_HIGH
    ):
        return None
    return row, column


def _correction(hop: int, index: int, seen: _Block) -> float:
    """Return what to multiply a power with for a tone off its frequency; 0.0 if too far off."""
    now, before = seen.spectrum[1 + hop], seen.spectrum[hop]
    turned = complex(now[index], now[8 + index]) * complex(before[index], -before[8 + index])
    off_hz = cmath.phase(turned * _TURNS[index]) / (2 * math.pi * HOP_S)
    if abs(off_hz) > FREQUENCY_TOLERANCE * _ALL_HZ[index]:
        return 0.0
    bins = off_hz * WINDOW_S
    if bins == 0.0:
        return 1.0
    return ((1 - bins * bins) * math.pi * bins / math.sin(math.pi * bins)) ** 2


def _amplitudes(press: _Press, power: list[float]) -> tuple[float, float]:
    return math.sqrt(power[press.low]), math.sqrt(power[4 + press.high])


def _certain(candidate: _Press, when_s: float) -> bool:
    return (
        candidate.most_good >= GOOD_WINDOWS
        and candidate.level(-1) >= 0.5
        and when_s - candidate.began_s() >= SHORTEST_S
    )
