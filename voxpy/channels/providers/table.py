"""All providers by name."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from voxpy.channels.providers import NAMES
from voxpy.channels.providers.provider import Provider
from voxpy.errors import ScenarioError, nearest

PROVIDERS: Mapping[str, Provider] = {
    name: import_module(f"voxpy.channels.providers.{name}").PROVIDER for name in NAMES
}


def find_provider(name: str) -> Provider:
    """Return the provider called ``name``. Raises ScenarioError if there is none."""
    if name not in PROVIDERS:
        raise ScenarioError(
            f"no provider {name!r}{nearest(name, PROVIDERS)}; known are {', '.join(PROVIDERS)}"
        )
    return PROVIDERS[name]
