"""What each kind of file holds, closed or cut off, and what a full disk does to it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from voxpy.audio.frame import Samples
from voxpy.errors import ScenarioError
from voxpy.recording.files import FileKind, choose_file_kind

WAV, FLAC, MP3 = FileKind("wav", 8000), FileKind("flac", 48000), FileKind("mp3", 8000)
KINDS = [WAV, FLAC, MP3, FileKind("mp3", 48000), FileKind("wav", 48000), FileKind("flac", 8000)]
each_kind = pytest.mark.parametrize("kind", KINDS, ids=str)


def sound(kind: FileKind, seconds: float, channels: int) -> Samples:
    """Return a tone per channel, interleaved."""
    t = np.arange(round(seconds * kind.rate_hz)) / kind.rate_hz
    tones = [9000 * np.sin(2 * np.pi * hz * t) for hz in (440, 1000)[:channels]]
    interleaved: Samples = np.rint(np.stack(tones, axis=1)).astype(np.int16).ravel()
    return interleaved


def hz(samples: Any, rate_hz: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * rate_hz / len(samples)


def purity(samples: Any) -> float:
    """Return how much of the power is near the loudest frequency."""
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    peak = int(np.argmax(power))
    return float(power[max(0, peak - 5) : peak + 6].sum() / power.sum())


def read(data: bytes) -> tuple[Any, int]:
    samples, rate_hz = soundfile.read(io.BytesIO(data), dtype="int16", always_2d=True)
    return samples, rate_hz


def halves(samples: Samples, kind: FileKind, channels: int) -> list[Samples]:
    """Cut into half seconds, as recordings are written."""
    size = kind.rate_hz // 2 * channels
    return [samples[n : n + size] for n in range(0, len(samples), size)]


@each_kind
@pytest.mark.parametrize("channels", [1, 2])
def test_what_was_written_is_read_back(kind: FileKind, channels: int, tmp_path: Path) -> None:
    path = tmp_path / f"x{kind.suffix}"
    said = sound(kind, 3.0, channels)
    with path.open("wb", buffering=0) as file:
        writer = kind.open(file, channels=channels)
        for half in halves(said, kind, channels):
            writer.write(half)
        writer.close()
    samples, rate_hz = read(path.read_bytes())
    assert (rate_hz, samples.shape) == (kind.rate_hz, (3 * kind.rate_hz, channels))
    if kind.container != "mp3":
        assert np.array_equal(samples.ravel(), said)
    for n in range(channels):
        assert hz(samples[kind.rate_hz :, n], rate_hz) == pytest.approx((440, 1000)[n], abs=1)
        assert purity(samples[kind.rate_hz :, n]) > 0.99


@each_kind
def test_cut_off_after_any_block_it_plays_nearly_to_the_end(kind: FileKind, tmp_path: Path) -> None:
    path = tmp_path / "x"
    with path.open("wb", buffering=0) as file:
        writer = kind.open(file, channels=2)
        for n, half in enumerate(halves(sound(kind, 8.0, 2), kind, 2)):
            writer.write(half)
            if n == 0 and kind.container == "flac":
                continue  # its first block may not be full: 4096 samples
            samples, rate_hz = read(path.read_bytes())
            seconds, written = len(samples) / rate_hz, (n + 1) / 2
            held_back_s = {"wav": 0.0, "flac": 4096 / rate_hz, "mp3": 0.2}[kind.container]
            assert written - held_back_s <= seconds <= written + 0.05  # MP3: a decoder's delay
            if n > 1:
                assert hz(samples[rate_hz // 2 :, 1], rate_hz) == pytest.approx(1000, abs=3)
        writer.close()


@pytest.mark.parametrize(("rate_hz", "kbit_s"), [(8000, 32), (48000, 192)])
def test_mp3_has_the_bit_rates_of_voxengine(rate_hz: int, kbit_s: int, tmp_path: Path) -> None:
    kind = FileKind("mp3", rate_hz)
    path = tmp_path / "x.mp3"
    with path.open("wb", buffering=0) as file:
        writer = kind.open(file, channels=2)
        writer.write(sound(kind, 10.0, 2))
        writer.close()
    assert path.stat().st_size * 8 / 10_000 == pytest.approx(kbit_s, rel=0.03)


def write_all(kind: FileKind, file: Any) -> None:
    writer = kind.open(file, channels=1)
    for half in halves(sound(kind, 4.0, 1), kind, 1):
        writer.write(half)


@each_kind
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_an_error_of_the_file(
    kind: FileKind, capfd: pytest.CaptureFixture[str]
) -> None:
    with Path("/dev/full").open("wb", buffering=0) as file:
        with pytest.raises(OSError, match="No space left") as caught:
            write_all(kind, file)
        assert caught.value.errno == 28
    assert capfd.readouterr().err == ""  # nothing raised where only C could catch it


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ({}, WAV),
        ({"format": "json"}, WAV),
        ({"format": "wav", "hd_audio": True}, FileKind("wav", 48000)),
        ({"format": "mp3"}, MP3),
        ({"format": "mp3", "hd_audio": True}, FileKind("mp3", 48000)),
        ({"lossless": True}, FLAC),
        ({"lossless": True, "format": "flac"}, FLAC),
        ({"format": "flac"}, FileKind("flac", 8000)),
    ],
    ids=str,
)
def test_parameters_choose_the_file(asked: dict[str, Any], kind: FileKind) -> None:
    given = {"format": None, "hd_audio": False, "lossless": False} | asked
    assert choose_file_kind(**given) == kind


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"lossless": True, "hd_audio": True}, "lossless excludes hd_audio"),
        ({"lossless": True, "format": "mp3"}, "lossless writes flac, not mp3"),
        ({"format": "mp33"}, "wav, mp3 or flac, not 'mp33'; did you mean 'mp3'"),
        ({"format": 7}, "not 7"),
    ],
    ids=str,
)
def test_parameters_that_contradict_each_other(asked: dict[str, Any], told: str) -> None:
    with pytest.raises(ScenarioError, match=told):
        choose_file_kind(**({"format": None, "hd_audio": False, "lossless": False} | asked))
