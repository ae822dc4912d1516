"""Call scenarios in Python: the vocabulary, re-exported; nothing else.

Names are imported when they are first used, so that ``voxpy --help`` and test collection do not
pay for the media engine. ``__init__.pyi`` says where each is, to type checkers as to this.
"""

from __future__ import annotations

import ast
import importlib
import os.path
from typing import Any


def _homes(file: str) -> dict[str, str]:
    """Return the names that the stub beside a file imports, each with its module."""
    with open(f"{os.path.splitext(file)[0]}.pyi", encoding="utf-8") as stub:
        statements = ast.parse(stub.read()).body
    return {
        alias.name: str(statement.module)
        for statement in statements
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }


_HOMES = _homes(__file__)
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        from voxpy.absent import why_absent
        from voxpy.errors import NotSupported, UnknownName, nearest

        if name.startswith("__"):
            raise AttributeError(name)
        absent = why_absent(name)
        if absent is not None:
            raise NotSupported(absent)
        raise UnknownName(f"voxpy has no {name!r}{nearest(name, _HOMES)}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
