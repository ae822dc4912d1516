"""Many talk, each hears all the others: the sum made once per tick, minus oneself.

The sum is exact while it fits 16 bits. When it does not, one gain for the whole conference comes
down within 5 ms and goes up again slowly, so that fifty people talking at once are loud, not torn.
Who joins fades in over 5 ms; who falls away fades out over the mirror image of the last 5 ms heard.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np
import numpy.typing as npt

from voxpy.audio.convert import decode, encode
from voxpy.audio.frame import Format, Samples
from voxpy.media.unit import MediaPort

FADE_S = 0.005
"""Long enough for no click (a step of 1/40 of the level at 8 kHz), short enough for no lost sound.
"""
RISE_PER_TICK = 10 ** (0.5 / 20)
"""The limiter's gain goes up again by 0.5 dB a tick: slower than a syllable, 25 dB in a second."""
FULL_SCALE = 32767

Wide = npt.NDArray[np.int32]


@attrs.define(eq=False)
class _Seat:
    """One member's place: the sink for what it says and the source of what it hears."""

    key: str
    format: Format
    came: bytes | None = None
    last: Samples | None = None
    """What it said last tick; None for a member that says nothing at all."""
    out: bytes | None = None

    def push(self, frame: bytes) -> None:
        """Take what the member says."""
        self.came = frame

    def pull(self) -> bytes | None:
        """Return what the others say; None while they are silent."""
        out, self.out = self.out, None
        return out


class MixMinus:
    """A mixer at one format: `pcm16` at any rate.

    ``port(key)`` is the port of one member; members that only listen hear the whole sum. Time and
    memory of a tick grow with the number of members that speak, not with its square.
    """

    def __init__(
        self, fmt: Format, *, name: str, on_left: Callable[[str], None] | None = None
    ) -> None:
        self.format = fmt
        self.name = name
        self._on_left = on_left
        self._ports: dict[str, MediaPort] = {}
        self._seats: dict[MediaPort, _Seat] = {}
        ramp_samples = round(FADE_S * fmt.rate_hz)
        self._ramp = (np.arange(ramp_samples) + 1) / (ramp_samples + 1)
        self._tail: Samples | None = None
        self._gain = 1.0

    def port(self, key: str, *, hears: bool = True) -> MediaPort:
        """Return the port of member ``key``, the same one until it leaves.

        A member that never ``hears`` has no source.
        """
        port = self._ports.get(key)
        if port is None:
            seat = _Seat(key, self.format)
            port = MediaPort(
                name=f"{self.name}/{key}", source=seat if hears else None, sink=seat, mixer=self
            )
            self._ports[key] = port
            self._seats[port] = seat
        return port

    def leave(self, port: MediaPort) -> None:
        """Forget a member; what it said fades out in the next tick."""
        seat = self._seats.pop(port, None)
        if seat is None:
            return
        del self._ports[seat.key]
        fading = self._fading_out(seat)
        if fading is not None:
            self._tail = (
                fading
                if self._tail is None
                else _saturated(np.add(self._tail, fading, dtype=np.int32))
            )
        if self._on_left is not None:
            self._on_left(seat.key)

    def mix(self) -> None:
        """Make what every member hears of what came since the last time."""
        speaking: list[_Seat] = []
        said: list[Samples] = []
        for seat in self._seats.values():
            samples = self._take(seat)
            if samples is not None:
                speaking.append(seat)
                said.append(samples)
        if self._tail is not None:
            said.append(self._tail)
            self._tail = None
        if said or self._gain < 1.0:
            self._tell(speaking, said)

    def _take(self, seat: _Seat) -> Samples | None:
        """Return what a member contributes to this tick, or None for silence."""
        frame, seat.came, seat.out = seat.came, None, None
        if frame is None:
            fading = self._fading_out(seat)
            seat.last = None
            return fading
        joins = seat.last is None
        seat.last = samples = decode(frame, self.format)
        if frame == self.format.silence:
            return None
        if joins:
            samples = samples.copy()
            n = len(self._ramp)
            samples[:n] = np.rint(samples[:n] * self._ramp)
        return samples

    def _fading_out(self, seat: _Seat) -> Samples | None:
        if seat.last is None or not seat.last.any():
            return None
        n = len(self._ramp)
        faded = np.zeros(self.format.frame_samples, np.int16)
        faded[:n] = np.rint(seat.last[: -n - 1 : -1] * self._ramp[::-1])
        return faded

    def _tell(self, speaking: list[_Seat], said: list[Samples]) -> None:
        """Give each member the sum without itself, in one pass over all of them."""
        voices = np.array(said, dtype=np.int16).reshape(len(said), self.format.frame_samples)
        sums = np.empty((len(speaking) + 1, self.format.frame_samples), np.int32)
        voices.sum(axis=0, dtype=np.int32, out=sums[-1])
        np.subtract(sums[-1], voices[: len(speaking)], out=sums[:-1])
        heard = self._limited(sums)
        whole = encode(heard[-1], self.format)
        for seat in self._seats.values():
            seat.out = whole
        for seat, own in zip(speaking, heard, strict=False):
            seat.out = encode(own, self.format)

    def _limited(self, sums: Wide) -> Samples:
        """Return the sums in 16 bits, each sample within 5 ms of what the gain allows."""
        loudest = max(int(sums.max()), -1 - int(sums.min()), 1)
        before = self._gain
        self._gain = after = min(1.0, FULL_SCALE / loudest, before * RISE_PER_TICK)
        if before == after == 1.0:
            return sums.astype(np.int16)
        gain = np.full(sums.shape[1], after)
        n = len(self._ramp)
        gain[:n] = before + (after - before) * self._ramp
        return _saturated(np.rint(sums * gain))


def _saturated(wide: npt.NDArray[np.int32] | npt.NDArray[np.float64]) -> Samples:
    return np.clip(wide, -32768, 32767).astype(np.int16)
