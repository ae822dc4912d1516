"""What a leg does with packets: the jitter buffer, and something to hear where it has no frame."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from voxpy.audio.comfort import ComfortNoise
from voxpy.audio.conceal import Concealer
from voxpy.audio.frame import FRAME_S, Format
from voxpy.audio.mix import audible
from voxpy.media.jitter import (
    Arrived,
    Frame,
    Gap,
    JitterBuffer,
    JitterSettings,
    JitterStatistics,
)

ATOM_S = 0.01
"""Frames of any length are cut into these; two are a tick."""


class Decoder(Protocol):
    """Makes audio of the payloads of one stream, in the order in which they play."""

    def decode(self, payload: bytes) -> bytes | None:
        """Return the audio of a frame, None if it cannot be understood."""

    def conceal(self) -> bytes | None:
        """Return what stands in for a lost frame; None if the codec has no way for that."""


def frame_settings(fmt: Format, *, min_delay_s: float = 0.0) -> JitterSettings:
    """Return the settings for ``fmt`` with an RTP clock at its own rate."""
    return JitterSettings(
        frame_bytes=fmt.frame_bytes, frame_units=fmt.frame_samples, min_delay_s=min_delay_s
    )


class Receiver:
    """The way in of one stream: 20 ms of ``fmt`` a tick. ``seed`` decides the comfort noise.

    On a line that loses and delays nothing every payload comes out as the same object at the tick
    it arrived before. ``decoder`` is for payloads that are not ``fmt`` themselves. ``settings`` may
    have frames of any multiple of 10 ms; what comes out are 20 ms all the same.
    """

    def __init__(
        self,
        fmt: Format,
        settings: JitterSettings | None = None,
        *,
        decoder: Decoder | None = None,
        seed: int = 0,
    ) -> None:
        self.format = fmt
        settings = settings or frame_settings(fmt)
        self._decoder = decoder
        self._frame_s = settings.frame_s
        self._frame_samples = round(settings.frame_s * fmt.rate_hz)
        self._frame_bytes = self._frame_samples * fmt.sample_bytes
        self._decoded_last = fmt.silence
        self._buffer = JitterBuffer(settings, silent=self._silent)
        self._concealer = Concealer(fmt, frame_s=settings.frame_s)
        self._noise = ComfortNoise(fmt, seed=seed)
        self._whole = settings.frame_s == FRAME_S
        self._atoms: deque[bytes | None] = deque()

    def put(self, packet: Arrived, now: float) -> None:
        """Take a packet that arrived at ``now`` (seconds)."""
        self._buffer.put(packet, now)

    def pull(self, now: float) -> bytes | None:
        """Return the frame of the tick at ``now``, or None while the sender is silent.

        None also when nothing has arrived for 60 ms: a watchdog can tell that from silence.
        """
        return self._frame(now) if self._whole else self._cut(now)

    def _frame(self, now: float) -> bytes | None:
        """Return the next frame of the sender's."""
        got = self._buffer.pull(now)
        if isinstance(got, Frame) and not got.comfort_noise:
            self._noise.stop()
            payload = got.payload if self._decoder is None else self._decoded(got.payload)
            return self._concealer.play(payload, spliced=got.spliced)
        if got is Gap.CONCEAL:
            made = self._decoder.conceal() if self._decoder is not None else None
            if made is not None and len(made) == self._frame_bytes:
                return made
            return self._concealer.play(None)
        self._concealer.pause()
        if isinstance(got, Frame):
            self._noise.describe(got.payload)
        return self._noise.pull(self._frame_samples)

    def _decoded(self, payload: bytes) -> bytes | None:
        assert self._decoder is not None
        audio = self._decoder.decode(payload)
        if audio is None or len(audio) != self._frame_bytes:
            return None
        self._decoded_last = audio
        return audio

    def _cut(self, now: float) -> bytes | None:
        """Return 20 ms of frames that are longer or shorter."""
        atoms, size = self._atoms, self.format.frame_bytes // 2
        while len(atoms) < 2:
            frame = self._frame(now + len(atoms) * ATOM_S)
            if frame is None:
                atoms.extend([None] * round(self._frame_s / ATOM_S))
            else:
                atoms.extend(frame[at : at + size] for at in range(0, len(frame), size))
        one, two = atoms.popleft(), atoms.popleft()
        if one is None and two is None:
            return None
        silence = self.format.silence[:size]
        return (one or silence) + (two or silence)

    def _silent(self, payload: bytes) -> bool:
        """Return whether a cut in that frame would not be heard; what is encoded is guessed."""
        return not audible(payload if self._decoder is None else self._decoded_last, self.format)

    @property
    def statistics(self) -> JitterStatistics:
        """What the jitter buffer has counted."""
        return self._buffer.statistics
