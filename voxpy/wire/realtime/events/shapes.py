"""Checks of the JSON a frame is made of: right kinds, in the places where kinds matter.

A check takes a value and its JSON path and returns the value, or raises MalformedEvent. Only fields
that are present are looked at: which of them must be there is said by the event classes. Items,
parts and responses stay open, since both services add fields to them without notice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from voxpy.wire.realtime.events.problems import MalformedEvent, excerpt

__all__ = [
    "Check",
    "array",
    "boolean",
    "integer",
    "item",
    "number",
    "obj",
    "object_of",
    "objects",
    "part",
    "response",
    "text",
]

Check = Callable[[Any, str], Any]


def text(value: Any, path: str) -> str:
    """Return ``value`` if it is a JSON string."""
    if isinstance(value, str):
        return value
    raise MalformedEvent(path, f"expected a string, not {excerpt(value)}")


def boolean(value: Any, path: str) -> bool:
    """Return ``value`` if it is true or false."""
    if isinstance(value, bool):
        return value
    raise MalformedEvent(path, f"expected true or false, not {excerpt(value)}")


def number(value: Any, path: str) -> float:
    """Return ``value`` if it is a JSON number; milliseconds may come with a fraction."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise MalformedEvent(path, f"expected a number, not {excerpt(value)}")


def integer(value: Any, path: str) -> int:
    """Return ``value`` as an int; ``2.0`` is 2, as JSON has only one kind of number."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise MalformedEvent(path, f"expected an integer, not {excerpt(value)}")


def obj(value: Any, path: str) -> dict[str, Any]:
    """Return ``value`` if it is a JSON object."""
    if isinstance(value, dict):
        return value
    raise MalformedEvent(path, f"expected an object, not {excerpt(value)}")


def array(value: Any, path: str) -> list[Any]:
    """Return ``value`` if it is a JSON array."""
    if isinstance(value, list):
        return value
    raise MalformedEvent(path, f"expected an array, not {excerpt(value)}")


def objects(value: Any, path: str, each: Check = obj) -> list[dict[str, Any]]:
    """Return ``value`` if it is an array whose elements all pass ``each``."""
    for index, element in enumerate(array(value, path)):
        each(element, f"{path}[{index}]")
    return value  # type: ignore[no-any-return]


def object_of(fields: Mapping[str, Check]) -> Check:
    """Return a check for an open object: each of ``fields`` that is there and not null must fit."""

    def check(value: Any, path: str) -> dict[str, Any]:
        found = obj(value, path)
        for name, fits in fields.items():
            if found.get(name) is not None:
                fits(found[name], f"{path}.{name}")
        return found

    return check


_PART = object_of({"type": text, "text": text, "transcript": text, "audio": text})


def part(value: Any, path: str) -> dict[str, Any]:
    """Return ``value`` if it is a content part: an object whose type and texts are strings."""
    return _PART(value, path)  # type: ignore[no-any-return]


def _parts(value: Any, path: str) -> list[dict[str, Any]]:
    return objects(value, path, part)


_ITEM = object_of(
    {
        **dict.fromkeys(("id", "object", "type", "status", "role", "name"), text),
        **dict.fromkeys(("call_id", "arguments"), text),
        "content": _parts,
    }
)


def item(value: Any, path: str) -> dict[str, Any]:
    """Return ``value`` if it is a conversation item: strings in their places, content of parts."""
    return _ITEM(value, path)  # type: ignore[no-any-return]


def _items(value: Any, path: str) -> list[dict[str, Any]]:
    return objects(value, path, item)


_RESPONSE = object_of(
    {
        **dict.fromkeys(("id", "object", "status", "conversation_id"), text),
        **dict.fromkeys(("status_details", "usage", "metadata"), obj),
        "output": _items,
    }
)


def response(value: Any, path: str) -> dict[str, Any]:
    """Return ``value`` if it is a response object: strings in place, output made of items."""
    return _RESPONSE(value, path)  # type: ignore[no-any-return]
