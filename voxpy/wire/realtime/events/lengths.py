"""Lengths of audio without rounding, whatever the sample rate.

Seconds as floats drift, and samples mean nothing once the rate changes in mid-session. Here a
length is a whole number of *ticks*, a unit that every rate of the protocol divides.
"""

from __future__ import annotations

import attrs

from voxpy.wire.realtime.events.session import BYTES_PER_SAMPLE

__all__ = ["TICKS_PER_S", "AudioLength", "WholeSamples"]

TICKS_PER_S = 14_112_000
"""The least common multiple of PCM_RATES_HZ."""


@attrs.define
class AudioLength:
    """An amount of audio, exact to the sample at any rate and across changes of rate."""

    ticks: int = 0

    def add(self, n_samples: int, rate_hz: int) -> None:
        """Count ``n_samples`` more at ``rate_hz``, one of PCM_RATES_HZ."""
        self.ticks += n_samples * (TICKS_PER_S // rate_hz)

    @property
    def s(self) -> float:
        """The length in seconds."""
        return self.ticks / TICKS_PER_S

    @property
    def ms(self) -> float:
        """The length in milliseconds."""
        return self.ticks * 1000 / TICKS_PER_S

    def samples(self, rate_hz: int) -> int:
        """Return the length in whole samples at ``rate_hz``."""
        return self.ticks * rate_hz // TICKS_PER_S


@attrs.define
class WholeSamples:
    """Cuts a byte stream at samples: what is left of one waits for the rest of it."""

    _left: bytes = b""
    _size: int = 1

    def take(self, data: bytes, encoding: str) -> bytes:
        """Return the whole samples there are, ``data`` being next; a change of format drops half.

        ``encoding`` is a name of BYTES_PER_SAMPLE.
        """
        size = BYTES_PER_SAMPLE[encoding]
        if size != self._size:
            self._left, self._size = b"", size
        if not self._left and len(data) % size == 0:
            return data
        joined = self._left + data
        end = len(joined) // size * size
        self._left = joined[end:]
        return joined[:end]

    def clear(self) -> None:
        """Forget the part of a sample that waits."""
        self._left = b""
