"""Sound files, decoded piece by piece: WAV, FLAC, Ogg (Vorbis, Opus) and MP3, by libsndfile.

A file stays as small as it was sent; only the piece being played is ever decoded, so that a song of
10 MB does not become 100 MB of samples in every call that plays it.

A file of which only the beginning is there can be played as far as it goes. Ogg, FLAC and WAV are
opened anew when more has come, because libsndfile decodes the beginning of such a file to the same
samples as the whole, and finds them again. In an MP3 it finds a place only roughly; there the
decoder is shown a file of the final size, and never let near what is still missing.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from voxpy.audio.anyrate import AnyRate, Floats
from voxpy.audio.frame import PCM16_RATES_HZ, Samples
from voxpy.errors import SoundFailed

if TYPE_CHECKING:
    import soundfile

KINDS = "mp3, ogg, flac or wav"

_FORMATS = frozenset({"WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3"})
# libsndfile guesses at two dozen formats; files that are none of ours never reach its parsers.
_MAGIC = re.compile(rb"RIFF....WAVE|RF64....WAVE|fLaC|OggS|ID3|\xff[\xe2-\xff]", re.DOTALL)
_HIGHEST_HZ, _MOST_CHANNELS = 192_000, 8
# An odd rate would want a filter of its own for every sample: the nearest multiple of 25 Hz will do
# (0.3 % at 4 kHz; all rates in use are multiples).
_RATE_STEP_HZ = 25
_BLOCK_SAMPLES = 4096
_MP3 = re.compile(rb"ID3|\xff")
_MP3_MARGIN_BYTES = 16 * 1024
"""More than a block of samples, and what libmpg123 reads ahead of them, can need."""


@attrs.frozen(kw_only=True)
class Description:
    """What a file holds. ``duration_s`` is None while only its beginning is there."""

    kind: str
    channels: int
    file_rate_hz: int
    rate_hz: int
    duration_s: float | None


class Decoder:
    """Decodes a file in memory to mono at ``rate_hz``, or at a rate of ``PCM16_RATES_HZ`` near its
    own.

    ``size_bytes`` is the size of the whole file if ``data`` is only its beginning; `extend` then
    brings more of it. With ``loop``, `again` continues the end without a seam. Errors name the file
    ``name``. Raises SoundFailed if this is no sound file that we play.
    """

    def __init__(
        self,
        data: bytes,
        *,
        name: str,
        rate_hz: int | None = None,
        size_bytes: int | None = None,
        loop: bool = False,
    ) -> None:
        self._name = name
        self._loop = loop
        self._size_bytes = len(data) if size_bytes is None else size_bytes
        self._complete = len(data) >= self._size_bytes
        self._frames_read = 0
        self._growing: _Growing | None = None
        self._file = self._open(data)
        file_rate_hz = max(1, round(self._file.samplerate / _RATE_STEP_HZ)) * _RATE_STEP_HZ
        rate_hz = rate_hz or _near(file_rate_hz)
        self._rate = AnyRate(file_rate_hz, rate_hz)
        self._ended = False
        self.description = Description(
            kind=f"{self._file.format} {self._file.subtype}",
            channels=self._file.channels,
            file_rate_hz=self._file.samplerate,
            rate_hz=rate_hz,
            duration_s=self._file.frames / file_rate_hz if self._complete else None,
        )

    @property
    def complete(self) -> bool:
        """Whether all of the file is there."""
        return self._complete

    def read(self, seconds: float) -> Samples:
        """Return about the next ``seconds``; empty at the end of what is there.

        Raises SoundFailed if the file is damaged there.
        """
        if self._ended:
            return np.empty(0, np.int16)
        made: list[Floats] = []
        wanted = seconds * self.description.rate_hz
        while wanted > 0:
            mono = self._block()
            if not len(mono):
                if self._complete:
                    self._ended = True
                    if not self._loop:
                        made.append(self._rate.finish())
                break
            made.append(self._rate.process(mono))
            wanted -= len(made[-1]) or 1
        return _to_samples(np.concatenate(made)) if made else np.empty(0, np.int16)

    def again(self) -> None:
        """Go back to the beginning. Raises SoundFailed for a file that is damaged there."""
        self._seek(0)
        self._frames_read = 0
        self._ended = False

    def extend(self, data: bytes) -> None:
        """Go on with more of the file: ``data`` is all that is there, from its beginning.

        Raises SoundFailed if the whole file turns out to be none that we play, or to be damaged.
        """
        self._complete = len(data) >= self._size_bytes
        if self._growing is not None:
            self._growing.data = data
            return
        try:
            file = self._open(data)
        except SoundFailed:
            if self._complete:
                raise
            return  # cut where it cannot be read; the next part will be cut elsewhere
        self._file.close()
        self._file = file
        self._seek(self._frames_read)

    def close(self) -> None:
        """Free the decoder's memory."""
        self._file.close()

    def _open(self, data: bytes) -> soundfile.SoundFile:
        import soundfile  # 30 ms and a shared library: only for who plays files

        if not _MAGIC.match(data):
            raise SoundFailed(f"{self._name}: not {KINDS}: it starts with {data[:16]!r}")
        source: io.IOBase = io.BytesIO(data)
        if not self._complete and _MP3.match(data):
            source = self._growing = _Growing(data, self._size_bytes)
        try:
            file = soundfile.SoundFile(source)
        except soundfile.SoundFileError as error:
            raise SoundFailed(f"{self._name}: cannot be read: {_told(error)}") from error
        unfit = _unfit(file)
        if unfit:
            file.close()
            raise SoundFailed(f"{self._name}: {unfit}")
        return file

    def _seek(self, frame: int) -> None:
        import soundfile

        try:
            self._file.seek(frame)
        except soundfile.SoundFileError as error:
            at_s = frame / self._file.samplerate
            raise SoundFailed(f"{self._name}: damaged at {at_s:.1f} s: {_told(error)}") from error

    def _block(self) -> Floats:
        import soundfile

        growing = self._growing
        if growing is not None and not (self._complete or growing.has(_MP3_MARGIN_BYTES)):
            return np.empty(0, np.float32)
        try:
            block = self._file.read(_BLOCK_SAMPLES, dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            if not self._complete:  # FLAC: the block at the end is not whole yet
                return np.empty(0, np.float32)
            at_s = self._frames_read / self._file.samplerate
            raise SoundFailed(f"{self._name}: damaged at {at_s:.1f} s: {_told(error)}") from error
        self._frames_read += len(block)
        return np.asarray(block.mean(axis=1) if block.shape[1] > 1 else block[:, 0])


class _Growing(io.RawIOBase):
    """A file of ``size_bytes`` of which only the beginning is there; the rest reads as zeros."""

    def __init__(self, data: bytes, size_bytes: int) -> None:
        self.data = data
        self._size_bytes = size_bytes
        self._at = 0

    def has(self, n_bytes: int) -> bool:
        """Return whether the next ``n_bytes`` are there."""
        return self._at + n_bytes <= len(self.data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size_bytes}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        length = max(0, min(len(buffer), self._size_bytes - self._at))
        there = self.data[self._at : self._at + length]
        buffer[:length] = there.ljust(length, b"\0")
        self._at += length
        return length


def _near(rate_hz: int) -> int:
    """Return the lowest rate of ours that loses nothing of ``rate_hz``, 48 kHz at most."""
    return min((r for r in PCM16_RATES_HZ if r >= rate_hz), default=max(PCM16_RATES_HZ))


def _unfit(file: soundfile.SoundFile) -> str:
    if file.format not in _FORMATS:
        return f"a file of format {file.format}, not {KINDS}"
    if not 0 < file.samplerate <= _HIGHEST_HZ:
        return f"a rate of {file.samplerate} Hz; at most {_HIGHEST_HZ} Hz can be played"
    if file.channels > _MOST_CHANNELS:
        return f"{file.channels} channels; at most {_MOST_CHANNELS} can be played"
    return ""


def _told(error: Exception) -> str:
    told = str(getattr(error, "error_string", "") or error).strip().rstrip(".")
    if told.startswith("File does not exist"):  # what it says when libmpg123 finds no frame
        return "there is no MPEG audio in it"
    return told or f"libsndfile error {getattr(error, 'code', '')}"


def _to_samples(mono: Floats) -> Samples:
    # Ours, not libsndfile's: a lossy file may exceed full scale, and there it would wrap around.
    samples: Samples = np.rint(mono * 32768.0).clip(-32768, 32767).astype(np.int16)
    return samples
