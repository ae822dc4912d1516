"""How well words came across: word error rate, and which keywords were there. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

import attrs

_WORD = re.compile(r"[^\W_]+")
_APOSTROPHES = re.compile("['’ʼ]")


def normalised_words(text: str) -> list[str]:
    """Return the words of a text as they sound: no case, no punctuation, no accents' encodings.

    ``"It's 5 o'clock!"`` is ``["its", "5", "oclock"]``. Numbers are not spelt out.
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    return _WORD.findall(_APOSTROPHES.sub("", plain))


@attrs.frozen(kw_only=True)
class WordErrors:
    """The fewest changes that make one text of another, in words. They add up with ``+``."""

    expected_words: int
    substituted: int = 0
    inserted: int = 0
    deleted: int = 0

    @property
    def rate(self) -> float:
        """Errors per expected word: 0 is perfect; more than 1 where much was added."""
        errors = self.substituted + self.inserted + self.deleted
        return errors / max(1, self.expected_words)

    def __add__(self, other: WordErrors) -> WordErrors:
        return WordErrors(
            expected_words=self.expected_words + other.expected_words,
            substituted=self.substituted + other.substituted,
            inserted=self.inserted + other.inserted,
            deleted=self.deleted + other.deleted,
        )


def word_errors(expected: str, actual: str) -> WordErrors:
    """Compare two texts word by word, after ``normalised_words`` (Levenshtein's distance)."""
    wanted, got = normalised_words(expected), normalised_words(actual)
    # A row holds (errors, substituted, inserted, deleted) for each beginning of ``got``.
    row = [(n, 0, n, 0) for n in range(len(got) + 1)]
    for above, word in enumerate(wanted, start=1):
        last, row = row, [(above, 0, 0, above)]
        for n, other in enumerate(got, start=1):
            errors, subs, ins, dels = last[n - 1]
            if word == other:
                row.append(last[n - 1])
                continue
            swapped = (errors + 1, subs + 1, ins, dels)
            errors, subs, ins, dels = last[n]
            dropped = (errors + 1, subs, ins, dels + 1)
            errors, subs, ins, dels = row[n - 1]
            row.append(min(swapped, dropped, (errors + 1, subs, ins + 1, dels)))
    _, subs, ins, dels = row[-1]
    return WordErrors(expected_words=len(wanted), substituted=subs, inserted=ins, deleted=dels)


@attrs.frozen
class Recall:
    """Which keywords were said."""

    found: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def share(self) -> float:
        """The part that was said, from 0 to 1; 1 if there was nothing to say."""
        total = len(self.found) + len(self.missing)
        return len(self.found) / total if total else 1.0


def keyword_recall(keywords: Iterable[str], text: str) -> Recall:
    """Look for keywords in a text: whole words or phrases, whatever their case and punctuation.

    ``/.../`` is a regular expression, searched in the text as it is, ignoring case. Raises re.error
    for a malformed one.
    """
    words = normalised_words(text)
    found: list[str] = []
    missing: list[str] = []
    for keyword in keywords:
        (found if _is_said(keyword, words, text) else missing).append(keyword)
    return Recall(tuple(found), tuple(missing))


def _is_said(keyword: str, words: Sequence[str], text: str) -> bool:
    if len(keyword) > 2 and keyword.startswith("/") and keyword.endswith("/"):
        return re.search(keyword[1:-1], text, re.IGNORECASE) is not None
    phrase = normalised_words(keyword)
    starts = range(len(words) - len(phrase) + 1)
    return any(words[n : n + len(phrase)] == phrase for n in starts)
