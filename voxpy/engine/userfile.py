"""Files a user writes: YAML that remembers its lines, and the one reader of the values in it. Pure.

A ``Document`` knows where everything stood. A ``Given`` is one value of it and the place where it
stands; its readers return what was asked for or raise ConfigError with file and line. ``fields``
and ``items`` lead further in::

    top = load(text, file="caller.yaml").root.fields(("from", "line", "steps"))
    number = top.get("from", Given.text, "+15550100")
    steps = [read_step(step) for step in top.need("steps").items()]

What is said of a key that is there with nothing behind it (null): ``get`` takes it for one that is
absent, because that is what a section means whose lines are all commented out; ``given`` hands it
on, for the places where null is a value.

By default the first thing wrong is raised. With a ``report`` that keeps what it is told, reading
goes on with the defaults, and everything wrong is found at once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import attrs
import yaml

from voxpy.errors import ConfigError, nearest

T = TypeVar("T")
YamlPath = tuple[Any, ...]
"""Keys and list indices from the root: ``("rules", 0, "pattern")``."""
DEEPEST = 100
MOST_VALUES = 250_000
"""In one file, each counted as often as an alias repeats it: ten lines of aliases of aliases make a
thousand million values, which take for ever to look at."""
MOST_TOLD = 200
"""Characters of a value that a message shows."""


def _refuse(error: ConfigError) -> NoReturn:
    """Raise: what a reader does with an error when nobody collects them."""
    raise error


@attrs.frozen(kw_only=True)
class Document:
    """The value of a YAML file and the line of each mapping key and list item in it."""

    file: str
    value: Any
    lines: Mapping[YamlPath, int]

    @property
    def root(self) -> Given:
        """The whole of it, to be read."""
        return Given(document=self, value=self.value)

    def line(self, path: YamlPath) -> int:
        """Return the line (from 1) of what stands at ``path``, or of the nearest thing around it.

        What came through an alias or a merge key has no place of its own.
        """
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def error(self, path: YamlPath, problem: str) -> ConfigError:
        """Return a ConfigError that points at ``path``."""
        return ConfigError(problem, file=self.file, line=self.line(path))


@attrs.frozen(kw_only=True)
class Given:
    """One value, and where it stands.

    A method that reads one value raises ConfigError; those that go further in tell ``report``.
    """

    document: Document
    value: Any
    path: YamlPath = ()
    report: Callable[[ConfigError], None] = _refuse
    _name: str = ""
    _named_at: int = 0

    @property
    def line(self) -> int:
        """The line it stands in, from 1."""
        return self.document.line(self.path)

    @property
    def label(self) -> str:
        """What messages call it: ``rule 'a': limits: timers``."""
        below = (
            f"item {key + 1}" if isinstance(key, int) else str(key)
            for key in self.path[self._named_at :]
        )
        return ": ".join(filter(None, (self._name, *below))) or "the file"

    def error(self, problem: str) -> ConfigError:
        """Return an error that points here."""
        return self.document.error(self.path, problem)

    def expected(self, what: str) -> ConfigError:
        """Return the error of a value of the wrong kind."""
        return self.error(f"{self.label} must be {what}, not {_told(self.value)}")

    def child(self, key: Any, value: Any) -> Given:
        """Return what stands below under ``key``."""
        return attrs.evolve(self, path=(*self.path, key), value=value)

    def named(self, name: str) -> Given:
        """Return the same under a name that says more than its place: ``rule 'a'``."""
        return attrs.evolve(self, name=name, named_at=len(self.path))

    def text(self) -> str:
        """Return text, empty or not."""
        if isinstance(self.value, str):
            return self.value
        raise self.error(
            f"{self.label} must be text, but YAML reads {_told(self.value)} here; put it in single "
            "quotes"
        )

    def words(self) -> str:
        """Return text with something in it."""
        if self.value is None or (isinstance(self.value, str) and not self.value.strip()):
            raise self.error(f"{self.label} is missing")
        return self.text()

    def flag(self) -> bool:
        """Return true or false."""
        if isinstance(self.value, bool):
            return self.value
        raise self.expected("true or false")

    def number(self, *, at_least: float = 0.0, at_most: float = math.inf) -> float:
        """Return a finite number within these bounds, both included."""
        value = self.value
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and math.isfinite(value) and at_least <= value <= at_most:
            return float(value)
        raise self.expected(f"a number {_range(at_least, at_most)}")

    def whole(self, *, at_least: int = 0, at_most: float = math.inf) -> int:
        """Return a whole number within these bounds, both included."""
        value = self.value
        if isinstance(value, int) and not isinstance(value, bool) and at_least <= value <= at_most:
            return value
        raise self.expected(f"a whole number {_range(at_least, at_most)}")

    def one_of(self, known: Sequence[str]) -> str:
        """Return one of these words."""
        if isinstance(self.value, str) and self.value in known:
            return self.value
        hint = nearest(str(self.value), known)
        raise self.error(f"{self.label} must be {_or(known)}, not {_told(self.value)}{hint}")

    def pattern(self, flags: int = 0) -> re.Pattern[str]:
        """Return a regular expression."""
        text = self.words()
        try:
            return re.compile(text, flags)
        except (re.error, OverflowError, RecursionError) as error:
            raise self.error(f"{text!r} is not a regular expression: {error}") from error

    def mapping(self) -> dict[Any, Given]:
        """Return what stands below each key; null is an empty mapping."""
        if isinstance(self.value, Mapping):
            return {key: self.child(key, value) for key, value in self.value.items()}
        if self.value is not None:
            self.report(self.expected("a mapping (key: value)"))
        return {}

    def fields(self, known: Sequence[str]) -> Fields:
        """Return the mapping that stands here, of which only these keys are ``known``."""
        below = self.mapping()
        for key, given in below.items():
            if key not in known:
                hint = nearest(str(key), known) or f"; known are {', '.join(known)}"
                self.report(given.error(f"{self.label} has no {str(key)!r}{hint}"))
        return Fields(self, below)

    def items(self) -> list[Given]:
        """Return the items of a list; null is an empty one."""
        if isinstance(self.value, list):
            return [self.child(n, value) for n, value in enumerate(self.value)]
        if self.value is not None:
            self.report(self.expected("a list"))
        return []


@attrs.frozen
class Fields:
    """The keys of one mapping, each a ``Given``; ``owner`` is the mapping itself."""

    owner: Given
    _below: Mapping[Any, Given]

    def __contains__(self, name: str) -> bool:
        """Whether the key is there, with null behind it or not."""
        return name in self._below

    def __iter__(self) -> Iterator[Any]:
        """Go through the keys, in the order of the file."""
        return iter(self._below)

    def items(self) -> Iterable[tuple[Any, Given]]:
        """Return every key and what stands there."""
        return self._below.items()

    def given(self, name: str) -> Given | None:
        """Return what stands there, null included; None if the key is absent."""
        return self._below.get(name)

    def section(self, name: str) -> Given:
        """Return what stands there; an absent key is null."""
        return self._below.get(name) or self.owner.child(name, None)

    def need(self, name: str) -> Given:
        """Return what must stand there. Raises ConfigError if it is absent."""
        found = self._below.get(name)
        if found is None:
            raise self.section(name).error(f"{self.section(name).label} is missing")
        return found

    def get(self, name: str, read: Callable[[Given], T], default: T) -> T:
        """Return what ``read`` makes of it, or ``default`` if it is absent, null or wrong."""
        given = self._below.get(name)
        if given is None or given.value is None:
            return default
        try:
            return read(given)
        except ConfigError as error:
            given.report(error)
            return default


def _range(low: float, high: float) -> str:
    return f"from {low:g} up" if high == math.inf else f"from {low:g} to {high:g}"


def _told(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MOST_TOLD else f"{text[:MOST_TOLD]}..."


def _or(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


class _TooDeep(Exception):
    def __init__(self, line: int) -> None:
        self.line = line


class _Loader(yaml.SafeLoader):
    """Stops at a depth that no file of a person has, long before Python's own stack ends."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise _TooDeep(self.peek_event().start_mark.line + 1)  # type: ignore[no-untyped-call]
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


def load(text: str, *, file: str) -> Document:
    """Parse one YAML document; an empty text is None. ``file`` is only the name for messages.

    Raises ConfigError with file and line for malformed YAML, a key written twice (which YAML
    forbids and PyYAML lets pass, keeping the last), tags other than YAML's own, and values that
    contain themselves.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
        if node is None:
            return Document(file=file, value=None, lines={(): 1})
        # Lines first: constructing rewrites mappings that have merge keys.
        lines = dict(_walk(node, (), file=file, seen=set(), above=()))
        if _count(node, {}) > MOST_VALUES:
            raise ConfigError(f"aliases make over {MOST_VALUES} values of it", file=file)
        value = yaml.constructor.SafeConstructor().construct_document(node)
    except yaml.YAMLError as exc:
        raise _malformed(exc, text, file) from exc
    except _TooDeep as deep:
        raise ConfigError("nested too deeply", file=file, line=deep.line) from None
    except (ValueError, OverflowError, LookupError, AttributeError) as exc:
        # PyYAML's scalar constructors let these through: 2020-13-45, 0x_, "!!int x".
        raise ConfigError(f"a value cannot be read: {exc}", file=file) from exc
    return Document(file=file, value=value, lines=lines)


def _walk(
    node: yaml.Node, path: YamlPath, *, file: str, seen: set[int], above: tuple[int, ...]
) -> Iterator[tuple[YamlPath, int]]:
    if id(node) in above:
        raise ConfigError("a value contains itself", file=file, line=_line(node))
    if not path:
        yield path, _line(node)
    if id(node) in seen:  # an alias: walked where it was written, and walking on could explode
        return
    seen.add(id(node))
    above = (*above, id(node))
    for key, where, child in _children(node, file=file):
        yield (*path, key), _line(where)
        yield from _walk(child, (*path, key), file=file, seen=seen, above=above)


def _count(node: yaml.Node, known: dict[int, int]) -> int:
    """Return how many values there are, were each alias written out."""
    if id(node) not in known:
        below = node.value if isinstance(node, yaml.CollectionNode) else ()
        parts = (part for item in below for part in (item if isinstance(item, tuple) else (item,)))
        known[id(node)] = 1 + sum(_count(part, known) for part in parts)
    return known[id(node)]


def _children(node: yaml.Node, *, file: str) -> Iterator[tuple[Any, yaml.Node, yaml.Node]]:
    """Yield (key as written or index, the node whose line counts, the child)."""
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield index, item, item
    elif isinstance(node, yaml.MappingNode):
        first: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError("a key must be a plain word", file=file, line=_line(key))
            written = (key.tag, key.value)
            if written in first:
                problem = f"{key.value!r} is written twice, first in line {first[written]}"
                raise ConfigError(problem, file=file, line=_line(key))
            first[written] = _line(key)
            yield key.value, key, value


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _malformed(exc: yaml.YAMLError, text: str, file: str) -> ConfigError:
    if isinstance(exc, yaml.reader.ReaderError):  # it knows a position, not a line
        at = text.count("\n", 0, exc.position) + 1
        return ConfigError("not YAML: a control character stands here", file=file, line=at)
    if not isinstance(exc, yaml.MarkedYAMLError):
        return ConfigError(f"not YAML: {exc}", file=file)
    mark = exc.problem_mark or exc.context_mark
    line: int | None = None if mark is None else mark.line + 1
    opened = _open_quote(exc, text)
    if opened is not None:
        problem = "not YAML: the quote that is opened here is not closed in its line"
        return ConfigError(problem, file=file, line=opened)
    problem = f"not YAML: {exc.problem or exc.context}"
    if exc.problem and "unknown escape character" in exc.problem:
        # A regular expression in double quotes: the commonest way to get here.
        problem += "; backslashes stay as they are inside single quotes: '...'"
    elif exc.problem == "mapping values are not allowed here":
        problem += "; a text with a colon in it must stand in quotes: 'Hello: how are you?'"
    return ConfigError(problem, file=file, line=line)


def _open_quote(exc: yaml.MarkedYAMLError, text: str) -> int | None:
    """Return the line of a quote that swallowed the lines behind it, or None.

    The scanner ends such a text at the next quote, or at the end of the file, and complains of
    what stands there: the line that its author must change is another.
    """
    if exc.context and "quoted scalar" in exc.context and exc.problem_mark and exc.context_mark:
        return int(exc.context_mark.line) + 1 if "unexpected" in (exc.problem or "") else None
    if exc.problem_mark is None:
        return None
    try:
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            start, end = token.start_mark, token.end_mark
            quoted = isinstance(token, yaml.ScalarToken) and token.style in ("'", '"')
            if quoted and start.line < end.line == exc.problem_mark.line:
                return int(start.line) + 1
    except yaml.YAMLError:
        return None
    return None
