"""Text to speech: hibari (English, Apache-2.0), one built-in voice made into many by its pitch.

A sentence of five seconds costs about 50 ms of one core, so text is spoken sentence by sentence and
the first audio is there long before the last sentence is synthesised.

Other speakers need no other weights: the voice is synthesised slower or faster by a factor and
played back at the opposite rate, which moves the pitch and the formants and keeps the pace. Between
0.80 and 1.15 the recogniser understands the result as well as the original.
"""

from __future__ import annotations

import re
import threading
import zlib
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from voxpy.localagent.spelling import speakable
from voxpy.localagent.weights import HIBARI_MODEL, locate, missing

RATE_HZ = 24_000
"""The rate of everything ``Voice.speak`` yields."""

SPEAKERS: dict[str, float] = {
    # Names of Inworld's voices, so that a scenario's configuration means something here too.
    "Ashley": 1.00,
    "Dennis": 0.86,
    "Hades": 0.80,
    "Wendy": 1.07,
    "Edward": 0.84,
    "Olivia": 1.04,
    "Sarah": 0.97,
    "Timothy": 0.90,
    "Priya": 1.10,
    "Ronald": 0.82,
    "Deborah": 0.94,
    # Simulated callers.
    "alto": 0.92,
    "tenor": 0.88,
    "bass": 0.81,
    "bright": 1.13,
}
"""Pitch of every named speaker, as a factor of the built-in voice (about 205 Hz)."""

_FACTORS_BY_HASH = tuple(round(0.83 + 0.02 * i, 2) for i in range(15))  # 0.83 to 1.11
_SLOWEST, _FASTEST = 0.25, 1.5  # what the Realtime protocol allows for `speed`
_PEAK = 10 ** (-3 / 20)  # -3 dBFS: headroom for the filters behind us
_MOST_GAIN = 2.6  # a lone "yes" stays softer than a sentence, as it is when people speak
_SILENCE = 0.003  # of the synthesised amplitude; the voice's own noise floor is below it
_LEAD_MS, _TAIL_MS = 20, 60
_SENTENCE_PAUSE_MS, _CLAUSE_PAUSE_MS = 260, 110
_LONG_CLAUSE_CHARS, _FIRST_CLAUSE_CHARS = 160, 70


class Voice:
    """The synthesiser. One instance serves every call of the process, from any thread.

    A lock is held while text becomes phonemes (its tables are plain Python and not documented as
    thread-safe, about 1 ms); the network and the signal processing behind it run without.

    Raises EngineMissing when the package or its weight file is absent or not the expected one.
    """

    speakers = frozenset(name.lower() for name in SPEAKERS)

    def __init__(self) -> None:
        model = locate(HIBARI_MODEL)
        try:
            from hibari import Hibari
        except ImportError as exc:
            raise missing(HIBARI_MODEL.engine, f"it does not import ({exc})") from exc
        # Never with `voice=`: every voice but the built-in one would be downloaded.
        self._engine: Any = Hibari(model=str(model), threads=1)
        self._lock = threading.Lock()

    def warm_up(self) -> None:
        """Load what first use would load (dictionaries, reading of unknown words): about 0.6 s."""
        for _ in self.speak("Voxpy is warming up, isn't it?"):
            pass

    def speak(
        self, text: str, *, speaker: str = "Dennis", speed: float = 1.0
    ) -> Iterator[npt.NDArray[np.int16]]:
        """Yield ``text`` as 24 kHz mono int16 arrays, shape (n,), one per sentence or long clause.

        ``speaker`` is a name of ``SPEAKERS`` in any case; other names get a pitch of their own, the
        same every time. ``speed`` is held within 0.25 to 1.5 of the natural pace. Delivery tags
        such as ``[laugh]`` are not read out. Text without anything to say yields nothing. The same
        arguments always give the same samples. Blocks about 10 ms per second of audio.
        """
        factor = pitch_factor(speaker)
        pace = min(max(speed, _SLOWEST), _FASTEST)
        pause_ms = 0.0
        for sentence in sentences(speakable(without_tags(text))):
            for clause in clauses(sentence, first=pause_ms == 0):
                audio = self._clause(clause, factor, pace)
                if len(audio):
                    # The pause goes in front of what follows, so that the last array ends with
                    # speech.
                    yield np.concatenate([np.zeros(_samples(pause_ms), np.int16), audio])
                    pause_ms = _CLAUSE_PAUSE_MS / pace
            if pause_ms:
                pause_ms = _SENTENCE_PAUSE_MS / pace

    def _clause(self, text: str, factor: float, pace: float) -> npt.NDArray[np.int16]:
        if not re.search(r"\w", text):
            return np.zeros(0, np.int16)  # the network breathes where only punctuation is
        with self._lock:
            phonemes: list[str] = self._engine.phonemize(text)
        speed = pace / factor
        parts = [self._engine.from_phonemes(p, speed=speed, seed=0) for p in phonemes]
        if not parts:
            return np.zeros(0, np.int16)
        return _levelled(_repitched(_trimmed(np.concatenate(parts)), factor))


def pitch_factor(speaker: str) -> float:
    """Return the pitch of ``speaker`` as a factor of the built-in voice, unknown names too."""
    known = {name.lower(): factor for name, factor in SPEAKERS.items()}
    name = speaker.strip().lower()
    # Not hash(): Python salts it, and a voice must not change between two runs.
    by_hash = _FACTORS_BY_HASH[zlib.crc32(name.encode()) % len(_FACTORS_BY_HASH)]
    return known.get(name, by_hash)


def _samples(duration_ms: float) -> int:
    return round(duration_ms * RATE_HZ / 1000)


def _trimmed(audio: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Cut the silence at both ends, which is 0.2 to 0.5 s each, and fade what is left of it."""
    loud = np.flatnonzero(np.abs(audio) > _SILENCE)
    if not len(loud):
        return audio[:0]
    start = max(0, int(loud[0]) - _samples(_LEAD_MS))
    audio = audio[start : int(loud[-1]) + 1 + _samples(_TAIL_MS)].copy()
    fade = np.linspace(0.0, 1.0, min(_samples(_LEAD_MS), len(audio)), dtype=np.float32)
    audio[: len(fade)] *= fade
    audio[-len(fade) :] *= fade[::-1]
    return audio


def _repitched(audio: npt.NDArray[np.float32], factor: float) -> npt.NDArray[np.float32]:
    """Play ``audio`` at ``factor`` times its rate, resampled back to 24 kHz.

    In the frequency domain, in one piece: linear phase, no aliasing, and the ends are silent, so
    that the circular convolution wraps nothing. The block is padded to a multiple of the ratio's
    terms with small prime factors, because the transform is slow for other lengths.
    """
    if factor == 1.0 or not len(audio):
        return audio
    ratio = Fraction(factor).limit_denominator(50)
    blocks = _smooth_length(-(-len(audio) // ratio.numerator))
    spectrum = np.fft.rfft(audio, blocks * ratio.numerator)
    length = blocks * ratio.denominator
    bins = min(len(spectrum), length // 2 + 1)
    kept = np.zeros(length // 2 + 1, np.complex128)
    kept[:bins] = spectrum[:bins]
    edge = bins // 20  # a soft edge instead of one that rings
    kept[bins - edge : bins] *= np.cos(np.linspace(0.0, np.pi / 2, edge)) ** 2
    # irfft divides by its own length, which is 1/factor of the forward transform's.
    resampled = np.fft.irfft(kept, length) / float(ratio)
    return resampled[: round(len(audio) / float(ratio))].astype(np.float32)


def _smooth_length(at_least: int) -> int:
    """Return a number of the form 2^n * (8 to 15), not below ``at_least`` and at most 1/8 above."""
    shift = max(0, at_least.bit_length() - 4)
    return -(-at_least >> shift) << shift if at_least > 0 else 1


def _levelled(audio: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    peak = float(np.abs(audio).max()) if len(audio) else 0.0
    if peak == 0.0:
        return np.zeros(len(audio), np.int16)
    gain = min(_PEAK / peak, _MOST_GAIN)
    return np.round(audio * (gain * 32767.0)).astype(np.int16)


_TAG = re.compile(r"\s*\[[a-zA-Z][^\[\]\n]{0,80}\](?!\()")
_SENTENCE_END = re.compile(r"[.!?…]+[\"”’')\]]*(\s+)(?=\S)|\s*\n\s*")
_ABBREVIATION = re.compile(r"(?:\b(?:Dr|Mr|Mrs|Ms|St|Prof|Inc|Ltd|vs|etc|No|approx)|\b[A-Za-z])\.$")
_CLAUSE_END = re.compile(r"(?<=[,;:—])\s+")


def without_tags(text: str) -> str:
    """Return ``text`` without delivery tags: ``[laugh]``, ``[speak calmly]`` and the like."""
    return _TAG.sub("", text).strip()


def sentences(text: str) -> list[str]:
    """Return the sentences of ``text``, in order; nothing but white space between them is lost.

    A full stop after a title, a single letter or before a lower-case word ends no sentence. The
    decision never changes when more text follows, so a stream may be cut at all but its last
    sentence.
    """
    found: list[str] = []
    start = 0
    for match in _SENTENCE_END.finditer(text):
        before = text[start : match.start(1) if match.group(1) else match.start()]
        if match.group(1) and _goes_on(before, text[match.end()]):
            continue
        found.append(before.strip())
        start = match.end()
    found.append(text[start:].strip())
    return [s for s in found if s]


def _goes_on(before: str, following: str) -> bool:
    return before.endswith(".") and (following.islower() or bool(_ABBREVIATION.search(before)))


def clauses(sentence: str, *, first: bool = False) -> list[str]:
    """Return ``sentence`` in pieces short enough to be synthesised quickly, cut at punctuation.

    Pieces have at most 160 characters unless one word is longer. With ``first``, the first piece of
    a sentence over 70 characters is as short as its punctuation allows: it decides how long the
    caller waits.
    """
    pieces: list[str] = []
    for clause in _CLAUSE_END.split(sentence):
        early = first and len(pieces) == 1 and len(sentence) > _FIRST_CLAUSE_CHARS
        if pieces and not (early and len(pieces[0]) >= 12):
            joined = f"{pieces[-1]} {clause}"
            if len(joined) <= _LONG_CLAUSE_CHARS:
                pieces[-1] = joined
                continue
        pieces += _at_words(clause)
    return pieces


def _at_words(clause: str) -> list[str]:
    lines: list[str] = []
    for word in clause.split():
        if lines and len(lines[-1]) + 1 + len(word) <= _LONG_CLAUSE_CHARS:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return lines
