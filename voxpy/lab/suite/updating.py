"""Writes the transcript of a run into a caller's script, touching nothing else in it."""

from __future__ import annotations

import textwrap
from pathlib import Path

from voxpy.engine.userfile import load
from voxpy.errors import ConfigError
from voxpy.lab.suite.casefile import parse_case
from voxpy.testing.story import CallStory
from voxpy.testing.transcript.asserting import updated_transcript
from voxpy.testing.transcript.expected import Expected

__all__ = ["update_script", "with_transcript"]

KEY = "transcript"


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
        block = ["expect:", f"  {KEY}: |", *_indented(transcript, "    ")]
        return "\n".join([*rows, *block]) + "\n"
    above = document.line(("expect",))  # 1-based: also the index of the row below it
    if not rows[above - 1].rstrip().split("#")[0].rstrip().endswith(":"):
        problem = "`expect:` must have its keys on lines of their own to be updated"
        raise ConfigError(problem, file=file, line=above)
    if isinstance(expect, dict) and KEY in expect:
        start = document.line(("expect", KEY)) - 1
        indent = " " * _depth(rows[start])
        end = _end_of_block(rows, start, len(indent))
    else:
        indent = " " * _depth(rows[above]) if isinstance(expect, dict) else "  "
        start = end = above
    block = [f"{indent}{KEY}: |", *_indented(transcript, indent + "  ")]
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
