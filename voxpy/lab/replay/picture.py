"""A difference shown where it is: both runs as one timeline around it. Pure.

``-`` is in the recording only, ``+`` in the replay only; what has no sign is in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from voxpy.engine.trace import Entry
from voxpy.history.timeline import Line, render, timeline
from voxpy.lab.replay.comparing import Difference, compared, content

__all__ = ["excerpt"]

BEFORE = 8
AFTER = 10
WIDTH = 108


def excerpt(
    recorded: Sequence[Entry], replayed: Sequence[Entry], difference: Difference
) -> list[str]:
    """Return the lines around ``difference``."""
    ours = [e for e in recorded if compared(e)]
    theirs = [e for e in replayed if compared(e)]
    merged = list(_merged(ours, theirs))
    where = next(
        (
            n
            for n, (_, entry) in enumerate(merged)
            if entry is difference.recorded or entry is difference.replayed
        ),
        0,
    )
    rows: list[tuple[bool, str]] = []
    for n, (sign, entry) in enumerate(merged):
        apart = entry is difference.recorded or entry is difference.replayed
        rows += [(n < where, row) for row in _rows(sign, entry, shown=sign != " " or apart)]
    before = [row for early, row in rows if early]
    return before[-BEFORE:] + [row for early, row in rows if not early][:AFTER]


def _merged(ours: Sequence[Entry], theirs: Sequence[Entry]) -> Iterator[tuple[str, Entry]]:
    matcher = SequenceMatcher(
        None, [content(e) for e in ours], [content(e) for e in theirs], autojunk=False
    )
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag == "equal":
            yield from ((" ", entry) for entry in ours[a:b])
            continue
        apart = [("-", entry) for entry in ours[a:b]] + [("+", entry) for entry in theirs[c:d]]
        yield from sorted(apart, key=lambda each: each[1].t)


def _rows(sign: str, entry: Entry, *, shown: bool) -> list[str]:
    lines = timeline([entry])
    if not lines and shown:
        lines = [Line(round(entry.t, 2), entry.kind, entry.name)]
    return [f"{sign} {row}" for row in render(lines, width=WIDTH).splitlines()]
