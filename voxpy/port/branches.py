"""Branches, loops, ``switch`` and ``try``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from voxpy.port.syntax import (
    STEP,
    Forms,
    Lines,
    bare,
    field,
    indented,
    maybe,
    parts,
    says,
    text,
    walk,
)

if TYPE_CHECKING:
    from tree_sitter import Node

    from voxpy.port.writer import Writer

_ENDS = ("break_statement", "return_statement", "throw_statement", "continue_statement")


class Branches:
    """Writes the statements that hold others."""

    def __init__(self, writer: Writer) -> None:
        self._w = writer
        self._x = writer.expressions
        self.forms: Forms = {
            "if_statement": self._if_statement,
            "for_in_statement": self._for_in_statement,
            "for_statement": self._for_statement,
            "while_statement": self._while_statement,
            "do_statement": self._do_statement,
            "switch_statement": self._switch_statement,
            "try_statement": self._try_statement,
        }

    def _if_statement(self, node: Node, word: str = "if") -> Lines:
        lines = [f"{word} {self._x.of(bare(field(node, 'condition')))}:"]
        lines += self._w.body(field(node, "consequence"))
        other = maybe(node, "alternative")
        if other is None:
            return lines
        then = parts(other)[0]
        if then.type == "if_statement":
            kept, self._w.before = self._w.before, []
            chained = self._if_statement(then, "elif")
            more, self._w.before = self._w.before, kept
            if not more:
                return [*lines, *chained]
            return [*lines, "else:", *indented([*more, "if" + chained[0][4:], *chained[1:]])]
        return [*lines, "else:", *self._w.body(then)]

    def _for_in_statement(self, node: Node) -> Lines:
        target, unpacked = self._w.simple.target(field(node, "left"), "item")
        source = self._x.of(field(node, "right"))
        over_keys = text(field(node, "operator")) == "in"
        kind = self._w.kinds.of(field(node, "right"))
        if over_keys and kind == "list":
            source = f"range(len({source}))"
        elif over_keys and (kind in ("dict", "class") or not source.endswith(".headers")):
            source = f"list({source})"  # what it holds may change on the way
        elif over_keys:  # of a call by name, of an answer of HTTP in order
            source = f"range(len({source})) if isinstance({source}, tuple) else list({source})"
        return [
            f"for {target} in {source}:",
            *indented(unpacked),
            *self._w.body(field(node, "body")),
        ]

    def _for_statement(self, node: Node) -> Lines:
        counted = self._counted(node)
        if counted is not None:
            return [counted, *self._w.body(field(node, "body"))]
        first = maybe(node, "initializer")
        lines = (
            self._w.statement(first)
            if first is not None and first.type != "empty_statement"
            else []
        )
        test, step = _unwrapped(maybe(node, "condition")), maybe(node, "increment")
        shown = self._x.of(test) if test is not None else "True"
        inner = field(node, "body")
        body = self._w.body(inner)
        if step is not None:
            after = self._step(step)
            if any(n.type == "continue_statement" for n in walk(inner, into_functions=False)):
                self._w.note(node, "continue in a loop with a step", "put the step before it")
            body += indented(after)
        return [*lines, f"while {shown}:", *body]

    def _step(self, step: Node) -> Lines:
        if step.type == "update_expression":
            return [f"{self._x.of(field(step, 'argument'))} {text(field(step, 'operator'))[0]}= 1"]
        if step.type.endswith("assignment_expression"):
            return self._w.simple.assignment(step)
        return [self._x.of(step)]

    def _counted(self, node: Node) -> str | None:
        """Return ``for i in range(…):`` for the usual counting loop."""
        first, test, step = (maybe(node, n) for n in ("initializer", "condition", "increment"))
        test = _unwrapped(test)
        if first is None or test is None or step is None or step.type != "update_expression":
            return None
        declared = parts(first)
        if len(declared) != 1 or declared[0].type != "variable_declarator":
            return None
        name, start = field(declared[0], "name"), maybe(declared[0], "value")
        plain = (
            start is not None
            and test.type == "binary_expression"
            and text(field(test, "left")) == text(name)
            and text(field(test, "operator")) in ("<", "<=")
            and text(field(step, "operator")) == "++"
            and text(field(step, "argument")) == text(name)
        )
        binding = self._w.bindings.find(name)
        if not plain or start is None or binding is None:
            return None
        changes = ("assignment_expression", "update_expression")
        inside = [n for n in walk(field(node, "body")) if n.type.endswith(changes)]
        if any(text(maybe(n, "left") or maybe(n, "argument") or n) == text(name) for n in inside):
            return None
        end = self._x.of(field(test, "right"), 7)
        end += " + 1" if text(field(test, "operator")) == "<=" else ""
        begin = "" if text(start) == "0" else f"{self._x.of(start)}, "
        return f"for {binding.python} in range({begin}{end}):"

    def _while_statement(self, node: Node) -> Lines:
        test = self._x.of(bare(field(node, "condition")))
        return [f"while {test}:", *self._w.body(field(node, "body"))]

    def _do_statement(self, node: Node) -> Lines:
        body = self._w.body(field(node, "body"))
        test = self._x.of(bare(field(node, "condition")), 4)
        return ["while True:", *body, f"{STEP}if not {test}:", f"{STEP * 2}break"]

    def _switch_statement(self, node: Node) -> Lines:
        value = self._x.of(bare(field(node, "value")), 6)
        if not re.fullmatch(r"[\w.]+", value):
            value = self._w.set_aside("value", value)
        lines, waiting, other = Lines(), [], Lines()
        word = "if"
        for case in parts(field(node, "body")):
            inner = [n for n in case.named_children if not _is_value(case, n)]
            said = [n for n in inner if n.type != "comment"]
            if case.type == "switch_case":
                waiting.append(self._x.of(field(case, "value"), 6))
            if not said and case.type == "switch_case":
                continue
            if case.next_named_sibling is not None and not _ends(said):
                self._w.note(case, "a case that falls through into the next", "check its end")
            body = self._case_body(inner)
            if case.type == "switch_default":
                other = body
                continue
            one = f"{value} == {waiting[0]}"
            test = one if len(waiting) == 1 else f"{value} in ({', '.join(waiting)})"
            lines += [f"{word} {test}:", *body]
            word, waiting = "elif", []
        if other and lines:
            lines += ["else:", *other]
        elif other:
            lines = [row.removeprefix(STEP) for row in other]
        return lines

    def _case_body(self, inner: Sequence[Node]) -> Lines:
        lines: Lines = []
        for child in inner:
            if child.type == "comment":
                self._w.place_comment(lines, child)
            elif child.type != "break_statement":
                lines += self._w.statement(child)
        if lines and lines[-1] == "break":  # a block's own
            lines.pop()
        return indented(lines if any(says(row) for row in lines) else [*lines, "pass"])

    def _try_statement(self, node: Node) -> Lines:
        lines = ["try:", *self._w.body(field(node, "body"))]
        handler, finalizer = maybe(node, "handler"), maybe(node, "finalizer")
        if handler is not None:
            name = maybe(handler, "parameter")
            caught = (
                f" as {self._x.of(name)}" if name is not None and name.type == "identifier" else ""
            )
            lines += [f"except Exception{caught}:", *self._w.body(field(handler, "body"))]
        if finalizer is not None:
            lines += ["finally:", *self._w.body(field(finalizer, "body"))]
        return lines


def _unwrapped(node: Node | None) -> Node | None:
    """Return the expression of a loop's condition, which the grammar may hold as a statement."""
    if node is None or node.type == "empty_statement":
        return None
    return parts(node)[0] if node.type == "expression_statement" else node


def _ends(said: Sequence[Node]) -> bool:
    """Whether the statements of a case leave it."""
    if not said:
        return False
    last = (
        parts(said[-1])[-1] if said[-1].type == "statement_block" and parts(said[-1]) else said[-1]
    )
    return last.type in _ENDS


def _is_value(case: Node, node: Node) -> bool:
    value = maybe(case, "value")
    return value is not None and value.id == node.id
