"""What an expression gives, as far as the source tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from voxpy.port import vocabulary
from voxpy.port.bindings import Binding, Bindings, Kind, returned
from voxpy.port.syntax import FUNCTION_KINDS, arguments, bare, field, maybe, parts, text

if TYPE_CHECKING:
    from tree_sitter import Node

_OF_LITERALS = {
    "string": "str", "template_string": "str", "number": "num", "true": "bool", "false": "bool",
    "object": "dict", "array": "list", "regex": "regex",
}  # fmt: skip
_OF_METHODS = {
    "str": "toString toUpperCase toLowerCase trim substring substr replace replaceAll join charAt "
    "padStart padEnd toFixed toISOString repeat customData callerid number displayName "
    "getSecretValue",
    "list": "split map filter keys values entries concat reverse sort match",
    "num": "indexOf findIndex getTime getHours",
    "bool": "includes startsWith endsWith some every test has",
}
_BY_METHOD = {name: kind for kind, names in _OF_METHODS.items() for name in names.split()}
_RAW = frozenset({"payload", "headers", "json", "custom_parameters", "custom_data"})
"""Fields of voxpy's objects that hold plain data."""


class Kinds:
    """Tells the kind of expressions, following names to what they are given."""

    def __init__(self, bindings: Bindings) -> None:
        self._bindings = bindings
        self._looking: set[str] = set()

    def of(self, node: Node) -> Kind:
        node = bare(node)
        if node.type in _OF_LITERALS:
            return _OF_LITERALS[node.type]
        if node.type in FUNCTION_KINDS:
            return "func"
        if node.type == "await_expression":
            return self.of(parts(node)[0])
        if node.type in ("identifier", "shorthand_property_identifier"):
            return self._of_name(node)
        if node.type == "this":
            return "class"
        if node.type in ("member_expression", "subscript_expression"):
            return self._of_member(node)
        if node.type == "call_expression":
            return self._of_call(node)
        if node.type == "new_expression":
            return self._of_new(node)
        if node.type == "binary_expression":
            return self._of_binary(node)
        if node.type == "ternary_expression":
            return self.of(field(node, "consequence")) or self.of(field(node, "alternative"))
        if node.type == "assignment_expression":
            return self.of(field(node, "right"))
        return None

    def of_binding(self, binding: Binding) -> Kind:
        if binding.kind is not None or binding.looking:
            return binding.kind
        binding.looking = True
        try:
            binding.kind = self._found(binding)
        finally:
            binding.looking = False
        return binding.kind

    def _found(self, binding: Binding) -> Kind:
        if binding.is_class:
            return "class"
        if binding.function is not None and not binding.parameter:
            return "func"
        given = list(binding.values)
        if binding.parameter is not None:
            function, index = binding.parameter
            if index == 0 and listens_to(function, self._bindings) is not None:
                return "voxpy"
            if index == 0 and (promise := promise_of(function)) is not None:
                return self.of(promise)
            named = self._bindings.binding_of_function(function)
            for call in named.called_with if named is not None else ():
                given += call[index : index + 1]
        return self._first(given)

    def _of_name(self, node: Node) -> Kind:
        binding = self._bindings.find(node)
        if binding is not None:
            return self.of_binding(binding)
        return "voxpy" if vocabulary.is_foreign(text(node)) else None

    def _of_member(self, node: Node) -> Kind:
        owner = field(node, "object")
        kind = self.of(owner)
        name = text(field(node, "property")) if node.type == "member_expression" else "*"
        if name in ("length", "size"):
            return "num"
        if kind == "voxpy":
            member = vocabulary.member(name)
            if member in _RAW:
                return "json"
            return "str" if member in ("text", "transcript", "tone", "reason") else "voxpy"
        if kind == "class":
            return self._of_this(name)
        put = self._put_under(owner, name)
        return put or ("json" if kind in ("dict", "json", "list") else None)

    def _of_this(self, name: str) -> Kind:
        if name in self._looking:
            return None
        self._looking.add(name)
        try:
            return self._first(self._bindings.of_this.get(name, ()))
        finally:
            self._looking.remove(name)

    def _put_under(self, owner: Node, name: str) -> Kind:
        binding = self._bindings.find(owner) if owner.type == "identifier" else None
        if binding is None or binding.looking:
            return None
        values = [*binding.contents.get(name, ()), *binding.contents.get("*", ())]
        for literal in (v for v in binding.values if v.type in ("object", "array")):
            values += [
                pair if literal.type == "array" else field(pair, "value")
                for pair in parts(literal)
                if literal.type == "array" or (pair.type == "pair" and name in ("*", key_of(pair)))
            ]
        binding.looking = True
        try:
            return self._first(values)
        finally:
            binding.looking = False

    def _first(self, values: Sequence[Node]) -> Kind:
        return next((kind for kind in map(self.of, values) if kind is not None), None)

    def _of_call(self, node: Node) -> Kind:
        function = field(node, "function")
        if function.type == "identifier":
            binding = self._bindings.find(function)
            if binding is None:
                return {"parseInt": "num", "parseFloat": "num", "Number": "num", "String": "str",
                        "require": "voxpy"}.get(text(function))  # fmt: skip
            return None
        if function.type != "member_expression":
            return None
        name = text(field(function, "property"))
        dotted = text(function)
        if name == "then" and arguments(node):
            then = bare(arguments(node)[0])
            return self._first(returned(then)) if then.type in FUNCTION_KINDS else None
        if name in ("catch", "finally"):
            return self.of(field(function, "object"))
        owner = self.of(field(function, "object"))
        if dotted == "JSON.parse":
            return "json"
        if dotted == "JSON.stringify":
            return "str"
        if dotted.startswith(("Math.", "Date.now")):
            return "num"
        if owner == "voxpy":
            return "str" if _BY_METHOD.get(name) == "str" else "voxpy"
        if name in ("slice", "find", "shift", "pop"):
            return owner if name == "slice" else "json"
        return _BY_METHOD.get(name)

    def _of_new(self, node: Node) -> Kind:
        name = text(field(node, "constructor"))
        known = {"Date": "date", "Map": "map", "Set": "map", "Array": "list", "Object": "dict"}
        if name in known:
            return known[name]
        return "voxpy" if vocabulary.is_foreign(name.split(".")[0]) else "class"

    def _of_binary(self, node: Node) -> Kind:
        operator = text(field(node, "operator"))
        left, right = self.of(field(node, "left")), self.of(field(node, "right"))
        if operator in ("||", "??"):
            return left or right
        if operator == "&&":
            return right
        if operator == "+":
            return "str" if "str" in (left, right) else left or right
        if operator in ("-", "*", "/", "%", "**", "|", "&", "^"):
            return "num"
        return "bool"


def listens_to(function: Node, bindings: Bindings) -> str | None:
    """Return the event that a function is registered for; ``*`` if it is several's."""
    call = function.parent.parent if function.parent is not None else None
    if call is not None and call.type == "call_expression":
        given, callee = arguments(call), field(call, "function")
        registers = (
            callee.type == "member_expression"
            and text(field(callee, "property")) in ("addEventListener", "on")
            and len(given) == 2
            and given[1].id == function.id
        )
        if registers:
            return text(given[0]) if given[0].type == "member_expression" else "*"
    named = bindings.binding_of_function(function)
    return named.event if named is not None else None


def promise_of(function: Node) -> Node | None:
    """Return the promise whose value a function is given: ``request().then(function)``."""
    call = function.parent.parent if function.parent is not None else None
    if call is None or call.type != "call_expression":
        return None
    called = field(call, "function")
    if called.type != "member_expression" or text(field(called, "property")) != "then":
        return None
    return bare(field(called, "object")) if arguments(call)[0].id == function.id else None


def key_of(pair: Node) -> str | None:
    """Return the key of a pair of an object if it is no expression."""
    key = maybe(pair, "key") or maybe(pair, "name")
    if key is None:
        return text(pair) if pair.type.startswith("shorthand") else None
    if key.type == "string":
        return "".join(text(part) for part in key.named_children)
    return text(key) if key.type in ("property_identifier", "number") else None
