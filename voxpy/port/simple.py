"""Statements of one line or a few: expressions, assignments, declarations, patterns, jumps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxpy.port import vocabulary
from voxpy.port.syntax import (
    FUNCTION_KINDS,
    STEP,
    Forms,
    Lines,
    arguments,
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


class Simple:
    """Writes what has no body of its own."""

    def __init__(self, writer: Writer) -> None:
        self._w = writer
        self._x = writer.expressions
        self.forms: Forms = {
            "expression_statement": self._expression_statement,
            "lexical_declaration": self._lexical_declaration,
            "return_statement": self._return_statement,
            "throw_statement": self._throw_statement,
            "break_statement": self._break_statement,
            "continue_statement": self._continue_statement,
            "empty_statement": self._empty_statement,
            "debugger_statement": self._debugger_statement,
            "import_statement": self._import_statement,
            "export_statement": self._export_statement,
            "variable_declaration": self._lexical_declaration,
        }

    def _expression_statement(self, node: Node) -> Lines:
        inner = bare(parts(node)[0])
        if inner.type == "string" and text(inner)[1:-1] == "use strict":
            return []
        if inner.type.endswith("assignment_expression"):
            return self.assignment(inner)
        if inner.type == "update_expression":
            return [
                f"{self._x.of(field(inner, 'argument'))} {text(field(inner, 'operator'))[0]}= 1"
            ]
        if inner.type == "binary_expression" and text(field(inner, "operator")) in ("&&", "||"):
            return self._guarded(inner)
        if inner.type == "ternary_expression":
            return [
                f"if {self._x.of(field(inner, 'condition'))}:",
                f"{STEP}{self._x.of(field(inner, 'consequence'))}",
                "else:",
                f"{STEP}{self._x.of(field(inner, 'alternative'))}",
            ]
        if inner.type == "call_expression" and vocabulary.is_needless(text(inner)):
            return []
        lacking = vocabulary.lacks_module(text(inner))
        if lacking is not None:
            self._w.note(inner, f"{text(inner)}: {lacking}", "leave out what needs it")
            return []
        if inner.type == "call_expression":
            loop = self._for_each(inner)
            if loop is not None:
                return loop
            optional = self._optional_call(inner)
            if optional is not None:
                return optional
        code = self._x.of(inner)
        return [] if code == "None" else [code]

    def _guarded(self, node: Node) -> Lines:
        """``ready && start()`` as a statement."""
        negated = text(field(node, "operator")) == "||"
        test = self._x.of(field(node, "left"), 4)
        right = bare(field(node, "right"))
        kept, self._w.before = self._w.before, []
        inner = (
            self.assignment(right)
            if right.type.endswith("assignment_expression")
            else [self._x.of(right)]
        )
        inner, self._w.before = [*self._w.before, *inner], kept
        return [f"if {'not ' if negated else ''}{test}:", *indented(inner)]

    def _optional_call(self, call: Node) -> Lines | None:
        """``unit?.close()`` as a statement."""
        function = field(call, "function")
        if function.type != "member_expression" or not any(
            child.type == "optional_chain" for child in function.children
        ):
            return None
        owner = self._x.of(field(function, "object"), 5)
        code = self._x.of(call).removesuffix(f" if {owner} is not None else None")
        return [f"if {owner} is not None:", f"{STEP}{code}"]

    def _for_each(self, call: Node) -> Lines | None:
        function, given = field(call, "function"), arguments(call)
        if (
            function.type != "member_expression"
            or text(field(function, "property")) != "forEach"
            or len(given) != 1
            or given[0].type not in FUNCTION_KINDS
            or self._w.bindings.is_async(given[0])
            or any(
                n.type == "return_statement"
                for n in walk(field(given[0], "body"), into_functions=False)
            )
            or len(parameters(given[0])) not in (1, 2)
        ):
            return None
        source = self._x.of(field(function, "object"))
        each, *index = parameters(given[0])
        inner = given[0]
        outside = [b for b in self._w.bindings.inside(inner).names.values() if not b.parameter]
        if outside or any(n.type in FUNCTION_KINDS for n in walk(field(inner, "body"))):
            name = self._w.definitions.define(inner, "each_one")
            count = len(parameters(inner))
            over = f"enumerate({source})" if count == 2 else source
            return [f"for {'i, ' if count == 2 else ''}item in {over}:",
                    f"{STEP}{name}(item{', i' if count == 2 else ''})"]  # fmt: skip
        with self._w.within(inner):
            target, unpacked = self.target(each, "item")
            body = field(inner, "body")
            lines = self._w.body(body) if body.type == "statement_block" else indented(
                [*self._as_statement(body)]
            )  # fmt: skip
            over = f"enumerate({source})" if index else source
            names = f"{self._w.python(index[0])}, {target}" if index else target
        return [f"for {names} in {over}:", *indented(unpacked), *lines]

    def _as_statement(self, expression: Node) -> Lines:
        if expression.type.endswith("assignment_expression"):
            return self.assignment(expression)
        return [self._x.of(expression)]

    def assignment(self, node: Node) -> Lines:
        left, right = field(node, "left"), field(node, "right")
        given = maybe(node, "operator")
        operator = text(given) if given is not None else "="
        if operator in ("||=", "??=", "&&="):
            target = self._x.of(left)
            test = {"||=": f"not {target}", "??=": f"{target} is None", "&&=": target}[operator]
            return [f"if {test}:", f"{STEP}{target} = {self._x.of(right)}"]
        if operator == "=" and right.type == "assignment_expression":
            inner = self.assignment(right)
            return [*inner, f"{self._x.of(left)} = {self._x.of(field(right, 'left'))}"]
        if operator == "=" and left.type in ("object_pattern", "array_pattern"):
            return self._taken_apart(left, right)
        if operator == "=" and bare(right).type in FUNCTION_KINDS and left.type == "identifier":
            found = self._w.bindings.find(left)
            if found is not None and found.scope is self._w.scopes[-1]:
                return self._w.definitions.function(bare(right), found.python)
        if (
            operator == "+="
            and self._w.kinds.of(left) == "str"
            and self._w.kinds.of(right) != "str"
        ):
            return [f"{self._x.of(left)} += str({self._x.of(right)})"]
        if operator == ">>>=":
            operator = ">>="
        name = ""
        if left.type == "member_expression":
            name = text(field(left, "property"))
        if bare(right).type in FUNCTION_KINDS:
            value = self._w.definitions.as_lambda(bare(right)) or self._w.definitions.define(
                bare(right), name
            )
        else:
            value = self._x.of(right)
        return [f"{self._x.of(left)} {operator} {value}"]

    def _lexical_declaration(self, node: Node) -> Lines:
        lines = []
        for declared in parts(node):
            target, value = field(declared, "name"), maybe(declared, "value")
            if target.type != "identifier":
                assert value is not None
                lines += self._taken_apart(target, value)
                continue
            binding = self._w.bindings.find(target)
            assert binding is not None
            if value is None:
                lines.append(f"{binding.python} = None")
            elif bare(value).type in FUNCTION_KINDS:
                lines += self._w.definitions.function(bare(value), binding.python)
            elif bare(value).type == "class":
                lines += self._w.definitions.class_body(bare(value), binding.python)
            elif binding.is_options and value.type == "object":
                lines.append(f"{binding.python} = {self._x.object(value, python_keys=True)}")
            else:
                lines.append(f"{binding.python} = {self._x.of(value)}")
        return lines

    def _taken_apart(self, pattern: Node, value: Node) -> Lines:
        if pattern.type == "array_pattern" and all(p.type == "identifier" for p in parts(pattern)):
            names = ", ".join(self._x.of(p) for p in parts(pattern))
            comma = "," if len(parts(pattern)) == 1 else ""
            return [f"{names}{comma} = {self._x.of(value)}"]
        kind = "voxpy" if self._w.kinds.of(value) == "voxpy" else "dict"
        shown = self._x.of(value)
        if not shown.isidentifier():
            shown = self._w.set_aside("given", shown)
        return self.unpacked(pattern, shown, kind)

    def unpacked(self, pattern: Node, source: str, kind: str) -> Lines:
        lines = []
        for index, part in enumerate(parts(pattern)):
            key = part
            target, default = part, None
            if part.type == "pair_pattern":
                key, target = field(part, "key"), field(part, "value")
            if target.type in ("object_assignment_pattern", "assignment_pattern"):
                default = self._x.of(field(target, "right"))
                target = field(target, "left")
                key = target if part.type != "pair_pattern" else key
            if part.type == "rest_pattern":
                self._w.note(part, "the rest of an object", "write it by hand", source=True)
                continue
            if pattern.type == "array_pattern":
                code = f"{source}[{index}]"
            elif kind == "voxpy":
                code = f"{source}.{vocabulary.member(text(key))}"
            else:
                code = f'{source}.get("{text(key)}"{f", {default}" if default else ""})'
            if target.type in ("object_pattern", "array_pattern"):
                name = self._w.fresh("inner")
                lines += [f"{name} = {code}", *self.unpacked(target, name, kind)]
            else:
                lines.append(f"{self._w.python(target)} = {code}")
        return lines

    def _return_statement(self, node: Node) -> Lines:
        value = parts(node)
        inline = self._x.promises.in_place(bare(value[0])) if value else None
        if inline is not None:
            return inline
        return [f"return {self._x.promises.given(value[0])}" if value else "return"]

    def _throw_statement(self, node: Node) -> Lines:
        value = bare(parts(node)[0])
        if value.type == "new_expression" or self._w.kinds.of(value) == "error":
            return [f"raise {self._x.of(value)}"]
        return [f"raise RuntimeError({self._x.of(value)})"]

    def _break_statement(self, node: Node) -> Lines:
        return self._jump(node, "break")

    def _continue_statement(self, node: Node) -> Lines:
        return self._jump(node, "continue")

    def _jump(self, node: Node, word: str) -> Lines:
        if maybe(node, "label") is not None:
            self._w.note(node, f"{word} to a label", "write it by hand", source=True)
            return ["pass"]
        return [word]

    def _empty_statement(self, node: Node) -> Lines:
        return []

    def _debugger_statement(self, node: Node) -> Lines:
        return ["breakpoint()"]

    def _import_statement(self, node: Node) -> Lines:
        self._w.note(node, "an import", "import the Python module that does the same", source=True)
        return []

    def _export_statement(self, node: Node) -> Lines:
        return [row for child in parts(node) for row in self._w.statement(child)]

    def target(self, pattern: Node, name: str) -> tuple[str, Lines]:
        if pattern.type == "identifier":
            return self._x.of(pattern), []
        if pattern.type == "array_pattern" and all(p.type == "identifier" for p in parts(pattern)):
            return ", ".join(self._x.of(p) for p in parts(pattern)), []
        found = self._w.fresh(name)
        return found, self._w.simple.unpacked(pattern, found, "dict")
