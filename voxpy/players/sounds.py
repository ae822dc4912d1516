"""What a player is made of, whatever it plays: a Sound. Here the one that needs nothing: tones."""

from __future__ import annotations

import math
from typing import Protocol

from voxpy.audio.tonescript import RATE_HZ, ToneGenerator, ToneScript


class Sound(Protocol):
    """Something to play, from its beginning to its end; in a loop, again from its beginning.

    ``rate_hz`` and ``duration_ms`` are known once it is open; ``duration_ms`` is None if it has no
    end, or if that is not known yet.
    """

    rate_hz: int
    duration_ms: float | None

    async def open(self, rate_hz: int | None) -> None:
        """Get ready to be read, at ``rate_hz`` if that is given. Raises VoxpyError if it cannot."""

    async def read(self) -> bytes:
        """Return about the next second, linear 16-bit mono; nothing once at the end of each pass.

        Raises VoxpyError if the rest cannot be had.
        """

    def close(self) -> None:
        """Free what it holds; again does nothing."""


class ToneSound:
    """The sound of a ToneScript. It is never part of a sequence, so ``open`` is given no rate."""

    def __init__(self, script: ToneScript, *, loop: bool) -> None:
        self._generator = ToneGenerator(script, loop=loop)
        self._samples = self._left = script.samples
        self.rate_hz = RATE_HZ
        endless = math.isinf(self._samples)
        self.duration_ms = None if endless else self._samples * 1000 / RATE_HZ

    async def open(self, rate_hz: int | None) -> None:
        """There is nothing to get."""

    async def read(self) -> bytes:
        """Return the next piece; it never crosses the end of a pass."""
        if self._left <= 0:
            self._left = self._samples
            return b""
        piece = self._generator.read()
        self._left -= len(piece)
        return piece.astype("<i2", copy=False).tobytes()

    def close(self) -> None:
        """There is nothing to free."""
