"""DTMF: what a frame costs, and how many digits an hour of speech contains (none, one hopes).

Run ``python benchmarks/dtmf.py``: the project's own documents are read aloud by all the voices of
the local agent at several paces, through mu-law at 8 kHz, loud and soft, and at 16 kHz; then their
words in random order until the hour is full. About 90 s of one core. ``--seconds 300`` for less.

Each hour is heard by the detector, which must find no digit, and by the beep detector, which must
find no beep. Frames muted in vain are those that ``handle_tones`` would take out of the audio
because they looked like the beginning of a digit.
"""

from __future__ import annotations

import argparse
import re
import timeit
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from voxpy.audio.beep import BeepDetector
from voxpy.audio.dtmf import DtmfDetector
from voxpy.audio.frame import Samples
from voxpy.audio.g711 import decode_ulaw, encode_ulaw
from voxpy.audio.resample import Resampler
from voxpy.audio.tones import dtmf
from voxpy.localagent.voice import RATE_HZ, SPEAKERS, Voice

ROOT = Path(__file__).parents[1]
PACES = (1.0, 0.85, 1.2)
WORDS_PER_SENTENCE = 12
SOFT = 0.25


def sentences() -> Iterator[str]:
    """Yield what the documents say, then their words shuffled, without end."""
    texts = [p.read_text(encoding="utf-8") for p in sorted(ROOT.rglob("*.md"))]
    texts += [p.read_text(encoding="utf-8") for p in sorted((ROOT / "voxpy").rglob("*.yaml"))]
    prose = re.sub(r"```.*?```|[`*_#|<>{}\[\]()\\]", " ", "\n".join(texts), flags=re.DOTALL)
    words = re.findall(r"[A-Za-z']+|[0-9]+", prose)
    for start in range(0, len(words), WORDS_PER_SENTENCE):
        yield " ".join(words[start : start + WORDS_PER_SENTENCE]) + "."
    rng = np.random.default_rng(1)
    while True:
        yield " ".join(rng.choice(words, WORDS_PER_SENTENCE)) + "."


def spoken(seconds: float) -> Iterator[Samples]:
    """Yield at least ``seconds`` of speech at 24 kHz, in whole frames, speakers taking turns."""
    voice, said_s = Voice(), 0.0
    for number, text in enumerate(sentences()):
        if said_s >= seconds:
            return
        speaker = list(SPEAKERS)[number % len(SPEAKERS)]
        pace = PACES[number // len(SPEAKERS) % len(PACES)]
        for audio in voice.speak(text, speaker=speaker, speed=pace):
            said_s += len(audio) / RATE_HZ
            yield np.pad(audio, (0, -len(audio) % 480))


class Way:
    """One way the speech reaches the detectors."""

    def __init__(self, name: str, *, rate_hz: int, gain: float = 1.0, law: bool = False) -> None:
        self.name, self.rate_hz, self.gain, self.law = name, rate_hz, gain, law
        self.narrow = Resampler(RATE_HZ, rate_hz)
        self.digits = DtmfDetector(rate_hz)
        self.beep = BeepDetector(rate_hz)
        self.heard: list[object] = []
        self.frames = self.muted = 0

    def hear(self, audio: Samples) -> None:
        samples = np.rint(self.narrow.process(audio) * self.gain).astype(np.int16)
        if self.law:
            samples = decode_ulaw(encode_ulaw(samples))
        for frame in samples.reshape(-1, self.rate_hz // 50):
            self.heard += self.digits.process(frame)
            self.heard += self.beep.process(frame)
            self.frames += 1
            self.muted += self.digits.looks_like_a_digit


def talk_off(seconds: float) -> None:
    ways = [
        Way("mu-law 8 kHz", rate_hz=8000, law=True),
        Way("mu-law 8 kHz, 12 dB softer", rate_hz=8000, gain=SOFT, law=True),
        Way("linear 16 kHz", rate_hz=16000),
    ]
    for audio in spoken(seconds):
        for way in ways:
            way.hear(audio)
    for way in ways:
        print(
            f"{way.name:28s} {way.frames / 50:7.0f} s of speech: {len(way.heard)} digits and "
            f"beeps, {way.muted} frames ({way.muted / 50:.2f} s) muted in vain {way.heard}"
        )


def cost_us(detector: DtmfDetector | BeepDetector, audio: Samples, frame_samples: int) -> float:
    frames = list(audio[: len(audio) // frame_samples * frame_samples].reshape(-1, frame_samples))

    def once() -> None:
        for frame in frames:
            detector.process(frame)

    return min(timeit.repeat(once, number=1, repeat=7)) / len(frames) * 1e6


def costs() -> None:
    rng = np.random.default_rng(1)
    for rate_hz in (8000, 16000):
        sounds = {
            "silence": np.zeros(rate_hz * 10, np.int16),
            "noise": (3000 * rng.standard_normal(rate_hz * 10)).astype(np.int16),
            "speech": np.concatenate(
                [Resampler(RATE_HZ, rate_hz).process(audio) for audio in spoken(20)]
            ),
            "digits": dtmf("123456789*0#" * 4, rate_hz=rate_hz),
            "a key held": dtmf("5", rate_hz=rate_hz, tone_ms=10_000),
        }
        for name, audio in sounds.items():
            row = [
                cost_us(kind(rate_hz), audio, rate_hz // 50)
                for kind in (DtmfDetector, BeepDetector)
            ]
            print(
                f"{rate_hz} Hz {name:12s} digits {row[0]:5.1f} us, beep {row[1]:5.1f} us per frame"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0)
    arguments = parser.parse_args()
    costs()
    talk_off(arguments.seconds)
