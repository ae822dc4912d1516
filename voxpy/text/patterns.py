"""Patterns of routing rules: compiling them, and explaining those that do not compile. Pure."""

from __future__ import annotations

import re
import warnings

_CLASSES = {"d": "5", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a"}
_EVERYTHING = frozenset({".*", ".+", ".*?", ".+?"})


def compile_pattern(text: str) -> re.Pattern[str]:
    """Compile a pattern. Raises ValueError that says what is wrong with it.

    VoxEngine's own documentation prints ``+?[1-9]\\d{1,14}``, which no engine accepts: for a
    quantifier with nothing before it the escaped form is offered.
    """
    try:
        return _compile(text)
    except (re.error, OverflowError, RecursionError) as exc:
        problem = f"{text!r} is not a regular expression: {_reason(exc)}{_offer(text, exc)}"
        raise ValueError(problem) from None


def _compile(text: str) -> re.Pattern[str]:
    with warnings.catch_warnings():
        # "[[a]" may mean something else in a Python to come. It works in this one, and as re
        # caches what it compiled, it would complain of it only the first time anyway.
        warnings.simplefilter("ignore", FutureWarning)
        return re.compile(text)


def _reason(exc: Exception) -> str:
    if isinstance(exc, re.error):
        return exc.msg if exc.pos is None else f"{exc.msg} at {exc.pos}"
    return "nested too deeply" if isinstance(exc, RecursionError) else str(exc)


def _offer(text: str, exc: Exception) -> str:
    if not isinstance(exc, re.error) or exc.pos is None or exc.msg != "nothing to repeat":
        return ""
    better = f"{text[: exc.pos]}\\{text[exc.pos :]}"
    try:
        _compile(better)
    except (re.error, OverflowError, RecursionError):
        return ""
    return f"; did you mean '{better}'?"


def matches_everything(pattern: re.Pattern[str]) -> bool:
    """Return whether no destination gets past ``pattern``. Only the usual spellings are known."""
    text = pattern.pattern.removeprefix("^").removesuffix("$")
    while text.startswith("(") and text.endswith(")"):
        text = text[1:-1].removeprefix("?:")
    return text in _EVERYTHING


def example_of(pattern: re.Pattern[str]) -> str:
    """Return a short text that ``pattern`` takes as a whole, or nothing where none is found.

    Of alternatives the first, of repetitions the fewest, but what is optional is left in: a number
    with its plus. Look-arounds and back references are not followed.
    """
    try:
        text = _Example(pattern.pattern).alternatives()
    except (IndexError, ValueError, RecursionError):
        return ""
    return text if pattern.fullmatch(text) else ""


class _Example:
    """Reads a pattern that compiles, from left to right."""

    def __init__(self, pattern: str) -> None:
        self._rest = list(pattern)

    def alternatives(self) -> str:
        """Return an example of the first; read on to the end of the group."""
        first = self._sequence()
        while self._next() == "|":
            self._rest.pop(0)
            other = self._sequence()
            first = first or other
        return first

    def _next(self) -> str:
        return self._rest[0] if self._rest else ""

    def _sequence(self) -> str:
        text = ""
        while self._next() not in ("", "|", ")"):
            item = self._item()
            text += item * self._times()
        return text

    def _times(self) -> int:
        kind = self._next()
        if kind in ("?", "*", "+"):
            self._rest.pop(0)
            times = 1
        elif kind == "{":
            until = self._rest.index("}")
            least, comma, most = "".join(self._rest[1:until]).partition(",")
            del self._rest[: until + 1]
            times = int(least or 0)
            if not times and comma and most != "0":
                times = 1
        else:
            return 1
        if self._next() in ("?", "+"):  # lazy or possessive
            self._rest.pop(0)
        return times

    def _item(self) -> str:
        letter = self._rest.pop(0)
        if letter == "\\":
            return self._escaped()
        if letter == "[":
            return self._one_of()
        if letter == "(":
            if self._next() == "?":
                self._rest.pop(0)
                if self._next() == ":":
                    self._rest.pop(0)
                elif self._next() == "P" and self._rest[1] == "<":
                    del self._rest[: self._rest.index(">") + 1]
                else:
                    raise ValueError
            text = self.alternatives()
            self._rest.pop(0)
            return text
        return {".": "a", "^": "", "$": ""}.get(letter, letter)

    def _escaped(self) -> str:
        letter = self._rest.pop(0)
        if letter in _CLASSES:
            return _CLASSES[letter]
        if letter.isalnum():
            raise ValueError
        return letter

    def _one_of(self) -> str:
        if self._next() == "^":
            raise ValueError
        first = self._rest.pop(0)
        found = self._escaped() if first == "\\" else first
        del self._rest[: self._rest.index("]") + 1]
        return found
