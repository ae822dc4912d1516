"""The file as a whole: blocks, comments, what must stand above a statement, and the notes."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import black

from voxpy.port import library, vocabulary
from voxpy.port.bindings import Binding, Bindings
from voxpy.port.branches import Branches
from voxpy.port.definitions import Definitions
from voxpy.port.expressions import Expressions
from voxpy.port.kinds import Kinds
from voxpy.port.simple import Simple
from voxpy.port.syntax import (
    STEP,
    Lines,
    Note,
    Ported,
    arguments,
    field,
    indented,
    line,
    parse,
    says,
    text,
    walk,
)

if TYPE_CHECKING:
    from tree_sitter import Node


def port(source: str) -> Ported:
    """Return ``source``, a VoxEngine scenario in JavaScript, as a scenario for voxpy.

    Raises SourceError for what is no JavaScript.
    """
    return Writer(parse(source)).written()


class Writer:
    """Writes one file. ``before`` collects what must stand above the statement being written."""

    def __init__(self, program: Node) -> None:
        self._program = program
        self.bindings = Bindings(program)
        self.kinds = Kinds(self.bindings)
        self.before: Lines = []
        self._notes: dict[tuple[int, str], Note] = {}
        self._used: set[str] = set()
        self.expressions = Expressions(self)
        self.definitions = Definitions(self)
        self.simple = Simple(self)
        self._forms = self.definitions.forms | self.simple.forms | Branches(self).forms
        self._forms["statement_block"] = self.block
        self.scopes = [self.bindings.module]
        self._find_options()

    def written(self) -> Ported:
        body = self.block(self._program)
        code = "\n".join(body)
        head = library.imports_for(code)
        opening, rest = _opening(body)
        if self._used:
            head += ["", f"from voxpy import {', '.join(sorted(self._used))}"]
        undeclared = [f"{binding.python} = None" for binding in self.bindings.undeclared]
        whole = "\n".join([*opening, *head, "", *undeclared, "", *rest]) + "\n"
        shown = black.format_str(whole, mode=black.Mode(line_length=100))
        return Ported(shown, sorted(self._notes.values(), key=lambda note: note.line))

    def uses(self, name: str) -> str:
        """Note that a name must be imported if voxpy has it, and return it."""
        if vocabulary.root(name) is not None:
            self._used.add(name)
        return name

    def check(self, node: Node, path: str) -> None:
        why = vocabulary.complaint(path)
        if why is not None:
            self.note(node, f"{path}: {why}", "use another way, or leave it out")

    def note(self, node: Node, what: str, todo: str, *, source: bool = False) -> None:
        """Tell of a place once; ``source`` writes what stood there above the statement."""
        what = " ".join(what.split())
        if (line(node), what) in self._notes:
            return
        self._notes[line(node), what] = Note(line(node), what, todo)
        self.before.append(f"# PORT: line {line(node)}: {what}; {todo}")
        if source:
            self.before += [f"#     {row}" for row in _rows(node)]

    def comment(self, node: Node) -> str:
        """Return a comment as lines that begin with ``#``."""
        shown = text(node)
        if shown.startswith("//"):
            return f"# {shown[2:].strip()}".rstrip()
        rows = shown.removeprefix("/*").removesuffix("*/").strip("*").strip().split("\n")
        return "\n".join(f"# {re.sub(r'^[ ]*[*][ ]?', '', row).strip()}".rstrip() for row in rows)

    def set_aside(self, name: str, code: str) -> str:
        """Give a value a name above the statement, and return the name."""
        found = self.fresh(name)
        self.before.append(f"{found} = {code}")
        return found

    def fresh(self, name: str) -> str:
        scope = self.scopes[-1]
        taken, found, number = set(scope.taken()) | set(self._used), name, 2
        while found in taken:
            found, number = f"{name}{number}", number + 1
        scope.names[f"\0{found}"] = Binding(found, found, scope)
        return found

    @contextmanager
    def within(self, function: Node) -> Iterator[None]:
        self.scopes.append(self.bindings.inside(function))
        try:
            yield
        finally:
            self.scopes.pop()

    def python(self, name: Node) -> str:
        binding = self.scopes[-1].find(text(name))
        return binding.python if binding is not None else vocabulary.variable(text(name))

    def block(self, node: Node) -> Lines:
        """Return the statements of a block; functions stand before what needs them."""
        lines: Lines = []
        pending = {
            text(field(child, "name")): child
            for child in node.named_children
            if child.type == "function_declaration"
        }
        for child in node.named_children:
            if child.type == "comment":
                self.place_comment(lines, child)
                continue
            if child.type == "function_declaration":
                if pending.pop(text(field(child, "name")), None) is not None:
                    lines += self._declared(child)
                continue
            for name in _pulled(child, pending):
                lines += self._declared(pending.pop(name))
            lines += self.statement(child)
        return lines

    def _declared(self, function: Node) -> Lines:
        binding = self.bindings.find(field(function, "name"))
        assert binding is not None
        return ["", *self.definitions.function(function, binding.python)]

    def place_comment(self, lines: Lines, node: Node) -> None:
        before = node.prev_sibling
        same_row = before is not None and before.end_point.row == node.start_point.row
        shown = self.comment(node)
        if same_row and lines and before is not None and before.is_named and "\n" not in shown:
            last = lines[-1]
            if last and not last.lstrip().startswith("#") and not last.startswith(STEP):
                lines[-1] = f"{last}  {shown}"
                return
        apart = not same_row and bool(lines) and not lines[-1].startswith("#")
        gap = before is not None and node.start_point.row - before.end_point.row > 1
        lines += ["", *shown.split("\n")] if apart or gap else shown.split("\n")

    def body(self, node: Node) -> Lines:
        """Return the indented lines of a branch or a loop."""
        lines = self.block(node) if node.type == "statement_block" else self.statement(node)
        return indented(lines if any(says(row) for row in lines) else [*lines, "pass"])

    def statement(self, node: Node) -> Lines:
        kept, self.before = self.before, []
        form = self._forms.get(node.type)
        if form is None:
            self.note(node, f"{node.type.replace('_', ' ')}", "write it by hand", source=True)
            lines = Lines()
        else:
            lines = form(node)
        lines, self.before = [*self.before, *lines], kept
        return lines

    def _statementblock(self, node: Node) -> Lines:
        return self.block(node)

    def _find_options(self) -> None:
        """Mark the objects that go by name into a function of voxpy: their keys are Python's."""
        for node in walk(self._program):
            if node.type != "call_expression":
                continue
            for argument in arguments(node):
                if argument.type != "identifier":
                    continue
                function = field(node, "function")
                takes = self.expressions.calls.takes_names
                for binding in self.bindings.sources(argument):
                    if any(v.type == "object" for v in binding.values):
                        binding.is_options |= takes(function, node, argument)


def _rows(node: Node) -> Lines:
    """Return the source of a node, its rows as far left as they go."""
    return textwrap.dedent(" " * node.start_point.column + text(node)).split("\n")


def _opening(body: Sequence[str]) -> tuple[Lines, Lines]:
    """Split off the comment a file begins with; it becomes the module's docstring."""
    rows = list(body)
    while rows and not rows[0]:
        rows.pop(0)
    said = []
    while rows and rows[0].startswith("#") and not rows[0].startswith("# PORT:"):
        said.append(rows.pop(0)[2:])
    if not said:
        return [], rows
    plain = "\n".join(said).strip().replace("\\", "\\\\").replace('"""', "'''")
    return [f'"""{plain}\n"""' if "\n" in plain else f'"""{plain}"""', ""], rows


def _pulled(statement: Node, pending: dict[str, Node]) -> list[str]:
    """Return the functions that a statement may call, and those that they call."""
    found: list[str] = []
    waiting = [statement]
    while waiting:
        for node in walk(waiting.pop()):
            if node.type in ("identifier", "shorthand_property_identifier"):
                name = text(node)
                if name in pending and name not in found:
                    found.append(name)
                    waiting.append(pending[name])
    return sorted(found, key=lambda name: line(pending[name]))
