"""Operators: what JavaScript compares, joins and counts with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxpy.port.syntax import (
    AND,
    ATOM,
    BITS,
    COMPARED,
    NOT,
    OR,
    POWER,
    PRODUCT,
    SUM,
    TERNARY,
    UNARY,
    bare,
    field,
    parts,
    pieces,
    string_value,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tree_sitter import Node

    from voxpy.port.expressions import Expressions
    from voxpy.port.syntax import Written

_BINARY = {
    "||": ("or", OR), "&&": ("and", AND),
    "==": ("==", COMPARED), "===": ("==", COMPARED), "!=": ("!=", COMPARED),
    "!==": ("!=", COMPARED), "<": ("<", COMPARED), ">": (">", COMPARED), "<=": ("<=", COMPARED),
    ">=": (">=", COMPARED), "|": ("|", BITS), "^": ("^", BITS), "&": ("&", BITS),
    "<<": ("<<", BITS), ">>": (">>", BITS), ">>>": (">>", BITS), "+": ("+", SUM), "-": ("-", SUM),
    "*": ("*", PRODUCT), "/": ("/", PRODUCT), "%": ("%", PRODUCT), "**": ("**", POWER),
}  # fmt: skip
_ERRORS = {"Error": "Exception", "TypeError": "TypeError", "RangeError": "ValueError"}
_TYPES = {"string": "str", "number": "int | float", "boolean": "bool"}


class Operators:
    """Writes expressions that are made of an operator and others."""

    def __init__(self, expressions: Expressions) -> None:
        self._x = expressions
        self._w = expressions.writer
        self.forms: dict[str, Callable[[Node], Written]] = {
            "unary_expression": self._unary,
            "binary_expression": self._binary,
            "ternary_expression": self._ternary,
            "update_expression": self._update,
            "assignment_expression": self._assignment,
            "augmented_assignment_expression": self._assignment,
            "sequence_expression": self._sequence,
        }

    def _unary(self, node: Node) -> Written:
        operator, argument = text(field(node, "operator")), field(node, "argument")
        if operator == "!":
            inner = bare(argument)
            if inner.type == "unary_expression" and text(field(inner, "operator")) == "!":
                return f"bool({self._x.of(field(inner, 'argument'))})", ATOM
            return f"not {self._x.of(argument, NOT)}", NOT
        if operator in "+-~":
            if operator == "+" and self._x.kinds.of(argument) != "num":
                return f"float({self._x.of(argument)})", ATOM
            return f"{operator}{self._x.of(argument, UNARY)}", UNARY
        if operator == "void":
            return "None", ATOM
        if operator == "delete":
            return self._delete(argument)
        return self._x.untranslated(node, f"{operator} is not translated")

    def _delete(self, target: Node) -> Written:
        owner = self._x.of(field(target, "object"), ATOM)
        key = (
            self._x.quoted(text(field(target, "property")))
            if target.type == "member_expression"
            else self._x.of(field(target, "index"))
        )
        return f"{owner}.pop({key}, None)", ATOM

    def _binary(self, node: Node) -> Written:
        operator, left, right = (
            text(field(node, "operator")),
            field(node, "left"),
            field(node, "right"),
        )
        if operator in ("==", "===", "!=", "!=="):
            return self._equal(left, right, equal=operator.startswith("=="))
        if operator == "??":
            value = self._x.of(left, COMPARED)
            if bare(left).type == "call_expression":
                value = self._w.set_aside("value", value)
            return f"{value} if {value} is not None else {self._x.of(right, TERNARY)}", TERNARY
        if operator == "+" and self._x.kinds.of(node) == "str":
            return self._concatenation(node)
        if operator == "instanceof":
            kind = _ERRORS.get(text(right)) or self._x.of(right)
            return f"isinstance({self._x.of(left)}, {kind})", ATOM
        if operator == "in":
            return f"{self._x.of(left, BITS)} in {self._x.of(right, BITS)}", COMPARED
        if operator not in _BINARY:
            return self._x.untranslated(node, f"the operator {operator} is not translated")
        shown, binds = _BINARY[operator]
        return f"{self._x.of(left, binds)} {shown} {self._x.of(right, binds + 1)}", binds

    def _equal(self, left: Node, right: Node, *, equal: bool) -> Written:
        for one, other in ((left, right), (right, left)):
            if text(bare(other)) in ("null", "undefined"):
                return f"{self._x.of(one, BITS)} is {'' if equal else 'not '}None", COMPARED
            inner = bare(one)
            if inner.type == "unary_expression" and text(field(inner, "operator")) == "typeof":
                return self._typeof(field(inner, "argument"), string_value(bare(other)), equal)
        shown = "==" if equal else "!="
        return f"{self._x.of(left, BITS)} {shown} {self._x.of(right, BITS)}", COMPARED

    def _typeof(self, value: Node, wanted: str | None, equal: bool) -> Written:
        shown = self._x.of(value)
        if wanted == "undefined":
            return f"{self._x.of(value, BITS)} is {'' if equal else 'not '}None", COMPARED
        test = (
            f"callable({shown})"
            if wanted == "function"
            else f"isinstance({shown}, {_TYPES.get(wanted or '', 'dict | list')})"
        )
        return (test, ATOM) if equal else (f"not {test}", NOT)

    def _concatenation(self, node: Node) -> Written:
        terms: list[str | Node] = []

        def collect(term: Node) -> None:
            inner = bare(term)
            plus = inner.type == "binary_expression" and text(field(inner, "operator")) == "+"
            if plus and self._x.kinds.of(inner) == "str":
                collect(field(inner, "left"))
                collect(field(inner, "right"))
                return
            value = string_value(inner)
            if value is not None:
                terms.append(value)
            elif inner.type == "template_string":
                terms.extend(pieces(inner))
            else:
                terms.append(inner)

        collect(node)
        if all(isinstance(term, str) for term in terms):
            return self._x.quoted("".join(map(str, terms))), ATOM
        return self._x.joined(terms)

    def _ternary(self, node: Node) -> Written:
        test = self._x.of(field(node, "condition"), OR)
        yes, no = (
            self._x.of(field(node, "consequence"), OR),
            self._x.of(field(node, "alternative"), TERNARY),
        )
        return f"{yes} if {test} else {no}", TERNARY

    def _update(self, node: Node) -> Written:
        """``i++`` whose value is used: before it, or after it for the postfix form."""
        target = self._x.of(field(node, "argument"))
        step = f"{target} {text(field(node, 'operator'))[0]}= 1"
        postfix = node.children[0].id == field(node, "argument").id
        if postfix:
            kept = self._w.set_aside("before", target)
            self._w.before.append(step)
            return kept, ATOM
        self._w.before.append(step)
        return target, ATOM

    def _assignment(self, node: Node) -> Written:
        """An assignment whose value is used: written above, its target stays."""
        self._w.before.extend(self._w.simple.assignment(node))
        return self._x.of(field(node, "left")), ATOM

    def _sequence(self, node: Node) -> Written:
        *first, last = parts(node)
        self._w.before.extend(self._x.of(part) for part in first)
        return self._x.written(last)
