"""What a leg does with packets: the jitter buffer, and something to hear where it has no frame."""

from __future__ import annotations

from functools import partial

from voxpy.audio.comfort import ComfortNoise
from voxpy.audio.conceal import Concealer
from voxpy.audio.frame import Format
from voxpy.audio.mix import audible
from voxpy.media.jitter import (
    Frame,
    Gap,
    JitterBuffer,
    JitterSettings,
    JitterStatistics,
    Packet,
)


def frame_settings(fmt: Format, *, min_delay_s: float = 0.0) -> JitterSettings:
    """Return the settings for ``fmt`` with an RTP clock at its own rate."""
    return JitterSettings(
        frame_bytes=fmt.frame_bytes, frame_units=fmt.frame_samples, min_delay_s=min_delay_s
    )


class Receiver:
    """The way in of one stream of ``fmt``. ``seed`` decides the comfort noise.

    On a line that loses and delays nothing every payload comes out as the same object at the tick
    it arrived before.
    """

    def __init__(
        self, fmt: Format, settings: JitterSettings | None = None, *, seed: int = 0
    ) -> None:
        self.format = fmt
        silent = partial(_silent, fmt)
        self._buffer = JitterBuffer(settings or frame_settings(fmt), silent=silent)
        self._concealer = Concealer(fmt)
        self._noise = ComfortNoise(fmt, seed=seed)

    def put(self, packet: Packet, now: float) -> None:
        """Take a packet that arrived at ``now`` (seconds)."""
        self._buffer.put(packet, now)

    def pull(self, now: float) -> bytes | None:
        """Return the frame of the tick at ``now``, or None while the sender is silent.

        None also when nothing has arrived for 60 ms: a watchdog can tell that from silence.
        """
        got = self._buffer.pull(now)
        if isinstance(got, Frame) and not got.comfort_noise:
            self._noise.stop()
            return self._concealer.play(got.payload, spliced=got.spliced)
        if got is Gap.CONCEAL:
            return self._concealer.play(None)
        self._concealer.pause()
        if isinstance(got, Frame):
            self._noise.describe(got.payload)
        return self._noise.pull()

    @property
    def statistics(self) -> JitterStatistics:
        """What the jitter buffer has counted."""
        return self._buffer.statistics


def _silent(fmt: Format, payload: bytes) -> bool:
    return not audible(payload, fmt)
