"""Covering lost frames: the last pitch period again, fading to nothing, and a soft way back.

After ITU-T G.711 Appendix I: the pitch is where the recent past correlates best with itself (66 to
200 Hz), and a hole is filled with the last period. From 10 ms on it loses a fifth of its level
every 10 ms, so that after 60 ms there is silence. The first good frame is overlapped with the
continuation for a quarter of a period, longer after a longer hole.

Two departures. The appendix delays all audio by 3.75 ms, to overlap at the start of a hole as well;
here nothing is delayed, and the step between the real signal and its repetition is taken out by a
ramp over a quarter of a period. And it goes on to repeat the last two and three periods in long
holes; measured on speech with 2, 5 and 10 % of the frames lost that is 0.02 PESQ worse than one.
"""

from __future__ import annotations

from collections import deque
from math import ceil

import numpy as np
import numpy.typing as npt

from voxpy.audio.convert import decode, encode
from voxpy.audio.frame import FRAME_S, Format

_Floats = npt.NDArray[np.float32]

_HISTORY_S = 0.04  # what is compared, and the longest period before it
_SHORTEST_S, _LONGEST_S = 0.005, 0.015  # periods looked for: 200 and 66 Hz
_COMPARED_S = 0.020
_FULL_LEVEL_S = 0.010
_SILENT_AFTER_S = 0.060
_OVERLAP_PER_HOLE = 0.4  # 4 ms more for every 10 ms of hole, 10 ms at most
_LONGEST_OVERLAP_S = 0.010


class Concealer:
    """Fills the holes in one stream of frames of ``fmt``, 20 ms or what ``frame_s`` says.

    Good frames pass as the same objects and cost next to nothing; arithmetic is done only for a
    hole and for the first frame after it. ``concealed`` counts the frames that were made up;
    those after the fade-out are silence and not counted.
    """

    def __init__(self, fmt: Format, *, frame_s: float = FRAME_S) -> None:
        self.fmt = fmt
        self.concealed = 0
        self._frame_samples = round(fmt.rate_hz * frame_s)
        self._silence = fmt.silence
        if frame_s != FRAME_S:
            self._silence = fmt.silence[: fmt.sample_bytes] * self._frame_samples
        self._frames = max(2, ceil(_HISTORY_S / frame_s))
        self._past: deque[bytes] = deque([self._silence] * self._frames, self._frames)
        self._hole: _Repetition | None = None
        self._missing = 0

    def play(self, frame: bytes | None, *, spliced: bool = False) -> bytes:
        """Return ``frame``, or what stands in for it if it is None.

        ``spliced`` says that audio was left out before this frame: the joint is smoothed.
        """
        if frame is None:
            return self._conceal()
        out = frame
        if self._hole is not None or spliced:
            out = self._joined(frame)
        self._hole, self._missing = None, 0
        self._past.append(out)
        return out

    def pause(self) -> None:
        """Take note that this tick is silent: nothing of before is to be continued.

        Behind a pause that began as a hole the first frame swells, as it may be in mid-word.
        """
        if self._past[-1] is not self._silence:
            self._past.extend([self._silence] * self._frames)
            if self._hole is not None:
                self._hole, self._missing = None, 0
                self._begin()

    def _conceal(self) -> bytes:
        hole = self._begin()
        self._missing += 1
        made = hole.next(self._frame_samples)
        if made is None:
            return self._silence
        self.concealed += 1
        return _bytes(made, self.fmt)

    def _begin(self) -> _Repetition:
        if self._hole is None:
            past = decode(b"".join(self._past), self.fmt).astype(np.float32)
            self._hole = _Repetition(past, self.fmt.rate_hz)
        return self._hole

    def _joined(self, frame: bytes) -> bytes:
        hole = self._begin()
        n = hole.overlap_samples(self._missing * self._frame_samples)
        continued = hole.next(n)
        if continued is None:
            continued = np.zeros(n, np.float32)
        good = decode(frame, self.fmt).astype(np.float32)
        rise = (np.arange(n, dtype=np.float32) + 1) / (n + 1)
        good[:n] = good[:n] * rise + continued * (1 - rise)
        return _bytes(good, self.fmt)


class _Repetition:
    """The past, going on."""

    def __init__(self, past: _Floats, rate_hz: int) -> None:
        self._past = past
        self._rate_hz = rate_hz
        self._made = 0
        self._silent = not past.any()
        self._period = round(_LONGEST_S * rate_hz) if self._silent else _period(past, rate_hz)
        self._quarter = self._period // 4
        self._cycle = _cycle(past, self._period, self._quarter)
        self._step = float(past[-1] - self._cycle[-1])

    def overlap_samples(self, hole_samples: int) -> int:
        """Return how long the way back is after a hole of that length."""
        longest = round(_LONGEST_OVERLAP_S * self._rate_hz)
        return min(longest, self._quarter + int(_OVERLAP_PER_HOLE * hole_samples))

    def next(self, n: int) -> _Floats | None:
        """Return the next ``n`` samples, or None if they are silent."""
        first, self._made = self._made, self._made + n
        if self._silent or first >= _SILENT_AFTER_S * self._rate_hz:
            return None
        at = np.arange(first, first + n)
        out = self._cycle[at % self._period]
        if first < self._quarter:
            out += self._step * np.maximum(0, 1 - (at + 1) / (self._quarter + 1))
        out *= self._level(at)
        return out

    def _level(self, at: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        seconds = at / self._rate_hz
        fall = (seconds - _FULL_LEVEL_S) / (_SILENT_AFTER_S - _FULL_LEVEL_S)
        return np.asarray(1 - np.clip(fall, 0, 1))


def _period(past: _Floats, rate_hz: int) -> int:
    """Return the lag at which the last 20 ms resemble what came before most."""
    shortest, longest = round(_SHORTEST_S * rate_hz), round(_LONGEST_S * rate_hz)
    n = round(_COMPARED_S * rate_hz)
    recent, before = past[-n:], past[-n - longest : -shortest]
    products = np.correlate(before, recent, "valid")
    squares = np.concatenate([np.zeros(1, np.float32), np.cumsum(before * before)])
    energy = squares[n:] - squares[:-n]
    # A nearly silent stretch must not win because the correlation is divided by next to nothing.
    floor = np.maximum(energy, float(recent @ recent) / 8 + 1)
    return longest - int(np.argmax(products / np.sqrt(floor)))


def _cycle(past: _Floats, length: int, overlap: int) -> _Floats:
    """Return the last ``length`` samples, their end blended so that the start can follow it."""
    cycle = past[-length:].copy()
    fade = (np.arange(overlap, dtype=np.float32) + 1) / (overlap + 1)
    ahead = past[-length - overlap : -length]
    cycle[-overlap:] = cycle[-overlap:] * (1 - fade) + ahead * fade
    return cycle


def _bytes(wide: npt.NDArray[np.float32], fmt: Format) -> bytes:
    return encode(np.clip(np.rint(wide), -32768, 32767).astype(np.int16), fmt)
