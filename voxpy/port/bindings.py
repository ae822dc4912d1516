"""What each name of the source stands for: found once, before a line is written.

JavaScript scopes by block, Python by function; a name of an inner block joins its function's. A
``Binding`` knows its Python name, whether it is an async function, which event it hears when it is
a listener, and from what it gets its value, which tells how its members are read: those of voxpy's
objects with a dot, those of plain objects with a key.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import attrs

from voxpy.port import vocabulary
from voxpy.port.syntax import (
    FUNCTION_KINDS,
    arguments,
    bare,
    field,
    is_async,
    maybe,
    parameters,
    parts,
    text,
    walk,
)

if TYPE_CHECKING:
    from tree_sitter import Node

Kind = str | None
"""``str num bool dict json list regex date func``, ``voxpy`` (an object of it), ``class`` (an
object of a class of the source), None where nothing tells."""

LISTENING = frozenset({"addEventListener", "on"})
NAMES = ("identifier", "shorthand_property_identifier_pattern", "shorthand_property_identifier")


@attrs.define(eq=False)
class Binding:
    """One name of one scope. ``function`` is the node when it is one."""

    name: str
    python: str
    scope: Scope
    function: Node | None = None
    values: list[Node] = attrs.field(factory=list)
    assigned_in: set[Scope] = attrs.field(factory=set)
    event: str | None = None
    kind: Kind = None
    is_class: bool = False
    is_options: bool = False
    """Its object becomes keyword arguments, so its keys are Python's."""
    called_with: list[list[Node]] = attrs.field(factory=list)
    contents: dict[str, list[Node]] = attrs.field(factory=dict)
    """What is put under each key of it; ``*`` is any."""
    parameter: tuple[Node, int] | None = None
    """The function whose parameter it is, and which."""
    looking: bool = False


@attrs.define(eq=False)
class Scope:
    """The module or one function."""

    node: Node
    parent: Scope | None
    names: dict[str, Binding] = attrs.field(factory=dict)

    def find(self, name: str) -> Binding | None:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.parent
        return None

    def taken(self) -> Iterator[str]:
        scope: Scope | None = self
        while scope is not None:
            yield from (b.python for b in scope.names.values())
            scope = scope.parent


class Bindings:
    """All scopes of one source."""

    def __init__(self, program: Node) -> None:
        self._scopes: dict[int, Scope] = {}
        self.of_this: dict[str, list[Node]] = {}
        """What the objects of the source's classes get: ``this.name = value``."""
        self._async: set[int] = set()
        self._most_taken: dict[str, int] = {}
        """By the key that functions stand under in objects, what one of them takes at most."""
        self.module = self._declare(program, None)
        self.undeclared = [self._add(self.module, name) for name in self._without_let(program)]
        self._use(program)
        self._find_async(program)

    def scope_of(self, node: Node) -> Scope:
        """Return the scope that ``node`` stands in; a function stands in the one around it."""
        above = node.parent
        while above is not None and above.id not in self._scopes:
            above = above.parent
        return self._scopes[above.id] if above is not None else self.module

    def inside(self, function: Node) -> Scope:
        return self._scopes[function.id]

    def sources(self, name: Node) -> list[Binding]:
        """Return what a name may stand for: itself, or what its function is called with."""
        found: list[Binding] = []
        waiting = [name]
        while waiting:
            each = waiting.pop()
            binding = self.find(each) if each.type == "identifier" else None
            if binding is None or binding in found:
                continue
            found.append(binding)
            if binding.parameter is not None:
                function, index = binding.parameter
                named = self.binding_of_function(function)
                for given in named.called_with if named is not None else ():
                    waiting += given[index : index + 1]
        return found

    def takes_more(self, function: Node) -> bool:
        """Whether it stands in an object beside others of its name that take more."""
        return len(parameters(function)) < self._most_taken.get(_key_above(function), 0)

    def adopt(self, function: Node, into: Scope) -> None:
        """Note that what a function assigns outside is assigned in ``into``, where it stands."""
        own = self.inside(function)
        above = own.parent
        while above is not None:
            for binding in above.names.values():
                if own in binding.assigned_in:
                    binding.assigned_in.add(into)
            above = above.parent

    def find(self, name: Node) -> Binding | None:
        return self.scope_of(name).find(text(name))

    def is_async(self, function: Node) -> bool:
        """Whether a function is async, or gives the promise of another."""
        return is_async(function) or function.id in self._async

    # -- what is declared ------------------------------------------------------------------------

    def _declare(self, node: Node, parent: Scope | None) -> Scope:
        scope = self._scopes[node.id] = Scope(node, parent)
        if node.type in FUNCTION_KINDS:
            for index, parameter in enumerate(parameters(node)):
                for name in _bound(parameter):
                    binding = self._add(scope, name)
                    if parameter.type == "assignment_pattern":
                        binding.values.append(field(parameter, "right"))
                    if parameter.type in ("identifier", "assignment_pattern"):
                        binding.parameter = (node, index)
        for found in walk(node, into_functions=False):
            if found.type == "variable_declarator":
                target, value = field(found, "name"), maybe(found, "value")
                for name in _bound(target):
                    self._add(scope, name, value if target.type in NAMES else None)
            elif found.type == "for_in_statement" and maybe(found, "kind") is not None:
                for name in _bound(field(found, "left")):
                    self._add(scope, name)
            elif found.type == "catch_clause" and maybe(found, "parameter") is not None:
                for name in _bound(field(found, "parameter")):
                    self._add(scope, name).kind = "error"
            elif found.type in ("class_declaration", "class"):
                named = maybe(found, "name")
                if named is not None:
                    self._add(scope, named).is_class = True
            if found is not node and found.type in FUNCTION_KINDS:
                named = maybe(found, "name") if found.type != "method_definition" else None
                if named is not None:
                    self._add(scope, named, found)
                self._declare(found, scope)
        return scope

    def _add(self, scope: Scope, name: Node, value: Node | None = None) -> Binding:
        binding = scope.names.get(text(name))
        if binding is None:
            python = vocabulary.variable(text(name))
            others = {b.python for b in scope.names.values()}
            while python in others:
                python += "_"
            binding = scope.names[text(name)] = Binding(text(name), python, scope)
        if value is not None:
            binding.values.append(value)
            if bare(value).type in FUNCTION_KINDS:
                binding.function = bare(value)
        return binding

    def _without_let(self, program: Node) -> Iterator[Node]:
        """Yield the names that are assigned and never declared: JavaScript's globals."""
        known: set[str] = set()
        for node in walk(program):
            if node.type == "assignment_expression":
                for name in _bound(field(node, "left")):
                    declared = text(name) in known or self.find(name) is not None
                    if not declared and vocabulary.root(text(name)) is None:
                        known.add(text(name))
                        yield name

    def _find_async(self, program: Node) -> None:
        functions = [n for n in walk(program) if n.type in FUNCTION_KINDS]
        before = -1
        while before != len(self._async):
            before = len(self._async)
            for function in functions:
                if any(self.is_promise(value) for value in returned(function)):
                    self._async.add(function.id)

    def is_promise(self, value: Node) -> bool:
        """Whether an expression gives a promise, as far as its own words tell."""
        value = bare(value)
        if value.type == "new_expression":
            return text(field(value, "constructor")) == "Promise"
        if value.type == "ternary_expression":
            ways = field(value, "consequence"), field(value, "alternative")
            return any(map(self.is_promise, ways))
        if value.type != "call_expression":
            return False
        called = field(value, "function")
        if called.type == "identifier":
            binding = self.find(called)
            function = binding.function if binding is not None else None
            return function is not None and self.is_async(function)
        if called.type != "member_expression":
            return False
        path = ".".join(vocabulary.member(part) for part in text(called).split("."))
        chained = text(field(called, "property")) in ("then", "catch", "finally")
        return chained or vocabulary.gives_promise(path)

    # -- how it is used --------------------------------------------------------------------------

    def _use(self, program: Node) -> None:
        for node in walk(program):
            if node.type in ("assignment_expression", "augmented_assignment_expression"):
                self._assigned(field(node, "left"), field(node, "right"))
            elif node.type == "update_expression":
                self._assigned(field(node, "argument"), None)
            elif node.type == "for_in_statement" and maybe(node, "kind") is None:
                self._assigned(field(node, "left"), None)
            elif node.type == "call_expression":
                self._called(node)
            elif node.type in FUNCTION_KINDS and (key := _key_above(node)):
                taken = max(len(parameters(node)), self._most_taken.get(key, 0))
                self._most_taken[key] = taken

    def _assigned(self, target: Node, value: Node | None) -> None:
        if value is not None and target.type in ("member_expression", "subscript_expression"):
            self._put(target, value)
            return
        for name in _bound(target):
            binding = self.find(name)
            if binding is not None:
                binding.assigned_in.add(self.scope_of(name))
                if value is not None and target.type == "identifier":
                    binding.values.append(value)
                    if bare(value).type in FUNCTION_KINDS and binding.function is None:
                        binding.function = bare(value)

    def _put(self, target: Node, value: Node) -> None:
        """Note what is put into an object."""
        owner = field(target, "object")
        key = text(field(target, "property")) if target.type == "member_expression" else "*"
        binding = self.find(owner) if owner.type == "identifier" else None
        if binding is not None:
            binding.contents.setdefault(key, []).append(value)
        elif owner.type == "this":
            self.of_this.setdefault(key, []).append(value)

    def _called(self, call: Node) -> None:
        function, given = field(call, "function"), arguments(call)
        if function.type == "member_expression" and text(field(function, "property")) == "push":
            owner = field(function, "object")
            filled = self.find(owner) if owner.type == "identifier" else None
            if filled is not None:
                filled.contents.setdefault("*", []).extend(given)
        if function.type == "member_expression" and text(field(function, "property")) == "then":
            for then in (g for g in given if g.type == "identifier"):
                if (binding := self.find(then)) is not None:
                    binding.called_with.append([field(function, "object")])
        if function.type == "identifier":
            binding = self.find(function)
            if binding is not None:
                binding.called_with.append(given)
        elif (
            function.type == "member_expression"
            and text(field(function, "property")) in LISTENING
            and len(given) == 2
        ):
            binding = self.find(given[1]) if given[1].type == "identifier" else None
            if binding is not None and _dotted(given[0]):
                event = text(given[0])
                binding.event = event if binding.event in (None, event) else "*"

    def binding_of_function(self, function: Node) -> Binding | None:
        """Return the name that a function goes by."""
        scope = self.scope_of(function)
        named = (b for b in scope.names.values() if b.function is not None)
        return next((b for b in named if b.function and b.function.id == function.id), None)


def _key_above(function: Node) -> str:
    pair = function.parent
    return text(field(pair, "key")) if pair is not None and pair.type == "pair" else ""


def returned(function: Node) -> list[Node]:
    """Return the expressions that a function may give."""
    body = field(function, "body")
    if body.type != "statement_block":
        return [body]
    jumps = (n for n in walk(body, into_functions=False) if n.type == "return_statement")
    return [parts(jump)[0] for jump in jumps if parts(jump)]


def _dotted(node: Node) -> bool:
    return node.type == "member_expression" and text(node).replace(".", "").isidentifier()


def _bound(pattern: Node) -> Iterator[Node]:
    """Yield the names that a pattern binds; none for ``a.b = …``."""
    if pattern.type in NAMES:
        yield pattern
    elif pattern.type == "assignment_pattern" or pattern.type == "object_assignment_pattern":
        yield from _bound(field(pattern, "left"))
    elif pattern.type == "pair_pattern":
        yield from _bound(field(pattern, "value"))
    elif pattern.type in ("object_pattern", "array_pattern", "rest_pattern"):
        for part in parts(pattern):
            yield from _bound(part)
