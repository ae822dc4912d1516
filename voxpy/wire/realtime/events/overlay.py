"""How a partial session object is laid over a whole one, as a client must foresee it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["laid_over"]


def laid_over(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``over`` laid over it, object by object; None is a value like others.

    An object of another ``type`` replaces the one below it: what belonged to ``server_vad``, or the
    rate of PCM, would be wrong under ``semantic_vad`` and mu-law.
    """
    merged = dict(base)
    for name, value in over.items():
        below = merged.get(name)
        merged[name] = laid_over(below or {}, value) if _same_kind(below, value) else value
    return merged


def _same_kind(below: Any, value: Any) -> bool:
    if not (isinstance(below, Mapping) and isinstance(value, Mapping)):
        return False
    return bool(value.get("type", below.get("type")) == below.get("type"))
