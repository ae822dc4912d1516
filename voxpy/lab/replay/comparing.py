"""The first thing in which two runs of one call differ. Pure.

Commands are compared one by one, in order, per unit. Events, log lines and errors are compared with
their like, because things that come at one moment from two sides have no order of their own. What
every run makes anew is taken as equal: ids (UUIDs and long hexadecimal ones), Unix times, dates and
the places of functions in files.

The difference is shown where it is, both runs as one timeline around it: ``-`` is in the recording
only, ``+`` in the replay only; what has no sign is in both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

import attrs

from voxpy.engine.trace import Entry
from voxpy.history.timeline import Line, render, timeline

ANEW = re.compile(
    r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"  # a UUID
    r"|\b(?=[0-9a-f]*[a-f])(?=[0-9a-f]*[0-9])[0-9a-f]{16,}\b"
    r"|(?<![\d+.])(?:1[5-9]|94668)\d{8}(?:\.\d+|\d{3}|\d{6})?(?!\d)"  # since 1970, or virtual
    r"|\b20\d\d-\d\d-\d\d[T ][\d:.]+(?:Z|[+-]\d\d:?\d\d)?"
)
LENGTH_IN_TEXT = re.compile(
    r"(\b(?:\w*duration|\w*seconds|\w+_m?s)\b\W{1,4})\d+(?:\.\d+)?"  # "duration":31.98
    r"|\d+(?:\.\d+)?(?= ?(?:m?s|seconds?|minutes?)\b)"  # 0.9 s
)
SESSION_FOLDER = re.compile(r"(?:[a-z]+:/)?/[^\s\"']*/sessions/[^/\s\"']+")
"""A replay keeps its files elsewhere."""
PLACE = re.compile(r" ?\([^()]*\.py:\d+\)")
UNIX_S = (1.5e9, 2.0e9)
LENGTHS = ("duration", "seconds")
"""Numbers under such names, and names that end in ``_s`` and ``_ms``, may differ like times do."""

LENGTH_MS, LENGTH_S = 250, 1
"""By how much: ``call_duration`` is in whole seconds."""

RANK = {"command": 0, "event": 1, "error": 2, "log": 3, "session": 4}
"""Of differences at one moment, the cause first: a command; then what it led to."""


@attrs.frozen(kw_only=True)
class Difference:
    """Where the second run went another way.

    ``recorded`` or ``replayed`` is None for what is only in the other run. ``text`` says it all in
    words. ``at_s`` is when, in seconds of the session.
    """

    at_s: float
    text: str
    recorded: Entry | None
    replayed: Entry | None


def compared(entry: Entry) -> bool:
    """Return whether an entry is something the scenario did or was told."""
    if entry.kind == "session":
        return entry.name == "ending"
    if entry.kind == "error":
        return entry.name not in ("caller", "callee")
    return entry.kind in RANK


def content(entry: Entry) -> tuple[Any, ...]:
    """Return what must be equal of an entry, as something that can be compared and hashed."""
    return (entry.kind, entry.name, entry.unit, repr(_plain(_fields(entry))))


def first_difference(
    recorded: Sequence[Entry],
    replayed: Sequence[Entry],
    *,
    tolerance_s: float,
    until_s: float | None = None,
) -> Difference | None:
    """Return the first difference, or None.

    ``until_s`` is given for a recording that was cut off: what is later is not looked at.
    """
    ends = [_end_s(run) for run in (recorded, replayed)]
    close = abs(ends[0] - ends[1]) <= tolerance_s
    ended_s = min(ends) if close else max(ends)

    def wanted(entry: Entry) -> bool:
        if until_s is not None and (entry.kind == "session" or entry.t > until_s - tolerance_s):
            return False
        return compared(entry)

    found: list[Difference] = []
    theirs = _streams(filter(wanted, replayed))
    streams = _streams(filter(wanted, recorded))
    for key in {**streams, **theirs}:
        difference = _first_in(streams.get(key, []), theirs.get(key, []), tolerance_s)
        if difference is None:
            continue
        one_sided = difference.recorded is None or difference.replayed is None
        if one_sided and close and difference.at_s > ended_s:
            continue  # one of the two had ended a moment earlier
        found.append(difference)
    places = {id(e): n for run in (recorded, replayed) for n, e in enumerate(run)}

    def order(difference: Difference) -> tuple[float, int, bool, int]:
        entry = difference.recorded or difference.replayed
        assert entry is not None
        added = difference.recorded is None
        return round(difference.at_s, 3), RANK[entry.kind], added, places[id(entry)]

    return min(found, key=order, default=None)


def _end_s(run: Sequence[Entry]) -> float:
    return next((e.t for e in run if e.kind == "session" and e.name == "ending"), float("inf"))


def _streams(entries: Iterator[Entry]) -> dict[tuple[str, ...], list[Entry]]:
    streams: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries:
        key: tuple[str, ...]
        match entry.kind:
            case "command":
                key = ("command", entry.unit)
            case "log":
                key = ("log", repr(_plain(entry.personal)))
            case "session":
                key = ("session",)
            case _:
                key = (entry.kind, entry.name, entry.unit)
        streams.setdefault(key, []).append(entry)
    return streams


def _first_in(
    recorded: Sequence[Entry], replayed: Sequence[Entry], tolerance_s: float
) -> Difference | None:
    for n in range(max(len(recorded), len(replayed))):
        old = recorded[n] if n < len(recorded) else None
        new = replayed[n] if n < len(replayed) else None
        if old is None or new is None:
            return _only(old, new)
        what = _unlike(old, new)
        if what is None and abs(old.t - new.t) <= tolerance_s:
            continue
        return _told(old, new, what, recorded[n + 1 :], replayed[n + 1 :], tolerance_s)
    return None


def _told(
    old: Entry,
    new: Entry,
    what: str | None,
    later: Sequence[Entry],
    later_new: Sequence[Entry],
    tolerance_s: float,
) -> Difference:
    """Say whether one is missing, one is new, or the same one came differently."""

    def alike(one: Entry, other: Entry) -> bool:
        return _unlike(one, other) is None and abs(one.t - other.t) <= tolerance_s

    if later and alike(later[0], new):
        return _only(old, None)
    if later_new and alike(old, later_new[0]):
        return _only(None, new)
    if what is None:
        moved = f"{abs(new.t - old.t):.2f} s {'later' if new.t > old.t else 'earlier'}"
        text = f"{_title(old)} came {moved} than recorded, at {new.t:.2f} s"
    else:
        text = what
    at_s = min(old.t, new.t)
    return Difference(at_s=at_s, text=text, recorded=old, replayed=new)


def _only(old: Entry | None, new: Entry | None) -> Difference:
    if old is not None:
        text = f"{_title(old)} is in the recording only"
        return Difference(at_s=old.t, text=text, recorded=old, replayed=None)
    assert new is not None
    text = f"{_title(new)} is in the replay only"
    return Difference(at_s=new.t, text=text, recorded=None, replayed=new)


def _title(entry: Entry) -> str:
    unit = f" of {entry.unit}" if entry.unit else ""
    if entry.kind == "log":
        return f"the log line {_short(entry.personal.get('text'))}"
    if entry.kind == "session":
        return "the end of the session"
    return f"the {entry.kind} {entry.name}{unit}"


def _unlike(old: Entry, new: Entry) -> str | None:
    """Say in what two entries differ beside their times, or None."""
    if old.name != new.name:
        return f"{_title(old)} was recorded, {_title(new)} replayed"
    for path, was, now in _differing(_fields(old), _fields(new), ""):
        return f"{_title(old)} differs at {path}: recorded {was}, replayed {now}"
    return None


def _fields(entry: Entry) -> Mapping[str, Any]:
    if entry.kind == "error":  # its frames have line numbers
        return {k: v for k, v in entry.data.items() if k != "frames"}
    return {**entry.data, **entry.personal}


def _differing(old: Any, new: Any, path: str) -> Iterator[tuple[str, str, str]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in {**old, **new}:
            below = f"{path}.{key}" if path else str(key)
            yield from _differing(old.get(key, ABSENT), new.get(key, ABSENT), below)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for n, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _differing(one, other, f"{path}[{n}]")
    elif not _equal(old, new, path):
        was, now = _around(old, new)
        yield path, was, now


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


ABSENT: Any = _Absent()


def _equal(old: Any, new: Any, path: str) -> bool:
    if _plain(old) == _plain(new):
        return True
    numbers = isinstance(old, int | float) and isinstance(new, int | float)
    if not numbers or isinstance(old, bool) or isinstance(new, bool):
        return False
    name = path.rsplit(".", 1)[-1]
    if name.endswith("_ms"):
        return bool(abs(old - new) <= LENGTH_MS)
    length = name.endswith("_s") or any(word in name for word in LENGTHS)
    return bool(length and abs(old - new) <= LENGTH_S)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        value = ANEW.sub("#", SESSION_FOLDER.sub("#", value))
        return PLACE.sub("", LENGTH_IN_TEXT.sub(r"\g<1>#", value))
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, int | float) and any(
        UNIX_S[0] <= value / unit <= UNIX_S[1] for unit in (1, 1000)
    ):
        return "#"
    return value


SHOWN_CHARACTERS = 60


def _around(old: Any, new: Any) -> tuple[str, str]:
    """Show two values; of long texts the place where they part."""
    if isinstance(old, str) and isinstance(new, str):
        same = next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b),
                    min(len(old), len(new)))  # fmt: skip
        start = max(0, same - SHOWN_CHARACTERS // 3)
        lead = "…" if start else ""
        return _short(lead + old[start:]), _short(lead + new[start:])
    return _short(old), _short(new)


def _short(value: Any) -> str:
    shown: Callable[[Any], str] = repr
    text = shown(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


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
