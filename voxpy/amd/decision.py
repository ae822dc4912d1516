"""Human or machine, from who speaks for how long after the answer. Pure.

People answer with a word or two and wait; machines talk on. So the length of the greeting decides
for a machine while it lasts, and the silence after a short one for a human; a beep settles it.

::

    machine   1 / (1 + exp((boundary - greeting) / 0.35))
    human     (1 - machine) * (1 - exp(-silence / 0.45))

A verdict is given as soon as one of the two reaches its threshold, or after two seconds of silence
for the likelier. "Hello?" (0.5 s) is a human 0.6 s later; a greeting that goes on is a machine
after 2.2 s. A receptionist with a long sentence is taken for a machine, and a machine that says
"Hi!" and pauses for a human: that is the price of hearing no words.
"""

from __future__ import annotations

import math

import attrs

__all__ = ["BOUNDARIES_S", "Decider", "Thresholds", "Verdict"]

BOUNDARIES_S = {
    "br": 1.6, "cl": 1.6, "colombia": 1.6, "es": 1.6, "eu_general": 1.7, "kz": 1.5, "mx": 1.6,
    "pe": 1.6, "ph": 1.7, "ru": 1.5, "us": 1.7,
}  # fmt: skip
"""By model: the length of a greeting in s at which either is as likely. Our own figures: shorter
where people answer with a single word."""

_SPREAD_S = 0.35
_PATIENCE_S = 0.45
_SETTLED_S = 2.0
_BRIDGED_MS = 300
"""Pauses inside a sentence: they belong to the greeting."""
_SHORTEST_MS = 96
"""Less is a click or a cough."""
_LONGEST_SOUND_MS = 1000
"""A loud line is not silent; for so long the decision waits for what the sound turns out to be."""
_SPEECH, _NO_SPEECH = 0.5, 0.35
_BEEP_CONFIDENCE = 97.0


@attrs.frozen(kw_only=True)
class Thresholds:
    """Confidences, 0 to 100, at which a verdict is given before all is heard."""

    human: float = 70.0
    voicemail: float = 80.0


@attrs.frozen
class Verdict:
    """``VOICEMAIL`` or ``HUMAN``, and how sure that is: 0 to 100."""

    result_class: str
    confidence: float


class Decider:
    """Follows one answer from its first sound. One per call."""

    def __init__(self, *, boundary_s: float, thresholds: Thresholds) -> None:
        self._boundary_s = boundary_s
        self._thresholds = thresholds
        self._speaking = False
        self._burst_ms = 0.0  # of the sound in progress
        self._greeting_ms = 0.0
        self._silence_ms = 0.0  # since the greeting
        self._sound_ms = 0.0  # not speech, and not counted as silence

    @property
    def greeting_s(self) -> float:
        """How long the greeting is so far, pauses inside it included."""
        return self._greeting_ms / 1000

    def feed(self, probability: float, ms: float, *, loud: bool = False) -> Verdict | None:
        """Take the gate's answer for the next ``ms`` of audio; return the verdict, once it is due.

        ``loud``: there is a sound, speech or not. To be asked no more after a verdict.
        """
        if self._speaking:
            self._speaking = probability >= _NO_SPEECH
        else:
            self._speaking = probability > _SPEECH
        if self._speaking:
            self._burst_ms += ms
        else:
            self._burst_ms = 0.0
        if self._burst_ms >= _SHORTEST_MS:
            return self._speech(ms)
        if not self._greeting_ms:
            return None
        if loud and self._sound_ms < _LONGEST_SOUND_MS:  # it may become a beep: wait for its end
            self._sound_ms += ms
            return None
        self._silence_ms += ms
        return self._silence()

    def beep(self) -> Verdict:
        """Take the beep of a machine."""
        return Verdict("VOICEMAIL", _BEEP_CONFIDENCE)

    def _speech(self, ms: float) -> Verdict | None:
        if self._burst_ms - ms < _SHORTEST_MS:  # it has just become one
            before_ms = self._burst_ms - ms
            pause_ms = self._silence_ms - before_ms
            if 0 < pause_ms <= _BRIDGED_MS:
                self._greeting_ms += pause_ms
            self._greeting_ms += before_ms
        self._greeting_ms += ms
        self._silence_ms = 0.0
        machine = self._machine()
        return Verdict("VOICEMAIL", machine) if machine >= self._thresholds.voicemail else None

    def _silence(self) -> Verdict | None:
        machine = self._machine()
        silence_s = self._silence_ms / 1000
        human = (100 - machine) * (1 - math.exp(-silence_s / _PATIENCE_S))
        if human >= self._thresholds.human:
            return Verdict("HUMAN", human)
        if silence_s >= _SETTLED_S:
            return Verdict("HUMAN", human) if human >= machine else Verdict("VOICEMAIL", machine)
        return None

    def _machine(self) -> float:
        beyond_s = self._greeting_ms / 1000 - self._boundary_s
        return 100 / (1 + math.exp(-beyond_s / _SPREAD_S))
