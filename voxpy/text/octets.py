"""Bytes in the forms in which scenarios hold them: text, bytes, numbers, texts in a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from voxpy.errors import ScenarioError


def octets(what: str, data: Any) -> bytes:
    """Return text, bytes, numbers or texts one after another as bytes."""
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, Sequence) and data and all(isinstance(part, str) for part in data):
        return "".join(data).encode()
    try:
        return bytes(data)
    except (TypeError, ValueError):
        raise ScenarioError(f"{what} takes text or numbers from 0 to 255, not {data!r}") from None
