"""Speech without speech: every text is a tone of its own, so what is heard is what was sent.

A voice that plays a tone for as long as the words would take, and ears that look up which tone came
over the line, how much of it, and answer with that part of the words. Loss, echo, barge-in and a
wrong route change what these ears hear just as they would change real speech. They need no models
and no time.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from voxpy.engine.speech import Recognised
from voxpy.localagent.engines import Engines
from voxpy.localagent.responder import Responder
from voxpy.localagent.vad import EnergyGate

__all__ = ["Airwaves", "ToneEars", "ToneVoice", "scripted_engines"]

Samples = npt.NDArray[np.int16]

VOICE_HZ = 24_000
EAR_HZ = 16_000
LOWEST_HZ = 420
STEP_HZ = 40
TONES = 70
"""420 to 3,180 Hz: what a telephone carries, in steps that mu-law and resampling cannot blur."""
SECONDS_PER_WORD = 0.3
FEWEST_SECONDS = 0.4
LEVEL = 8000
SHORTEST_HEARD = 800  # samples at 16 kHz: 50 ms


class Airwaves:
    """Which text has which tone. The oldest of TONES texts gives its tone to a new one."""

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}
        self._tones: dict[str, int] = {}
        self._next = 0

    def tone_hz(self, text: str) -> int:
        """Return the tone of ``text``, giving it one if it has none."""
        if text not in self._tones:
            hz = LOWEST_HZ + STEP_HZ * (self._next % TONES)
            self._next += 1
            self._tones.pop(self._texts.get(hz, ""), None)
            self._texts[hz], self._tones[text] = text, hz
        return self._tones[text]

    def text(self, hz: float) -> str:
        """Return the text whose tone is nearest to ``hz``."""
        nearest = min(self._texts, key=lambda known: abs(known - hz), default=None)
        return self._texts[nearest] if nearest is not None else ""


def _seconds(text: str) -> float:
    return max(FEWEST_SECONDS, SECONDS_PER_WORD * len(text.split()))


class ToneVoice:
    """A voice for ``Engines``: one tone per text, a third of a second per word."""

    def __init__(self, airwaves: Airwaves) -> None:
        self._airwaves = airwaves

    def warm_up(self) -> None:
        """There is nothing to load."""

    def speak(self, text: str, *, speaker: str, speed: float) -> Iterator[Samples]:
        """Yield the tone of ``text``."""
        n = round(_seconds(text) / speed * VOICE_HZ / 480) * 480
        phase = 2 * np.pi * self._airwaves.tone_hz(text) * np.arange(n) / VOICE_HZ
        yield (LEVEL * np.sin(phase)).astype(np.int16)


class ToneEars:
    """Ears for ``Engines``: the texts of the tones in a recording, cut where the sound was cut."""

    languages = ("en",)

    def __init__(self, airwaves: Airwaves) -> None:
        self._airwaves = airwaves

    def warm_up(self) -> None:
        """There is nothing to load."""

    def transcribe(self, samples: Samples) -> str:
        """Return the words heard in int16 samples at 16 kHz."""
        window = EAR_HZ // 50
        whole = samples[: len(samples) // window * window].reshape(-1, window).astype(np.float64)
        loud = np.abs(whole).max(axis=1, initial=0.0) > LEVEL / 8
        heard: list[str] = []
        for start, end in _runs(loud):
            if (end - start) * window >= SHORTEST_HEARD:
                heard.append(self._words(whole[start:end].ravel()))
        return " ".join(h for h in heard if h)

    def recognise(self, samples: Samples) -> Recognised:
        """Return the same words; a tone is always understood."""
        text = self.transcribe(samples)
        return Recognised(text, 1.0 if text else 0.0)

    def _words(self, audio: npt.NDArray[np.float64]) -> str:
        spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio)), n=max(len(audio), 8192)))
        hz = float(np.argmax(spectrum)) * EAR_HZ / max(len(audio), 8192)
        text = self._airwaves.text(hz)
        words = text.split()
        share = len(audio) / EAR_HZ / _seconds(text)
        return text if share > 0.85 else " ".join(words[: int(share * len(words))])


def _runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return list(zip(edges[0::2].tolist(), edges[1::2].tolist(), strict=True))


def scripted_engines(responder: Responder) -> Engines:
    """Return engines of tones around ``responder``; caller and agent share the airwaves."""
    airwaves = Airwaves()
    return Engines(
        gate=EnergyGate,
        ears=ToneEars(airwaves),
        voice=ToneVoice(airwaves),
        responder=responder,
    )
