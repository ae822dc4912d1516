"""What voxpy says it is to whoever it talks to; its version stands in ``pyproject.toml`` alone."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def product() -> str:
    """Return ``voxpy/0.1.0``; ``voxpy`` alone where it runs without having been installed."""
    try:
        return f"voxpy/{version('voxpy')}"
    except PackageNotFoundError:
        return "voxpy"
