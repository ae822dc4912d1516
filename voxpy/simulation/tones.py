"""Speech without speech: every text is a chord of its own, so what is heard is what was sent.

A voice that plays a chord for as long as the words would take, and ears that look up which chord
came over the line, how much of it, and answer with that part of the words. Loss, echo, barge-in and
a wrong route change what these ears hear just as they would change real speech. They need no models
and no time.

A chord is three tones of equal strength, one of each group below; the first is given by the other
two, as a check digit is. So music, a ring-back tone, a beep, noise or somebody's voice is no chord
of ours, and what is none is ``(sound)``: ears that took the nearest text for any sound would let a
script pass that fails with people on the line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt

from voxpy.engine.speech import ENGLISH, Recognised
from voxpy.localagent.engines import Engines
from voxpy.localagent.responder import Responder
from voxpy.localagent.vad import EnergyGate

Samples = npt.NDArray[np.int16]

SOUND = "(sound)"
"""What is heard where something sounds that nobody here has said."""
VOICE_HZ = 24_000
EAR_HZ = 16_000
GROUPS_HZ = (
    tuple(range(990, 1151, 80)),
    tuple(range(1680, 2321, 80)),
    tuple(range(2440, 3161, 90)),
)
"""Within a telephone's band, between and above the tones of keys, in steps that mu-law, resampling
and a 40 ms window cannot blur."""
TONES = len(GROUPS_HZ[1]) * len(GROUPS_HZ[2])
SECONDS_PER_WORD = 0.3
FEWEST_SECONDS = 0.4
LEVEL = 8000
"""The peak of a sine as strong as a chord."""
WHOLE_SHARE = 0.85
"""Who has heard this much of a text has heard all of it."""
TICK = EAR_HZ // 50
WINDOW = 2 * TICK
LEAST_OF_EACH = 0.08
LEAST_OF_ALL = 0.4
"""Of the energy in a window, what each tone of a chord and all three have at least. Alone on a good
line they have 0.33 and 1; what is left allows for noise, loss and somebody else speaking."""
BLUR_TICKS = 3
"""So long a part of a chord may be unlike it: lost and concealed packets."""
SHORTEST_SOUND_TICKS = 15
"""Less is a click, or a key."""


_PERIOD = np.arange(VOICE_HZ // 10)
"""All tones are multiples of 10 Hz."""


STRENGTHS = np.array([0.55, 0.55, 0.63])
"""Of the tones, against a sine as strong as all: the highest tells a spectrum's peaks apart."""


def _chord(number: int) -> tuple[int, int, int]:
    """Return the place of each tone in its group; numbers side by side share none."""
    middle = number % len(GROUPS_HZ[1])
    high = (number + number // len(GROUPS_HZ[1])) % len(GROUPS_HZ[2])
    return (middle + high) % len(GROUPS_HZ[0]), middle, high


class Airwaves:
    """Which text has which chord. The oldest of TONES texts gives its chord to a new one."""

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}
        self._numbers: dict[str, int] = {}
        self._next = 0

    def number(self, text: str) -> int:
        """Return the number of the chord of ``text``, giving it one if it has none."""
        if text not in self._numbers:
            number = self._next % TONES
            self._next += 1
            self._numbers.pop(self._texts.get(number, ""), None)
            self._texts[number], self._numbers[text] = text, number
        return self._numbers[text]

    def tones_hz(self, text: str) -> tuple[int, ...]:
        """Return the tones of ``text``."""
        places = _chord(self.number(text))
        return tuple(group[place] for group, place in zip(GROUPS_HZ, places, strict=True))

    def known(self) -> dict[int, str]:
        """Return the texts that have a chord now, by its number."""
        return self._texts


def _seconds(text: str) -> float:
    return max(FEWEST_SECONDS, SECONDS_PER_WORD * len(text.split()))


class ToneVoice:
    """A voice for ``Engines``: one chord per text, a third of a second per word."""

    def __init__(self, airwaves: Airwaves, languages: Sequence[str] = ENGLISH) -> None:
        self._airwaves = airwaves
        self.languages = languages

    def warm_up(self) -> None:
        """There is nothing to load."""

    def speak(self, text: str, *, speaker: str, speed: float) -> Iterator[Samples]:
        """Yield the chord of ``text``."""
        n = round(_seconds(text) / speed * VOICE_HZ / 480) * 480
        phases = 2 * np.pi * np.outer(self._airwaves.tones_hz(text), _PERIOD / VOICE_HZ)
        wave = (LEVEL * STRENGTHS @ np.sin(phases)).astype(np.int16)
        yield np.resize(wave, n)


class ToneEars:
    """Ears for ``Engines``: the texts of the chords in a recording, cut where the sound was cut."""

    def __init__(self, airwaves: Airwaves, languages: Sequence[str] = ENGLISH) -> None:
        self._airwaves = airwaves
        self.languages = languages

    def warm_up(self) -> None:
        """There is nothing to load."""

    def transcribe(self, samples: Samples) -> str:
        """Return the words heard in int16 samples at 16 kHz, SOUND where only others sounded."""
        ticks = len(samples) // TICK
        if not ticks:
            return ""
        whole = samples[: ticks * TICK].astype(np.float32)
        loud = np.abs(whole.reshape(ticks, TICK)).max(axis=1) > LEVEL / 8
        heard, sounded = [], False
        for number, length in _lengths(loud, self._numbers(whole)):
            if number is not None:
                heard.append(_part(self._airwaves.known()[number], length))
            sounded |= number is None and length >= SHORTEST_SOUND_TICKS
        words = " ".join(h for h in heard if h)
        return words or (SOUND if sounded else "")

    def recognise(self, samples: Samples) -> Recognised:
        """Return the same words; a chord is always understood, another sound never."""
        text = self.transcribe(samples)
        return Recognised(text, 1.0 if text and text != SOUND else 0.0)

    def _numbers(self, samples: npt.NDArray[np.float32]) -> list[int | None]:
        """Return which chord sounds at each tick, None where it is none of those known."""
        known = list(self._airwaves.known())
        if not known:
            return [None] * (len(samples) // TICK)
        padded = np.pad(samples, TICK // 2)
        windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::TICK] * _HANN
        energy = (windows**2).sum(axis=1, keepdims=True) / (_HANN**2).sum()
        parts = (windows @ _BASIS) ** 2
        power = 2 * (parts[:, : len(_ALL_HZ)] + parts[:, len(_ALL_HZ) :]) / _HANN.sum() ** 2
        shares = power / np.maximum(energy, 1.0)
        of_chords = shares[:, [_columns(number) for number in known]]
        weakest = of_chords.min(axis=2)
        best = weakest.argmax(axis=1)
        rows = np.arange(len(best))
        good = (weakest[rows, best] >= LEAST_OF_EACH) & (
            of_chords[rows, best].sum(axis=1) >= LEAST_OF_ALL
        )
        return [known[n] if ok else None for n, ok in zip(best, good, strict=True)]


_HANN = np.hanning(WINDOW).astype(np.float32)
_ALL_HZ = [hz for group in GROUPS_HZ for hz in group]
_PHASES = 2 * np.pi * np.outer(np.arange(WINDOW) / EAR_HZ, _ALL_HZ)
_BASIS = np.concatenate([np.cos(_PHASES), np.sin(_PHASES)], axis=1).astype(np.float32)


def _columns(number: int) -> tuple[int, int, int]:
    low, middle, high = _chord(number)
    return low, len(GROUPS_HZ[0]) + middle, len(GROUPS_HZ[0]) + len(GROUPS_HZ[1]) + high


def _part(text: str, ticks: int) -> str:
    """Return as much of a text as was heard of it."""
    words = text.split()
    share = ticks * TICK / EAR_HZ / _seconds(text)
    return text if share > WHOLE_SHARE else " ".join(words[: int(share * len(words))])


def _lengths(
    loud: npt.NDArray[np.bool_], numbers: list[int | None]
) -> Iterator[tuple[int | None, int]]:
    """Yield what sounds between two silences, piece by piece, and for how many ticks."""
    start = 0
    for is_loud, ticks in groupby(loud.tolist()):
        end = start + len(list(ticks))
        if is_loud:
            yield from _pieces(numbers[start:end])
        start = end


def _pieces(numbers: list[int | None]) -> Iterator[tuple[int | None, int]]:
    """Yield the pieces of one sound; a blur belongs to the chord around it."""
    pieces: list[tuple[int | None, int]] = []
    for number, ticks in groupby(numbers):
        length = len(list(ticks))
        blurred = len(pieces) > 1 and pieces[-2][0] == number and pieces[-1][1] <= BLUR_TICKS
        if blurred and number is not None:
            length += pieces.pop()[1] + pieces.pop()[1]
        elif pieces and number is None and length <= BLUR_TICKS // 2:
            number, length = pieces[-1][0], length + pieces.pop()[1]  # an edge
        pieces.append((number, length))
    if len(pieces) > 1 and pieces[0][0] is None and pieces[0][1] <= BLUR_TICKS // 2:
        (_, edge), (number, length), *rest = pieces
        pieces = [(number, length + edge), *rest]
    yield from pieces


def scripted_engines(responder: Responder, *, languages: Sequence[str] = ENGLISH) -> Engines:
    """Return engines of tones around ``responder``; caller and agent share the airwaves.

    ``languages`` (``he``) are what the host is taken to speak and to understand.
    """
    airwaves = Airwaves()
    return Engines(
        gate=EnergyGate,
        ears=ToneEars(airwaves, languages),
        voice=ToneVoice(airwaves, languages),
        responder=responder,
    )
