"""A caller's script as a test: whom it calls, who plays the agent, and what is expected."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs

from voxpy.engine.userfile import Document, YamlPath, load
from voxpy.errors import ConfigError
from voxpy.lab.suite.expectations import Expectations, read_expectations
from voxpy.simulation.callerfile import parse_script
from voxpy.simulation.script import CallerScript
from voxpy.simulation.scriptvalues import check_keys, read_number, read_words
from voxpy.testing.httpstub import Reply

__all__ = ["CallCase", "find_cases", "parse_case", "read_case"]

SUFFIXES = (".yaml", ".yml")
REPLY_KEYS = ("status", "body", "headers", "after_s", "fails")


@attrs.frozen(kw_only=True)
class CallCase:
    """One caller's script with what is expected of the call.

    ``http`` is what the web answers. The script's ``service`` may say what the agent says.
    """

    name: str
    path: Path
    script: CallerScript
    scenarios: tuple[Path, ...]
    secrets: dict[str, str] = attrs.field(factory=dict, repr=False)
    http: dict[str, Any] = attrs.field(factory=dict)
    expect: Expectations = attrs.field(factory=Expectations)


def find_cases(paths: Iterable[Path]) -> list[Path]:
    """Return the scripts: files as given, and of folders all YAML files in and below them, sorted.

    Raises ConfigError for a path that is not there.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            below = (p for p in path.rglob("*") if p.suffix in SUFFIXES and p.is_file())
            found += sorted(p for p in below if not _is_hidden(p.relative_to(path)))
        elif path.is_file():
            found.append(path)
        else:
            raise ConfigError("there is no such caller's script or folder", file=str(path))
    return list(dict.fromkeys(found))


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def read_case(path: Path) -> CallCase:
    """Read a script. Raises ConfigError with file and line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", file=str(path)) from error
    return parse_case(text, path)


def parse_case(text: str, path: Path) -> CallCase:
    """Read a script from its text. Raises ConfigError with file and line."""
    script = parse_script(text, file=str(path), folder=path.parent)
    document = load(text, file=str(path))
    top = document.value
    return CallCase(
        name=path.stem,
        path=path,
        script=script,
        scenarios=_scenarios(document, top.get("scenario"), path),
        secrets=_secrets(document, top.get("secrets") or {}),
        http=_http(document, top.get("http") or {}),
        expect=read_expectations(document, top.get("expect")),
    )


def _scenarios(document: Document, value: Any, path: Path) -> tuple[Path, ...]:
    if value is None:
        own = path.parent.parent / f"{path.stem}.py"
        if path.parent.name == "callers" and own.is_file():
            return (own,)
        raise document.error(
            (), f"which scenario is called? Add `scenario: FILE.py`, relative to {path.parent}"
        )
    given = value if isinstance(value, list) else [value]
    files = []
    for n, name in enumerate(given):
        where: YamlPath = ("scenario", n) if isinstance(value, list) else ("scenario",)
        file = path.parent / read_words(document, where, name)
        if not file.is_file():
            raise document.error(where, f"there is no scenario {file}")
        files.append(file)
    if not files:
        raise document.error(("scenario",), "scenario takes a file, or a list of files")
    return tuple(files)


def _secrets(document: Document, value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise document.error(("secrets",), "secrets is a mapping of names to values")
    return {
        str(name): read_words(document, ("secrets", name), secret) for name, secret in value.items()
    }


def _http(document: Document, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise document.error(("http",), "http is a mapping of addresses to answers")
    return {str(url): _answer(document, ("http", url), answer) for url, answer in value.items()}


def _answer(document: Document, path: YamlPath, value: Any) -> Any:
    """Return an answer: a mapping with ``status`` and the like is a Reply, another is its body."""
    if not isinstance(value, dict) or not set(value) & set(REPLY_KEYS):
        return Reply(body=value) if isinstance(value, dict | list) else value
    check_keys(document, path, value, REPLY_KEYS)
    fields = dict(value)
    if "after_s" in fields:
        fields["after_s"] = read_number(document, (*path, "after_s"), fields["after_s"])
    for key in ("status", "fails"):
        if key in fields and (isinstance(fields[key], bool) or not isinstance(fields[key], int)):
            raise document.error((*path, key), f"{key} is a whole number, not {fields[key]!r}")
    return Reply(**fields)
