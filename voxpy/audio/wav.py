"""WAV files: written so that a killed process leaves a playable one, read back even if it did not.

Layout: Microsoft's RIFF WAVE, format tags 1 (PCM), 6 (A-law), 7 (mu-law) and 0xFFFE (extensible,
which names one of the others inside). Nothing is opened here: files come in already open.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

import attrs
import numpy as np
import numpy.typing as npt

from voxpy.audio.convert import decode
from voxpy.audio.frame import PCM16_RATES_HZ, PCMA, PCMU, Format, Samples, pcm16
from voxpy.audio.resample import Resampler
from voxpy.errors import ConfigError

_TAG = {"pcm16": 1, "pcma": 6, "pcmu": 7}
_EXTENSIBLE = 0xFFFE
# What follows the two bytes of the real tag in the GUID of an extensible file.
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
_TAG_NAMES = {
    1: "PCM",
    2: "MS ADPCM",
    3: "floating point",
    6: "A-law",
    7: "mu-law",
    17: "IMA ADPCM",
}
_UNKNOWN_SIZE = 0xFFFFFFFF  # what programs write that cannot seek back; also the largest there is


class WavWriter:
    """Writes audio of ``fmt`` in ``channels`` interleaved channels into ``file``.

    The header is written at once; the sizes in it are true after every `flush` and after `close`.
    ``file`` must be binary and seekable, else ValueError; the caller opened it and closes it.
    Past 4 GiB, the most a WAV can announce, the announced size stays there and writing goes on.
    """

    def __init__(self, file: BinaryIO, fmt: Format, *, channels: int = 1) -> None:
        if not file.seekable():
            raise ValueError("a WAV file must be seekable: its sizes are written at the end")
        if not 1 <= channels <= 0xFFFF:
            raise ValueError(f"{channels} channels: expected 1 to 65535")
        self.fmt = fmt
        self.channels = channels
        self._file = file
        self._start = file.tell()
        self._data_bytes = 0
        self._closed = False
        self._write_header()

    @property
    def duration_s(self) -> float:
        """Seconds of audio written so far."""
        return self.fmt.duration_s(self._data_bytes // self.channels)

    def write(self, data: bytes) -> None:
        """Append interleaved audio.

        Raises ValueError if ``data`` does not hold the same whole number of samples for every
        channel or the writer is closed, OSError as the file does.
        """
        if self._closed:
            raise ValueError("this WAV file has been closed")
        if len(data) % (self.fmt.sample_bytes * self.channels):
            raise ValueError(
                f"{len(data)} bytes are not whole samples of {self.fmt} in {self.channels} channels"
            )
        self._file.write(data)
        self._data_bytes += len(data)

    def flush(self) -> None:
        """Make the file valid as it stands and hand it to the operating system. May raise OSError.

        A chunk of odd size needs a padding byte; the next `write` replaces it.
        """
        end = self._file.tell()
        self._file.write(bytes(self._data_bytes % 2))
        self._file.seek(self._start)
        self._write_header()
        self._file.seek(end)
        self._file.flush()

    def close(self) -> None:
        """Flush for the last time; again does nothing. The file itself stays open."""
        if not self._closed:
            self.flush()
            self._closed = True

    def _write_header(self) -> None:
        fmt, channels = self.fmt, self.channels
        block_bytes = fmt.sample_bytes * channels
        form = struct.pack(
            "<HHIIHH",
            _TAG[fmt.encoding],
            channels,
            fmt.rate_hz,
            fmt.rate_hz * block_bytes,
            block_bytes,
            8 * fmt.sample_bytes,
        )
        fact = b""
        if fmt.encoding != "pcm16":  # everything but PCM has an extension size and a fact chunk
            form += bytes(2)
            fact = _chunk(b"fact", struct.pack("<I", _announced(self._data_bytes // block_bytes)))
        head = b"WAVE" + _chunk(b"fmt ", form) + fact
        padded_bytes = self._data_bytes + self._data_bytes % 2
        riff_bytes = _announced(len(head) + 8 + padded_bytes)
        self._file.write(b"RIFF" + struct.pack("<I", riff_bytes) + head)
        self._file.write(b"data" + struct.pack("<I", _announced(self._data_bytes)))


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content


def _announced(size: int) -> int:
    return min(size, _UNKNOWN_SIZE)


@attrs.frozen(kw_only=True, eq=False)
class Wav:
    """A WAV file in memory: ``samples[n, channels]``, linear 16-bit."""

    rate_hz: int
    channels: int
    samples: npt.NDArray[np.int16]

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate_hz


@attrs.frozen
class _Form:
    """The ``fmt`` chunk."""

    tag: int
    channels: int
    rate_hz: int
    bits: int

    def __str__(self) -> str:
        kind = _TAG_NAMES.get(self.tag, f"format {self.tag:#06x}")
        return f"{self.bits}-bit {kind}, {self.channels} channel(s) at {self.rate_hz} Hz"


def read_wav(file: BinaryIO, *, name: str) -> Wav:
    """Read a whole WAV file: PCM of 16 or 8 bits, mu-law or A-law, at one of ``PCM16_RATES_HZ``.

    A recording that was killed is read as far as it goes: a data size of 0 or 0xFFFFFFFF, or one
    that the file does not reach, means "to the end". Chunks other than ``fmt`` and ``data`` are
    skipped. Anything else raises ConfigError for the file ``name``, which says what was found,
    what is expected and how to convert it; OSError as the file does.
    """
    content = file.read()
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        found = f"it starts with {content[:12]!r}" if content else "it is empty"
        raise _unreadable(f"not a WAV file: {found}", name)
    form: _Form | None = None
    for chunk, start, end in _chunks(content):
        if chunk == b"fmt ":
            form = _parse_form(content[start:end], name)
        elif chunk == b"data":
            if form is None:
                raise _unreadable("a WAV file whose audio comes before its format", name)
            return _decoded(content[start:end], form, name)
    raise _unreadable("a WAV file without audio (no data chunk)", name)


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (name, start, end) of every chunk, as far as the file goes."""
    riff_end = 8 + int.from_bytes(content[4:8], "little")
    at = 12
    while at + 8 <= len(content):
        chunk, size = struct.unpack_from("<4sI", content, at)
        start = at + 8
        # A recorder killed before its first flush left 0 here; then the outer size is short, too.
        unfinished = chunk == b"data" and size == 0 and riff_end < len(content)
        end = len(content) if unfinished else min(start + size, len(content))
        yield chunk, start, end
        at = end + size % 2


def _parse_form(content: bytes, name: str) -> _Form:
    if len(content) < 16:
        raise _unreadable("a WAV file whose format is cut short", name)
    tag, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", content)
    if tag == _EXTENSIBLE and content[26:40] == _GUID_TAIL:
        tag = int.from_bytes(content[24:26], "little")
    return _Form(tag, channels, rate_hz, bits)


def _decoded(data: bytes, form: _Form, name: str) -> Wav:
    if form.channels < 1 or form.rate_hz not in PCM16_RATES_HZ:
        raise _unreadable(str(form), name)
    block_bytes = form.channels * form.bits // 8
    whole = data[: len(data) - len(data) % block_bytes] if block_bytes else b""
    match form.tag, form.bits:
        case 1, 16:
            samples = decode(whole, pcm16(form.rate_hz))
        case 1, 8:  # the only unsigned one
            samples = (np.frombuffer(whole, np.uint8).astype(np.int16) - 128) << 8
        case 6, 8:
            samples = decode(whole, PCMA)  # the law is the same at any rate
        case 7, 8:
            samples = decode(whole, PCMU)
        case _:
            raise _unreadable(str(form), name)
    return Wav(
        rate_hz=form.rate_hz,
        channels=form.channels,
        samples=samples.reshape(-1, form.channels),
    )


def _unreadable(found: str, name: str) -> ConfigError:
    converted = name.removesuffix(".wav") + "-16bit.wav"
    return ConfigError(
        f"{found}; expected a WAV file of 16-bit PCM or G.711 at 8, 16, 24, 32, 44.1 or 48 kHz. "
        f'Convert it: sox "{name}" -e signed-integer -b 16 -r 24000 "{converted}"',
        file=name,
    )


def to_mono(wav: Wav, rate_hz: int) -> Samples:
    """Return the whole of ``wav`` at ``rate_hz``, its channels averaged.

    The delay of the resampler is taken out again and the length rounded to the nearest sample.
    Raises ValueError if ``rate_hz`` is not one of ``PCM16_RATES_HZ``.
    """
    resampler = Resampler(wav.rate_hz, rate_hz)
    if wav.channels == 1:
        mono = wav.samples[:, 0]
    else:
        mono = np.rint(wav.samples.mean(axis=1)).astype(np.int16)
    if wav.rate_hz == rate_hz:
        return mono
    wanted = round(len(mono) * rate_hz / wav.rate_hz)
    skipped = round(resampler.delay_s * rate_hz)
    # Enough silence behind it to push the last sample through the filter, up to whole frames.
    tail = round(resampler.delay_s * wav.rate_hz)
    tail += -(len(mono) + tail) % pcm16(wav.rate_hz).frame_samples
    return resampler.process(np.pad(mono, (0, tail)))[skipped : skipped + wanted]
