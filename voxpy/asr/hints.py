"""Phrase hints and the profanity filter: what is done to a text after it was recognised. Pure.

The recogniser takes no hints, so they cannot help it to hear. They repair near misses: words that
are spelled or sound almost like a hint are replaced by it ("vox pie" by "Voxpy", "Jon Smyth" by
"John Smith"). Nothing else is changed, and a hint that was not nearly said does not appear.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from voxpy.text.distance import edits

NEAR = 0.75
"""How alike, from 0 to 1, what was heard must be to a hint, in letters and in sound together."""
SHORTEST = 4
"""Letters below which everything is like everything else."""

_EVERYDAY = frozenset(
    "a about after again all also always am an and another any are as ask at away back be "
    "because been before being best better big both but buy by call came can come could day "
    "did different do does doing done down each eight either else end even ever every far few "
    "find first five for four from gave get give go going good got great had has have he "
    "hello help her here him his hold home hour house how i if in into is it its just keep "
    "know last later left less let like little live long look lot made make man many may "
    "maybe me mean might more morning most mother much must my name need never new next nice "
    "nine no not nothing now number of off often ok okay old on once one only open or order "
    "other our out over own part pay people phone place please put question read real really "
    "repeat right said same say see seem send she should since six small so some something "
    "soon speak still stop such sure take talk tell ten than thank thanks that the their them "
    "then there these they thing think this those three through time to today together told "
    "tomorrow too took two under until up us use very wait want was way we week well went "
    "were what when where which while who why will with without word work world would year "
    "yes yet you your zero".split()
)
"""Words that are meant when they are heard: runs of nothing else are not taken for a hint."""

_WORD = re.compile(r"[A-Za-z0-9]+(?:['’][A-Za-z]+)*")

# How English spellings sound, coarsely: what a recogniser that guesses a name gets wrong.
_SOUNDS = [
    (re.compile(pattern), sound)
    for pattern, sound in (
        ("(?<=[a-z]{2})e(?=s?$)", ""), ("ph|gh$", "f"), ("ck|c(?=[aourlkt]|$)|q|x", "k"),
        ("c|z|sh|ch|s", "s"),
        ("dg|j|g", "j"), ("^kn|^gn", "n"), ("^wr", "r"), ("th", "t"), ("w|v", "v"), ("d", "t"),
        ("b", "p"), ("h", ""), ("[aeiouy]+", "a"), (r"(.)\1+", r"\1"),
    )
]  # fmt: skip

_PROFANE = re.compile(
    r"\b(?:(?:mother)?fuck|bullshit|shit|cunt|bitch|asshole|bastard|dickhead|wanker|piss)"
    r"t?(?:s|e?d|ers?|ing|y)?\b",
    re.IGNORECASE,
)


def apply_hints(text: str, hints: Sequence[str]) -> str:
    """Return ``text`` with every near miss of a hint replaced by the hint itself.

    The most alike is replaced first, and no word twice. A hint of n words is compared with runs of
    n - 1 to 2 n words, spaces aside. Everyday words ("other", "would like") are left alone unless
    they are the hint's very letters.
    """
    words = [(m.start(), m.end(), _letters(m.group())) for m in _WORD.finditer(text)]
    found: list[tuple[float, int, int, str]] = []
    for hint in hints:
        wanted, n = _letters(hint), len(hint.split())
        if len(wanted) < SHORTEST:
            continue
        for size in range(max(1, n - 1), 2 * n + 1):
            for first in range(len(words) - size + 1):
                run = [w[2] for w in words[first : first + size]]
                alike = _likeness("".join(run), wanted)
                if alike == 1.0 or (alike >= NEAR and not _EVERYDAY.issuperset(run)):
                    found.append((alike, first, first + size, hint))
    taken: set[int] = set()
    for _, first, end, hint in sorted(found, key=lambda f: (-f[0], f[1])):
        if taken.isdisjoint(range(first, end)):
            taken.update(range(first, end))
            words[first] = (words[first][0], words[end - 1][1], hint)
            words[first + 1 : end] = [(-1, -1, "")] * (end - first - 1)
    return _rewritten(text, [words[n] for n in sorted(taken) if words[n][0] >= 0])


def without_profanity(text: str) -> str:
    """Return ``text`` with all but the first letter of an obscene English word as asterisks."""
    return _PROFANE.sub(lambda m: m.group()[0] + "*" * (len(m.group()) - 1), text)


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _sound(letters: str) -> str:
    for pattern, sound in _SOUNDS:
        letters = pattern.sub(sound, letters)
    return letters


def _likeness(said: str, wanted: str) -> float:
    if said == wanted:
        return 1.0
    if abs(len(said) - len(wanted)) > len(wanted) // 2:
        return 0.0
    spelled = 1 - edits(said, wanted) / max(len(said), len(wanted))
    a, b = _sound(said), _sound(wanted)
    sounded = 1 - edits(a, b) / max(len(a), len(b), 1)
    return (spelled + sounded) / 2


def _rewritten(text: str, pieces: Sequence[tuple[int, int, str]]) -> str:
    for start, end, hint in reversed(pieces):
        text = text[:start] + hint + text[end:]
    return text
