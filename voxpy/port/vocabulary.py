"""What voxpy has under VoxEngine's names, asked of voxpy itself."""

from __future__ import annotations

import inspect
import keyword
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import attrs

import voxpy
from voxpy.errors import NotSupported, UnknownName, VoxpyError

_RESERVED = frozenset({*keyword.kwlist, "self", "json", "re", "time", "math", "random", "trio"})
_HANDLERS = {  # of a WebSocket: lower case throughout in VoxEngine
    "onopen": "on_open",
    "onmessage": "on_message",
    "onclose": "on_close",
    "onerror": "on_error",
    "oncreated": "on_created",
    "onmediastarted": "on_media_started",
    "onmediaended": "on_media_ended",
}
_USED_BY_THE_PORT = frozenset(
    "str int float bool list dict len range isinstance callable sorted sum min max abs round any "
    "all next print map filter zip reversed enumerate set tuple type".split()
)


def snake(name: str) -> str:
    """``createURLPlayer`` -> ``create_url_player``; constants and classes stay as they are.

    VoxEngine's acronyms: ``callPSTN``, ``onWebSocketClose``, ``createRealtimeAPIClient``.
    """
    if name in _HANDLERS:
        return _HANDLERS[name]
    if name.isupper() or not name or name.startswith("__"):
        return name
    name = name.replace("WebSocket", "Websocket") if not name.startswith("on") else name
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return name.lower()


def variable(name: str) -> str:
    """Return the Python name of a variable: snake case, unless it is a constant or a class."""
    if re.fullmatch(r"[A-Z][A-Z0-9_]*", name) or re.match(r"[A-Z][a-z]", name):
        found = name
    else:
        found = snake(name.replace("$", "_")) or "_"
    taken = found in _RESERVED or found in _USED_BY_THE_PORT or found in root_names()
    return f"{found}_" if taken else found


def member(name: str) -> str:
    """Return a member's Python name: ``addEventListener`` -> ``add_event_listener``."""
    found = name if name[:1].isupper() or "_" in name else snake(name)
    return f"{found}_" if keyword.iskeyword(found) else found


@cache
def root_names() -> frozenset[str]:
    return frozenset(dir(voxpy))


def root(name: str) -> str | None:
    """Return voxpy's name of a global of VoxEngine (``setTimeout``, ``Call``), None if it has none.

    Functions are looked up in snake case.
    """
    return next((n for n in (name, snake(name)) if n in root_names()), None)


_JAVASCRIPT = frozenset("JSON Math Object Array Date Promise Number String RegExp Error".split())


def is_foreign(name: str) -> bool:
    """Return whether a name the source does not define is VoxEngine's, in voxpy or not."""
    return root(name) is not None or (name[:1].isupper() and name not in _JAVASCRIPT)


def is_needless(call: str) -> bool:
    """Return whether a call only requires what is always there: ``require(Modules.Player)``."""
    found = re.fullmatch(r"require\(Modules\.(\w+)\)", call)
    return found is not None and not hasattr(voxpy.Modules, found[1]) and root(found[1]) is not None


_RENAMED = {
    "ASREvents.Error": "ASREvents.ASRError",
    "ElevenLabs.ConversationalAIClient": "ElevenLabs.AgentsClient",
    "ElevenLabs.ConversationalAIEvents": "ElevenLabs.AgentsEvents",
    "ElevenLabs.create_conversational_ai_client": "ElevenLabs.create_agents_client",
    "PlayerEvents.PlaybackError": "PlayerEvents.Error",
    "VoxEngine.CallList": "CallList",
    "WebSocketEvents.Close": "WebSocketEvents.CLOSE",
    "WebSocketEvents.Error": "WebSocketEvents.ERROR",
    "WebSocketEvents.Message": "WebSocketEvents.MESSAGE",
    "WebSocketEvents.Open": "WebSocketEvents.OPEN",
}
"""Names of earlier VoxEngines, or none of its, that scenarios use."""


def renamed(path: str) -> str:
    """Return the present name of a dotted name of voxpy's, if it had another one."""
    return _RENAMED.get(path, path)


def lacks_module(call: str) -> str | None:
    """Return why a module that is required cannot be, None for any other call."""
    found = re.fullmatch(r"require\(Modules\.(\w+)\)", call)
    try:
        if found is not None:
            voxpy.require(getattr(voxpy.Modules, found[1]))
    except (UnknownName, NotSupported) as error:
        return str(error)
    except VoxpyError:
        return None  # it is there, and no session runs
    return None


@cache
def look_up(path: str) -> Any:
    """Return what a dotted name of voxpy stands for; raises what voxpy raises for it."""
    first, *rest = path.split(".")
    found = getattr(voxpy, first)
    for name in rest:
        found = getattr(found, name)
    return found


def complaint(path: str) -> str | None:
    """Return why a dotted name of voxpy cannot be used, None if it can."""
    try:
        look_up(path)
    except (AttributeError, UnknownName, NotSupported) as error:
        return str(error)
    return None


@cache
def _units() -> tuple[type, ...]:
    """Every class of voxpy whose objects scenarios hold, found by its methods."""
    found: list[type] = []
    names = ("Call", "Player", "Conference", "ASR", "Recorder", "SequencePlayer", "VAD", "AMD",
             "WebSocket")  # fmt: skip
    spaces = (*voxpy.Modules.members(), "AMD")  # all namespaces that VoxEngine has: some are absent
    for path in names:
        value = look_up(path) if complaint(path) is None else None
        found += [value] if inspect.isclass(value) else []
    for space in spaces:
        if complaint(space) is None:
            members = vars(type(look_up(space))) | getattr(look_up(space), "__dict__", {})
            found += [m for m in members.values() if inspect.isclass(m)]
    return tuple(found)


def unit_method(name: str) -> Callable[..., Any] | None:
    """Return the method of any unit by its Python name."""
    for unit in _units():
        found = inspect.getattr_static(unit, name, None)
        if inspect.isfunction(found):
            return found
    return None


def is_event(value: Any) -> bool:
    return inspect.isclass(value) and attrs.has(value) and hasattr(value, "name")


def event_class(event: str) -> tuple[str, Any] | None:
    """Return an event's Python name and class, None for what is no event of voxpy's."""
    path = ""
    for part in event.split("."):
        path = renamed(f"{path}.{member(part)}".lstrip("."))
    if path == "*" or complaint(path) is not None or not is_event(look_up(path)):
        return None
    return path, look_up(path)


def has_field(event: str, name: str) -> bool:
    """Return whether an event of this name has a field; of an unknown one, what all have."""
    found = event_class(event)
    return (
        hasattr(found[1], name) or name in attrs.fields_dict(found[1]) if found else name == "name"
    )


@cache
def asked(name: str) -> bool:
    """Return whether a unit answers to ``name()`` without arguments: ``id``, ``callerid``."""
    found = signature(unit_method(name)) if unit_method(name) is not None else None
    said = found is not None and str(found.return_annotation) in ("str", "bool", "int", "float")
    return (
        said
        and found is not None
        and all(p.default is not p.empty for p in list(found.parameters.values())[1:])
    )


@cache
def event_fields() -> frozenset[str]:
    """Fields of all events and methods of all units: names that are read with a dot."""
    found: set[str] = set()
    for space in root_names():
        if space.endswith("Events") and complaint(space) is None:
            for value in vars(look_up(space)).values():
                if is_event(value):
                    found |= {f.name for f in attrs.fields(value)}
    for unit in _units():
        found |= {n for n in dir(unit) if not n.startswith("_")}
    return frozenset(found)


def is_coroutine(function: Any) -> bool:
    return inspect.iscoroutinefunction(inspect.unwrap(function)) if callable(function) else False


@cache
def gives_promise(path: str) -> bool:
    """Return whether a dotted name of voxpy is an async function."""
    return (
        root(path.split(".")[0]) is not None and not complaint(path) and is_coroutine(look_up(path))
    )


def signature(function: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None
