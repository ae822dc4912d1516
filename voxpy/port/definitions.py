"""Functions and classes: ``def`` where JavaScript has an expression, ``nonlocal`` where needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxpy.port import vocabulary
from voxpy.port.bindings import Scope
from voxpy.port.kinds import listens_to
from voxpy.port.syntax import (
    FUNCTION_KINDS,
    Forms,
    Lines,
    bare,
    field,
    indented,
    maybe,
    parameters,
    parts,
    text,
    walk,
)

if TYPE_CHECKING:
    from tree_sitter import Node

    from voxpy.port.writer import Writer


class Definitions:
    """Writes functions and classes."""

    def __init__(self, writer: Writer) -> None:
        self._w = writer
        self._x = writer.expressions
        self._made: dict[int, str] = {}
        self.forms: Forms = {"class_declaration": self._class_declaration}

    def as_lambda(self, function: Node) -> str | None:
        """Return a short arrow function as a lambda, None for one that needs a ``def``."""
        body = field(function, "body")
        plain = all(p.type == "identifier" for p in parameters(function))
        if function.type != "arrow_function" or self._w.bindings.is_async(function) or not plain:
            return None
        if body.type == "statement_block":
            return "lambda: None" if not body.named_children and not parameters(function) else None
        assigns = ("assignment_expression", "augmented_assignment_expression", "update_expression")
        if any(n.type in assigns or n.type in FUNCTION_KINDS for n in walk(body)):
            return None
        kept, self._w.before = self._w.before, []
        with self._w.within(function):
            code = self._x.of(bare(body), 1)
            names = [self._w.python(p) for p in parameters(function)]
            names += ["*_"] if self._w.bindings.takes_more(function) else []
        needs_more, self._w.before = bool(self._w.before), kept
        if needs_more or "\n" in code:
            return None
        return f"lambda {', '.join(names)}: {code}" if names else f"lambda: {code}"

    def define(self, function: Node, name: str) -> str:
        """Write a ``def`` above the statement, and return its name."""
        if function.id in self._made:
            return self._made[function.id]
        own = maybe(function, "name") if function.type != "method_definition" else None
        if own is not None:
            binding = self._w.bindings.find(own)
            assert binding is not None
            found = binding.python
        else:
            found = self._w.fresh(vocabulary.variable(name) if name else "handler")
        self._made[function.id] = found
        self._w.before += self.function(function, found)
        return found

    def function(self, node: Node, name: str, *, method: bool = False) -> Lines:
        """Return a function as a ``def``, with what it takes and what it assigns outside."""
        if "generator" in node.type:
            self._w.note(node, "a generator function", "write it by hand", source=True)
            return [f"def {name}(*args): ..."]
        kept, self._w.before = self._w.before, []
        with self._w.within(node):
            shown, unpacked = self._parameters(node, method=method)
            body = field(node, "body")
            if body.type == "statement_block":
                lines = self._w.block(body)
            else:
                value = self._x.promises.given(body)
                lines = [*self._w.before, f"return {value}"]
                self._w.before = []
            outer = self.outer_names(node)
        self._w.before = kept
        inner = [*outer, *unpacked, *lines] or ["pass"]
        if all(row.startswith("#") for row in inner):
            inner.append("pass")
        word = "async def" if self._w.bindings.is_async(node) else "def"
        return [f"{word} {name}({', '.join(shown)}):", *indented(inner), ""]

    def _parameters(self, function: Node, *, method: bool) -> tuple[Lines, Lines]:
        """Return what stands between the parentheses, and the lines that take patterns apart."""
        shown, unpacked = (["self"] if method else []), Lines()
        event = listens_to(function, self._w.bindings)
        fewest = self._fewest_given(function)
        for index, parameter in enumerate(parameters(function)):
            if parameter.type == "identifier":
                code = self._w.python(parameter)
                kind = self._event_class(event) if index == 0 else None
                code += f": {kind}" if kind else ""
                if index >= fewest:
                    code += f"{' = ' if kind else '='}None"
                shown.append(code)
            elif parameter.type == "assignment_pattern":
                default = self._x.of(field(parameter, "right"))
                shown.append(f"{self._w.python(field(parameter, 'left'))}={default}")
            elif parameter.type == "rest_pattern":
                shown.append(f"*{self._w.python(parts(parameter)[0])}")
            else:
                kind = self._event_class(event) if index == 0 else None
                name = self._w.fresh("event" if event else "given")
                shown.append(f"{name}: {kind}" if kind else name)
                unpacked += self._w.simple.unpacked(parameter, name, "voxpy" if event else "dict")
        if self._w.bindings.takes_more(function):
            shown.append("*_")
        return shown, unpacked

    def _event_class(self, event: str | None) -> str | None:
        found = vocabulary.event_class(event or "*")
        if found is None:
            return None
        self._w.uses(found[0].split(".")[0])
        return found[0]

    def _fewest_given(self, function: Node) -> int:
        named = self._w.bindings.binding_of_function(function)
        counts = [len(given) for given in named.called_with] if named is not None else []
        return min(counts) if counts else len(parameters(function))

    def outer_names(self, function: Node) -> Lines:
        """Return the ``global`` and ``nonlocal`` lines of a function."""
        scope = self._w.bindings.inside(function)
        outside: dict[str, list[str]] = {"global": [], "nonlocal": []}
        above: Scope | None = scope.parent
        while above is not None:
            word = "global" if above.parent is None else "nonlocal"
            outside[word] += [b.python for b in above.names.values() if scope in b.assigned_in]
            above = above.parent
        return [f"{word} {', '.join(sorted(names))}" for word, names in outside.items() if names]

    def _class_declaration(self, node: Node) -> Lines:
        binding = self._w.bindings.find(field(node, "name"))
        assert binding is not None
        return self.class_body(node, binding.python)

    def class_body(self, node: Node, name: str) -> Lines:
        heritage = next((c for c in node.children if c.type == "class_heritage"), None)
        base = f"({self._x.of(parts(heritage)[0])})" if heritage is not None else ""
        lines: Lines = []
        for member in field(node, "body").named_children:
            if member.type == "comment":
                lines += self._w.comment(member).split("\n")
            elif member.type == "field_definition":
                value = maybe(member, "value")
                title = vocabulary.member(text(field(member, "property")).lstrip("#"))
                lines.append(f"{title} = {self._x.of(value) if value is not None else 'None'}")
            else:
                lines += self._method(member)
        return ["", f"class {name}{base}:", *indented(lines or ["pass"]), ""]

    def _method(self, node: Node) -> Lines:
        title = text(field(node, "name")).lstrip("#")
        words = [child.type for child in node.children]
        name = "__init__" if title == "constructor" else vocabulary.member(title)
        head = ["@property"] if "get" in words else [f"@{name}.setter"] if "set" in words else []
        static = "static" in words
        head = ["@staticmethod"] if static else head
        return [*head, *self.function(node, name, method=not static)]
