"""Numbers between writing and speech: how the voice should read them, how the ears wrote them.

Pure: text in, text out. The voice reads money, dates, times and plain numbers well, but garbles
phone numbers and codes; the recogniser writes a spelled number in whatever groups it heard
("5550-123"). ``speakable`` prepares text for the first, ``normalise_digits`` repairs what comes
from the second.
"""

from __future__ import annotations

import re

_DIGITS = {
    "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4",
    "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
}  # fmt: skip
_NAMES = {digit: word for word, digit in _DIGITS.items()}
_TIMES = {"double": 2, "triple": 3}

_FEWEST_PHONE_DIGITS, _MOST_PHONE_DIGITS = 7, 15  # E.164 allows 15; 7 is a local number
_FEWEST_JOINED_DIGITS = 4  # "nine, five" may be two answers; four digits in a row are one number

_NOT_INSIDE = r"(?<![\w.,:/$£€-])"
_NOT_BEFORE = r"(?![\w%]|[.,:/-]\d)"
_PHONE = re.compile(_NOT_INSIDE + r"(\+?\(?\d[\d() .-]{5,}\d)" + _NOT_BEFORE)
_DATE = re.compile(r"\d{4}[-. ]\d\d?[-. ]\d\d?|\d\d?[-. ]\d\d?[-. ]\d{4}")
_LONG = re.compile(_NOT_INSIDE + r"\d{5,}" + _NOT_BEFORE)
_CODE = re.compile(
    r"\b((?:code|pin|extension|ext\.?|account|ending in|reference)(?: number)?(?: is)?:? #?)"
    r"(\d{3,4})" + _NOT_BEFORE,
    re.IGNORECASE,
)
_READINGS = [
    (re.compile(r"\bext\.? ?(?=\d)", re.IGNORECASE), "extension "),
    (re.compile(r"\be\.g\.", re.IGNORECASE), "for example"),
    (re.compile(r"\bi\.e\.", re.IGNORECASE), "that is"),
    (re.compile(r"\b24/7\b"), "twenty four seven"),
    (re.compile(r"\bhttps?://(www\.)?", re.IGNORECASE), ""),
]


def speakable(text: str) -> str:
    """Return ``text`` as the voice should read it: phone numbers and codes digit by digit.

    Spelled groups are separated by commas, which the voice turns into short pauses:
    ``"Call 555-0199."`` becomes ``"Call five five five, zero one nine nine."``.
    """
    for pattern, reading in _READINGS:
        text = pattern.sub(reading, text)
    text = _PHONE.sub(lambda m: _spell_phone(m.group(1)), text)
    text = _CODE.sub(lambda m: m.group(1) + _spell(m.group(2)), text)
    return _LONG.sub(lambda m: _spell_long(m.group()), text)


def _spell(digits: str) -> str:
    return " ".join(_NAMES[d] for d in digits)


def _spell_phone(written: str) -> str:
    groups = re.findall(r"\d+", written)
    count = sum(map(len, groups))
    if not _FEWEST_PHONE_DIGITS <= count <= _MOST_PHONE_DIGITS or _DATE.fullmatch(written):
        return written
    if len(groups) == 1:
        groups = _grouped(groups[0])
    return ("plus " if written.startswith("+") else "") + ", ".join(map(_spell, groups))


def _spell_long(digits: str) -> str:
    # A round number is a quantity ("12000 calls"), and the voice reads those well.
    return digits if digits.endswith("000") else ", ".join(map(_spell, _grouped(digits)))


def _grouped(digits: str) -> list[str]:
    """Cut ``digits`` into threes, the last group taking two to four of them."""
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    if len(groups) > 1 and len(groups[-1]) == 1:
        groups[-2:] = [groups[-2] + groups[-1]]
    return groups


_WORD = "|".join([*_DIGITS, "oh", "o"])
_ONE = rf"(?:(?:double|triple)[ -])?(?:{_WORD})\b|\d+"
_RUN = re.compile(
    rf"(?<![\w.,:/$£€+-])(?:{_ONE})(?:[ ,-]+(?:{_ONE}))+" + _NOT_BEFORE, re.IGNORECASE
)
_THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+")
_ITEM = re.compile(rf"(?:(double|triple)[ -])?({_WORD})\b|(\d+)", re.IGNORECASE)


def normalise_digits(text: str) -> str:
    """Return ``text`` with every number that was spelled digit by digit written in one piece.

    ``"my number is 5550-123"``, ``"555, 0123"`` and ``"five double five oh one two three"`` give
    the same ``5550123``. Runs of fewer than four digits, thousands ("1,250,000") and dates stay as
    they are. ``oh`` counts as a digit only inside a run.
    """
    return _RUN.sub(_joined, text)


def _joined(match: re.Match[str]) -> str:
    written = match.group()
    if _THOUSANDS.fullmatch(written) or _DATE.fullmatch(written):
        return written
    digits = "".join(
        number
        or ("0" if word.lower() in ("oh", "o") else _DIGITS[word.lower()])
        * _TIMES.get(times.lower(), 1)
        for times, word, number in _ITEM.findall(written)
    )
    return digits if len(digits) >= _FEWEST_JOINED_DIGITS else written
