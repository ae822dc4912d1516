"""Whose voice speaks: the host's own, or one that a package brings.

``voice="joe"`` is a speaker of the host's voice (``SessionContext.speech``). A package adds voices
with an entry point of the group ``voxpy.voices``: its name is what stands before the slash in
``voice="piper/joe"``, its value a function without arguments that returns an object like
``voxpy.engine.speech.Speaks``. It is called once in the life of the process, in a thread.
"""

from __future__ import annotations

import functools
from importlib.metadata import entry_points
from typing import Any

import attrs

from voxpy.engine.speech import Speaks, SpeechEngines
from voxpy.errors import SoundFailed, nearest

__all__ = ["DEFAULT_SPEAKER", "ENTRY_POINT_GROUP", "Speaker", "find_speaker"]

ENTRY_POINT_GROUP = "voxpy.voices"
DEFAULT_SPEAKER = "Ashley"


@attrs.frozen
class Speaker:
    """A voice and the name of who is to speak with it."""

    voice: Speaks
    name: str


def find_speaker(voice: str | None, engines: SpeechEngines) -> Speaker:
    """Return who speaks for ``voice``. Blocking: a package's voice is loaded here.

    Raises SoundFailed for a package that is not installed.
    """
    package, slash, name = (voice or DEFAULT_SPEAKER).partition("/")
    if not slash:
        return Speaker(engines.voice, package)
    return Speaker(_load(package), name)


@functools.cache
def _load(package: str) -> Speaks:
    installed: dict[str, Any] = {p.name: p.load for p in entry_points(group=ENTRY_POINT_GROUP)}
    if package not in installed:
        known = (
            f"installed are {', '.join(sorted(installed))}" if installed else "none is installed"
        )
        raise SoundFailed(
            f"no package brings the voice {package!r} (entry point group {ENTRY_POINT_GROUP!r}; "
            f"{known}){nearest(package, installed)}"
        )
    voice: Speaks = installed[package]()()
    return voice
