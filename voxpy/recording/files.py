"""The files a recording may be: WAV, FLAC, MP3, each valid after every block that was written.

VoxEngine writes MP3 (32 kbit/s at 8 kHz, 192 kbit/s at 48 kHz: Call.record, ``hd_audio``) or FLAC
(``lossless``). Here WAV is the default, because it costs nothing and any tool reads it; MP3 at the
same two rates is there for the asking. Measured with libsndfile 1.2.2, one core, per second of
sound: 8 kHz mono 2.5 ms as MP3 and 8 ms as Ogg/Opus; 48 kHz stereo 40 ms and 26 ms. MP3 at a
constant rate was preferred although Opus sounds better at 32 kbit/s: libsndfile holds back a whole
second of Opus, 0.1 s of MP3, and it is what scenarios moved from VoxEngine expect to fetch.
"""

from __future__ import annotations

from typing import Any, BinaryIO, Literal, Protocol, cast

import attrs
import numpy as np

from voxpy.audio.frame import Samples, pcm16
from voxpy.audio.wav import WavWriter
from voxpy.errors import ScenarioError, nearest

Container = Literal["flac", "mp3", "wav"]

STANDARD_HZ = 8000
HD_HZ = 48000
CONTAINERS = ("flac", "mp3", "wav")
TRANSCRIPT_FORMAT = "json"
"""What VoxEngine's ``format`` takes: that of the transcript, which is always JSON here."""

FULL_SCALE = np.float32(32768)
HEAD_BYTES = 26
"""As much of a FLAC file as ends with the number of its samples."""

# libsndfile's 0 to 1 between LAME's highest and lowest bit rate: 32 and 192 kbit/s.
_MP3_COMPRESSION = {STANDARD_HZ: 0.5, HD_HZ: 0.4}


class SoundWriter(Protocol):
    """An open recording. Blocking: not for the event loop."""

    def write(self, samples: Samples) -> None:
        """Append interleaved samples and make the file valid as it stands. Raises OSError."""

    def close(self) -> None:
        """Finish the file, which stays open. Raises OSError."""


@attrs.frozen
class FileKind:
    """Container and rate of a recording."""

    container: Container
    rate_hz: int

    @property
    def suffix(self) -> str:
        """How the file's name ends."""
        return f".{self.container}"

    def open(self, file: BinaryIO, *, channels: int) -> SoundWriter:
        """Return what writes into ``file``, which is unbuffered, empty and seekable.

        Raises OSError as the file does.
        """
        if self.container == "wav":
            return _Wav(file, self.rate_hz, channels)
        return _Encoded(file, self, channels)


def choose_file_kind(*, format: str | None, hd_audio: bool, lossless: bool) -> FileKind:
    """Return what these parameters of ``record`` and ``create_recorder`` ask for.

    ``format``: ``wav`` (as None), ``mp3`` or ``flac``; ``json`` is VoxEngine's format of the
    transcript and changes nothing. ``hd_audio``: 48 kHz in place of 8. ``lossless``: FLAC at
    48 kHz, which loses nothing of any call. Raises ScenarioError for anything else and for
    ``lossless`` with ``hd_audio`` or with another format than FLAC.
    """
    if lossless and hd_audio:
        raise ScenarioError("record: lossless excludes hd_audio; choose one of them")
    asked: Any = None if format == TRANSCRIPT_FORMAT else format
    if asked is not None and asked not in CONTAINERS:
        hint = nearest(str(asked), CONTAINERS)
        raise ScenarioError(f"a recording's format is wav, mp3 or flac, not {asked!r}{hint}")
    if lossless:
        if asked not in (None, "flac"):
            raise ScenarioError(f"record: lossless writes flac, not {asked}; choose one of them")
        return FileKind("flac", HD_HZ)
    return FileKind(asked or "wav", HD_HZ if hd_audio else STANDARD_HZ)


class _Wav:
    def __init__(self, file: BinaryIO, rate_hz: int, channels: int) -> None:
        self._file = _CheckedFile(file)
        self._writer = WavWriter(cast("BinaryIO", self._file), pcm16(rate_hz), channels=channels)

    def write(self, samples: Samples) -> None:
        self._writer.write(samples.astype("<i2", copy=False).tobytes())
        self._writer.flush()
        self._file.check()

    def close(self) -> None:
        self._writer.close()
        self._file.check()


class _Encoded:
    """MP3 or FLAC by libsndfile."""

    def __init__(self, file: BinaryIO, kind: FileKind, channels: int) -> None:
        import soundfile  # 60 ms that only those pay who record so, and not on the event loop

        self._file = _CheckedFile(file)
        self._channels = channels
        self._flac = kind.container == "flac"
        options: dict[str, Any] = {"format": "FLAC", "subtype": "PCM_16"}
        if not self._flac:
            options = {
                "format": "MP3",
                "subtype": "MPEG_LAYER_III",
                # A constant rate: from it readers know the length of a file that was cut off.
                "bitrate_mode": "CONSTANT",
                "compression_level": _MP3_COMPRESSION[kind.rate_hz],
            }
        self._failures = (soundfile.LibsndfileError, AssertionError)
        self._sound: Any = self._try(
            soundfile.SoundFile,
            self._file,
            "w",
            samplerate=kind.rate_hz,
            channels=channels,
            **options,
        )
        self._written_samples = 0

    def write(self, samples: Samples) -> None:
        frames = samples.reshape(-1, self._channels)
        if self._flac:
            self._try(self._sound.write, frames)
            self._written_samples += len(frames)
            self._announce_length()
        else:
            # Not as integers: libsndfile up to 1.2.2 makes noise of them (its pull request 1106).
            self._try(self._sound.write, frames / FULL_SCALE)

    def close(self) -> None:
        self._try(self._sound.close)

    def _try(self, work: Any, *args: Any, **options: Any) -> Any:
        """Do what ends in libsndfile, and raise what went wrong with the file in place of its word.

        soundfile asserts that all was written.
        """
        try:
            done = work(*args, **options)
        except self._failures as error:
            self._file.check()
            raise OSError(str(error)) from error
        self._file.check()
        return done

    def _announce_length(self) -> None:
        """Put the length so far into STREAMINFO, or readers refuse a file that was cut off.

        RFC 9639 section 8.2: the block size at byte 8 of the file, and in the low 36 bits of the
        eight bytes at 18 the number of samples, of which only whole blocks have been written.
        """
        head = self._file.head
        block_samples = int.from_bytes(head[8:10], "big")
        whole = self._written_samples // block_samples * block_samples
        fields = int.from_bytes(head[18:26], "big") >> 36 << 36
        at = self._file.tell()
        self._file.seek(18)
        self._file.write((fields | whole).to_bytes(8, "big"))
        self._file.seek(at)
        self._file.check()


class _CheckedFile:
    """A file that keeps its first error for ``check``: raised in a callback it would be lost.

    It writes all or nothing more, and remembers its first bytes in ``head``. libsndfile may call
    once more when an abandoned writer is collected: a closed file is a matter of no interest then.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._error: OSError | None = None
        self.head = b""

    def check(self) -> None:
        """Raise the OSError that has happened, if any."""
        if self._error is not None:
            raise self._error

    def write(self, data: bytes) -> int:
        """Write all of ``data``; return 0 once anything has failed."""
        if len(self.head) < HEAD_BYTES:
            self.head += data[: HEAD_BYTES - len(self.head)]
        try:
            rest = memoryview(data)
            while (
                rest and self._error is None and not self._file.closed
            ):  # an unbuffered file may take less than all
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._error = error
        return 0 if self._error is not None else len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move within the file."""
        return 0 if self._file.closed else self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return 0 if self._file.closed else self._file.tell()

    def seekable(self) -> bool:
        """Say so."""
        return self._file.seekable()

    def flush(self) -> None:
        """Do nothing: the file below is unbuffered."""
