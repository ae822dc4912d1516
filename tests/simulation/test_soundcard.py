"""The sound card, against a stand-in for the sounddevice library that calls back when told to."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from voxpy.audio.convert import decode, encode
from voxpy.audio.frame import PCMU, pcm16
from voxpy.audio.mix import rms_dbfs
from voxpy.errors import EngineMissing
from voxpy.simulation.soundcard import LEAD_S, MOST_S, SoundCard, open_sound_card


class Stream:
    """A stream whose device asks for audio when the test says so."""

    def __init__(
        self, *, samplerate: int, blocksize: int, callback: Callable[..., None], **_: Any
    ) -> None:
        self.samplerate = samplerate
        self.blocksize = blocksize
        self.callback = callback
        self.running = False

    def start(self) -> None:
        self.running = True

    def close(self) -> None:
        self.running = False

    def asks(self) -> bytes:
        out = bytearray(self.blocksize * 2)
        self.callback(out, self.blocksize, None, None)
        return bytes(out)

    def hears(self, samples: bytes) -> None:
        self.callback(samples, len(samples) // 2, None, None)


class Library:
    """What voxpy uses of sounddevice."""

    class PortAudioError(Exception):
        """As in sounddevice."""

    def __init__(self, rate_hz: float = 48000.0, *, devices: bool = True) -> None:
        self.rate_hz = rate_hz
        self.devices = devices
        self.streams: dict[str, Stream] = {}

    def query_devices(self, *, kind: str) -> dict[str, float]:
        if not self.devices:
            raise self.PortAudioError(f"Error querying device -1 ({kind})")
        return {"default_samplerate": self.rate_hz}

    def RawOutputStream(self, **options: Any) -> Stream:
        self.streams["out"] = Stream(**options)
        return self.streams["out"]

    def RawInputStream(self, **options: Any) -> Stream:
        self.streams["in"] = Stream(**options)
        return self.streams["in"]


def tone(rate_hz: int, seconds: float, hz: float = 440.0) -> np.ndarray[Any, np.dtype[np.int16]]:
    n = np.arange(round(rate_hz * seconds))
    return (8000 * np.sin(2 * np.pi * hz * n / rate_hz)).astype(np.int16)


def frames(samples: np.ndarray[Any, np.dtype[np.int16]]) -> list[bytes]:
    data = encode(samples, PCMU)
    return [data[i : i + 160] for i in range(0, len(data), 160)]


def test_plays_both_sides_after_a_short_lead() -> None:
    library = Library()
    card = SoundCard(library, microphone=False)
    out = library.streams["out"]
    caller, agent = frames(tone(8000, 0.2, 440)), frames(tone(8000, 0.2, 880))
    card.tap(caller[0], agent[0])
    assert out.asks() == bytes(1920), "plays before it has a lead"
    for said, heard in zip(caller[1:], agent[1:], strict=True):
        card.tap(said, heard)
    played = np.frombuffer(b"".join(out.asks() for _ in range(8)), "<i2").astype(np.float64)
    spectrum = np.abs(np.fft.rfft(played * np.hanning(len(played))))
    loudest = sorted(np.argsort(spectrum)[-2:] * 48000 / len(played))
    assert loudest == pytest.approx([440, 880], abs=10)


def test_gathers_a_lead_again_after_running_dry() -> None:
    library = Library()
    card = SoundCard(library, microphone=False)
    out = library.streams["out"]
    for frame in frames(tone(8000, LEAD_S)):
        card.tap(frame, frame)
    while any(out.asks()):
        pass
    card.tap(b"", frames(tone(8000, 0.02))[0])
    assert out.asks() == bytes(1920)


def test_drops_what_would_be_heard_too_late() -> None:
    library = Library()
    card = SoundCard(library, microphone=False)
    for frame in frames(tone(8000, MOST_S + 1)):
        card.tap(frame, frame)
    asked = 0
    while any(library.streams["out"].asks()):
        asked += 1
    assert asked * 0.02 == pytest.approx(MOST_S, abs=0.02)


@pytest.mark.parametrize("rate_hz", [44100.0, 48000.0, 96000.0])
def test_hears_the_microphone_as_whole_mulaw_frames(rate_hz: float) -> None:
    library = Library(rate_hz)
    card = SoundCard(library, microphone=True)
    stream = library.streams["in"]
    samples = tone(stream.samplerate, 0.1).tobytes()
    stream.hears(samples[:1001])
    stream.hears(samples[1001:])
    spoken = card.spoken()
    assert len(spoken) == 5 * 160
    assert rms_dbfs(decode(spoken, PCMU)[80:]) == pytest.approx(-15.3, abs=0.5)
    assert card.spoken() == b""


def test_with_a_microphone_the_caller_does_not_hear_themselves() -> None:
    library = Library()
    card = SoundCard(library, microphone=True)
    for frame in frames(tone(8000, 0.2)):
        card.tap(frame, PCMU.silence)
    played = np.frombuffer(b"".join(library.streams["out"].asks() for _ in range(5)), "<i2")
    assert np.abs(played).max() == 0


def test_close_stops_both_and_is_idempotent() -> None:
    library = Library()
    card = SoundCard(library, microphone=True)
    assert all(s.running for s in library.streams.values())
    card.close()
    card.close()
    assert not any(s.running for s in library.streams.values())


def test_an_unusual_rate_falls_back_to_48_khz() -> None:
    library = Library(96000.0)
    SoundCard(library, microphone=False)
    assert library.streams["out"].samplerate == pcm16(48000).rate_hz


def test_no_device_is_named() -> None:
    with pytest.raises(EngineMissing, match="no usable audio output device"):
        SoundCard(Library(devices=False), microphone=False)


@pytest.mark.parametrize(
    ("error", "help_text"),
    [(ImportError("No module"), "\\[play\\]"), (OSError("PortAudio"), "libportaudio2")],
)
def test_what_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, error: Exception, help_text: str
) -> None:
    real_import = builtins.__import__

    def without_sounddevice(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "sounddevice":
            raise error
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_sounddevice)
    with pytest.raises(EngineMissing, match=help_text):
        open_sound_card(microphone=False)
