r"""What an author expects of a call: lines ``who: what`` with placeholders. Pure.

::

    # who may be caller, agent, callee, keys, tool, event, log, end
    agent: Hello, {any} speaking
    caller: What is the weather?
    any order:
      tool: get_weather {"city": "London"}
      event: Call.ToneReceived
    agent: /(\d+) degrees/
    ...
    @21.5±1 agent: Your number is {number:\d+}
    agent: I repeat, {number}
    agent: {any} —

``{any}`` is any text, ``{name}`` too, but the same wherever the name stands; ``{name:REGEX}`` is
what fits. ``/REGEX/`` is searched in the whole line. ``...`` stands for any lines. ``@TIME±TOL`` is
when it began, in seconds since the call came in. A final ``—`` or ``--`` says that the agent was
interrupted. An event may do without its family: ``event: Connected``. Case and white space do not
count. A backslash takes a character as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs

from voxpy.errors import ConfigError, nearest
from voxpy.testing.transcript.lines import CUT_OFF, WHO, TranscriptLine, canonical

DEFAULT_TOLERANCE_S = 0.25
GROUP = "any order:"
REST = "..."
_TIME = re.compile(r"@(\d+(?:\.\d+)?)(?:\s*(?:±|\+-)\s*(\d+(?:\.\d+)?))?\s+")
_PLACEHOLDER = re.compile(
    r"\\(?P<escaped>.)|\{(?P<name>[a-z_]\w*)(?::(?P<regex>(?:[^{}]|\{[^{}]*\})+))?\}", re.DOTALL
)
_OPTIONAL = ("event", "log", "end")


@attrs.frozen(kw_only=True)
class ExpectedLine:
    """One line. ``source`` is how it was written, with the comments above it."""

    who: str
    pattern: re.Pattern[str]
    whole: bool = True
    at_s: float | None = None
    tolerance_s: float = DEFAULT_TOLERANCE_S
    source: tuple[str, ...] = ()

    def fit(self, line: TranscriptLine) -> re.Match[str] | None:
        """Return how the words of a line fit, None if they do not."""
        if line.who != self.who:
            return None
        return self.pattern.fullmatch(line.what) if self.whole else self.pattern.search(line.what)

    def is_on_time(self, line: TranscriptLine) -> bool:
        """Return whether a line came when it was expected; always, if no time is given."""
        return self.at_s is None or abs(line.at_s - self.at_s) <= self.tolerance_s + 1e-9


@attrs.frozen(kw_only=True)
class ExpectedGroup:
    """Lines of which each must come, in whatever order."""

    lines: tuple[ExpectedLine, ...]
    source: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Anything:
    """Any number of lines."""

    source: tuple[str, ...] = ()


ExpectedItem = ExpectedLine | ExpectedGroup | Anything


@attrs.frozen(kw_only=True)
class Expected:
    """A whole expected transcript; ``remains`` are the comments below its last line."""

    items: tuple[ExpectedItem, ...]
    remains: tuple[str, ...] = ()

    def lines(self) -> Iterator[ExpectedLine]:
        """Yield every line, those of groups too."""
        for item in self.items:
            if isinstance(item, ExpectedLine):
                yield item
            elif isinstance(item, ExpectedGroup):
                yield from item.lines

    def concerns(self, line: TranscriptLine) -> bool:
        """Return whether a line is compared at all: an event or log line only if it is expected."""
        if line.who not in _OPTIONAL:
            return True
        return any(wanted.fit(line) for wanted in self.lines())


def parse_transcript(
    text: str, *, file: str = "the expected transcript", first_line: int = 1
) -> Expected:
    """Read an expected transcript. Raises ConfigError with file and line."""
    items: list[ExpectedItem] = []
    above: list[str] = []
    group: list[ExpectedLine] | None = None
    begun = (0, "")  # where the group began
    for number, raw in enumerate(text.splitlines(), start=first_line):
        stripped = raw.strip()
        if not stripped or stripped.startswith("#"):
            above.append(raw.rstrip())
            continue
        if group is not None and raw[:1].isspace() and _depth(raw) > _depth(begun[1]):
            group.append(_line(stripped, (*above, raw.rstrip()), file, number))
            above.clear()
            continue
        items += _group(group, begun, file)
        group = None
        source = (*above, raw.rstrip())
        above.clear()
        if stripped == GROUP:
            group, begun = [], (number, source[-1])
            above = list(source)
        elif stripped == REST:
            items.append(Anything(source=source))
        else:
            items.append(_line(stripped, source, file, number))
    items += _group(group, begun, file)
    return Expected(items=tuple(items), remains=tuple(above))


def _depth(raw: str) -> int:
    return len(raw) - len(raw.lstrip())


def _group(
    lines: list[ExpectedLine] | None, begun: tuple[int, str], file: str
) -> list[ExpectedItem]:
    if lines is None:
        return []
    if not lines:
        problem = f"`{GROUP}` has no lines; indent them below it"
        raise ConfigError(problem, file=file, line=begun[0])
    source = tuple(row for line in lines for row in line.source)
    return [ExpectedGroup(lines=tuple(lines), source=source)]


def _line(text: str, source: tuple[str, ...], file: str, number: int) -> ExpectedLine:
    time = _TIME.match(text)
    rest = text[time.end() :] if time else text
    who, colon, what = rest.partition(":")
    who, what = who.strip(), what.strip()
    if not colon or who not in WHO:
        hint = nearest(who, WHO) if colon else "; write `agent: Hello`, or `...` for any lines"
        raise ConfigError(
            f"{text!r} is no line of a transcript: expected one of {', '.join(WHO)}, a colon, and "
            f"what was said or done{hint}",
            file=file,
            line=number,
        )
    whole = not (len(what) > 2 and what.startswith("/") and what.endswith("/"))
    regex = _regex(canonical(who, what)) if whole else what[1:-1]
    if whole and who == "event":
        regex = rf"(?:.+\.)?{regex}"
    try:
        pattern = re.compile(regex, re.IGNORECASE | re.DOTALL)
    except re.error as error:
        problem = f"{what!r} holds no regular expression: {error}"
        raise ConfigError(problem, file=file, line=number) from error
    at_s = float(time[1]) if time else None
    tolerance_s = float(time[2]) if time and time[2] else DEFAULT_TOLERANCE_S
    return ExpectedLine(
        who=who, pattern=pattern, whole=whole, at_s=at_s, tolerance_s=tolerance_s, source=source
    )


def _regex(what: str) -> str:
    if what.endswith("--"):
        what = what[:-2] + CUT_OFF
    parts: list[str] = []
    known: set[str] = set()
    end = 0
    for found in _PLACEHOLDER.finditer(what):
        parts.append(re.escape(what[end : found.start()]))
        end = found.end()
        name, regex = found["name"], found["regex"]
        if found["escaped"] is not None:
            parts.append(re.escape(found["escaped"]))
        elif name == "any":
            parts.append(f"(?:{regex or '.*'})")
        elif name in known:
            parts.append(f"(?P={name})")
        else:
            known.add(name)
            parts.append(f"(?P<{name}>{regex or '.+?'})")
    parts.append(re.escape(what[end:]))
    return "".join(parts)
