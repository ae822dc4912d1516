"""JSON that others wrote, its depth limited before any parser sees it.

Parsers and whatever walks their results recurse, and the peer chooses how deep. A thousand brackets
are one kilobyte: they make ``json`` raise RecursionError, orjson reads 1024 levels and writes only
254, and old releases of it crash. So the depth is counted in the text. Everything that reads bytes
from outside goes through ``loads`` and needs to expect ValueError, nothing else.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

MAX_DEPTH = 64
"""Deepest nesting accepted: events stay below ten, tool schemas below thirty."""

JSONDecodeError = orjson.JSONDecodeError

# A string without an end runs to the end of the text, so that no character is looked at twice.
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)


class TooDeep(ValueError):
    """Nested deeper than MAX_DEPTH."""

    def __init__(self) -> None:
        super().__init__(f"nested deeper than {MAX_DEPTH} levels")


def loads(text: str | bytes | bytearray | memoryview) -> Any:
    """Return the value of a JSON text.

    Raises ValueError: JSONDecodeError for what is no JSON, TooDeep for what is too deep.
    """
    if isinstance(text, str):
        if text.count("[") + text.count("{") > MAX_DEPTH:
            _check_depth(text)
        return orjson.loads(text)
    data = bytes(text)
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH:
        _check_depth(data.decode("latin-1"))
    return orjson.loads(data)


def _check_depth(text: str) -> None:
    depth = 0
    for token in _TOKENS.finditer(text):
        match token[0]:
            case "[" | "{":
                depth += 1
                if depth > MAX_DEPTH:
                    raise TooDeep
            case "]" | "}":
                depth -= 1
