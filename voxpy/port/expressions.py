"""JavaScript's expressions in Python. Each comes as its text and how tightly it binds."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from voxpy.port import library, vocabulary
from voxpy.port.calls import Calls
from voxpy.port.kinds import key_of, listens_to
from voxpy.port.operators import Operators
from voxpy.port.promises import Promises
from voxpy.port.syntax import (
    ATOM,
    COMPARED,
    FUNCTION_KINDS,
    LAMBDA,
    SUM,
    TERNARY,
    Written,
    bare,
    field,
    maybe,
    parts,
    pieces,
    string_value,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

    from voxpy.port.writer import Writer


_CONSTANTS = {
    "true": "True", "false": "False", "null": "None", "undefined": "None", "NaN": "math.nan",
    "Infinity": "math.inf",
}  # fmt: skip
_GO_ON = ("member_expression", "call_expression", "subscript_expression", "update_expression")


class Expressions:
    """Writes expressions for one source. ``writer`` takes functions that need a place above."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.kinds = writer.kinds
        self.calls = Calls(self)
        self.promises = Promises(self)
        self._quote = '"'
        self._forms: dict[str, Callable[[Node], Written]] = {
            "identifier": self._name,
            "undefined": self._name, "true": self._name, "false": self._name,
            "null": self._name, "this": lambda _: ("self", ATOM),
            "super": lambda _: ("super()", ATOM),
            "number": self._number, "string": self._string, "template_string": self._template,
            "regex": self._regex, "object": self._object, "array": self._array,
            "parenthesized_expression": lambda n: self.written(bare(n)),
            "member_expression": self._member, "subscript_expression": self._subscript,
            "call_expression": self.calls.call, "new_expression": self.calls.new,
            "await_expression": self.promises.awaited,
        }  # fmt: skip
        self._forms |= Operators(self).forms
        self._forms |= dict.fromkeys(FUNCTION_KINDS, self._function)

    def of(self, node: Node, binds: int = LAMBDA) -> str:
        """Return the expression, in parentheses if it binds looser than its place asks."""
        code, prec = self.written(node)
        return code if prec >= binds else f"({code})"

    def written(self, node: Node) -> Written:
        form = self._forms.get(node.type)
        if form is None:
            return self.untranslated(node, f"{node.type.replace('_', ' ')} has no translation")
        return form(node)

    def untranslated(self, node: Node, why: str, todo: str = "write it by hand") -> Written:
        """Note what cannot be translated; None stands in its place, so that the file loads."""
        self.writer.note(node, why, todo, source=True)
        return "None", ATOM

    # -- names and constants ---------------------------------------------------------------------

    def _name(self, node: Node) -> Written:
        name = text(node)
        if name in _CONSTANTS:
            return _CONSTANTS[name], ATOM
        binding = self.writer.bindings.find(node)
        if binding is not None:
            return binding.python, ATOM
        path = self.path(node)
        if path is not None:
            self.writer.check(node, path)
            return self.writer.uses(path), ATOM
        self.writer.note(node, f"{name} is not defined in this file", "define it or import it")
        return vocabulary.variable(name), ATOM

    def _number(self, node: Node) -> Written:
        return re.sub(r"^0+(?=\d)", "", text(node).rstrip("n")), ATOM

    def _string(self, node: Node) -> Written:
        return self.quoted(string_value(node) or ""), ATOM

    def quoted(self, value: str) -> str:
        """Return a string literal; lines stay lines where nothing else forbids them."""
        if "\n" in value.strip("\n") and self._quote == '"':
            body = value.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
            body = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in body)
            return f'"""{body}"""' if not body.endswith('"') else repr(value)
        quote = self._quote
        body = value.replace("\\", "\\\\").replace(quote, "\\" + quote)
        body = "".join(c if c.isprintable() else repr(c)[1:-1] for c in body)
        return f"{quote}{body}{quote}"

    def _template(self, node: Node) -> Written:
        plain = string_value(node)
        return (self.quoted(plain), ATOM) if plain is not None else self.joined(list(pieces(node)))

    def joined(self, given: Sequence[str | Node]) -> Written:
        """Return texts and expressions as one f-string."""
        if self._quote != '"':  # Python 3.11 has no f-string within an f-string's quotes
            terms = [self.quoted(p) if isinstance(p, str) else f"str({self.of(p)})" for p in given]
            return " + ".join(terms), SUM
        body, long = [], any(isinstance(p, str) and "\n" in p.strip("\n") for p in given)
        for part in given:
            if isinstance(part, str):
                plain = part.replace("{", "{{").replace("}", "}}")
                shown = self.quoted(plain)
                body.append(shown[3:-3] if shown.startswith('"""') else shown[1:-1])
                if long and not shown.startswith('"""'):
                    body[-1] = body[-1].replace("\\n", "\n")
            else:
                with self._other_quotes():
                    code = self.of(part)
                if any(c in code for c in '"\\\n#'):
                    code = self.writer.set_aside("text", code)
                body.append(f"{{{' ' if code.startswith('{') else ''}{code}}}")
        quotes = '"""' if long else '"'
        return f"f{quotes}{''.join(body)}{quotes}", ATOM

    @contextmanager
    def _other_quotes(self) -> Iterator[None]:
        before, self._quote = self._quote, "'"
        try:
            yield
        finally:
            self._quote = before

    def _regex(self, node: Node) -> Written:
        pattern = text(field(node, "pattern")).replace('"', '\\"').replace("\\/", "/")
        pattern = re.sub(r"\(\?<([A-Za-z_]\w*)>", r"(?P<\1>", pattern)
        found = maybe(node, "flags")
        flags = [
            f"re.{f.upper()}" for f in (text(found) if found is not None else "") if f in "ims"
        ]
        return f're.compile(r"{pattern}"{"".join(", " + " | ".join(flags) if flags else "")})', ATOM

    # -- objects and lists -----------------------------------------------------------------------

    def _object(self, node: Node) -> Written:
        return self.object(node), ATOM

    def object(self, node: Node, *, python_keys: bool = False) -> str:
        """Return a dict; ``python_keys`` writes its keys as names of arguments."""
        lines: list[str] = []
        for part in node.named_children:
            if part.type == "comment":
                self._note_in(lines, part)
            elif part.type == "spread_element":
                lines.append(f"**{self.of(parts(part)[0], ATOM)},")
            else:
                key = key_of(part)
                if key is None:
                    shown = self.of(parts(field(part, "key"))[0])
                else:
                    shown = self.quoted(vocabulary.snake(key) if python_keys else key)
                lines.append(f"{shown}: {self.value_of(part)},")
        return _braced("{", lines, "}")

    def value_of(self, pair: Node) -> str:
        """Return the value of a pair, a short form or a method of an object."""
        if pair.type == "shorthand_property_identifier":
            return self._name(pair)[0]
        if pair.type == "method_definition":
            return self.writer.definitions.define(pair, text(field(pair, "name")))
        value = field(pair, "value")
        if bare(value).type in FUNCTION_KINDS:
            return self._as_function(bare(value), key_of(pair) or "")
        return self.of(value)

    def _note_in(self, lines: list[str], comment: Node) -> None:
        """Put a comment behind the part it stands behind, or on a line of its own."""
        before, shown = comment.prev_sibling, self.writer.comment(comment)
        beside = before is not None and before.end_point.row == comment.start_point.row
        if beside and lines and "\n" not in shown and "#" not in lines[-1]:
            lines[-1] += f"  {shown}"
        else:
            lines.append(shown)

    def _array(self, node: Node) -> Written:
        lines: list[str] = []
        for part in node.named_children:
            if part.type == "comment":
                self._note_in(lines, part)
            elif part.type == "spread_element":
                lines.append(f"*{self.of(parts(part)[0], ATOM)},")
            else:
                lines.append(f"{self.of(part)},")
        return _braced("[", lines, "]"), ATOM

    # -- members ---------------------------------------------------------------------------------

    def path(self, node: Node) -> str | None:
        """Return the dotted Python name of a member of voxpy's vocabulary, None for others."""
        if node.type == "identifier":
            if self.writer.bindings.find(node) is not None:
                return None
            known = vocabulary.root(text(node))
            return known or (text(node) if vocabulary.is_foreign(text(node)) else None)
        if node.type != "member_expression":
            return None
        owner = self.path(field(node, "object"))
        member = vocabulary.member(text(field(node, "property")))
        return vocabulary.renamed(f"{owner}.{member}") if owner else None

    def _member(self, node: Node) -> Written:
        path = self.path(node)
        if path is not None:
            self.writer.check(node, path)
            self.writer.uses(path.split(".")[0])
            return path, ATOM
        owner, name = field(node, "object"), text(field(node, "property"))
        kind = self.kinds.of(owner)
        shown = self.of(owner, ATOM)
        if name in library.PROPERTIES and kind != "voxpy":
            return library.PROPERTIES[name].format(o=shown), ATOM
        if kind == "error":
            shown_too = {"message": f"str({shown})", "name": f"type({shown}).__name__"}
            if name == "stack":
                return "traceback.format_exc()", ATOM
            return shown_too.get(name, f"{shown}.{name}"), ATOM
        optional = any(child.type == "optional_chain" for child in node.children)
        member = vocabulary.member(name.lstrip("#"))
        dotted = kind in ("voxpy", "class", "date") or (
            kind is None and member in vocabulary.event_fields()
        )
        if owner.type == "subscript_expression" and text(owner).rpartition("[")[0].endswith(
            ".headers"
        ):
            dotted = name in ("key", "value")  # of an answer of HTTP
        if dotted and optional and not self._of_event(owner):
            once = self.of(owner, COMPARED)
            return f"{shown}.{member} if {once} is not None else None", TERNARY
        if dotted and self._may_lack(owner, member):
            return f"getattr({shown}, {self.quoted(member)}, None)", ATOM
        called = node.parent is not None and node.parent.type == "call_expression"
        event = self._of_event(owner) and owner.type == "identifier"
        if dotted and kind == "voxpy" and not called and not event and vocabulary.asked(member):
            return f"{shown}.{member}()", ATOM  # a property once, and still read as one
        if dotted:
            return f"{shown}.{member}", ATOM
        if optional:
            return f"({shown} or {{}}).get({self.quoted(name)})", ATOM
        return self._of_dict(node, shown, name)

    def _may_lack(self, owner: Node, member: str) -> bool:
        """Whether an event may be without a field: undefined there, an error here."""
        binding = self.writer.bindings.find(owner) if owner.type == "identifier" else None
        if binding is None or binding.parameter is None or not self._of_event(owner):
            return False
        event = listens_to(binding.parameter[0], self.writer.bindings)
        return not vocabulary.has_field(event or "*", member)

    def _of_event(self, node: Node) -> bool:
        """Whether it is an event or a part of one: those are always there."""
        while node.type == "member_expression":
            node = field(node, "object")
        binding = self.writer.bindings.find(node) if node.type == "identifier" else None
        if binding is None or binding.parameter is None:
            return False
        function, index = binding.parameter
        of_event = index == 0 and listens_to(function, self.writer.bindings) is not None
        return of_event and self.kinds.of_binding(binding) == "voxpy"

    def _of_dict(self, node: Node, shown: str, name: str) -> Written:
        """Return a member of a plain object: undefined in JavaScript if it is not there."""
        binding = self.writer.bindings.find(field(node, "object"))
        if binding is not None and binding.is_options:
            name = vocabulary.snake(name)
        key = self.quoted(name)
        return (f"{shown}.get({key})" if _is_read(node) else f"{shown}[{key}]"), ATOM

    def _subscript(self, node: Node) -> Written:
        owner, index = field(node, "object"), field(node, "index")
        kind = self.kinds.of(owner)
        named = kind == "json" and string_value(index) is not None
        if _is_read(node) and (kind == "dict" or named):
            return f"{self.of(owner, ATOM)}.get({self.of(index)})", ATOM
        return f"{self.of(owner, ATOM)}[{self.of(index)}]", ATOM

    # -- functions -------------------------------------------------------------------------------

    def _function(self, node: Node) -> Written:
        code = self._as_function(node, "")
        return code, LAMBDA if code.startswith("lambda") else ATOM

    def _as_function(self, node: Node, name: str) -> str:
        return self.writer.definitions.as_lambda(node) or self.writer.definitions.define(node, name)


def _is_read(member: Node) -> bool:
    """Whether a member's value is taken as it is: neither put there nor gone on from."""
    above = member.parent
    if above is None or above.type in _GO_ON:
        return False
    put = above.type.endswith("assignment_expression") and field(above, "left").id == member.id
    return not put


def _braced(left: str, lines: Sequence[str], right: str) -> str:
    if not lines:
        return left + right
    if any("#" in line for line in lines):
        return "\n".join((left, *lines, right))
    return f"{left}{' '.join(lines).rstrip(',')}{right}" if len(lines) < 4 else "\n".join(
        (left, *lines, right)
    )  # fmt: skip
