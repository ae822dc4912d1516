"""A scenario file, read and compiled, and what can be said of it without running it.

The syntax tree is compared with the real objects of the vocabulary, so that this file never has to
know which events or functions exist. Only names imported from ``voxpy`` are judged, and only where
nothing else in the file gives them another meaning: a doubt is no finding.
"""

from __future__ import annotations

import ast
import importlib
import stat
import types
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from voxpy.constants import spoken_language
from voxpy.engine.events import OpenName
from voxpy.engine.loader import ScenarioFile
from voxpy.errors import VoxpyError, nearest
from voxpy.project.problem import Problem
from voxpy.project.secrets import Secrets
from voxpy.wire.speech import service_of

PACKAGE = "voxpy"
MOST_BYTES = 250_000
"""25 times the usual. A compiler holds the interpreter, 1 s for each MB: nobody is heard then."""

_LISTENING = frozenset({"add_event_listener", "on", "wait_event", "play_sound_and_hangup"})
_DIALLING = ("call_pstn", "call_sip", "call_user", "call_whatsapp", "forward_call_to_")
_ABSENT: Any = object()


@attrs.frozen
class Use:
    """A ``get_secret_value("NAME")``, or a function that calls somebody."""

    name: str
    line: int


@attrs.frozen(kw_only=True)
class Reading:
    """What one scenario file showed. ``file`` is what runs; None if it cannot.

    ``listens`` is true if it subscribes to anything or imports a neighbour that may do it.
    """

    problems: tuple[Problem, ...]
    text: str = attrs.field(default="", repr=False)
    file: ScenarioFile | None = None
    listens: bool = True
    secrets: tuple[Use, ...] = ()
    dials: tuple[Use, ...] = ()


def read_scenario(path: Path, secrets: Secrets | None = None) -> Reading:
    """Read a scenario file; with ``secrets`` also see whether it asks for one that is missing."""
    file = str(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return Reading(problems=(Problem(file, None, "error", "is no file"),))
        if status.st_size > MOST_BYTES:
            told = f"has {status.st_size} bytes; a scenario has at most {MOST_BYTES}"
            return Reading(problems=(Problem(file, None, "error", told),))
        source = path.read_text(encoding="utf-8-sig")  # some editors put a mark in front
    except (OSError, UnicodeDecodeError) as exc:
        return Reading(problems=(Problem(file, None, "error", f"cannot be read: {exc}"),))
    reading = examine(source, file=file)
    if secrets is None:
        return reading
    missing = [
        Problem(file, use.line, "warning", secrets.missing(use.name))
        for use in reading.secrets
        if secrets.get(use.name) is None
    ]
    every = sorted((*reading.problems, *missing), key=lambda p: p.line or 0)
    return attrs.evolve(reading, problems=tuple(every))


def examine(source: str, *, file: str) -> Reading:
    """Compile and examine the text of a scenario. Runs none of it."""
    tree, code, problems = _parse(source, file)
    if tree is None or code is None:
        return Reading(problems=tuple(problems))
    nodes = list(ast.walk(tree))
    imported, wrong = _imported(nodes)
    vocabulary = {**imported, **_required(nodes, imported)}
    for name in _given_another_meaning(nodes, vocabulary):
        vocabulary.pop(name, None)
    wrong += _wrong_chains(nodes, vocabulary)
    wrong += _wrong_requires(nodes, vocabulary)
    problems += [Problem(file, line, "error", message) for line, message in wrong]
    foreign = _foreign_languages(nodes, vocabulary)
    problems += [Problem(file, line, "warning", message) for line, message in foreign]
    return Reading(
        problems=tuple(sorted(set(problems), key=lambda p: (p.line or 0, p.message))),
        text=source,
        file=ScenarioFile(Path(file), code),
        listens=any(_listens(node) for node in nodes),
        secrets=tuple(_secrets(nodes)),
        dials=tuple(_dials(nodes, vocabulary)),
    )


def _parse(
    source: str, file: str
) -> tuple[ast.Module | None, types.CodeType | None, list[Problem]]:
    """Parse and compile: some errors (await outside a function) no parser finds."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            tree = ast.parse(source, file)
            code = compile(tree, file, "exec", dont_inherit=True)
    except SyntaxError as exc:
        return None, None, [Problem(file, exc.lineno, "error", exc.msg)]
    except (ValueError, RecursionError, MemoryError) as exc:
        return None, None, [Problem(file, None, "error", f"cannot be compiled: {exc}")]
    heard = {(w.lineno, str(w.message)) for w in caught}  # parsing and compiling both say it
    if not tree.body:
        return None, None, [Problem(file, None, "error", "is empty: there is nothing to run")]
    return tree, code, [Problem(file, line, "warning", message) for line, message in sorted(heard)]


Wrong = list[tuple[int, str]]


def _imported(nodes: Iterable[ast.AST]) -> tuple[dict[str, Any], Wrong]:
    """Return what the file's imports of voxpy bind, and those that cannot work."""
    bound: dict[str, Any] = {}
    wrong: Wrong = []
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if _is_ours(alias.name):
                    try:
                        module = importlib.import_module(alias.name)
                    except ImportError as exc:
                        wrong.append((node.lineno, f"cannot import {alias.name}: {exc}"))
                        continue
                    top = importlib.import_module(PACKAGE)
                    bound[alias.asname or PACKAGE] = module if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and not node.level and _is_ours(node.module or ""):
            wrong += _import_from(node, bound)
    return bound, wrong


def _is_ours(module: str) -> bool:
    return module.split(".")[0] == PACKAGE


def _import_from(node: ast.ImportFrom, bound: dict[str, Any]) -> Wrong:
    try:
        module = importlib.import_module(node.module or "")
    except ImportError as exc:
        return [(node.lineno, f"cannot import {node.module}: {exc}")]
    wrong: Wrong = []
    for alias in node.names:
        if alias.name == "*":
            bound |= {name: getattr(module, name) for name in getattr(module, "__all__", ())}
            continue
        value, complaint = _member_or_submodule(module, alias.name)
        if complaint:
            wrong.append((alias.lineno, complaint))
        else:
            bound[alias.asname or alias.name] = value
    return wrong


def _member_or_submodule(module: types.ModuleType, name: str) -> tuple[Any, str]:
    """Do what ``from module import name`` does; return the value, or _ABSENT and why."""
    try:
        return getattr(module, name), ""
    except AttributeError:
        pass
    except ImportError as exc:  # the vocabulary is imported when used: a part may lack its engine
        return _ABSENT, f"cannot import {name} from {module.__name__}: {exc}"
    try:
        return importlib.import_module(f"{module.__name__}.{name}"), ""
    except ImportError:
        return _ABSENT, f"{module.__name__} has no {name!r}{nearest(name, _public(module))}"


def _public(owner: Any) -> list[str]:
    names = getattr(owner, "__all__", None) if isinstance(owner, types.ModuleType) else None
    return [name for name in (names or dir(owner)) if not name.startswith("_")]


def _required(nodes: Iterable[ast.AST], vocabulary: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``X = require(Modules.Y)`` binds."""
    return {
        node.targets[0].id: namespace
        for node in nodes
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        if (namespace := _require(node.value, vocabulary)[0]) is not _ABSENT
    }


def _require(node: ast.AST, vocabulary: Mapping[str, Any]) -> tuple[Any, str]:
    """Return what a ``require(...)`` gives, or _ABSENT and why it gives nothing (or nothing)."""
    if not (isinstance(node, ast.Call) and len(node.args) == 1):
        return _ABSENT, ""
    function, _ = _resolve(node.func, vocabulary)
    if function is _ABSENT or getattr(function, "__name__", "") != "require":
        return _ABSENT, ""
    argument = node.args[0]
    module = argument.value if isinstance(argument, ast.Constant) else None
    if module is None:
        module, _ = _resolve(argument, vocabulary)
    if module is _ABSENT:
        return _ABSENT, ""
    try:
        return function(module), ""
    except VoxpyError as exc:
        return _ABSENT, str(exc)
    except ImportError as exc:
        return _ABSENT, f"cannot import {module!r}: {exc}"


def _wrong_requires(nodes: Iterable[ast.AST], vocabulary: Mapping[str, Any]) -> Wrong:
    return [
        (node.lineno, why)
        for node in nodes
        if isinstance(node, ast.Call) and (why := _require(node, vocabulary)[1])
    ]


def _given_another_meaning(
    nodes: Iterable[ast.AST], vocabulary: Mapping[str, Any]
) -> Iterator[str]:
    """Yield the names that the file binds in another way than by the vocabulary's own imports."""
    nodes = list(nodes)
    bindings = Counter(name for node in nodes for name in _binds(node))
    for node in nodes:
        if isinstance(node, ast.Assign) and _require(node.value, vocabulary)[0] is not _ABSENT:
            bindings -= Counter(t.id for t in node.targets if isinstance(t, ast.Name))
    yield from +bindings


def _binds(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
            yield name
        case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
            yield name
        case ast.Import(names=names):
            yield from (
                alias.asname or alias.name.split(".")[0]
                for alias in names
                if not _is_ours(alias.name)
            )
        case ast.ImportFrom(names=names, module=module, level=level):
            if level or not _is_ours(module or ""):
                yield from (alias.asname or alias.name for alias in names)


def _wrong_chains(nodes: Iterable[ast.AST], vocabulary: Mapping[str, Any]) -> Wrong:
    """Return a complaint for every ``CallEvents.Conected``; the same one may come twice."""
    wrong: Wrong = []
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            _, complaint = _resolve(node, vocabulary)
            if complaint:
                wrong.append((node.end_lineno or node.lineno, complaint))
    return wrong


def _foreign_languages(nodes: Iterable[ast.AST], vocabulary: Mapping[str, Any]) -> Wrong:
    """Return a warning for constants of languages that a host alone neither speaks nor hears."""
    found: Wrong = []
    for node in nodes:
        if not isinstance(node, ast.Attribute):
            continue
        name, _ = _resolve(node, vocabulary)
        language = spoken_language(name) if isinstance(name, OpenName) else None
        if language is not None and not language.startswith("en") and service_of(name) is None:
            told = (
                f"{ast.unparse(node)} is {language}; a host's own voice and recogniser are English:"
                " name a service's, such as voice='elevenlabs/…' and profile='deepgram/…'"
            )
            found.append((node.lineno, told))
    return found


def _resolve(node: ast.AST, vocabulary: Mapping[str, Any]) -> tuple[Any, str]:
    """Return what an expression is, or _ABSENT and a complaint if its last name is wrong."""
    if isinstance(node, ast.Name):
        return vocabulary.get(node.id, _ABSENT), ""
    if not isinstance(node, ast.Attribute):
        return _ABSENT, ""
    owner, _ = _resolve(node.value, vocabulary)  # a complaint about it is its own node's
    if owner is _ABSENT or not _is_namespace(owner):
        return _ABSENT, ""
    try:
        return getattr(owner, node.attr), ""
    except VoxpyError as exc:
        return _ABSENT, str(exc)
    except AttributeError:
        what = ast.unparse(node.value)
        return _ABSENT, f"{what} has no {node.attr!r}{nearest(node.attr, _public(owner))}"
    except ImportError as exc:
        return _ABSENT, f"cannot import {node.attr!r}: {exc}"


def _is_namespace(owner: Any) -> bool:
    """Return whether what ``owner`` has is known before the scenario runs.

    That is so for modules, classes, and the objects of the vocabulary such as ``VoxEngine``; not
    for the fields of an event class, which only its instances fill.
    """
    if isinstance(owner, (types.FunctionType, types.MethodType)):
        return False
    return isinstance(owner, (types.ModuleType, type)) or _is_ours(type(owner).__module__)


def _listens(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.level > 0
    if not isinstance(node, ast.Attribute):
        return False
    return node.attr in _LISTENING or node.attr.startswith("forward_call_to_")


def _secrets(nodes: Iterable[ast.AST]) -> Iterator[Use]:
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr != "get_secret_value":
                continue
            given = [*node.args[:1], *(k.value for k in node.keywords if k.arg == "name")]
            for argument in given:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield Use(argument.value, argument.lineno)


def _dials(nodes: Iterable[ast.AST], vocabulary: Mapping[str, Any]) -> Iterator[Use]:
    """Yield the calls that the scenario makes; one to a conference needs no trunk."""
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner, _ = _resolve(node.func.value, vocabulary)
            if type(owner).__name__ == "VoxEngineNamespace" and node.func.attr.startswith(
                _DIALLING
            ):
                yield Use(node.func.attr, node.lineno)
