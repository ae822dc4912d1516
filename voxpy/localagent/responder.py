"""What the local agent's brain is asked and what it may answer.

Pure. Items and tools keep the shape they have on the wire (the Realtime protocol's conversation
items and function tools), so that nothing of what a client sent is lost on the way to a brain.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

import attrs

__all__ = ["Act", "CallTool", "Responder", "Say", "Turn", "last_message", "text_of"]

Item = Mapping[str, Any]

_TEXT_KINDS = frozenset({"input_text", "output_text", "text"})
_AUDIO_KINDS = frozenset({"input_audio", "output_audio", "audio"})


@attrs.frozen(kw_only=True)
class Turn:
    """Everything known when a response is to be made."""

    instructions: str = ""
    """The session's prompt."""
    items: Sequence[Item] = ()
    """The conversation, oldest first: ``message``, ``function_call``, ``function_call_output``."""
    tools: Sequence[Mapping[str, Any]] = ()
    """Declared functions: ``{"type": "function", "name", "description", "parameters"}``."""
    tool_choice: str | Mapping[str, Any] = "auto"
    """``auto``, ``none``, ``required`` or ``{"type": "function", "name": ...}``."""
    response_instructions: str | None = None
    """Instructions for this response alone, from ``response.create``."""


@attrs.frozen
class Say:
    """Speak ``text``, a sentence or a few; a turn may consist of several."""

    text: str


@attrs.frozen
class CallTool:
    """Call the declared function ``name`` with ``arguments``: a JSON object, or text as it is."""

    name: str
    arguments: dict[str, Any] | str


Act = Say | CallTool


class Responder(Protocol):
    """A brain. One instance serves every call: what it knows of a call is in the Turn."""

    def respond(self, turn: Turn) -> AsyncIterator[Act]:
        """Yield what to do, each part as soon as it is known; closed when the caller barges in."""
        ...


def text_of(item: Item) -> str:
    """Return what a message item says: its texts and transcripts, white space collapsed."""
    parts = []
    for part in item.get("content") or ():
        kind = part.get("type")
        if kind in _TEXT_KINDS:
            parts.append(part.get("text"))
        elif kind in _AUDIO_KINDS:
            parts.append(part.get("transcript"))
    return " ".join(" ".join(part for part in parts if part).split())


def last_message(items: Sequence[Item], role: str) -> Item | None:
    """Return the newest message of ``role`` that says something, or None."""
    for item in reversed(items):
        if item.get("type") == "message" and item.get("role") == role and text_of(item):
            return item
    return None
