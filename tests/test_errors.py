"""What is missing is asked for by a command that works here: for a clone and for a package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from voxpy import errors
from voxpy.cli import main
from voxpy.errors import install_command

PACKAGE = "'voxpy[test]'"


def test_a_package_and_a_clone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv/bin/python"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(errors, "_package", lambda here: "'voxpy")
    assert install_command("test") == f".venv/bin/python -m pip install {PACKAGE}"
    monkeypatch.setattr(errors, "_package", lambda here: "-e '.")
    assert install_command("local") == ".venv/bin/python -m pip install -e '.[local]'"


def test_an_environment_without_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/opt/venv/bin/python")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(errors, "_package", lambda here: "'voxpy")
    assert install_command("test") == (
        f"python3 -m pip --python /opt/venv/bin/python install {PACKAGE}"
    )


def test_fuzz_without_hypothesis_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "hypothesis" else real(name)
    )
    result = CliRunner().invoke(main, ["fuzz", "scenarios/echo.py"])
    assert result.exit_code == 2
    assert "random callers are invented by hypothesis: " in result.output
    assert install_command("test") in result.output
    assert "Traceback" not in result.output
