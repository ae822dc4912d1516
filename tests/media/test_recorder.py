"""Both sides of a port in one file that is valid at every second."""

from __future__ import annotations

import io

import numpy as np
import pytest

from voxpy.audio.convert import encode
from voxpy.audio.frame import PCMU, Format, pcm16
from voxpy.audio.wav import Wav, read_wav
from voxpy.media.recorder import Recorder
from voxpy.media.unit import MediaPort

NARROW = pcm16(8000)


class End:
    """Either end of a port: only its format matters to a recorder."""

    def __init__(self, fmt: Format) -> None:
        self.format = fmt

    def pull(self) -> bytes | None:
        return None

    def push(self, frame: bytes) -> None:
        pass


def port(said: Format = NARROW, heard: Format = NARROW) -> MediaPort:
    return MediaPort(name="leg", source=End(said), sink=End(heard))


def level(value: int, fmt: Format = NARROW) -> bytes:
    return encode(np.full(fmt.frame_samples, value, np.int16), fmt)


def reread(file: io.BytesIO) -> Wav:
    return read_wav(io.BytesIO(file.getvalue()), name="call.wav")


def test_left_is_what_came_from_the_port_and_right_what_went_to_it() -> None:
    file = io.BytesIO()
    recorder = Recorder(file, port(), stereo=True, rate_hz=8000)
    recorder.write(level(1000), level(-2000))
    recorder.write(b"", level(5))
    recorder.write(level(7), b"")
    recorder.close()
    recorder.close()
    wav = reread(file)
    assert (wav.channels, wav.rate_hz, wav.duration_s) == (2, 8000, 0.06)
    assert recorder.duration_s == pytest.approx(0.06)
    assert [tuple(wav.samples[n * 160]) for n in range(3)] == [(1000, -2000), (0, 5), (7, 0)]


def test_mono_is_the_sum_without_wrapping_round() -> None:
    file = io.BytesIO()
    recorder = Recorder(file, port(), stereo=False, rate_hz=8000)
    for said, heard in [(1000, -300), (30_000, 30_000), (-30_000, -30_000)]:
        recorder.write(level(said), level(heard))
    recorder.close()
    wav = reread(file)
    assert wav.channels == 1
    assert [wav.samples[n * 160, 0] for n in range(3)] == [700, 32767, -32768]


def test_the_file_can_be_read_after_every_second_without_close() -> None:
    file = io.BytesIO()
    recorder = Recorder(file, port(), stereo=True, rate_hz=8000)
    for n in range(1, 176):
        recorder.write(level(n), level(-n))
        if n % 50 == 0:
            data_bytes = int.from_bytes(file.getvalue()[40:44], "little")
            assert data_bytes == n * 160 * 4  # the header itself says so
            assert reread(file).duration_s == n * 0.02
    assert reread(file).duration_s >= 3


def test_formats_differ_and_change() -> None:
    leg = port(PCMU, pcm16(24000))
    file = io.BytesIO()
    recorder = Recorder(file, leg, stereo=True, rate_hz=16000)
    for _ in range(10):
        recorder.write(level(4000, PCMU), level(-4000, pcm16(24000)))
    leg.source = End(pcm16(24000))
    for _ in range(10):
        recorder.write(level(4000, pcm16(24000)), level(-4000, pcm16(24000)))
    recorder.close()
    wav = reread(file)
    assert (wav.rate_hz, wav.duration_s) == (16000, 0.4)
    for n in (5, 15):
        assert wav.samples[n * 320 + 100] == pytest.approx([4000, -4000], rel=0.05)
