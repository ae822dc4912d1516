"""The test kit for scenario authors: whole calls on virtual time. See docs/testing.md."""

from __future__ import annotations

import importlib
from typing import Any

from voxpy import _homes

_HOMES = _homes(__file__)
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    # The pytest plugin lives in this package: only tests that use the kit pay for its imports.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
