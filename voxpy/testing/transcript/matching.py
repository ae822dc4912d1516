"""Lays an expected transcript over what happened, with the fewest differences. Pure.

A dynamic programme over both: each cell holds the least cost of the rest of the two lists. What an
author reads is then few differences where they arose, not everything behind the first one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import attrs

from voxpy.testing.transcript.expected import (
    Anything,
    Expected,
    ExpectedGroup,
    ExpectedItem,
    ExpectedLine,
)
from voxpy.testing.transcript.lines import TranscriptLine

__all__ = ["Matched", "match"]

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
