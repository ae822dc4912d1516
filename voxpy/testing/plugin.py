"""The pytest plugin, loaded by entry point: the ``voxpy`` fixture, and calls in failure reports."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from voxpy.testing.calls import CallKit


@pytest.fixture
def voxpy(tmp_path: Path) -> CallKit:
    """Run whole calls on virtual time: ``voxpy.call(...)``, or ``async with voxpy.world(...)``."""
    from voxpy.testing.calls import CallKit  # only tests that use it pay for the import

    return CallKit(tmp_path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what happened in the calls of a test that failed."""
    report = yield
    kit: Any = getattr(item, "funcargs", {}).get("voxpy")
    if report.failed and report.when == "call" and hasattr(kit, "timelines"):
        report.sections += [("voxpy: the call", timeline) for timeline in kit.timelines()]
    return report
