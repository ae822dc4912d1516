"""A caller's script as a test: whom it calls, who plays the agent, and what is expected.

And how what was said in a call gets into it, touching nothing else in the file.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs

from voxpy.engine.userfile import Given, load
from voxpy.errors import ConfigError
from voxpy.lab.suite.expectations import Expectations, read_expectations
from voxpy.simulation.callerfile import parse_script
from voxpy.simulation.script import CallerScript
from voxpy.testing.httpstub import Reply
from voxpy.testing.story import CallStory
from voxpy.testing.transcript.asserting import updated_transcript
from voxpy.testing.transcript.expected import Expected

SUFFIXES = (".yaml", ".yml")
TRANSCRIPT = "transcript"
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
    root = load(text, file=str(path)).root
    top = root.fields(tuple(root.value))
    return CallCase(
        name=path.stem,
        path=path,
        script=script,
        scenarios=_scenarios(top.section("scenario"), path),
        secrets=top.get("secrets", _secrets, {}),
        http=top.get("http", _http, {}),
        expect=read_expectations(top.need("expect")) if "expect" in top else Expectations(),
    )


def _scenarios(given: Given, path: Path) -> tuple[Path, ...]:
    if given.value is None:
        own = path.parent.parent / f"{path.stem}.py"
        if path.parent.name == "callers" and own.is_file():
            return (own,)
        problem = f"which scenario is called? Add `scenario: FILE.py`, relative to {path.parent}"
        raise given.document.error((), problem)
    files = []
    for name in given.items() if isinstance(given.value, list) else [given]:
        file = path.parent / name.words()
        try:
            there = file.is_file()
        except OSError:  # nothing on a disk can be called so
            there = False
        if not there:
            raise name.error(f"there is no scenario {file}")
        files.append(file)
    if not files:
        raise given.error("scenario takes a file, or a list of files")
    return tuple(files)


def _secrets(given: Given) -> dict[str, str]:
    return {str(name): secret.words() for name, secret in given.mapping().items()}


def _http(given: Given) -> dict[str, Any]:
    return {str(url): _answer(answer) for url, answer in given.mapping().items()}


def _answer(given: Given) -> Any:
    """Return an answer: a mapping with ``status`` and the like is a Reply, another is its body."""
    value = given.value
    if not isinstance(value, dict) or not set(value) & set(REPLY_KEYS):
        return Reply(body=value) if isinstance(value, dict | list) else value
    fields = given.fields(REPLY_KEYS)
    read = {
        "status": lambda given: given.whole(),
        "fails": lambda given: given.whole(at_least=-100),
        "after_s": lambda given: given.number(),
    }
    return Reply(**{key: read.get(key, lambda given: given.value)(g) for key, g in fields.items()})


# -- its transcript, as it was ---------------------------------------------------------------------


def update_script(path: Path, call: CallStory) -> bool:
    """Make the expected transcript of a script true of a call; return whether that changed it.

    Raises ConfigError if the file cannot be changed safely.
    """
    text = path.read_text(encoding="utf-8")
    expected = parse_case(text, path).expect.transcript or Expected(items=())
    changed = with_transcript(text, updated_transcript(call, expected), file=str(path))
    if changed == text:
        return False
    parse_case(changed, path)  # nothing is written that cannot be read
    path.write_text(changed, encoding="utf-8")
    return True


def with_transcript(text: str, transcript: str, *, file: str) -> str:
    """Return a script with ``expect: transcript:`` replaced or added. Pure.

    Raises ConfigError where ``expect:`` is written in braces.
    """
    document = load(text, file=file)
    rows = text.splitlines()
    expect = document.value.get("expect")
    if expect is None and "expect" not in document.value:
        block = ["expect:", f"  {TRANSCRIPT}: |", *_indented(transcript, "    ")]
        return "\n".join([*rows, *block]) + "\n"
    above = document.line(("expect",))  # 1-based: also the index of the row below it
    if not rows[above - 1].rstrip().split("#")[0].rstrip().endswith(":"):
        problem = "`expect:` must have its keys on lines of their own to be updated"
        raise ConfigError(problem, file=file, line=above)
    if isinstance(expect, dict) and TRANSCRIPT in expect:
        start = document.line(("expect", TRANSCRIPT)) - 1
        indent = " " * _depth(rows[start])
        end = _end_of_block(rows, start, len(indent))
    else:
        indent = " " * _depth(rows[above]) if isinstance(expect, dict) else "  "
        start = end = above
    block = [f"{indent}{TRANSCRIPT}: |", *_indented(transcript, indent + "  ")]
    return "\n".join([*rows[:start], *block, *rows[end:]]) + "\n"


def _indented(text: str, indent: str) -> list[str]:
    return textwrap.indent(textwrap.dedent(text), indent).splitlines()


def _depth(row: str) -> int:
    return len(row) - len(row.lstrip(" "))


def _end_of_block(rows: list[str], start: int, depth: int) -> int:
    """Return the index of the first row below ``start`` that no longer belongs to it."""
    end = start + 1
    for n in range(start + 1, len(rows)):
        if rows[n].strip() and _depth(rows[n]) <= depth:
            break
        if rows[n].strip():
            end = n + 1
    return end
