"""``Modules`` and ``require``: which parts of the vocabulary a scenario asks for by name.

VoxEngine: require, Modules. There ``require`` makes a global name appear; here the namespace is
imported or taken from what ``require`` returns, and the call itself is written to the trace.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from voxpy.absent import ABSENT, MODULES
from voxpy.engine.context import current_or_none
from voxpy.engine.events import Namespace
from voxpy.errors import NotSupported, ScenarioError, UnknownName, nearest

__all__ = ["ENTRY_POINT_GROUP", "Modules", "require"]

# A package adds a module with an entry point of this group: name = what require() takes,
# value = where the namespace object is.
ENTRY_POINT_GROUP = "voxpy.modules"

# Not in VoxEngine's enum; requiring them ends a call there before it rings.
_ALWAYS_AVAILABLE = (
    "AMD", "CallList", "Crypto", "Logger", "Net", "PhoneNumber", "Player", "WebSocket",
)  # fmt: skip


class _ModuleNames(Namespace):
    """Answers the members that people expect in ``Modules`` and that must not be there."""

    if not TYPE_CHECKING:

        def __getattr__(cls, name: str) -> Any:  # noqa: N805  the class is its instance
            if name in _ALWAYS_AVAILABLE:
                raise UnknownName(f"Modules has no {name!r}: {_needs_no_require(name)}")
            return super().__getattr__(name)


class Modules(metaclass=_ModuleNames):
    """What ``require`` takes (VoxEngine: Modules); the values are VoxEngine's strings."""

    ACD = "acd"
    AI = "ai"
    ApplicationStorage = "applicationstorage"
    ASR = "asr"
    Avatar = "avatar"
    Cartesia = "cartesia"
    Conference = "conference"
    Deepgram = "deepgram"
    ElevenLabs = "elevenlabs"
    Gemini = "gemini"
    Google = "google"
    Grok = "grok"
    Inworld = "inworld"
    IVR = "ivr"
    MCP = "mcp"
    OpenAI = "openai"
    Pipecat = "pipecat"
    PushService = "pushservice"
    Recorder = "recorder"
    Silero = "silero"
    SmartQueue = "smartqueue"
    StreamingAgent = "streamingagent"
    Ultravox = "ultravox"
    VoximplantAPI = "voximplantapi"
    VoxTTS = "voxtts"
    XAI = "xai"
    Yandex = "yandex"


def require(module: str) -> Any:
    """Return the namespace object of ``module``, such as ``Modules.Inworld`` or ``"inworld"``.

    Inside a session the trace records it. Raises NotSupported for a module of VoxEngine that is not
    installed (the message lists those that are), UnknownName for any other string, ScenarioError
    for what is not a string. VoxEngine: require.
    """
    given: Any = module  # scenarios are not always type checked
    if not (given and isinstance(given, str)):
        raise ScenarioError(f"require takes a member of Modules, not {module!r}")
    namespace = _loader(module)()
    session = current_or_none()
    if session is not None:
        session.trace_module(module)
    return namespace


# VoxEngine has no namespace for these, only names.
_ONLY_NAMES = {
    Modules.ASR: "voxpy.asr",
    Modules.Conference: "voxpy.conferences",
    Modules.IVR: "voxpy.ivr",
    Modules.Recorder: "voxpy.recording",
}


def _own() -> dict[str, Callable[[], Any]]:
    """Return ours: members of the vocabulary. By name, not by an import, as they stand above."""
    vocabulary = importlib.import_module("voxpy")
    found = {
        module: partial(getattr, vocabulary, name)
        for name, module in Modules.members().items()
        if name in dir(vocabulary)
    }
    names = {m: partial(importlib.import_module, place) for m, place in _ONLY_NAMES.items()}
    return {**found, **names}


def _loader(module: str) -> Callable[[], Any]:
    own = _own()
    if module in own:  # ours cannot be replaced, and need no search through all distributions
        return own[module]
    added = {point.name: point.load for point in entry_points(group=ENTRY_POINT_GROUP)}
    if module in added:
        return added[module]
    installed = {*added, *own}
    known = Modules.members()
    if module in known.values():
        why = ABSENT.get(MODULES.get(module, ""))
        raise NotSupported(
            f"voxpy has no module {module!r}{f': {why}' if why else ' yet'}; it has "
            f"{', '.join(sorted(installed))}, and a package can add one with an entry point of the "
            f"group {ENTRY_POINT_GROUP!r}"
        )
    for name in _ALWAYS_AVAILABLE:
        if module.lower() == name.lower():
            raise UnknownName(f"there is no module {module!r}: {_needs_no_require(name)}")
    raise UnknownName(
        f"there is no module {module!r}{nearest(module, {*known.values(), *installed})}"
    )


def _needs_no_require(name: str) -> str:
    return f"{name} is always available and needs no require(); use: from voxpy import {name}"
