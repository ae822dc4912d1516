"""Calls: of voxpy's functions, of the source's own, and of JavaScript's library."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from voxpy.port import library, vocabulary
from voxpy.port.kinds import key_of
from voxpy.port.promises import LINKS
from voxpy.port.syntax import (
    ATOM,
    AWAIT,
    FUNCTION_KINDS,
    TERNARY,
    Written,
    arguments,
    bare,
    field,
    maybe,
    parts,
    string_value,
    text,
)

if TYPE_CHECKING:
    from tree_sitter import Node

    from voxpy.port.expressions import Expressions

_PLAIN = ("str", "float", "int", "bool")
"""Annotations of parameters that cannot be meant by an object."""


class Calls:
    """Writes calls, ``new`` and ``await``."""

    def __init__(self, expressions: Expressions) -> None:
        self._x = expressions
        self._writer = expressions.writer
        self._kinds = expressions.kinds

    # -- which call it is ------------------------------------------------------------------------

    def call(self, node: Node, *, waited: bool = False) -> Written:
        function, given = field(node, "function"), arguments(node)
        if function.type in FUNCTION_KINDS or bare(function).type in FUNCTION_KINDS:
            return self._called_at_once(bare(function), given, waited)
        path = self._x.path(function)
        if path is not None:
            self._writer.check(node, path)
            self._writer.uses(path.split(".")[0])
            found = vocabulary.look_up(path) if vocabulary.complaint(path) is None else None
            return self._of_voxpy(node, path, found, given, waited)
        if function.type == "member_expression":
            return self._method(node, function, given, waited)
        if function.type == "super":
            return f"super().__init__({self.plain(given)})", ATOM
        template = library.FUNCTIONS.get(f"{text(function)}/{len(given)}")
        if template is not None and self._writer.bindings.find(function) is None:
            return self._filled(template, None, given)
        return self._of_source(function, given, waited)

    def _of_source(self, function: Node, given: Sequence[Node], waited: bool) -> Written:
        binding = self._writer.bindings.find(function) if function.type == "identifier" else None
        shown = self._x.of(function, ATOM)
        code = f"{shown}({self.plain(given)})"
        function_ = binding.function if binding is not None else None
        if function_ is not None and self._writer.bindings.is_async(function_):
            return self.started(code, waited)
        return code, ATOM

    def started(self, code: str, waited: bool) -> Written:
        """Call an async function: awaited, or begun in a task of its own, as JavaScript does."""
        if waited:
            return f"await {code}", AWAIT
        begun = code.removesuffix("()") if re.fullmatch(r"\w+\(\)", code) else f"lambda: {code}"
        return f"{self._writer.uses('set_timeout')}({begun})", ATOM

    def _called_at_once(self, function: Node, given: Sequence[Node], waited: bool) -> Written:
        name = self._writer.definitions.define(function, "run")
        code = f"{name}({self.plain(given)})"
        if self._writer.bindings.is_async(function):
            return self.started(code, waited)
        return code, ATOM

    # -- voxpy's own -----------------------------------------------------------------------------

    def _of_voxpy(
        self, node: Node, path: str, found: Any, given: Sequence[Node], waited: bool
    ) -> Written:
        if path in ("set_timeout", "set_interval") and len(given) > 2:  # what follows is passed on
            called = f"{self._x.of(given[0], ATOM)}({self.plain(given[2:])})"
            return f"{path}(lambda: {called}, {self._x.of(given[1])})", ATOM
        if path.endswith((".on", ".add_event_listener")) or path in ("set_timeout", "set_interval"):
            return f"{path}({self._listening(given)})", ATOM
        if path == "Logger.write" and len(given) == 1:
            inner = bare(given[0])
            if (
                inner.type == "call_expression"
                and text(field(inner, "function")) == "JSON.stringify"
            ):
                return f"Logger.write({self._x.of(arguments(inner)[0])})", ATOM  # takes anything
        code = f"{path}({self._to_signature(node, found, given)})"
        if vocabulary.is_coroutine(found):
            return self.started(code, waited)
        return code, ATOM

    def _method(self, node: Node, function: Node, given: Sequence[Node], waited: bool) -> Written:
        owner, name = field(function, "object"), text(field(function, "property"))
        dotted = f"{text(function)}/{len(given)}"
        if dotted in library.FUNCTIONS:
            return self._filled(library.FUNCTIONS[dotted], None, given)
        if text(function) in library.ANY_NUMBER:
            return self._of_any_number(library.ANY_NUMBER[text(function)], given)
        if name in LINKS:
            return self._x.promises.chain(node, waited)
        if text(owner) == "Promise":
            return self._x.promises.settled(node, name, given)
        kind = self._kinds.of(owner)
        method = vocabulary.unit_method(vocabulary.member(name))
        own = name in library.METHOD_NAMES
        if kind == "voxpy":
            of_unit = method is not None or not own
        else:
            of_unit = kind in (None, "json") and method is not None and not own
        if of_unit:
            return self._of_unit(node, owner, function, method, given, waited)
        if kind in ("regex",) or name in ("match", "test", "replace", "exec", "matchAll"):
            found = self._regex_method(owner, name, given)
            if found is not None:
                return found
        return self._of_library(node, owner, name, kind, given, waited)

    def _of_unit(
        self,
        node: Node,
        owner: Node,
        function: Node,
        method: Callable[..., Any] | None,
        given: Sequence[Node],
        waited: bool,
    ) -> Written:
        member = vocabulary.member(text(field(function, "property")))
        shown = self._x.of(owner, ATOM)
        if member == "add_event_listener":
            code = f"{shown}.{member}({self._listening(given)})"
        else:
            code = f"{shown}.{member}({self._to_signature(node, method, given, bound=True)})"
        if any(child.type == "optional_chain" for child in function.children):
            code, prec = f"{code} if {shown} is not None else None", TERNARY
            return code, prec
        return self.started(code, waited) if vocabulary.is_coroutine(method) else (code, ATOM)

    def _listening(self, given: Sequence[Node]) -> str:
        """Write the arguments of a registration; its function is named after the event."""
        shown = []
        for argument in given:
            if argument.type in FUNCTION_KINDS:
                title = (
                    text(given[0]).split(".")[-1] if given[0].type == "member_expression" else ""
                )
                name = f"on_{vocabulary.snake(title)}" if title else ""
                shown.append(
                    self._writer.definitions.as_lambda(argument)
                    or self._writer.definitions.define(argument, name)
                )
            else:
                shown.append(self._x.of(argument))
        return ", ".join(shown)

    # -- arguments -------------------------------------------------------------------------------

    def plain(self, given: Sequence[Node]) -> str:
        return ", ".join(
            f"*{self._x.of(parts(a)[0], ATOM)}" if a.type == "spread_element" else self._x.of(a)
            for a in given
        )

    def _to_signature(
        self, node: Node, function: Any, given: Sequence[Node], *, bound: bool = False
    ) -> str:
        """Write arguments as ``function`` takes them: an object's members by name, if it does."""
        found = vocabulary.signature(function) if function is not None else None
        if found is None:
            return self.plain(given)
        return ", ".join(self._as_taken(node, found, given, bound=bound))

    def arguments_of(self, call: Node, path: str) -> list[str]:
        """Write the arguments of a call as a function of voxpy's takes them, one by one."""
        found = vocabulary.signature(vocabulary.look_up(path))
        assert found is not None
        return self._as_taken(call, found, arguments(call))

    def _as_taken(
        self, node: Node, found: inspect.Signature, given: Sequence[Node], *, bound: bool = False
    ) -> list[str]:
        known = list(found.parameters.values())[1 if bound else 0 :]
        places = [p for p in known if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        shown = []
        for index, argument in enumerate(given):
            place = places[index] if index < len(places) else None
            literal = self._literal_of(argument)
            named = literal is not None and _goes_by_name(literal, known, place)
            more = any(p.kind is p.VAR_POSITIONAL for p in known)
            if not named and place is None and not more:
                self._writer.note(
                    argument, f"voxpy takes no argument {index + 1} here", "left out", source=True
                )
                continue
            if not named:
                shown.append(self._x.of(argument))
            elif argument.type == "object":
                shown += self._by_name(argument, known)
            else:
                shown.append(f"**{self._x.of(argument, ATOM)}")
        self._miss(node, known, shown)
        return shown

    def _miss(self, node: Node, known: Sequence[inspect.Parameter], shown: Sequence[str]) -> None:
        """Note the arguments that voxpy cannot do without and that the source does not give."""
        if any(code.startswith("*") for code in shown):
            return
        named = {code.split("=")[0] for code in shown if re.match(r"\w+=(?!=)", code)}
        count = len(shown) - len(named)
        needed = [
            p
            for p in known
            if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        ]
        places = [p.name for p in known if p.kind is p.POSITIONAL_OR_KEYWORD][:count]
        for parameter in needed:
            if parameter.name not in named and parameter.name not in places:
                self._writer.note(node, f"voxpy needs the argument {parameter.name}", "give it")

    def takes_names(self, function: Node, call: Node, argument: Node) -> bool:
        """Return whether the members of an object that is given there become named arguments."""
        path = self._x.path(function)
        if path is not None:
            found = vocabulary.look_up(path) if vocabulary.complaint(path) is None else None
        elif function.type == "member_expression":
            found = vocabulary.unit_method(vocabulary.member(text(field(function, "property"))))
        else:
            return False
        signature = vocabulary.signature(found) if found is not None else None
        literal = self._literal_of(argument)
        if signature is None or literal is None:
            return False
        known = list(signature.parameters.values())[0 if path is not None else 1 :]
        index = [a.id for a in arguments(call)].index(argument.id)
        places = [p for p in known if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        return _goes_by_name(literal, known, places[index] if index < len(places) else None)

    def _literal_of(self, argument: Node) -> Node | None:
        if argument.type == "object":
            return argument
        found = self._writer.bindings.sources(argument)
        values = [v for binding in found for v in binding.values if v.type == "object"]
        return values[0] if values else None

    def _by_name(self, literal: Node, known: Sequence[inspect.Parameter]) -> list[str]:
        names = {p.name for p in known}
        any_name = any(p.kind is p.VAR_KEYWORD for p in known)
        shown = []
        for pair in parts(literal):
            if pair.type == "spread_element":
                shown.append(f"**{self._x.of(parts(pair)[0], ATOM)}")
                continue
            key = vocabulary.snake(key_of(pair) or "?")
            key = f"{key}_" if f"{key}_" in names else key
            if key in names or any_name:
                shown.append(f"{key}={self._x.value_of(pair)}")
            else:
                self._writer.note(
                    pair,
                    f"the argument {key_of(pair)!r} is not known to voxpy",
                    "left out",
                    source=True,
                )
        return shown

    # -- JavaScript's library ----------------------------------------------------------------------

    def _filled(self, template: str, owner: Node | None, given: Sequence[Node]) -> Written:
        loose = "({" in template
        shown = [self._x.of(a, 0 if loose else TERNARY + 1) for a in given]
        code = template.format(*shown, o=self._x.of(owner, ATOM) if owner is not None else "")
        simple = (
            code.endswith((")", "]", '"')) and not code.startswith(("{",)) and " in " not in code
        )
        return code, ATOM if simple and "**" not in template and " * " not in template else 5

    def _of_any_number(self, template: str, given: Sequence[Node]) -> Written:
        if "{+}" in template:
            self._writer.uses("Logger")
            between: list[str | Node] = []
            for argument in given:
                between += [" "] if between else []
                value = string_value(argument)
                between.append(argument if value is None else value)
            one = self._x.of(given[0]) if len(given) == 1 else self._x.joined(between)[0]
            return template.replace("{+}", one), ATOM
        return template.replace("{*}", self.plain(given)), ATOM

    def _of_library(
        self,
        node: Node,
        owner: Node,
        name: str,
        kind: str | None,
        given: Sequence[Node],
        waited: bool,
    ) -> Written:
        entry = f"{name}/{len(given)}"
        template = library.BY_KIND.get(kind or "", {}).get(entry)
        if template is None and kind != "class":
            template = library.METHODS.get(entry)
        if template is not None:
            return self._filled(template, owner, given)
        if kind in ("str", "list", "regex", "date", "num"):
            return self._x.untranslated(node, f".{name}() of a {kind} is not translated")
        shown = self._x.of(owner, ATOM)
        if kind in ("dict", "json"):
            code = f"{shown}[{self._x.quoted(name)}]({self.plain(given)})"
        else:
            code = f"{shown}.{vocabulary.member(name)}({self.plain(given)})"
        return (f"await {code}", AWAIT) if waited else (code, ATOM)

    def _regex_method(self, owner: Node, name: str, given: Sequence[Node]) -> Written | None:
        if name in ("test", "exec") and len(given) == 1:
            code = f"{self._x.of(owner, ATOM)}.search({self._x.of(given[0])})"
            return (f"{code} is not None", 5) if name == "test" else (code, ATOM)
        if given and given[0].type == "regex":
            pattern, subject = self._x.of(given[0]), self._x.of(owner)
            every = "g" in text(maybe(given[0], "flags") or given[0]).rsplit("/", 1)[-1]
            if name == "match":
                return f"{pattern}.{'findall' if every else 'search'}({subject})", ATOM
            if name == "replace" and len(given) == 2:
                value = string_value(given[1])
                into = (
                    self._x.quoted(value.replace("$&", "\\g<0>"))
                    if value is not None
                    else self._x.of(given[1])
                )
                return f"{pattern}.sub({into}, {subject}{'' if every else ', count=1'})", ATOM
            if name == "split":
                return f"{pattern}.split({subject})", ATOM
        return None

    # -- new -------------------------------------------------------------------------------------

    def new(self, node: Node) -> Written:
        constructor, given = field(node, "constructor"), arguments(node)
        name = text(constructor)
        path = self._x.path(constructor)
        if path is not None:
            self._writer.check(node, path)
            self._writer.uses(path.split(".")[0])
            found = vocabulary.look_up(path) if vocabulary.complaint(path) is None else None
            return f"{path}({self._to_signature(node, found, given)})", ATOM
        entry = f"{name}/{len(given)}"
        if constructor.type == "identifier" and self._writer.bindings.find(constructor) is None:
            template = library.CONSTRUCTORS.get(entry)
            if given and self._kinds.of(given[0]) == "num":
                template = library.OF_NUMBERS.get(entry, template)
            if template is not None:
                return self._filled(template, None, given)
            if name == "Promise":
                return self._x.promises.made(node)
            return self._x.untranslated(node, f"new {name}()")
        return f"{self._x.of(constructor, ATOM)}({self.plain(given)})", ATOM


def _goes_by_name(
    literal: Node, known: Sequence[inspect.Parameter], place: inspect.Parameter | None
) -> bool:
    names = {p.name for p in known}
    keys = {vocabulary.snake(key_of(pair) or "?") for pair in parts(literal)}
    if place is not None and not any(word in str(place.annotation) for word in _PLAIN):
        return bool(keys) and keys <= names
    return True
