"""Sound files through libsndfile: every kind, in parts, damaged, and looped."""

from __future__ import annotations

import contextlib
import io
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from voxpy.audio.anyrate import AnyRate
from voxpy.audio.decoder import Decoder
from voxpy.audio.frame import Samples
from voxpy.errors import SoundFailed

KINDS = {
    "wav": ("WAV", "PCM_16", 8000),
    "wav mu-law": ("WAV", "ULAW", 8000),
    "wav float": ("WAV", "FLOAT", 96000),
    "flac": ("FLAC", "PCM_16", 44100),
    "ogg vorbis": ("OGG", "VORBIS", 22050),
    "ogg opus": ("OGG", "OPUS", 48000),
    "mp3": ("MP3", "MPEG_LAYER_III", 44100),
    "mp3 low": ("MP3", "MPEG_LAYER_III", 11025),
}
HEARD_AT_HZ = {22050: 24000, 11025: 16000, 96000: 48000}


def file_of(kind: str, seconds: float, *, hz: float = 440.0, channels: int = 2) -> bytes:
    """Return a sine with a little noise, in a file."""
    container, subtype, rate_hz = KINDS[kind]
    t = np.arange(round(rate_hz * seconds)) / rate_hz
    noise = np.random.default_rng(5).normal(0, 0.01, len(t))
    mono = 0.5 * np.sin(2 * np.pi * hz * t) + noise
    buffer = io.BytesIO()
    soundfile.write(
        buffer, np.stack([mono] * channels, 1), rate_hz, format=container, subtype=subtype
    )
    return buffer.getvalue()


FILES = {kind: file_of(kind, 0.5) for kind in ("flac", "wav", "ogg vorbis", "mp3")}


def whole(decoder: Decoder) -> Samples:
    pieces = [np.empty(0, np.int16)]
    while len(piece := decoder.read(1.0)):
        pieces.append(piece)
    return np.concatenate(pieces)


def frequency(samples: Samples, rate_hz: int) -> float:
    part = samples[rate_hz // 2 : rate_hz // 2 + rate_hz]
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part))))
    return float(np.argmax(spectrum)) * rate_hz / len(part)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_heard_as_it_was_made(kind: str) -> None:
    decoder = Decoder(file_of(kind, 2.5), name="x")
    found = decoder.description
    rate_hz = KINDS[kind][2]
    assert (found.channels, found.file_rate_hz) == (2, rate_hz)
    assert found.rate_hz == HEARD_AT_HZ.get(rate_hz, rate_hz)
    assert found.duration_s == pytest.approx(2.5, abs=0.001)
    heard = whole(decoder)
    assert len(heard) == pytest.approx(2.5 * found.rate_hz, abs=2)
    assert frequency(heard, found.rate_hz) == pytest.approx(440, abs=2)
    assert np.abs(heard.astype(int)).max() / 32768 == pytest.approx(0.53, abs=0.03)
    decoder.close()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_there_of_a_file_sounds_as_the_whole(kind: str) -> None:
    data = file_of(kind, 40.0 if kind == "mp3 low" else 12.0)
    expected = whole(Decoder(data, name="x"))
    at = len(data) // 3
    decoder = Decoder(data[:at], name="x", size_bytes=len(data))
    assert decoder.description.duration_s is None
    heard, early = [], 0
    while True:
        heard.append(whole(decoder))
        if decoder.complete:
            break
        early += len(heard[-1])
        at = min(len(data), at + len(data) // 7)
        decoder.extend(data[:at])
    together = np.concatenate(heard)
    assert early > 0
    assert len(together) == len(expected)
    # Opus finds its place again within what it needs to settle; all others are exact.
    apart = np.abs(together.astype(int) - expected)
    assert apart.max() <= (700 if "opus" in kind else 0)


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg vorbis"])
def test_a_loop_has_no_seam(kind: str) -> None:
    data = file_of(kind, 1.0, hz=400.0)  # a whole number of periods
    decoder = Decoder(data, name="x", loop=True)
    passes = []
    for _ in range(3):
        passes.append(whole(decoder))
        decoder.again()
    heard = np.concatenate(passes).astype(np.int32)
    steps = np.abs(np.diff(heard))
    rate_hz = decoder.description.rate_hz
    middle = int(steps[rate_hz // 4 : rate_hz * 3 // 4].max())
    assert all(
        int(steps[at - 200 : at + 200].max()) <= middle + 600 for at in (rate_hz, 2 * rate_hz)
    )
    assert len(heard) == pytest.approx(3 * rate_hz, abs=100)


def test_channels_are_averaged() -> None:
    buffer = io.BytesIO()
    left = np.full(800, 0.5)
    soundfile.write(buffer, np.stack([left, np.zeros(800)], 1), 8000, format="WAV")
    assert set(whole(Decoder(buffer.getvalue(), name="x"))[10:-10]) == {8192}


def test_too_loud_is_clipped_and_never_wraps() -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.full(800, 1.7), 8000, format="WAV", subtype="FLOAT")
    assert set(whole(Decoder(buffer.getvalue(), name="x"))) == {32767}


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "not mp3, ogg, flac or wav: it starts with b''"),
        (b"<html>404</html>", "it starts with b'<html>404"),
        (b"RIFF\0\0\0\0WAVEnothing of use", "cannot be read"),
        (b"OggS" + bytes(500), "cannot be read"),
        (b"ID3" + bytes(2000), "cannot be read"),
        (b"fLaC" + bytes(500), "cannot be read"),
    ],
)
def test_what_is_no_sound_is_refused_by_name(data: bytes, told: str) -> None:
    with pytest.raises(SoundFailed) as caught:
        Decoder(data, name="http://x/y.mp3")
    assert str(caught.value).startswith("http://x/y.mp3: ")
    assert told in str(caught.value)


def test_too_many_channels_are_refused() -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros((10, 9)), 8000, format="WAV")
    with pytest.raises(SoundFailed, match="9 channels; at most 8"):
        Decoder(buffer.getvalue(), name="x")


def test_a_damaged_file_is_heard_up_to_the_damage() -> None:
    data = file_of("flac", 4.0)
    decoder = Decoder(data[: len(data) // 2] + bytes(len(data) // 2), name="x.flac")
    heard: list[int] = []
    with pytest.raises(SoundFailed, match=r"x.flac: damaged at \d"):
        heard.extend(iter(lambda: len(decoder.read(0.2)), 0))
    assert sum(heard) > 44100


@given(st.binary(max_size=300), st.sampled_from([b"RIFF\0\0\0\0WAVE", b"fLaC", b"OggS", b""]))
@settings(max_examples=60)
def test_hostile_bytes_are_refused_or_read(junk: bytes, magic: bytes) -> None:
    with contextlib.suppress(SoundFailed):
        whole(Decoder(magic + junk, name="x"))


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_file_damaged_anywhere_is_refused_or_read(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["flac", "wav", "ogg vorbis", "mp3"]))
    file = bytearray(FILES[kind])
    for _ in range(data.draw(st.integers(1, 20))):
        place = st.integers(0, 80) | st.integers(0, len(file) - 1)
        file[data.draw(place)] = data.draw(st.integers(0, 255))
    there = data.draw(st.integers(1, len(file)))
    with contextlib.suppress(SoundFailed):
        decoder = Decoder(bytes(file[:there]), name="x", size_bytes=len(file), loop=True)
        whole(decoder)
        decoder.extend(bytes(file))
        whole(decoder)
        decoder.again()
        whole(decoder)


def test_a_flac_file_whose_frames_contradict_its_head_is_damaged() -> None:
    """What was found: the place to go on from cannot be found in the whole file."""
    file = bytearray(FILES["flac"])
    decoder = Decoder(bytes(file[: len(file) // 2]), name="x.flac", size_bytes=len(file))
    whole(decoder)
    file[42 + len(file) // 8 :] = bytes(len(file) - 42 - len(file) // 8)
    with pytest.raises(SoundFailed, match=r"x\.flac: damaged at \d"):
        decoder.extend(bytes(file))


# -- any rate --------------------------------------------------------------------------------------


def sine(hz: float, rate_hz: int, seconds: float) -> npt.NDArray[np.float32]:
    t = np.arange(round(rate_hz * seconds)) / rate_hz
    return (0.5 * np.sin(2 * np.pi * hz * t)).astype(np.float32)


def converted(samples: npt.NDArray[np.float32], rate: AnyRate, cuts: list[int]) -> Samples:
    edges = [0, *sorted(cuts), len(samples)]
    pieces = [rate.process(samples[a:b]) for a, b in pairwise(edges)]
    return np.concatenate([*pieces, rate.finish()])


@pytest.mark.parametrize(
    ("from_hz", "to_hz"),
    [(22050, 24000), (11025, 16000), (96000, 48000), (44100, 24000), (8000, 24000), (12000, 8000)],
)
def test_a_rate_changes_without_delay_or_loss(from_hz: int, to_hz: int) -> None:
    heard = converted(sine(300, from_hz, 1.0), AnyRate(from_hz, to_hz), [])
    assert len(heard) == to_hz
    error = heard[500:-500] - sine(300, to_hz, 1.0)[500:-500]
    assert np.abs(error).max() < 0.5 * 10 ** (-90 / 20)


@pytest.mark.parametrize(("from_hz", "to_hz"), [(96000, 48000), (44100, 24000), (22050, 16000)])
def test_what_does_not_fit_is_gone(from_hz: int, to_hz: int) -> None:
    heard = AnyRate(from_hz, to_hz).process(sine(to_hz / 2 * 1.1, from_hz, 1.0))
    assert np.abs(heard[2000:]).max() < 0.5 * 10 ** (-80 / 20)


@given(st.lists(st.integers(0, 4410), max_size=6))
@settings(max_examples=25)
def test_the_cuts_of_a_stream_do_not_matter(cuts: list[int]) -> None:
    samples = sine(1000, 22050, 0.2)
    expected = converted(samples, AnyRate(22050, 24000), [])
    assert np.array_equal(converted(samples, AnyRate(22050, 24000), cuts), expected)
