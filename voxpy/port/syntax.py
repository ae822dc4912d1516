"""The source as a tree: what tree-sitter gives, with the few questions the port asks of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import attrs
import tree_sitter_javascript
from tree_sitter import Language, Node, Parser

Lines = list[str]
"""Rows of Python, indented by STEP; a text in one that spans several stays as it is."""
Forms = dict[str, Callable[[Node], Lines]]
"""What writes each kind of statement."""

STEP = "    "
LAMBDA, TERNARY, OR, AND, NOT, COMPARED, BITS, SUM, PRODUCT, UNARY, POWER, AWAIT, ATOM = range(13)
"""How tightly Python's forms bind, loosest first."""

Written = tuple[str, int]
FUNCTION_KINDS = (
    "function_declaration",
    "function_expression",
    "arrow_function",
    "method_definition",
    "generator_function",
    "generator_function_declaration",
)


class SourceError(Exception):
    """The source is no JavaScript; the message has the line."""


@attrs.frozen
class Note:
    """Something a person has to look at: the line of the source, what stands there, what to do."""

    line: int
    what: str
    todo: str


@attrs.frozen
class Ported:
    """The Python text, and what could not be translated."""

    text: str
    notes: Sequence[Note]


def parse(source: str) -> Node:
    """Return the tree of ``source``. Raises SourceError for what is no JavaScript."""
    tree = Parser(Language(tree_sitter_javascript.language())).parse(source.encode())
    for node in walk(tree.root_node):
        if node.is_missing or node.type == "ERROR":
            column = node.start_point.column + 1
            found = text(node).split("\n")[0][:40]
            wanted = f"{node.type!r} is missing" if node.is_missing else f"not JavaScript: {found}"
            raise SourceError(f"line {line(node)}, column {column}: {wanted}")
    return tree.root_node


def text(node: Node) -> str:
    return node.text.decode() if node.text is not None else ""


def line(node: Node) -> int:
    return node.start_point.row + 1


def field(node: Node, name: str) -> Node:
    """Return a child that the grammar says is there."""
    found = node.child_by_field_name(name)
    assert found is not None, f"{node.type} without {name}"
    return found


def maybe(node: Node, name: str) -> Node | None:
    return node.child_by_field_name(name)


def parts(node: Node) -> list[Node]:
    """Return the named children without comments."""
    return [child for child in node.named_children if child.type != "comment"]


def walk(node: Node, *, into_functions: bool = True) -> Iterator[Node]:
    """Yield ``node`` and all below it, outermost first."""
    stack = [node]
    while stack:
        found = stack.pop()
        yield found
        if into_functions or found is node or found.type not in FUNCTION_KINDS:
            stack.extend(reversed(found.children))


def bare(node: Node) -> Node:
    """Return what stands in parentheses."""
    while node.type == "parenthesized_expression":
        node = parts(node)[0]
    return node


def is_async(function: Node) -> bool:
    return any(child.type == "async" for child in function.children)


def parameters(function: Node) -> list[Node]:
    one = maybe(function, "parameter")
    if one is not None:
        return [one]
    return parts(field(function, "parameters"))


def arguments(call: Node) -> list[Node]:
    given = maybe(call, "arguments")
    return parts(given) if given is not None and given.type == "arguments" else []


def string_value(node: Node) -> str | None:
    """Return what a plain string or a template without substitutions says."""
    if node.type == "string" or (
        node.type == "template_string"
        and not any(child.type == "template_substitution" for child in node.children)
    ):
        return "".join(_piece(child) for child in node.named_children)
    return None


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "\n": ""}


def _piece(node: Node) -> str:
    if node.type != "escape_sequence":
        return text(node)
    escape = text(node)[1:]
    if escape[0] in "xu":
        return chr(int(escape[1:].strip("{}"), 16))
    return _ESCAPES.get(escape, escape)


def indented(lines: Sequence[str]) -> Lines:
    return [f"{STEP}{row}" if row else row for row in lines]


def says(row: str) -> bool:
    """Return whether a row of Python is more than a comment."""
    return bool(row.strip()) and not row.lstrip().startswith("#")


def pieces(template: Node) -> Iterator[str | Node]:
    """Yield the texts and the substituted expressions of a template, in order."""
    for child in template.named_children:
        if child.type == "template_substitution":
            yield parts(child)[0]
        else:
            yield _piece(child)
