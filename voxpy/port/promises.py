"""Promises: awaited, chained by ``then``, made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from voxpy.port import vocabulary
from voxpy.port.syntax import (
    ATOM,
    AWAIT,
    FUNCTION_KINDS,
    TERNARY,
    Lines,
    Written,
    arguments,
    bare,
    field,
    indented,
    parameters,
    parts,
    text,
    walk,
)

if TYPE_CHECKING:
    from tree_sitter import Node

    from voxpy.port.expressions import Expressions

LINKS = ("then", "catch", "finally")


class Promises:
    """Writes what waits."""

    def __init__(self, expressions: Expressions) -> None:
        self._x = expressions
        self._w = expressions.writer

    def awaited(self, node: Node) -> Written:
        return self._awaited(bare(parts(node)[0]))

    def given(self, value: Node) -> str:
        """Write what a function returns: not a promise, but what it comes to."""
        if self._w.bindings.is_promise(value) and bare(value).type != "ternary_expression":
            return self._awaited(bare(value))[0]
        return self._x.of(value)

    def _awaited(self, inner: Node) -> Written:
        if inner.type == "new_expression" and text(field(inner, "constructor")) == "Promise":
            asleep = self._sleep(inner)
            return (f"await trio.sleep({asleep})", AWAIT) if asleep else self.made(inner)
        if inner.type == "call_expression":
            if text(field(inner, "function")) in ("Promise.all", "Promise.allSettled"):
                return self._all(inner)
            return self._x.calls.call(inner, waited=True)
        return self._x.untranslated(inner, "await of a promise", "await the async function itself")

    def _all(self, call: Node) -> Written:
        given = arguments(call)
        if given and given[0].type == "array":
            self._w.note(call, "Promise.all", "its parts are awaited one after the other")
            shown = [self._awaited_part(part) for part in parts(given[0])]
            return f"[{', '.join(shown)}]", ATOM
        return self._x.untranslated(call, "Promise.all of a list", "await each in a loop")

    def _awaited_part(self, part: Node) -> str:
        if bare(part).type == "call_expression":
            return self._x.calls.call(bare(part), waited=True)[0]
        return self._x.of(part)

    def settled(self, node: Node, name: str, given: Sequence[Node]) -> Written:
        """Write ``Promise.resolve(value)`` and its kind."""
        if name == "resolve":
            return (self._x.of(given[0]) if given else "None"), TERNARY
        return self._x.untranslated(node, f"Promise.{name}", "use trio, or await each in turn")

    def _sleep(self, promise: Node) -> str | None:
        """Return the seconds of ``new Promise(done => setTimeout(done, ms))``."""
        given = arguments(promise)
        executor = given[0] if given else None
        if executor is None or executor.type not in FUNCTION_KINDS or not parameters(executor):
            return None
        done = text(parameters(executor)[0])
        calls = [n for n in walk(field(executor, "body")) if n.type == "call_expression"]
        if len(calls) != 1 or text(field(calls[0], "function")) != "setTimeout":
            return None
        waits = arguments(calls[0])
        if len(waits) != 2 or text(waits[0]) != done:
            return None
        ms = text(waits[1])
        return f"{float(ms) / 1000:g}" if ms.isdigit() else f"{self._x.of(waits[1], 9)} / 1000"

    # -- made by hand ----------------------------------------------------------------------------

    def made(self, promise: Node) -> Written:
        """Write ``new Promise((resolve, reject) => …)``: begun above, and waited for here."""
        given = arguments(promise)
        inside = promise.parent
        while inside is not None and inside.type not in FUNCTION_KINDS:
            inside = inside.parent
        if inside is None or not self._w.bindings.is_async(inside) or len(given) != 1:
            return self._x.untranslated(promise, "new Promise()")
        settled, outcome = self._w.fresh("settled"), self._w.fresh("outcome")
        taken = parameters(given[0]) if given[0].type in FUNCTION_KINDS else []
        self._w.before += [f"{settled}, {outcome} = trio.Event(), []", ""]
        names = []
        for parameter in taken:
            names.append(self._w.fresh(self._w.python(parameter)))
            self._w.before += [
                f"def {names[-1]}(value=None):",
                *indented([f"{outcome}.append(value)", f"{settled}.set()"]),
                "",
            ]
        if len(names) > 1:
            error = "value if isinstance(value, Exception) else RuntimeError(value)"
            self._w.before[-3] = f"    {outcome}.append({error})"
        begin = self._w.definitions.define(given[0], "begin")
        self._w.before += [f"{begin}({', '.join(names)})", f"await {settled}.wait()"]
        if len(names) > 1:
            self._w.before += [
                f"if isinstance({outcome}[0], Exception):",
                f"    raise {outcome}[0]",
            ]
        return f"{outcome}[0]", ATOM

    # -- then, catch, finally --------------------------------------------------------------------

    def chain(self, node: Node, waited: bool) -> Written:
        """Write a chain as an async function above, which is awaited or begun."""
        head, links = _unchained(node)
        if head.type not in ("call_expression", "new_expression"):
            return self._x.untranslated(
                node, f".{links[0][0]}() on a promise", "await it in an async function"
            )
        merged = self._mergeable(head, links)
        if not waited and head.type == "call_expression":
            path = self._x.path(field(head, "function"))
            if path == "Net.http_request_async" and arguments(head) and links[0][0] == "then":
                return self._called_back(head, links, merged)
        name = self._w.fresh("run")
        rows = self._rows(head, links, merged, waited)
        outer: dict[str, None] = {}
        for function in merged:
            outer |= dict.fromkeys(self._w.definitions.outer_names(function))
        self._w.before += ["", f"async def {name}():", *indented([*outer, *rows]), ""]
        return self._x.calls.started(f"{name}()", waited)

    def _called_back(
        self, head: Node, links: Sequence[tuple[str, list[Node]]], merged: Sequence[Node]
    ) -> Written:
        """Write a request whose answer nobody waits for: sent at once, as in JavaScript."""
        first = bare(links[0][1][0])
        own = first in merged and parameters(first)
        answer = self._named(first, parameters(first)[0]) if own else self._w.fresh("answer")
        rows = self._rows(head, links, merged, False, start=answer)
        name = self._w.fresh("answered")
        outer: dict[str, None] = {}
        for function in merged:
            outer |= dict.fromkeys(self._w.definitions.outer_names(function))
        word = "async def" if any("await " in row for row in rows) else "def"
        self._w.before += ["", f"{word} {name}({answer}):", *indented([*outer, *rows]), ""]
        self._w.uses("Net")
        url, *options = self._x.calls.arguments_of(head, "Net.http_request_async")
        return f"Net.http_request({', '.join([url, name, *options])})", ATOM

    def in_place(self, node: Node) -> Lines | None:
        """Return ``return chain`` as statements, if its functions can stand in this one."""
        if node.type != "call_expression" or not _link(node):
            return None
        head, links = _unchained(node)
        merged = self._mergeable(head, links)
        functions = [bare(f) for _, given in links for f in given if bare(f).type in FUNCTION_KINDS]
        here = {b.python for b in self._w.scopes[-1].names.values()}
        if head.type != "call_expression" or len(merged) != len(functions):
            return None
        if any(self._locals(f) & here for f in merged):
            return None
        for function in merged:
            self._w.bindings.adopt(function, self._w.scopes[-1])
        return self._rows(head, links, merged, waited=True)

    def _rows(
        self,
        head: Node,
        links: Sequence[tuple[str, list[Node]]],
        merged: Sequence[Node],
        waited: bool,
        start: str = "",
    ) -> Lines:
        kept, self._w.before = self._w.before, []
        code = start or self._awaited(head)[0]
        rows, self._w.before = self._w.before, kept
        made = start or head.type == "new_expression" or code.startswith("await ")
        value = code if made else f"await {code}"
        for index, (word, given) in enumerate(links):
            later = waited or any(w == "then" for w, _ in links[index + 1 :])
            rows, value = self._linked(word, given, rows, value, later, merged)
        return [*rows, f"return {value}" if waited else value] if value else rows or ["pass"]

    def _linked(
        self,
        word: str,
        given: Sequence[Node],
        rows: Lines,
        value: str,
        later: bool,
        merged: Sequence[Node],
    ) -> tuple[Lines, str]:
        """Return the rows so far and what they come to, with one more link."""
        if word == "then" and len(given) == 1:
            return self._called(given[0], rows, value, merged)
        if word == "then":
            return self._either(given[0], given[1], rows, value, later)
        kept = f"value = {value}" if later and value else value
        tried = ["try:", *indented([*rows, kept] if kept else rows)]
        name = "error"
        function = bare(given[0]) if given else None
        taken = (
            parameters(function) if function is not None and function.type in FUNCTION_KINDS else []
        )
        if function is not None and function in merged:
            name = self._named(function, taken[0]) if taken else ""
        elif function is not None and function.type in FUNCTION_KINDS and not taken:
            name = ""
        title = (
            "finally:" if word == "finally" else f"except Exception{f' as {name}' * bool(name)}:"
        )
        part, code = self._called(given[0], [], "" if word == "finally" else name, merged)
        put = f"value = {code}" if later and code and word == "catch" else code
        part = [*part, *([put] if put else [])]
        if later and word == "catch":
            if not kept and not _leaves(rows):
                tried.append("    value = None")
            if not put and not _leaves(part):
                part.append("value = None")
        done = not later or (not kept and _leaves(rows) and (word != "catch" or _leaves(part)))
        return [*tried, title, *indented(part or ["pass"])], "" if done else "value"

    def _either(
        self, done: Node, failed: Node, rows: Lines, value: str, later: bool
    ) -> tuple[Lines, str]:
        """Write ``then(done, failed)``, of which only one is called."""
        tried = ["try:", *indented([*rows, f"value = {value}" if value else "value = None"])]
        for title, function, name in (
            ("except Exception as error:", failed, "error"),
            ("else:", done, "value"),
        ):
            part, code = self._called(function, [], name, ())
            put = f"value = {code}" if later and code else code
            tried += [title, *indented([*part, put or "pass"])]
        return tried, "value" if later else ""

    def _called(
        self, function: Node, rows: Lines, value: str, merged: Sequence[Node]
    ) -> tuple[Lines, str]:
        """Return a call of ``function`` with a value, and the rows that stand before it."""
        function = bare(function)
        if function in merged:
            return self._merged(function, rows, value)
        binding = self._w.bindings.find(function) if function.type == "identifier" else None
        source = binding.function if binding is not None else None
        if function.type in FUNCTION_KINDS:
            source = function
            kept, self._w.before = self._w.before, []
            code = self._w.definitions.define(function, "then")
            rows, self._w.before = [*self._w.before, *rows], kept
        else:
            code = self._x.of(function, ATOM)
        takes = len(parameters(source)) if source is not None else self._takes(function)
        if not takes and value.startswith("await "):
            rows = [*rows, value]
        called = f"{code}({value if takes else ''})"
        is_async = source is not None and self._w.bindings.is_async(source)
        return rows, f"await {called}" if is_async else called

    def _merged(self, function: Node, rows: Lines, value: str) -> tuple[Lines, str]:
        """Write a function's body where it is called."""
        taken, body = parameters(function), field(function, "body")
        if taken and value:
            name = self._named(function, taken[0])
            rows = [*rows, *([f"{name} = {value}"] if name != value else [])]
        elif value.startswith("await "):
            rows = [*rows, value]
        with self._w.within(function):
            if body.type == "statement_block":
                return [*rows, *self._w.block(body)], ""
            kept, self._w.before = self._w.before, []
            code = self.given(body)
            rows, self._w.before = [*rows, *self._w.before], kept
            return rows, code

    def _named(self, function: Node, parameter: Node) -> str:
        with self._w.within(function):
            return self._w.python(parameter)

    def _locals(self, function: Node) -> set[str]:
        return {b.python for b in self._w.bindings.inside(function).names.values()}

    def _mergeable(self, head: Node, links: Sequence[tuple[str, list[Node]]]) -> list[Node]:
        """Return the functions of a chain whose bodies can stand in one function: all or none.

        A ``return`` of theirs must be the chain's, and no name of one may hide another's.
        """
        functions: list[Node] = []
        for index, (word, given) in enumerate(links):
            for function in map(bare, given):
                if function.type not in FUNCTION_KINDS:
                    continue
                plain = all(p.type == "identifier" for p in parameters(function))
                goes_on = any(w == "then" for w, _ in links[index + 1 :]) or word == "finally"
                body = field(function, "body")
                returns = body.type == "statement_block" and any(
                    n.type == "return_statement" for n in walk(body, into_functions=False)
                )
                if not plain or len(parameters(function)) > 1 or (returns and goes_on):
                    return []
                if len(given) > 1 or any("\0" in n for n in self._locals(function)):
                    return []
                functions.append(function)
        for function in functions:
            own = self._locals(function)
            for other in [head, *(f for f in functions if f is not function)]:
                theirs = self._locals(other) if other in functions else set()
                named = (n for n in walk(other) if n.type == "identifier")
                if own & ({self._w.python(n) for n in named} - theirs):
                    return []
        return functions

    def _takes(self, function: Node) -> int:
        """Return how many arguments a function of voxpy's takes; any other one."""
        path = self._x.path(function)
        found = vocabulary.look_up(path) if path and vocabulary.complaint(path) is None else None
        signature = vocabulary.signature(found) if found is not None else None
        return len(signature.parameters) if signature is not None else 1


def _unchained(node: Node) -> tuple[Node, list[tuple[str, list[Node]]]]:
    """Return what a chain begins with and its links in order."""
    links: list[tuple[str, list[Node]]] = []
    while node.type == "call_expression" and _link(node):
        links.insert(0, (_link(node), arguments(node)))
        node = bare(field(field(node, "function"), "object"))
    return node, links


def _leaves(rows: Lines) -> bool:
    return bool(rows) and rows[-1].startswith(("return", "raise"))


def _link(call: Node) -> str:
    called = field(call, "function")
    name = text(field(called, "property")) if called.type == "member_expression" else ""
    return name if name in LINKS else ""
