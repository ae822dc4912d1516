"""How a call differs from its expected transcript: a diff with the timeline where it begins."""

from __future__ import annotations

from collections.abc import Sequence

from voxpy.history.timeline import render, timeline
from voxpy.testing.story import CallStory
from voxpy.testing.transcript.expected import Expected, parse_transcript
from voxpy.testing.transcript.lines import lines_of, source_of
from voxpy.testing.transcript.matching import Matched, match

__all__ = ["assert_transcript", "describe_difference", "transcript_text", "updated_transcript"]

AROUND_S = 2.0
"""The timeline is shown this long before and after the first difference."""
WHEN_WIDTH = 8


def assert_transcript(call: CallStory, expected: str) -> None:
    """Compare a call with an expected transcript: see voxpy.testing.transcript.expected.

    Raises AssertionError with the difference, and the call's timeline around the beginning of it;
    ConfigError for a line that cannot be read.
    """
    __tracebackhide__ = True
    difference = describe_difference(call, parse_transcript(expected))
    if difference:
        raise AssertionError(difference)


def describe_difference(call: CallStory, expected: Expected) -> str:
    """Return the comparison as a text to read; empty if the call is as expected.

    Lines begin with ``-`` (expected), ``+`` (what happened) or ``~`` (what differs besides words).
    """
    rows = match(expected, lines_of(call))
    if not any(row.differs for row in rows):
        return ""
    count = sum(row.differs for row in rows)
    told = [
        f"the transcript differs in {count} {'line' if count == 1 else 'lines'} "
        "(- expected, + happened):"
    ]
    for row in rows:
        told += _row(row)
    at_s = _first_difference_s(rows)
    around = [
        line
        for line in timeline(call.entries)
        if line.who != "log" and at_s - AROUND_S <= line.at_s <= at_s + AROUND_S
    ]
    if around:
        told += ["", f"the call from {max(0.0, at_s - AROUND_S):g} to {at_s + AROUND_S:g} s:"]
        told.append(render(around))
    return "\n".join(told)


def transcript_text(call: CallStory) -> str:
    """Return a call as the transcript that expects exactly this: people, keys and tools."""
    return updated_transcript(call, Expected(items=()))


def updated_transcript(call: CallStory, expected: Expected) -> str:
    """Return the expected transcript, made true of the call.

    Lines that fit stay as they were written, with their placeholders and comments; so do groups
    that fit as a whole, and ``...``.
    """
    rows = match(expected, lines_of(call))
    broken = {id(row.item) for row in rows if row.differs and row.item is not None}
    written: set[int] = set()
    out: list[str] = []
    for row in rows:
        key = id(row.item)
        if row.item is not None and key not in broken:
            if key not in written:
                out += row.item.source
            written.add(key)
        elif row.actual is not None and row.mark != "passed over":
            out.append(source_of(row.actual))
    return "\n".join([*out, *expected.remains])


def _row(row: Matched) -> list[str]:
    if row.mark == "passed over" and row.actual is None:
        return []
    happened = "" if row.actual is None else str(row.actual)
    wanted = (
        "" if row.expected is None else " " * WHEN_WIDTH + "  " + row.expected.source[-1].strip()
    )
    match row.mark:
        case "same":
            return [f"  {happened}"]
        case "passed over":
            return [f". {happened}"]
        case "missing":
            return [f"- {wanted}"]
        case "unexpected":
            return [f"+ {happened}"]
    note = [f"~ {' ' * WHEN_WIDTH}  {row.note}"] if row.note else []
    return [f"- {wanted}", f"+ {happened}", *note]


def _first_difference_s(rows: Sequence[Matched]) -> float:
    """Return when the first difference came, or would have come: right after what came before."""
    at_s = 0.0
    for row in rows:
        at_s = at_s if row.actual is None else row.actual.at_s
        if row.differs:
            break
    return at_s
