"""Rules for the values of a JSON document: what may stand there, and how a change merges in.

A rule takes the current value, the new one and the name of the place, and returns the value that
holds from now on; it raises InvalidValue. Nothing given is ever changed in place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from voxpy.wire.realtime.events.problems import InvalidValue, excerpt

__all__ = [
    "Rule",
    "boolean",
    "either",
    "integer",
    "json_object",
    "list_of",
    "nullable",
    "number",
    "one_of",
    "partial",
    "string",
    "text",
]

Rule = Callable[[Any, Any, str], Any]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def boolean(_current: Any, value: Any, param: str) -> bool:
    """True or false."""
    if isinstance(value, bool):
        return value
    raise InvalidValue(param, f"expected true or false, not {excerpt(value)}")


def string(_current: Any, value: Any, param: str) -> str:
    """Any text, the empty one included."""
    if isinstance(value, str):
        return value
    raise InvalidValue(param, f"expected a string, not {excerpt(value)}")


def text(_current: Any, value: Any, param: str) -> str:
    """Text that is not empty."""
    if isinstance(value, str) and value:
        return value
    raise InvalidValue(param, f"expected a non-empty string, not {excerpt(value)}")


def json_object(_current: Any, value: Any, param: str) -> dict[str, Any]:
    """Any object, taken as a whole."""
    if isinstance(value, dict):
        return value
    raise InvalidValue(param, f"expected an object, not {excerpt(value)}")


def number(low: float, high: float = float("inf")) -> Rule:
    """Accept a number from ``low`` to ``high``, both included."""

    def rule(_current: Any, value: Any, param: str) -> Any:
        if _is_number(value) and low <= value <= high:
            return value
        raise InvalidValue(param, f"expected a number {_range(low, high)}, not {excerpt(value)}")

    return rule


def integer(low: int, high: float = float("inf")) -> Rule:
    """Accept a whole number from ``low`` to ``high``, both included."""

    def rule(_current: Any, value: Any, param: str) -> int:
        if _is_number(value) and low <= value <= high and value % 1 == 0:
            return int(value)
        raise InvalidValue(param, f"expected an integer {_range(low, high)}, not {excerpt(value)}")

    return rule


def _range(low: float, high: float) -> str:
    return f"of at least {low}" if high == float("inf") else f"between {low} and {high}"


def one_of(*allowed: str) -> Rule:
    """Accept one of these strings."""

    def rule(_current: Any, value: Any, param: str) -> str:
        if isinstance(value, str) and value in allowed:
            return value
        raise InvalidValue(param, f"expected one of {', '.join(allowed)}, not {excerpt(value)}")

    return rule


def nullable(inner: Rule) -> Rule:
    """Accept null too, which stays in the document and means "off"."""

    def rule(current: Any, value: Any, param: str) -> Any:
        return None if value is None else inner(current, value, param)

    return rule


def list_of(inner: Rule) -> Rule:
    """Accept an array of such values; it replaces the current one as a whole."""

    def rule(_current: Any, value: Any, param: str) -> list[Any]:
        if not isinstance(value, list):
            raise InvalidValue(param, f"expected an array, not {excerpt(value)}")
        return [inner(None, each, f"{param}[{i}]") for i, each in enumerate(value)]

    return rule


def either(scalar: Rule, other: Rule) -> Rule:
    """Apply ``other`` to objects and ``scalar`` to all else."""

    def rule(current: Any, value: Any, param: str) -> Any:
        return (other if isinstance(value, dict) else scalar)(current, value, param)

    return rule


def partial(fields: Mapping[str, Rule], *, rest: bool = False, clears: bool = False) -> Rule:
    """Merge an object field by field into the current one.

    Fields without a rule are ignored, as both services do, or with ``rest`` kept as they come.
    With ``clears``, null removes a field, so that its default holds again.
    """

    def rule(current: Any, value: Any, param: str) -> dict[str, Any]:
        merged = dict(current) if isinstance(current, dict) else {}
        for name, change in json_object(None, value, param).items():
            inner = fields.get(name)
            if clears and change is None:
                merged.pop(name, None)
            elif inner is not None:
                merged[name] = inner(merged.get(name), change, f"{param}.{name}")
            elif rest:
                merged[name] = change
        return merged

    return rule
