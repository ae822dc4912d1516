"""WAV files: written, killed half-way, damaged, and other people's."""

from __future__ import annotations

import io
import struct
import wave
from typing import BinaryIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.audio.convert import decode
from voxpy.audio.frame import PCM16_RATES_HZ, PCMA, PCMU, Format, pcm16
from voxpy.audio.wav import Wav, WavWriter, read_wav, to_mono
from voxpy.errors import ConfigError

FORMATS = [PCMU, PCMA, *map(pcm16, PCM16_RATES_HZ)]
formats = st.sampled_from(FORMATS)


def read(content: bytes) -> Wav:
    return read_wav(io.BytesIO(content), name="call.wav")


def chunk(name: bytes, content: bytes, size: int | None = None) -> bytes:
    announced = len(content) if size is None else size
    return name + struct.pack("<I", announced) + content + bytes(len(content) % 2)


def riff(*chunks: bytes, size: int | None = None) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def form(tag: int = 1, channels: int = 1, rate_hz: int = 8000, bits: int = 16) -> bytes:
    block = channels * bits // 8
    return struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * block, block, bits)


def written(fmt: Format, data: bytes, *, channels: int = 1) -> bytes:
    file = io.BytesIO()
    writer = WavWriter(file, fmt, channels=channels)
    writer.write(data)
    writer.close()
    return file.getvalue()


@given(formats, st.integers(1, 3), st.integers(0, 50), st.integers(0, 99))
def test_what_is_written_is_read(fmt: Format, channels: int, length: int, seed: int) -> None:
    data = np.random.default_rng(seed).bytes(length * channels * fmt.sample_bytes)
    wav = read(written(fmt, data, channels=channels))
    assert (wav.rate_hz, wav.channels) == (fmt.rate_hz, channels)
    assert wav.samples.shape == (length, channels)
    assert wav.samples.tobytes() == decode(data, fmt).tobytes()
    assert wav.duration_s == length / fmt.rate_hz


def test_the_standard_library_reads_it_too() -> None:
    data = bytes(range(200))
    with wave.open(io.BytesIO(written(pcm16(24000), data, channels=2))) as other:
        assert other.getparams()[:4] == (2, 2, 24000, 50)
        assert other.readframes(50) == data


def test_the_bytes_of_a_mu_law_file() -> None:
    content = written(PCMU, b"\xff\x00\x12")
    assert content == (
        b"RIFF" + struct.pack("<I", 54)
        + b"WAVEfmt " + struct.pack("<IHHIIHHH", 18, 7, 1, 8000, 8000, 1, 8, 0)
        + b"fact" + struct.pack("<II", 4, 3)
        + b"data" + struct.pack("<I", 3) + b"\xff\x00\x12" + b"\x00"
    )  # fmt: skip
    assert len(content) == 8 + 54


@given(formats, st.lists(st.tuples(st.integers(0, 7), st.booleans()), max_size=8))
def test_after_every_flush_the_file_is_valid_and_complete(
    fmt: Format, steps: list[tuple[int, bool]]
) -> None:
    file, data = io.BytesIO(), b""
    writer = WavWriter(file, fmt)
    for n_samples, flush in steps:
        part = bytes(range(1, 1 + n_samples * fmt.sample_bytes))
        writer.write(part)
        data += part
        assert writer.duration_s == len(data) / fmt.bytes_per_second
        if flush:
            writer.flush()
            content = file.getvalue()
            assert len(content) % 2 == 0
            assert int.from_bytes(content[4:8], "little") == len(content) - 8
            assert read(content).samples.tobytes() == decode(data, fmt).tobytes()
    writer.close()
    writer.close()
    assert read(file.getvalue()).samples.tobytes() == decode(data, fmt).tobytes()


def test_a_recorder_killed_before_its_first_flush_lost_nothing() -> None:
    file = io.BytesIO()
    WavWriter(file, pcm16(8000)).write(b"\x01\x00\x02\x00")
    assert read(file.getvalue()).samples[:, 0].tolist() == [1, 2]


def test_a_writer_starts_where_the_file_stands_and_leaves_it_open() -> None:
    file = io.BytesIO(b"before")
    file.seek(6)
    writer = WavWriter(file, PCMU)
    writer.write(b"\xff\xff")
    writer.close()
    assert file.getvalue()[:6] == b"before"
    assert read(file.getvalue()[6:]).samples.tolist() == [[0], [0]]
    assert not file.closed


class Endless(io.RawIOBase):
    """A file that keeps only its first 100 bytes, as 5 GiB would take long."""

    def __init__(self) -> None:
        self.head = bytearray(100)
        self.at = 0

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = 0) -> int:
        assert whence == 0
        self.at = offset
        return offset

    def write(self, data: bytes) -> int:  # type: ignore[override]
        keep = max(0, min(len(data), 100 - self.at))
        self.head[self.at : self.at + keep] = data[:keep]
        self.at += len(data)
        return len(data)


def test_past_4_gib_the_sizes_say_to_the_end() -> None:
    file = Endless()
    sink: BinaryIO = file  # type: ignore[assignment]
    writer = WavWriter(sink, pcm16(48000), channels=2)
    block = bytes(64 * 1024 * 1024)
    for _ in range(65):
        writer.write(block)
    writer.close()
    assert bytes(file.head[4:8]) == bytes(file.head[40:44]) == b"\xff\xff\xff\xff"
    assert writer.duration_s == 65 * len(block) / 4 / 48000


def test_writing_wrongly_is_refused() -> None:
    writer = WavWriter(io.BytesIO(), pcm16(8000), channels=2)
    with pytest.raises(ValueError, match=r"6 bytes are not whole samples of pcm16/8000 in 2"):
        writer.write(bytes(6))
    writer.close()
    with pytest.raises(ValueError, match="closed"):
        writer.write(bytes(4))
    with pytest.raises(ValueError, match="0 channels"):
        WavWriter(io.BytesIO(), PCMU, channels=0)


def test_a_pipe_is_refused() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    with pytest.raises(ValueError, match="seekable"):
        WavWriter(Pipe(), PCMU)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFF0, 7, None])
def test_data_that_ends_early_is_read_as_far_as_it_goes(size: int | None) -> None:
    content = riff(chunk(b"fmt ", form()), chunk(b"data", b"\x01\x00\x02\x00\x03", size)[:-1])
    assert read(content).samples[:, 0].tolist() == [1, 2]


def test_a_data_size_of_0_means_all_of_it_unless_the_file_really_is_empty() -> None:
    killed = riff(chunk(b"fmt ", form()), chunk(b"data", b"\x01\x00\x02\x00", 0), size=36)
    assert read(killed).samples[:, 0].tolist() == [1, 2]
    assert read(killed[:4] + bytes(4) + killed[8:]).samples[:, 0].tolist() == [1, 2]
    empty = riff(chunk(b"fmt ", form()), chunk(b"data", b""), chunk(b"LIST", b"INFOhello"))
    assert read(empty).samples.shape == (0, 1)


def test_other_chunks_and_their_padding_are_skipped() -> None:
    content = riff(
        chunk(b"JUNK", b"odd"),
        chunk(b"fmt ", form()),
        chunk(b"LIST", b"INFOx"),
        chunk(b"data", b"\x05\x00"),
        chunk(b"id3 ", b"after"),
    )
    assert read(content).samples[:, 0].tolist() == [5]


def test_eight_bits_are_unsigned() -> None:
    content = riff(chunk(b"fmt ", form(bits=8)), chunk(b"data", b"\x00\x80\xff"))
    assert read(content).samples[:, 0].tolist() == [-32768, 0, 32512]


GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


@pytest.mark.parametrize(
    ("tag", "bits", "data", "first"),
    [(1, 16, b"\x07\x00", 7), (7, 8, b"\x00", -32124), (6, 8, b"\xd5", 8)],
)
def test_extensible_files_name_their_format_inside(
    tag: int, bits: int, data: bytes, first: int
) -> None:
    extension = struct.pack("<HHI", 22, bits, 4) + struct.pack("<H", tag) + GUID_TAIL
    content = riff(
        chunk(b"fmt ", form(0xFFFE, rate_hz=48000, bits=bits) + extension), chunk(b"data", data)
    )
    wav = read(content)
    assert wav.rate_hz == 48000
    assert wav.samples.tolist() == [[first]]


AUDIO = chunk(b"data", bytes(12))
SOX = 'sox "call.wav" -e signed-integer -b 16 -r 24000 "call-16bit.wav"'


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "not a WAV file: it is empty"),
        (b"ID3\x04 an mp3 file", "not a WAV file: it starts with b'ID3"),
        (riff(AUDIO), "before its format"),
        (riff(chunk(b"fmt ", form())), "without audio"),
        (riff(chunk(b"fmt ", form()[:10]), AUDIO), "cut short"),
        (riff(chunk(b"fmt ", form(bits=24)), AUDIO), "24-bit PCM, 1 channel"),
        (riff(chunk(b"fmt ", form(3, bits=32)), AUDIO), "32-bit floating point"),
        (riff(chunk(b"fmt ", form(85, bits=0)), AUDIO), "format 0x0055"),
        (riff(chunk(b"fmt ", form(0xFFFE)), AUDIO), "format 0xfffe"),
        (riff(chunk(b"fmt ", form(rate_hz=11025)), AUDIO), "at 11025 Hz"),
        (riff(chunk(b"fmt ", form(channels=0)), AUDIO), "0 channel"),
    ],
)
def test_anything_else_says_what_it_is_and_how_to_convert_it(content: bytes, found: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(content)
    message = str(caught.value)
    assert message.startswith("call.wav: ")
    assert caught.value.file == "call.wav"
    assert found in message
    assert "16-bit PCM or G.711 at 8, 16, 24, 32, 44.1 or 48 kHz" in message
    assert message.endswith(SOX)


@given(st.data())
def test_damaged_files_are_read_or_refused_but_nothing_else(data: st.DataObject) -> None:
    content = bytearray(written(data.draw(formats), bytes(range(24)), channels=2))
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(0, len(content))) :]
    try:
        wav = read(bytes(content))
    except ConfigError:
        return
    assert wav.samples.shape[1] == wav.channels
    assert wav.samples.dtype == np.int16


@given(st.integers(0, 200))
def test_cut_anywhere_the_audio_before_the_cut_survives(kept_bytes: int) -> None:
    data = bytes(range(100))
    content = written(pcm16(8000), data)[: 44 + kept_bytes]
    expected = data[: min(kept_bytes, 100) // 2 * 2]
    assert read(content).samples.tobytes() == expected


def test_to_mono_averages_the_channels() -> None:
    samples = np.array([[100, 200], [-3, -4], [32767, 32767]], np.int16)
    wav = Wav(rate_hz=8000, channels=2, samples=samples)
    assert to_mono(wav, 8000).tolist() == [150, -4, 32767]


@given(st.sampled_from(PCM16_RATES_HZ), st.sampled_from(PCM16_RATES_HZ), st.integers(0, 5000))
def test_to_mono_keeps_the_duration(from_hz: int, to_hz: int, length: int) -> None:
    wav = Wav(rate_hz=from_hz, channels=1, samples=np.zeros((length, 1), np.int16))
    assert len(to_mono(wav, to_hz)) == round(length * to_hz / from_hz)


@pytest.mark.parametrize(("from_hz", "to_hz"), [(8000, 24000), (48000, 8000), (44100, 16000)])
def test_to_mono_takes_the_delay_out(from_hz: int, to_hz: int) -> None:
    def tone(rate_hz: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.asarray(12000 * np.sin(2 * np.pi * 440 * np.arange(rate_hz // 4) / rate_hz))

    samples = np.rint(tone(from_hz)).astype(np.int16).reshape(-1, 1)
    out = to_mono(Wav(rate_hz=from_hz, channels=1, samples=samples), to_hz)
    middle = slice(to_hz // 50, -to_hz // 50)
    assert np.abs(out - tone(to_hz))[middle].max() < 12
