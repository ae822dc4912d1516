"""Human or machine, from what is said after the answer, and for how long. Pure.

People answer with a word or two and wait; machines talk on. So the length of the greeting decides
for a machine while it lasts, and the silence after a short one for a human; a beep settles it.

::

    machine   1 / (1 + exp((boundary - greeting) / 0.35))
    human     (1 - machine) * (1 - exp(-silence / 0.45))

A verdict is given as soon as one of the two reaches its threshold, or after two seconds of silence
for the likelier. "Hello?" (0.5 s) is a human 0.6 s later; a greeting that goes on is a machine
after 2.2 s.

Length alone is wrong about slow speakers and about machines with little to say. So the words count
where there is a recogniser for them: every 0.7 s and in each pause it is asked what was said so
far. "You have reached", "leave a message" are a machine, whatever the length; "hello", "this is
Martin", "how can I help" are what people say, and move the boundary back by 2 s, because machines
begin with the same words. While the recogniser is at work no verdict is given, for a second of the
call at most: a machine that hears faster or slower decides the same.
"""

from __future__ import annotations

import math
import re

import attrs

BOUNDARIES_S = {
    "br": 1.6, "cl": 1.6, "colombia": 1.6, "es": 1.6, "eu_general": 1.7, "kz": 1.5, "mx": 1.6,
    "pe": 1.6, "ph": 1.7, "ru": 1.5, "us": 1.7,
}  # fmt: skip
"""By model: the length of a greeting in s at which either is as likely. Our own figures: shorter
where people answer with a single word."""

ENGLISH = frozenset({"eu_general", "ph", "us"})
"""Models of places where an English recogniser may understand the answer."""

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
_WORDS_CONFIDENCE = 95.0
_HUMAN_WORDS_S = 2.0
"""So much longer may a greeting be in which there is what people say."""
_ASK_EVERY_MS, _ASK_PAUSE_MS = 700, 160
_LONGEST_WAIT_MS = 1000

_MACHINE = re.compile(
    r"\b(?:"
    r"you(?: have|'ve) reached"
    r"|leave (?:me |us )?(?:a|an|your|the)(?: \w+)? (?:message|name|number)"
    r"|(?:after|at|following|for) the (?:tone|beep|signal)"
    r"|voice ?mail|mail ?box|answering (?:machine|service)|answerphone"
    r"|(?:cannot|can ?not|can't|couldn't|unable to|not able to) (?:take|answer|get to|come to)"
    r" (?:your|the|my) (?:call|phone)"
    r"|(?:not|isn't|currently|is) (?:available|unavailable)|unavailable"
    r"|(?:get back to|return) you(?:r call)?"
    r"|record your (?:message|name)"
    r"|(?:number|person|party|customer|subscriber) you(?: have|'ve| are|'re)?"
    r" (?:dialed|dialled|called|calling|trying)"
    r"|press (?:\d|zero|one|two|three|four|five|six|seven|eight|nine|star|pound|hash)"
    r"|(?:call|try)(?: us)? (?:again|back) (?:later|during)"
    r"|call (?:may|will|is|has been|is being) (?:be )?(?:recorded|forwarded)"
    r")\b"
)
_HUMAN = re.compile(
    r"\b(?:hello|hallo|hi|hey|yes|yeah|yep|speaking|good (?:morning|afternoon|evening|day)"
    r"|this is|who is (?:this|it|calling|there)|who's (?:this|that|calling|there)"
    r"|(?:how|what) (?:can|may) (?:i|we) (?:help|do)|(?:can|may) i help)\b|^\w+ here$"
)


def said_by(text: str) -> str:
    """Return who says such a thing: ``VOICEMAIL``, ``HUMAN``, or an empty string for either."""
    plain = re.sub(
        r"[^a-z0-9' ]+", " ", text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    )
    plain = " ".join(plain.split())
    if _MACHINE.search(plain):
        return "VOICEMAIL"
    return "HUMAN" if _HUMAN.search(plain) else ""


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

    def __init__(
        self, *, boundary_s: float, thresholds: Thresholds, hears_words: bool = False
    ) -> None:
        self._boundary_s = boundary_s
        self._thresholds = thresholds
        self._hears_words = hears_words
        self._said_by = ""
        self._asked_ms = 0.0  # of the greeting, when the words were last asked for
        self._waiting_ms: float | None = None  # for the words
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
        self._follow(probability, ms, loud=loud)
        if self._waiting_ms is not None:
            self._waiting_ms += ms
        return self._verdict()

    def words_due(self) -> bool:
        """Return whether it is time to ask for the words, which are then to come to ``words``."""
        if not self._hears_words or self._waiting_ms is not None:
            return False
        new_ms = self._greeting_ms - self._asked_ms
        pauses = new_ms > 0 and self._silence_ms >= _ASK_PAUSE_MS
        if pauses or new_ms >= _ASK_EVERY_MS:
            self._asked_ms, self._waiting_ms = self._greeting_ms, 0.0
            return True
        return False

    def words(self, text: str) -> Verdict | None:
        """Take the words of the greeting so far; return the verdict, if they bring it."""
        self._waiting_ms = None
        self._said_by = said_by(text)
        return self._verdict()

    def beep(self) -> Verdict:
        """Take the beep of a machine."""
        return Verdict("VOICEMAIL", _BEEP_CONFIDENCE)

    def _follow(self, probability: float, ms: float, *, loud: bool) -> None:
        if self._speaking:
            self._speaking = probability >= _NO_SPEECH
        else:
            self._speaking = probability > _SPEECH
        self._burst_ms = self._burst_ms + ms if self._speaking else 0.0
        if self._burst_ms >= _SHORTEST_MS:
            self._speech(ms)
        elif self._greeting_ms:
            if loud and self._sound_ms < _LONGEST_SOUND_MS:  # it may become a beep: await its end
                self._sound_ms += ms
            else:
                self._silence_ms += ms

    def _speech(self, ms: float) -> None:
        if self._burst_ms - ms < _SHORTEST_MS:  # it has just become one
            before_ms = self._burst_ms - ms
            pause_ms = self._silence_ms - before_ms
            if 0 < pause_ms <= _BRIDGED_MS:
                self._greeting_ms += pause_ms
            self._greeting_ms += before_ms
        self._greeting_ms += ms
        self._silence_ms = 0.0

    def _verdict(self) -> Verdict | None:
        if not self._greeting_ms:
            return None
        if self._waiting_ms is not None and self._waiting_ms < _LONGEST_WAIT_MS:
            return None
        machine = self._machine()
        if machine >= self._thresholds.voicemail and (
            self._said_by == "VOICEMAIL" or not self._silence_ms
        ):
            return Verdict("VOICEMAIL", machine)
        silence_s = self._silence_ms / 1000
        human = (100 - machine) * (1 - math.exp(-silence_s / _PATIENCE_S))
        if human >= self._thresholds.human:
            return Verdict("HUMAN", human)
        if silence_s >= _SETTLED_S:
            return Verdict("HUMAN", human) if human >= machine else Verdict("VOICEMAIL", machine)
        return None

    def _machine(self) -> float:
        boundary_s = self._boundary_s + (_HUMAN_WORDS_S if self._said_by == "HUMAN" else 0.0)
        likely = 100 / (1 + math.exp((boundary_s - self._greeting_ms / 1000) / _SPREAD_S))
        return max(likely, _WORDS_CONFIDENCE) if self._said_by == "VOICEMAIL" else likely
