"""The pytest plugin, loaded by entry point: the ``voxpy`` fixture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from voxpy.testing.calls import CallKit

__all__ = ["voxpy"]


@pytest.fixture
def voxpy(tmp_path: Path) -> CallKit:
    """Run whole calls on virtual time: ``voxpy.call(scenario, caller, agent=[...])``."""
    from voxpy.testing.calls import CallKit  # only tests that use it pay for the import

    return CallKit(tmp_path)
