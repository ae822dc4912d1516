"""Patterns of routing rules: compiling them, and explaining those that do not compile. Pure."""

from __future__ import annotations

import re
import warnings

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
