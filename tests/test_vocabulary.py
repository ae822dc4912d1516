"""Every name of VoxEngine's typings: there, or refused with a reason, or listed as missing."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import voxpy
from voxpy.absent import ABSENT, MODULES
from voxpy.errors import NotSupported

pytest.importorskip("tree_sitter_javascript", reason="needs the extra: port")
pytest.importorskip("black", reason="needs the extra: port")

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def reference() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("voxpy_reference", DOCS / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_the_page_of_what_is_missing_is_true(reference: ModuleType) -> None:
    written = (DOCS / "missing.md").read_text(encoding="utf-8")
    assert written == reference.missing_page(), "run: python docs/reference.py missing"


def test_nothing_refuses_without_a_reason(reference: ModuleType) -> None:
    refusing = [name for name in reference.names() if name.status == "refuses"]
    assert refusing
    assert [name.whole for name in refusing if not name.why] == []


@pytest.mark.parametrize("name", sorted(ABSENT))
def test_what_is_not_meant_to_be_here_says_why(name: str) -> None:
    with pytest.raises(NotSupported, match=rf"^{name} is part of VoxEngine, but not of voxpy: \w"):
        getattr(voxpy, name)
    assert name not in dir(voxpy)


def test_modules_of_what_is_absent_have_its_reason() -> None:
    assert set(MODULES.values()) <= set(ABSENT)


def test_the_judge_tells_works_from_missing(reference: ModuleType) -> None:
    judged = {n.whole: n.status for n in reference.names()}
    assert judged["Call.sendMediaTo"] == "works"
    assert judged["setTimeout"] == "works"
    assert judged["Call.answerDirect"] == "refuses"
    assert reference._judged(reference.Name("Call", "method", "flyAway")).status == "missing"
