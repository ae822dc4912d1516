"""Writes both sides of a port into one WAV file that is valid at every second."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np

from voxpy.audio.convert import Converter
from voxpy.audio.frame import FRAME_S, Format, pcm16
from voxpy.audio.wav import WavWriter
from voxpy.media.unit import MediaPort

__all__ = ["Recorder"]

FLUSH_EVERY_FRAMES = round(1 / FRAME_S)


class Recorder:
    """Records what a port says and hears; a tap of the media graph.

    Stereo: left is what came from the port, right what was sent to it (VoxEngine:
    CallRecordParameters.stereo). Mono: the sum. The file on disk is complete up to the last second.
    """

    def __init__(self, file: BinaryIO, port: MediaPort, *, stereo: bool, rate_hz: int) -> None:
        assert port.source is not None
        assert port.sink is not None
        self._port = port
        self._target = pcm16(rate_hz)
        self._stereo = stereo
        self._writer = WavWriter(file, self._target, channels=2 if stereo else 1)
        self._converters: dict[tuple[str, Format], Converter] = {}
        self._frames = 0

    @property
    def duration_s(self) -> float:
        """Seconds recorded so far."""
        return self._writer.duration_s

    def write(self, said: bytes, heard: bytes) -> None:
        """Record one tick: 20 ms from the port and 20 ms to it, in the port's formats."""
        assert self._port.source is not None
        assert self._port.sink is not None
        left = self._samples("said", said, self._port.source.format)
        right = self._samples("heard", heard, self._port.sink.format)
        if self._stereo:
            both = np.empty(2 * len(left), dtype=np.int16)
            both[0::2], both[1::2] = left, right
        else:
            both = np.clip(left.astype(np.int32) + right, -32768, 32767).astype(np.int16)
        self._writer.write(both.tobytes())
        self._frames += 1
        if self._frames % FLUSH_EVERY_FRAMES == 0:
            self._writer.flush()

    def close(self) -> None:
        """Finish the file. Idempotent."""
        self._writer.close()

    def _samples(
        self, side: str, frame: bytes, fmt: Format
    ) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
        converter = self._converters.get((side, fmt))
        if converter is None:
            converter = self._converters[side, fmt] = Converter(fmt, self._target)
        return np.frombuffer(converter.convert(frame or fmt.silence), dtype="<i2")
