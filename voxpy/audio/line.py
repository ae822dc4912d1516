"""A telephone line to try things on: packets get lost and late, and there is noise.

One direction, one frame in and one frame out per 20 ms, repeatable for a seed.

*Jitter.* Each packet is held up by the magnitude of a normal variable of deviation ``jitter_ms``,
before a playout buffer of fixed depth, three deviations rounded up to whole frames. Such a buffer
plays packet ``n`` at tick ``n + depth`` or not at all; so a packet is late exactly if its own delay
exceeds the depth (one in 370 or fewer), and what arrived in which order makes no difference.

*Concealment.* A missing frame is the last good one again, fading to nothing over three frames, then
silence: roughly what a phone does (ITU-T G.711 appendix I fades over 60 ms as well).
"""

from __future__ import annotations

import math
from collections import deque

import attrs
import numpy as np

from voxpy.audio.convert import decode, encode
from voxpy.audio.frame import FRAME_MS, PCMU, Format, Samples
from voxpy.audio.mix import mix

__all__ = ["Line", "LineStatistics"]

_DEPTH_DEVIATIONS = 3
_FADE_FRAMES = 3


@attrs.frozen(kw_only=True)
class LineStatistics:
    """What a line has done so far.

    ``frames`` went in; of them ``lost`` on the way and ``late`` for the playout buffer. Of the
    frames missing at playout, ``concealed`` were covered by a fading repeat, the others by silence.
    ``delay_frames`` is the depth of the playout buffer: how many ticks after it went in a frame
    comes out.
    """

    frames: int
    lost: int
    late: int
    concealed: int
    delay_frames: int


class Line:
    """One direction of a simulated line.

    ``loss`` is the probability of a packet being lost, ``jitter_ms`` the deviation of its delay,
    ``noise_dbfs`` the level (RMS) of white noise on the speaker's side, or None. With the defaults
    frames pass untouched, as the same objects. Loss, delay and noise draw from generators of their
    own, so changing one leaves the pattern of the others alone.

    Raises ValueError for a loss outside 0..1, a negative jitter or a noise above 0 dBFS.
    """

    def __init__(
        self,
        *,
        loss: float = 0.0,
        jitter_ms: float = 0.0,
        noise_dbfs: float | None = None,
        seed: int = 0,
        fmt: Format = PCMU,
    ) -> None:
        _check(loss, jitter_ms, noise_dbfs)
        self.fmt = fmt
        self._loss = loss
        self._jitter_ms = jitter_ms
        self._noise = 0.0 if noise_dbfs is None else 32768.0 * 10 ** (noise_dbfs / 20)
        self._chance, self._delays, self._hiss = map(
            np.random.default_rng, np.random.SeedSequence(seed).spawn(3)
        )
        self._depth = math.ceil(_DEPTH_DEVIATIONS * jitter_ms / FRAME_MS)
        self._playout: deque[bytes | None] = deque([fmt.silence] * self._depth)
        self._concealment = _Concealment(fmt)
        self._frames = self._lost = self._late = 0

    def carry(self, frame: bytes) -> bytes:
        """Take one frame in at this tick and return the one that comes out.

        Raises ValueError if ``frame`` is not exactly 20 ms of the line's format.
        """
        if len(frame) != self.fmt.frame_bytes:
            raise ValueError(
                f"{len(frame)} bytes are not one 20 ms frame of {self.fmt} "
                f"({self.fmt.frame_bytes} bytes)"
            )
        self._frames += 1
        self._playout.append(self._transmit(self._noisy(frame)))
        return self._concealment.play(self._playout.popleft())

    def _noisy(self, frame: bytes) -> bytes:
        if not self._noise:
            return frame
        hiss = self._noise * self._hiss.standard_normal(self.fmt.frame_samples, np.float32)
        white = np.clip(np.rint(hiss), -32768, 32767).astype(np.int16)
        return encode(mix(decode(frame, self.fmt), white), self.fmt)

    def _transmit(self, frame: bytes) -> bytes | None:
        """Return the frame, or None if it will not be there when it should be played."""
        lost = self._chance.random() < self._loss
        delay_ms = abs(self._delays.normal()) * self._jitter_ms
        if lost:
            self._lost += 1
            return None
        if delay_ms > self._depth * FRAME_MS:
            self._late += 1
            return None
        return frame

    @property
    def statistics(self) -> LineStatistics:
        """What happened so far."""
        return LineStatistics(
            frames=self._frames,
            lost=self._lost,
            late=self._late,
            concealed=self._concealment.concealed,
            delay_frames=self._depth,
        )


class _Concealment:
    """Fills the holes in a stream of frames."""

    def __init__(self, fmt: Format) -> None:
        self._fmt = fmt
        ramp = np.linspace(1.0, 0.0, _FADE_FRAMES * fmt.frame_samples, dtype=np.float32)
        self._fade = ramp.reshape(_FADE_FRAMES, -1)
        self._last: bytes | None = None
        self._missing = 0
        self.concealed = 0

    def play(self, frame: bytes | None) -> bytes:
        """Return ``frame``, or something in its place if it is None."""
        if frame is not None:
            self._last, self._missing = frame, 0
            return frame
        step = self._missing
        self._missing += 1
        if self._last is None or step >= _FADE_FRAMES:
            return self._fmt.silence
        self.concealed += 1
        faded: Samples = np.rint(decode(self._last, self._fmt) * self._fade[step]).astype(np.int16)
        return encode(faded, self._fmt)


def _check(loss: float, jitter_ms: float, noise_dbfs: float | None) -> None:
    if not 0 <= loss <= 1:
        raise ValueError(f"loss={loss}: expected a probability, 0 to 1")
    if not 0 <= jitter_ms < math.inf:
        raise ValueError(f"jitter_ms={jitter_ms}: expected a deviation of 0 ms or more")
    if noise_dbfs is not None and not noise_dbfs <= 0:
        raise ValueError(f"noise_dbfs={noise_dbfs}: expected a level of 0 dBFS or less, or None")
