"""What the whole way of a call does to sound: converters, wire, graph and playout together."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from voxpy.audio.conceal import Concealer
from voxpy.audio.convert import Converter, decode, encode
from voxpy.audio.frame import FRAME_S, PCMA, PCMU, Format, Samples, pcm16
from voxpy.audio.resample import Resampler
from voxpy.errors import EngineMissing
from voxpy.localagent.voice import RATE_HZ, Voice
from voxpy.media.graph import MediaGraph
from voxpy.media.playout import Playout
from voxpy.media.unit import MediaPort
from voxpy.wire.realtime.events.client_events import InputAudioBufferAppend
from voxpy.wire.realtime.events.codec import (
    decode_audio,
    encode_append,
    encode_audio_delta,
    parse_client,
    parse_server,
)
from voxpy.wire.realtime.events.server_events import ResponseOutputAudioDelta

WIDE = pcm16(24000)
TEXT = (
    "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background. "
    "It is easy to tell the depth of a well."
)
Floats = npt.NDArray[np.float64]
Score = Callable[[Samples, Samples], float]


@pytest.fixture(scope="module")
def speech() -> Samples:
    """Return three sentences at 8 kHz."""
    try:
        parts = list(Voice().speak(TEXT, speaker="Dennis"))
    except EngineMissing as exc:
        pytest.skip(str(exc))
    return Resampler(RATE_HZ, 8000).process(np.concatenate(parts))


@pytest.fixture(scope="module")
def pesq() -> Score:
    """Return narrow-band PESQ (ITU-T P.862.1): 4.55 is the best it gives."""
    scorer = pytest.importorskip("pesq", reason="the extra 'quality' is not installed")
    return lambda reference, heard: float(scorer.pesq(8000, reference, heard, "nb"))


@pytest.fixture(scope="module")
def stoi() -> Score:
    """Return short-time objective intelligibility: 1.0 is the best."""
    scorer: Any = pytest.importorskip("pystoi", reason="the extra 'quality' is not installed")
    return lambda reference, heard: float(
        scorer.stoi(reference.astype(float), heard.astype(float), 8000)
    )


def frames_of(data: bytes, fmt: Format) -> list[bytes]:
    n = fmt.frame_bytes
    return [data[i : i + n] for i in range(0, len(data) - len(data) % n, n)]


def over_the_bridge(line: list[bytes], fmt: Format) -> list[bytes]:
    """Send a caller's frames to a realtime server and back, as JSON both ways."""
    up, down = Converter(fmt, WIDE), Converter(WIDE, fmt)
    part = b'"response_id":"r","item_id":"i","output_index":0,"content_index":0'
    back = []
    for n, frame in enumerate(line):
        append = parse_client(encode_append(up.convert(frame)))
        assert isinstance(append, InputAudioBufferAppend)
        audio = decode_audio(append.audio, "$.audio")
        delta = parse_server(encode_audio_delta(audio, event_id=f"event_{n}", part=part))
        assert isinstance(delta, ResponseOutputAudioDelta)
        back.append(down.convert(decode_audio(delta.delta, "$.delta")))
    return back


def heard(line: list[bytes], fmt: Format) -> Samples:
    return decode(b"".join(line), fmt)


@pytest.mark.parametrize("fmt", [PCMU, PCMA], ids=str)
def test_the_bridge_does_not_damage_speech(
    fmt: Format, speech: Samples, pesq: Score, stoi: Score
) -> None:
    line = frames_of(encode(speech, fmt), fmt)
    reference = heard(line, fmt)
    bridged = heard(over_the_bridge(line, fmt), fmt)
    # Two resamplers of 2 ms each: 32 samples at 8 kHz.
    late, reference = bridged[32:], reference[:-32]
    assert pesq(reference, late) > 4.4
    assert stoi(reference, late) > 0.995
    wrong = late.astype(float) - reference
    assert 10 * np.log10(np.sum(reference.astype(float) ** 2) / np.sum(wrong**2)) > 30


@pytest.mark.parametrize("loss", [0.02, 0.05, 0.1])
def test_concealment_is_better_than_silence(
    loss: float, speech: Samples, pesq: Score, stoi: Score
) -> None:
    line = frames_of(encode(speech, PCMU), PCMU)
    reference = heard(line, PCMU)
    gains = []
    for seed in range(3):
        lost = np.random.default_rng(seed).random(len(line)) < loss
        concealer = Concealer(PCMU)
        covered = [concealer.play(None if gone else f) for f, gone in zip(line, lost, strict=True)]
        silent = [PCMU.silence if gone else f for f, gone in zip(line, lost, strict=True)]
        gains.append(
            [
                score(reference, heard(covered, PCMU)) - score(reference, heard(silent, PCMU))
                for score in (pesq, stoi)
            ]
        )
    pesq_gain, stoi_gain = np.mean(gains, axis=0)
    assert pesq_gain > 0.08
    assert stoi_gain > 0.003


@pytest.mark.parametrize("fmt", [pcm16(8000), pcm16(16000), pcm16(48000)], ids=str)
def test_a_full_scale_sweep_gets_no_image(fmt: Format) -> None:
    """Up to 24 kHz and back through real converters; nothing above -70 dB but the sweep itself."""
    n = 2 * fmt.rate_hz
    t = np.arange(n) / fmt.rate_hz
    edge_hz = min(fmt.rate_hz, 24000) / 2 - 600
    edge = np.minimum(1, 10 * np.minimum(t, t[::-1]))
    sweep = 32767 * np.sin(np.pi / 2 * edge) ** 2 * np.sin(np.pi * edge_hz * t**2 / t[-1])
    line = frames_of(encode(np.rint(sweep).astype(np.int16), fmt), fmt)
    up, down = Converter(fmt, WIDE), Converter(WIDE, fmt)
    wide = [up.convert(frame) for frame in line]
    image = loudest(heard(wide, WIDE), 24000, above_hz=edge_hz + 1200)
    assert image < -70
    back = heard([down.convert(frame) for frame in wide], fmt).astype(float)
    delay = round(0.004 * fmt.rate_hz)
    error = back[delay:] - np.rint(sweep)[:-delay]
    assert 20 * np.log10(np.sqrt(np.mean(error**2)) / np.sqrt(np.mean(sweep**2))) < -70


def loudest(samples: Samples, rate_hz: int, *, above_hz: float) -> float:
    """Return the loudest of any 40 ms above a frequency, in dB to the loudest at all."""
    n = rate_hz // 25
    rows = np.lib.stride_tricks.sliding_window_view(samples, n)[:: n // 2]
    spectrum = np.abs(np.fft.rfft(rows * np.kaiser(n, 12), axis=1)).max(axis=0)
    part = spectrum[np.fft.rfftfreq(n, 1 / rate_hz) > above_hz]
    return 20 * float(np.log10(part.max() / spectrum.max())) if len(part) else -np.inf


class Counting:
    """A far end: says numbered-looking noise and silence by turns, and counts what it is given."""

    format: Format = PCMU

    def __init__(self) -> None:
        self.pulled = self.pushed_bytes = 0
        self._speech = np.random.default_rng(1).bytes(PCMU.frame_bytes)

    def pull(self) -> bytes:
        self.pulled += 1
        return self._speech if self.pulled // 200 % 2 else PCMU.silence

    def push(self, frame: bytes) -> None:
        self.pushed_bytes += len(frame)


class Ear:
    """The agent's: counts."""

    def __init__(self, fmt: Format) -> None:
        self.format = fmt
        self.heard_bytes = 0

    def push(self, frame: bytes) -> None:
        self.heard_bytes += len(frame)


def test_twenty_minutes_of_speech_and_silence_neither_drift_nor_grow() -> None:
    """60,000 ticks of a bridged call: every sample in comes out once, and nothing is kept.

    The agent's formats change every five minutes: it speaks 24 kHz, hears it, or passes mu-law both
    ways. It answers for two seconds in eight, in deltas of 100 ms that are no whole frames, faster
    than they are played. Proves that counts stay exact over graph, playout and converters, that no
    buffer creeps, and that no object is left behind; not how it sounds.
    """
    graph, far, ear = MediaGraph(), Counting(), Ear(PCMU)
    formats = [(WIDE, PCMU), (PCMU, PCMU), (PCMU, WIDE), (PCMU, PCMU)]
    voice = Playout(WIDE, limit_s=10.0)
    call = MediaPort(name="call", source=far, sink=far)
    agent = MediaPort(name="agent", source=voice, sink=ear)
    graph.attach(call)
    graph.connect(call, agent)
    graph.connect(agent, call)
    written = 0
    objects: list[int] = []
    ticks = 20 * 60 * 50
    for tick in range(ticks):
        if tick % (ticks // 4) == 0:
            assert voice.played_bytes == written
            voice.format, ear.format = formats.pop(0)
        if tick % 400 < 20:
            delta = bytes(voice.format.bytes_for(0.1) - voice.format.sample_bytes)
            voice.write(delta, item_id="item")
            written += len(delta)
        graph.tick(tick * FRAME_S)
        if tick % 15_000 == 7_500:
            gc.collect()
            objects.append(len(gc.get_objects()))
    assert far.pulled == ticks
    assert ear.heard_bytes == ticks // 4 * (WIDE.frame_bytes + 3 * PCMU.frame_bytes)
    assert far.pushed_bytes == ticks * PCMU.frame_bytes
    assert voice.played_bytes == written
    assert voice.buffered_bytes == voice.dropped_bytes == voice.cleared_bytes == 0
    assert max(objects) - objects[0] < 20
