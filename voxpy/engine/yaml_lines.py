"""YAML that remembers where everything stood, so that every complaint can name its line. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import yaml

from voxpy.errors import ConfigError

__all__ = ["Document", "YamlPath", "load"]

YamlPath = tuple[Any, ...]
"""Keys and list indices from the root: ``("rules", 0, "pattern")``."""


@attrs.frozen(kw_only=True)
class Document:
    """The value of a YAML file and the line of each mapping key and list item in it."""

    file: str
    value: Any
    lines: Mapping[YamlPath, int]

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


def load(text: str, *, file: str) -> Document:
    """Parse one YAML document; an empty text is None. ``file`` is only the name for messages.

    Raises ConfigError with file and line for malformed YAML, a key written twice (which YAML
    forbids and PyYAML lets pass, keeping the last), tags other than YAML's own, and values that
    contain themselves.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            return Document(file=file, value=None, lines={(): 1})
        # Lines first: constructing rewrites mappings that have merge keys.
        lines = dict(_walk(node, (), file=file, seen=set(), above=()))
        value = yaml.constructor.SafeConstructor().construct_document(node)
    except yaml.YAMLError as exc:
        raise _malformed(exc, text, file) from exc
    except RecursionError:
        raise ConfigError("nested too deeply", file=file) from None
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
        line = text.count("\n", 0, exc.position) + 1
        return ConfigError("not YAML: a control character stands here", file=file, line=line)
    if not isinstance(exc, yaml.MarkedYAMLError):
        return ConfigError(f"not YAML: {exc}", file=file)
    mark = exc.problem_mark or exc.context_mark
    problem = f"not YAML: {exc.problem or exc.context}"
    if exc.problem and "unknown escape character" in exc.problem:
        # A regular expression in double quotes: the commonest way to get here.
        problem += "; backslashes stay as they are inside single quotes: '...'"
    return ConfigError(problem, file=file, line=None if mark is None else mark.line + 1)
