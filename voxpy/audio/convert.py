"""From bytes in one format to bytes in another, doing no more than the two formats require."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from voxpy.audio.frame import Format, Samples
from voxpy.audio.g711 import decode_alaw, decode_ulaw, encode_alaw, encode_ulaw
from voxpy.audio.resample import Resampler


def _decode_pcm16(data: bytes) -> Samples:
    return np.frombuffer(data, "<i2").astype(np.int16, copy=False)  # copies on big-endian only


def _encode_pcm16(samples: Samples) -> bytes:
    return samples.astype("<i2", copy=False).tobytes()


_DECODE: dict[str, Callable[[bytes], Samples]] = {
    "pcm16": _decode_pcm16,
    "pcmu": decode_ulaw,
    "pcma": decode_alaw,
}
_ENCODE: dict[str, Callable[[Samples], bytes]] = {
    "pcm16": _encode_pcm16,
    "pcmu": encode_ulaw,
    "pcma": encode_alaw,
}


def decode(data: bytes, fmt: Format) -> Samples:
    """Return the samples of ``data``; of pcm16 a read-only view where the machine allows.

    Raises ValueError if pcm16 data has an odd number of bytes.
    """
    return _DECODE[fmt.encoding](data)


def encode(samples: Samples, fmt: Format) -> bytes:
    """Return ``samples``, which are already at ``fmt.rate_hz``, as bytes of ``fmt``."""
    return _ENCODE[fmt.encoding](samples)


_FULL_SCALE = 32768


def pcm16_of_float32(data: bytes) -> bytes:
    """Return little-endian 32-bit float samples, full scale at 1, as 16-bit ones.

    What is louder is clipped, what is no number is silence. Raises ValueError for part of a sample.
    """
    floats = np.nan_to_num(np.frombuffer(data, "<f4"), nan=0.0)
    return _encode_pcm16((np.clip(floats, -1, 1) * (_FULL_SCALE - 1)).astype(np.int16))


def float32_of_pcm16(data: bytes) -> bytes:
    """Return 16-bit samples as 32-bit float ones. Raises ValueError for half a sample."""
    return (np.frombuffer(data, "<i2").astype("<f4") / _FULL_SCALE).tobytes()


def _as_is(frame: bytes) -> bytes:
    return frame


class Converter:
    """Converts a stream of 20 ms frames from ``source`` to ``target``.

    ``identity`` says that the formats are equal: `convert` then returns the object it was given.
    ``delay_s`` is what the change of rate adds: 0.002, or 0.0 without one.
    """

    def __init__(self, source: Format, target: Format) -> None:
        self.source = source
        self.target = target
        self.identity = source == target
        self._resampler = Resampler(source.rate_hz, target.rate_hz)
        self.delay_s = self._resampler.delay_s
        self._convert = self._choose()

    def _choose(self) -> Callable[[bytes], bytes]:
        if self.identity:
            return _as_is
        if self.source.rate_hz != self.target.rate_hz:
            return self._through_resampler
        if self.source.sample_bytes == self.target.sample_bytes == 1:
            # Between the two laws every byte has one answer: 256 of them, in one C call.
            every_byte = bytes(range(256))
            table = encode(decode(every_byte, self.source), self.target)
            return lambda frame: frame.translate(table)
        read, write = _DECODE[self.source.encoding], _ENCODE[self.target.encoding]
        return lambda frame: write(read(frame))

    def _through_resampler(self, frame: bytes) -> bytes:
        samples = _DECODE[self.source.encoding](frame)
        return _ENCODE[self.target.encoding](self._resampler.process(samples))

    def convert(self, frame: bytes) -> bytes:
        """Return the same duration of audio in the target format.

        ``frame`` is one or more whole 20 ms frames, else ValueError.
        """
        if len(frame) % self.source.frame_bytes:
            raise ValueError(
                f"{len(frame)} bytes of {self.source} are not whole frames of 20 ms "
                f"({self.source.frame_bytes} bytes)"
            )
        return self._convert(frame)

    def reset(self) -> None:
        """Forget the audio seen so far, as if newly made."""
        self._resampler.reset()
