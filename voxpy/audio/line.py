"""A telephone line to try things on: packets get lost, late and out of order, and there is noise.

One direction; frames go in, packets come out when the network has carried them. What to do about
those that did not come, or came late, is the receiver's business. Repeatable for a seed.

Each packet is held up by the magnitude of a normal variable of deviation ``jitter_ms``, one
independently of the other: beyond some 10 ms of it, packets overtake each other.
"""

from __future__ import annotations

import heapq
import math

import attrs
import numpy as np

from voxpy.audio.convert import decode, encode
from voxpy.audio.frame import PCMU, Format
from voxpy.audio.mix import amplitude, mix


@attrs.frozen(order=True)
class Arrival:
    """A packet that got through: when (seconds), which (they are numbered from 0), and what."""

    at: float
    number: int
    frame: bytes = attrs.field(order=False)


class Line:
    """One direction of a simulated line.

    ``loss`` is the probability of a packet being lost, ``jitter_ms`` the deviation of its delay,
    ``noise_dbfs`` the level (RMS) of white noise on the speaker's side, or None. With the defaults
    frames pass untouched, as the same objects. Loss, delay and noise draw from generators of their
    own, so changing one leaves the pattern of the others alone. ``lost`` counts.

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
        self.lost = 0
        self._loss = loss
        self._jitter_s = jitter_ms / 1000
        self._noise = 0.0 if noise_dbfs is None else amplitude(noise_dbfs)
        self._chance, self._delays, self._hiss = map(
            np.random.default_rng, np.random.SeedSequence(seed).spawn(3)
        )
        self._sent = 0
        self._travelling: list[Arrival] = []

    @property
    def is_perfect(self) -> bool:
        """Whether every frame arrives at once and untouched."""
        return not (self._loss or self._jitter_s or self._noise)

    def send(self, frame: bytes, now: float) -> None:
        """Send off one frame at ``now`` (seconds).

        Raises ValueError if ``frame`` is not exactly 20 ms of the line's format.
        """
        if len(frame) != self.fmt.frame_bytes:
            raise ValueError(
                f"{len(frame)} bytes are not one 20 ms frame of {self.fmt} "
                f"({self.fmt.frame_bytes} bytes)"
            )
        number, self._sent = self._sent, self._sent + 1
        noisy = self._noisy(frame)
        lost = self._loss > 0 and self._chance.random() < self._loss
        delay_s = abs(self._delays.normal()) * self._jitter_s if self._jitter_s else 0.0
        if lost:
            self.lost += 1
        else:
            heapq.heappush(self._travelling, Arrival(now + delay_s, number, noisy))

    def arrivals(self, now: float) -> list[Arrival]:
        """Return what has arrived by ``now`` and was not returned before, in order of arrival."""
        arrived = []
        while self._travelling and self._travelling[0].at <= now:
            arrived.append(heapq.heappop(self._travelling))
        return arrived

    def _noisy(self, frame: bytes) -> bytes:
        if not self._noise:
            return frame
        hiss = self._noise * self._hiss.standard_normal(self.fmt.frame_samples, np.float32)
        white = np.clip(np.rint(hiss), -32768, 32767).astype(np.int16)
        return encode(mix(decode(frame, self.fmt), white), self.fmt)


def _check(loss: float, jitter_ms: float, noise_dbfs: float | None) -> None:
    if not 0 <= loss <= 1:
        raise ValueError(f"loss={loss}: expected a probability, 0 to 1")
    if not 0 <= jitter_ms < math.inf:
        raise ValueError(f"jitter_ms={jitter_ms}: expected a deviation of 0 ms or more")
    if noise_dbfs is not None and not noise_dbfs <= 0:
        raise ValueError(f"noise_dbfs={noise_dbfs}: expected a level of 0 dBFS or less, or None")
