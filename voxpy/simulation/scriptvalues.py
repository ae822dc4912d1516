"""Single values of a caller's or callee's script, each error with file and line."""

from __future__ import annotations

import math
from typing import Any

from voxpy.engine.userfile import Document, YamlPath
from voxpy.errors import nearest

__all__ = ["check_keys", "read_flag", "read_number", "read_text", "read_words"]


def check_keys(
    document: Document, path: YamlPath, value: dict[Any, Any], known: tuple[str, ...]
) -> None:
    """Raise ConfigError for a key that is not in ``known``, with the nearest that is."""
    for key in value:
        if key not in known:
            raise document.error(
                (*path, key),
                f"unknown key {key!r}{nearest(str(key), known)} (known: {', '.join(known)})",
            )


def read_text(document: Document, path: YamlPath, value: Any) -> str:
    """Return text, empty or not. Raises ConfigError."""
    if isinstance(value, str):
        return value
    raise document.error(path, f"expected text, not {value!r}; put it in quotes")


def read_flag(document: Document, path: YamlPath, value: Any) -> bool:
    """Return true or false. Raises ConfigError."""
    if isinstance(value, bool):
        return value
    raise document.error(path, f"expected true or false, not {value!r}")


def read_words(document: Document, path: YamlPath, value: Any) -> str:
    """Return text with something in it. Raises ConfigError."""
    if isinstance(value, str) and value.strip():
        return value
    raise document.error(path, f"expected text, not {value!r}")


def read_number(document: Document, path: YamlPath, value: Any, *, at_least: float = 0.0) -> float:
    """Return a finite number of at least ``at_least``. Raises ConfigError."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and math.isfinite(value) and value >= at_least:
        return float(value)
    raise document.error(path, f"expected a number from {at_least:g} up, not {value!r}")
