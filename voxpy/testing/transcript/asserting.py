"""How a call differs from its expected transcript: a diff with the timeline where it begins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import attrs

from voxpy.history.timeline import render, timeline
from voxpy.testing.story import CallStory
from voxpy.testing.transcript.expected import (
    Anything,
    Expected,
    ExpectedGroup,
    ExpectedItem,
    ExpectedLine,
    parse_transcript,
)
from voxpy.testing.transcript.lines import TranscriptLine, lines_of, source_of

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


Mark = Literal["same", "changed", "missing", "unexpected", "passed over"]

LACKS = 1.0
"""A line too many or too few."""
CHANGED = 1.5
"""Other words of the same person: less than one line lacking and another too many."""
LATE = 0.5
"""The right words at the wrong time."""


@attrs.frozen(kw_only=True)
class Matched:
    """One row of the comparison. ``item`` is the part of the expectation it belongs to.

    ``note`` says what differs besides the words.
    """

    mark: Mark
    item: ExpectedItem | None = None
    expected: ExpectedLine | None = None
    actual: TranscriptLine | None = None
    note: str = ""

    @property
    def differs(self) -> bool:
        """Whether this is a difference."""
        return self.mark in ("changed", "missing", "unexpected")


def match(expected: Expected, lines: Sequence[TranscriptLine]) -> list[Matched]:
    """Return the comparison, row by row; lines that ``expected`` does not concern are left out."""
    actual = [line for line in lines if expected.concerns(line)]
    rows = list(_walk(expected.items, actual, _costs(expected.items, actual)))
    return list(_with_names(rows))


Costs = list[list[float]]


def _costs(items: Sequence[ExpectedItem], actual: Sequence[TranscriptLine]) -> Costs:
    costs = [[0.0] * (len(actual) + 1) for _ in range(len(items) + 1)]
    for i in range(len(items), -1, -1):
        for j in range(len(actual), -1, -1):
            if i < len(items) or j < len(actual):
                costs[i][j] = min(cost for cost, *_ in _moves(items, actual, costs, i, j))
    return costs


def _moves(
    items: Sequence[ExpectedItem],
    actual: Sequence[TranscriptLine],
    costs: Costs,
    i: int,
    j: int,
) -> Iterator[tuple[float, int, int]]:
    """Yield (cost, items taken, lines taken) of every way to go on from a cell, the best first."""
    if i < len(items):
        item = items[i]
        if isinstance(item, Anything):
            yield costs[i + 1][j], 1, 0
            if j < len(actual):
                yield costs[i][j + 1], 0, 1
        elif isinstance(item, ExpectedGroup):
            for n in range(min(len(item.lines), len(actual) - j), -1, -1):
                pairs = _pairs(item.lines, actual[j : j + n])
                lack = len(item.lines) + n - 2 * len(pairs)
                yield costs[i + 1][j + n] + lack * LACKS, 1, n
        else:
            if j < len(actual) and actual[j].who == item.who:
                yield costs[i + 1][j + 1] + _difference(item, actual[j]), 1, 1
            yield costs[i + 1][j] + LACKS, 1, 0
    if j < len(actual) and not (i < len(items) and isinstance(items[i], Anything)):
        yield costs[i][j + 1] + LACKS, 0, 1


def _difference(wanted: ExpectedLine, line: TranscriptLine) -> float:
    if wanted.fit(line) is None:
        return CHANGED
    return 0.0 if wanted.is_on_time(line) else LATE


def _pairs(lines: Sequence[ExpectedLine], actual: Sequence[TranscriptLine]) -> dict[int, int]:
    """Return as many pairs (place in ``actual`` -> place in ``lines``) as possible that fit.

    Augmenting paths: a line whose place is taken asks the one who has it to move.
    """
    taken: dict[int, int] = {}

    def place(n: int, tried: set[int]) -> bool:
        for j, line in enumerate(actual):
            if j in tried or _difference(lines[n], line):
                continue
            tried.add(j)
            if j not in taken or place(taken[j], tried):
                taken[j] = n
                return True
        return False

    for n in range(len(lines)):
        place(n, set())
    return taken


def _walk(
    items: Sequence[ExpectedItem], actual: Sequence[TranscriptLine], costs: Costs
) -> Iterator[Matched]:
    i = j = 0
    while i < len(items) or j < len(actual):
        _, took, lines = min(_moves(items, actual, costs, i, j), key=lambda move: move[0])
        item = items[i] if i < len(items) else None
        if isinstance(item, ExpectedGroup) and took:
            yield from _group(item, actual[j : j + lines])
        elif isinstance(item, Anything):
            line = actual[j] if lines else None
            yield Matched(mark="passed over", item=item if took else None, actual=line)
        elif isinstance(item, ExpectedLine) and took:
            yield _one(item, actual[j] if lines else None)
        else:
            yield Matched(mark="unexpected", actual=actual[j])
        i, j = i + took, j + lines


def _one(wanted: ExpectedLine, line: TranscriptLine | None) -> Matched:
    if line is None:
        return Matched(mark="missing", item=wanted, expected=wanted)
    if wanted.fit(line) is None:
        return Matched(mark="changed", item=wanted, expected=wanted, actual=line)
    if wanted.is_on_time(line):
        return Matched(mark="same", item=wanted, expected=wanted, actual=line)
    note = f"came at {line.at_s:g} s, not {wanted.at_s:g}±{wanted.tolerance_s:g} s"
    return Matched(mark="changed", item=wanted, expected=wanted, actual=line, note=note)


def _group(item: ExpectedGroup, actual: Sequence[TranscriptLine]) -> Iterator[Matched]:
    pairs = _pairs(item.lines, actual)
    for j, line in enumerate(actual):
        wanted = item.lines[pairs[j]] if j in pairs else None
        mark: Mark = "same" if wanted else "unexpected"
        yield Matched(mark=mark, item=item, expected=wanted, actual=line)
    for n, wanted in enumerate(item.lines):
        if n not in pairs.values():
            yield Matched(mark="missing", item=item, expected=wanted)


def _with_names(rows: Sequence[Matched]) -> Iterator[Matched]:
    """Let a ``{name}`` stand for one text in the whole transcript."""
    known: dict[str, str] = {}
    for row in rows:
        if row.mark == "same" and row.expected is not None and row.actual is not None:
            fit = row.expected.fit(row.actual)
            assert fit is not None
            note = _contradiction(known, fit.groupdict())
            if note:
                row = attrs.evolve(row, mark="changed", note=note)
        yield row


def _contradiction(known: dict[str, str], found: Mapping[str, str | None]) -> str:
    for name, text in found.items():
        if text is None:
            continue
        before = known.setdefault(name, text)
        if before.casefold() != text.casefold():
            return f"{{{name}}} was {before!r} before, and is {text!r} here"
    return ""
