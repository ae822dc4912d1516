"""Rules for the values of a JSON document: what may stand there, and how a change merges in.

A rule takes the value that holds, the new one and the name of the place, and returns the value that
holds from now on; it raises InvalidValue. Most rules look at the new value alone; ``partial`` is
the one that merges. Nothing given is ever changed in place.

The same rules read frames (the codec gives None for what holds and a JSON path for the place) and
apply updates to a session. Items, parts and responses stay open: both services add fields to them
without notice, so only those are looked at whose kind matters to somebody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from voxpy.wire.realtime.events.problems import InvalidValue, excerpt

Rule = Callable[[Any, Any, str], Any]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def boolean(_current: Any, value: Any, place: str) -> bool:
    if isinstance(value, bool):
        return value
    raise InvalidValue(place, f"expected true or false, not {excerpt(value)}")


def string(_current: Any, value: Any, place: str) -> str:
    """Any text, the empty one included."""
    if isinstance(value, str):
        return value
    raise InvalidValue(place, f"expected a string, not {excerpt(value)}")


def text(_current: Any, value: Any, place: str) -> str:
    if isinstance(value, str) and value:
        return value
    raise InvalidValue(place, f"expected a non-empty string, not {excerpt(value)}")


def json_object(_current: Any, value: Any, place: str) -> dict[str, Any]:
    """Any object, taken as a whole."""
    if isinstance(value, dict):
        return value
    raise InvalidValue(place, f"expected an object, not {excerpt(value)}")


def number(low: float = float("-inf"), high: float = float("inf")) -> Rule:
    """Accept a number from ``low`` to ``high``, both included; milliseconds may have a fraction."""

    def rule(_current: Any, value: Any, place: str) -> Any:
        if _is_number(value) and low <= value <= high:
            return value
        raise InvalidValue(place, f"expected a number{_range(low, high)}, not {excerpt(value)}")

    return rule


def integer(low: float = float("-inf"), high: float = float("inf")) -> Rule:
    """Accept a whole number from ``low`` to ``high``; ``2.0`` is 2, JSON has one kind of number."""

    def rule(_current: Any, value: Any, place: str) -> int:
        if _is_number(value) and low <= value <= high and value % 1 == 0:
            return int(value)
        raise InvalidValue(place, f"expected an integer{_range(low, high)}, not {excerpt(value)}")

    return rule


any_number = number()
any_integer = integer()


def _range(low: float, high: float) -> str:
    if low == float("-inf"):
        return ""
    return f" of at least {low}" if high == float("inf") else f" between {low} and {high}"


def one_of(*allowed: str) -> Rule:
    def rule(_current: Any, value: Any, place: str) -> str:
        if isinstance(value, str) and value in allowed:
            return value
        raise InvalidValue(place, f"expected one of {', '.join(allowed)}, not {excerpt(value)}")

    return rule


def nullable(inner: Rule) -> Rule:
    """Accept null too, which stays in the document and means "off"."""

    def rule(current: Any, value: Any, place: str) -> Any:
        return None if value is None else inner(current, value, place)

    return rule


def list_of(inner: Rule) -> Rule:
    """Accept an array of such values; it replaces the current one as a whole."""

    def rule(_current: Any, value: Any, place: str) -> list[Any]:
        if not isinstance(value, list):
            raise InvalidValue(place, f"expected an array, not {excerpt(value)}")
        return [inner(None, each, f"{place}[{i}]") for i, each in enumerate(value)]

    return rule


def either(scalar: Rule, other: Rule) -> Rule:
    """Apply ``other`` to objects and ``scalar`` to all else."""

    def rule(current: Any, value: Any, place: str) -> Any:
        return (other if isinstance(value, dict) else scalar)(current, value, place)

    return rule


def open_object(fields: Mapping[str, Rule]) -> Rule:
    """Accept an object whole, if each of ``fields`` that is there and not null fits its rule."""

    def rule(_current: Any, value: Any, place: str) -> dict[str, Any]:
        found = json_object(None, value, place)
        for name, fits in fields.items():
            if found.get(name) is not None:
                fits(None, found[name], f"{place}.{name}")
        return found

    return rule


def partial(fields: Mapping[str, Rule], *, rest: bool = False, clears: bool = False) -> Rule:
    """Merge an object field by field into the current one.

    Fields without a rule are ignored, as both services do, or with ``rest`` kept as they come.
    With ``clears``, null removes a field, so that its default holds again.
    """

    def rule(current: Any, value: Any, place: str) -> dict[str, Any]:
        merged = dict(current) if isinstance(current, dict) else {}
        for name, change in json_object(None, value, place).items():
            inner = fields.get(name)
            if clears and change is None:
                merged.pop(name, None)
            elif inner is not None:
                merged[name] = inner(merged.get(name), change, f"{place}.{name}")
            elif rest:
                merged[name] = change
        return merged

    return rule


objects = list_of(json_object)

part = open_object(dict.fromkeys(("type", "text", "transcript", "audio"), string))
item = open_object(
    {
        **dict.fromkeys(("id", "object", "type", "status", "role", "name"), string),
        **dict.fromkeys(("call_id", "arguments"), string),
        "content": list_of(part),
    }
)
response = open_object(
    {
        **dict.fromkeys(("id", "object", "status", "conversation_id"), string),
        **dict.fromkeys(("status_details", "usage", "metadata"), json_object),
        "output": list_of(item),
    }
)
