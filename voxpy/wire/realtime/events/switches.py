"""Settings that are frozen attrs classes, described once and set by ``NAME=VALUE`` texts.

A class of switches makes each field with ``switch``; its type is bool, int, float, str, a Literal
of strings, or one of these or None.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable
from typing import Any, TypeVar

import attrs

from voxpy.errors import nearest

__all__ = ["describe", "parse_switches", "switch"]

T = TypeVar("T")

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def switch(default: Any, meaning: str) -> Any:
    """Return a field with a default and one sentence on what it means."""
    return attrs.field(default=default, metadata={"meaning": meaning})


def parse_switches(cls: type[T], settings: Iterable[str]) -> T:
    """Return ``cls`` made of texts ``NAME=VALUE``; a dash in a name is an underscore.

    A bare ``NAME`` turns a bool on; ``none`` is None where the type allows it. Raises ValueError
    with a sentence that names the switch and what it takes.
    """
    hints = typing.get_type_hints(cls)
    chosen: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        name = name.strip().replace("-", "_")
        if name not in hints:
            raise ValueError(f"there is no {name!r}{nearest(name, hints)}")
        if not equals and hints[name] is bool:
            text = "true"
        chosen[name] = _value(name, text.strip(), hints[name])
    return cls(**chosen)


def _value(name: str, text: str, hint: Any) -> Any:
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if types.NoneType in kinds and text.lower() == "none":
        return None
    kind = next(kind for kind in kinds if kind is not types.NoneType)
    value = _read(text, kind)
    if value is None:
        raise ValueError(f"{name} takes {_takes(hint)}, not {text!r}")
    return value


def _read(text: str, kind: Any) -> Any:
    """Return the value, or None if the text is none of that kind."""
    if typing.get_origin(kind) is typing.Literal:
        return text if text in typing.get_args(kind) else None
    if kind is bool:
        known = text.lower()
        return True if known in _TRUE else False if known in _FALSE else None
    try:
        return kind(text)
    except ValueError:
        return None


def _takes(hint: Any) -> str:
    if isinstance(hint, types.UnionType):
        return " or ".join(_takes(kind) for kind in typing.get_args(hint))
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(typing.get_args(hint))
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    return words.get(hint, "none")


def describe(cls: Any) -> list[tuple[str, str]]:
    """Return ``(name=default, what it means)`` for every switch of a class, in order."""
    return [
        (f"{field.name}={_told(field.default)}", str(field.metadata.get("meaning", "")))
        for field in attrs.fields(cls)
    ]


def _told(value: Any) -> str:
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
