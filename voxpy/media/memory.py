"""The last audio of a stream, by its position on the stream's own timeline; and where to cut it."""

from __future__ import annotations

import numpy as np

from voxpy.audio.frame import Samples

ROOM_S = 15
"""Space that is added at once, so that copying is rare."""

_BLOCK_S = 0.02
_QUIET_BLOCKS = 8
"""160 ms: a stop consonant is silent for less than 100 ms, and a word must not be cut at one."""


class SpeechMemory:
    """Remembers the last ``memory_s`` seconds of a stream of samples at ``rate_hz``."""

    def __init__(self, *, memory_s: float, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._longest = round(memory_s * rate_hz)
        self._samples = np.zeros(0, np.int16)
        self._filled = 0
        self._starts_at = 0

    @property
    def position_ms(self) -> float:
        """How much audio has been added since the beginning, in milliseconds."""
        return (self._starts_at + self._filled) * 1000 / self._rate_hz

    def add(self, samples: Samples) -> None:
        """Append what was heard next."""
        if self._filled + len(samples) > len(self._samples):
            self._make_room(len(samples))
        self._samples[self._filled : self._filled + len(samples)] = samples
        self._filled += len(samples)

    def segment(self, from_ms: float, to_ms: float) -> Samples:
        """Return a copy of what is remembered between two positions; empty if that is nothing."""
        oldest = max(0, self._filled - self._longest)
        start = max(oldest, int(from_ms * self._rate_hz / 1000) - self._starts_at)
        end = min(self._filled, int(to_ms * self._rate_hz / 1000) - self._starts_at)
        return self._samples[start : max(start, end)].copy()

    def _make_room(self, n_samples: int) -> None:
        """Forget what is too old, and leave room for some time."""
        oldest = max(0, self._filled - self._longest)
        kept = self._samples[oldest : self._filled]
        self._samples = np.zeros(len(kept) + n_samples + ROOM_S * self._rate_hz, np.int16)
        self._samples[: len(kept)] = kept
        self._filled = len(kept)
        self._starts_at += oldest


def quietest_cut(samples: Samples, *, search_s: float, rate_hz: int) -> int:
    """Return the index in the last ``search_s`` seconds at which a cut hurts speech the least.

    That is the middle of the quietest 160 ms: between two words rather than inside one. Raises
    ValueError for less than that to search in.
    """
    block = round(_BLOCK_S * rate_hz)
    n_blocks = min(len(samples), round(search_s * rate_hz)) // block
    if n_blocks < _QUIET_BLOCKS:
        raise ValueError(f"{len(samples)} samples are too few to look for a pause in")
    start = len(samples) - n_blocks * block
    power = (samples[start:].reshape(n_blocks, block).astype(np.float64) ** 2).sum(axis=1)
    around = np.convolve(power, np.ones(_QUIET_BLOCKS), mode="valid")
    return start + (int(around.argmin()) + _QUIET_BLOCKS // 2) * block
