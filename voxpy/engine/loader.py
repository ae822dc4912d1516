"""From scenario files to a running module, afresh for each session.

The files of a rule are compiled once and executed in order into one namespace, as VoxEngine does.
The module gets a unique name in ``sys.modules`` for the session's life (``dataclasses`` and
pickling need to find it there), and its files' folders as package path, so that ``from .prices
import TABLE`` imports a neighbour, privately to the session. ``sys.path`` is never touched.
"""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Sequence
from pathlib import Path

import attrs

from voxpy.errors import ScenarioError

PACKAGE = "voxpy_scenarios"


@attrs.frozen
class ScenarioFile:
    """One file, compiled."""

    path: Path
    code: types.CodeType


@attrs.frozen
class Program:
    """The compiled scenario files of one rule; shared by all sessions that run it."""

    files: tuple[ScenarioFile, ...]

    def execute(self, session_id: str) -> types.ModuleType:
        """Run every file, in order, in a new module registered under a name of its own.

        Whatever the files raise comes out unchanged. Call ``unload`` with the same id at the end.
        """
        module = types.ModuleType(_module_name(session_id))
        module.__package__ = module.__name__
        module.__path__ = list(dict.fromkeys(str(f.path.parent) for f in self.files))
        sys.modules[module.__name__] = module
        importlib.invalidate_caches()
        for file in self.files:
            module.__file__ = str(file.path)
            exec(file.code, module.__dict__)  # noqa: S102  running user files is what this is for
        return module

    @staticmethod
    def unload(session_id: str) -> None:
        """Forget the module of a session and what it imported by relative names.

        Their globals are let go of at once: functions and their globals hold each other, and would
        wait for a full collection, which a host with calls up puts off.
        """
        name = _module_name(session_id)
        for loaded in [m for m in sys.modules if m == name or m.startswith(name + ".")]:
            vars(sys.modules.pop(loaded)).clear()


def _module_name(session_id: str) -> str:
    return f"{PACKAGE}_{session_id.replace('-', '_').replace('.', '_')}"


def compile_scenarios(paths: Sequence[Path]) -> Program:
    """Compile the files of a rule.

    Raises ScenarioError with file:line for a missing file, one that is no UTF-8 text, and one with
    a syntax error.
    """
    if not paths:
        raise ScenarioError("no scenario file was given")
    return Program(tuple(ScenarioFile(path, _compile(path)) for path in paths))


def _compile(path: Path) -> types.CodeType:
    try:
        source = path.read_text(encoding="utf-8-sig")  # some editors put a mark in front
    except FileNotFoundError:
        raise ScenarioError(f"{path}: there is no such scenario file{_neighbours(path)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: cannot be read: {error}") from error
    try:
        return compile(source, str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        line = (error.text or "").rstrip("\n")
        caret = (
            "\n    " + line + "\n    " + " " * max(0, (error.offset or 1) - 1) + "^" if line else ""
        )
        where = f"{path}:{error.lineno}" if error.lineno else f"{path}"  # null bytes have no line
        raise ScenarioError(f"{where}: {error.msg}{caret}") from error
    except (ValueError, RecursionError, MemoryError) as error:  # nested beyond the parser's depth
        raise ScenarioError(f"{path}: {error}") from error


def _neighbours(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f" (and no folder {folder})"
    names = sorted(p.name for p in folder.glob("*.py"))
    return f"; {folder} has: {', '.join(names)}" if names else ""
