"""What the local agent's brain is asked, what it may answer, what it remembers of a long call.

Pure. Items and tools keep the shape they have on the wire (the Realtime protocol's conversation
items and function tools), so that nothing of what a client sent is lost on the way to a brain.

``recollect`` makes a memory by simple rules: what was said last, and what callers told. No model is
asked: this is for running the memory cycle of a session, not for remembering well.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

import attrs

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


_LAST_SAID = 6
_SPEAKERS = {"user": "Caller", "assistant": "Agent"}
_FACT = re.compile(
    r"\b(?:my name is|i am called|my number is|i live in|i work (?:at|for|in)|i need|i want"
    r"|i would like|i like|i prefer)\b[^.!?]*",
    re.IGNORECASE,
)


def recollect(
    items: Sequence[Item], before: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return ``facts``, ``summary`` and ``context_text`` for ``items``, added to what was before.

    ``settings`` is ``providerData.memory``: ``max_facts`` are kept, the newest, and the texts have
    at most ``max_memory_length`` characters.
    """
    longest = int(settings.get("max_memory_length") or 0) or None
    facts = [str(fact) for fact in before.get("facts") or ()]
    facts += [fact for item in items for fact in _facts(item) if fact not in facts]
    most = int(settings.get("max_facts") or 0)
    facts = list(dict.fromkeys(facts))[-most:] if most else []
    summary = _newest(" ".join(_last_said(items)), longest)
    told = f"Known of the caller: {'; '.join(facts)}. " if facts else ""
    context = _newest(f"{told}Said last: {summary}" if summary else told.strip(), longest)
    return {"facts": facts, "summary": summary, "context_text": context}


def _facts(item: Item) -> list[str]:
    if item.get("role") != "user":
        return []
    return [" ".join(found.split()) for found in _FACT.findall(text_of(item))]


def _last_said(items: Sequence[Item]) -> list[str]:
    said = [(_SPEAKERS.get(str(item.get("role"))), text_of(item)) for item in items]
    lines = [f"{speaker}: {text}" for speaker, text in said if speaker and text]
    return lines[-_LAST_SAID:]


def _newest(text: str, longest: int | None) -> str:
    return text if longest is None or len(text) <= longest else text[-longest:].lstrip()


def instructions_with_memory(session: Mapping[str, Any]) -> str:
    """Return a session's instructions, its memory added if it has one."""
    instructions = str(session.get("instructions") or "")
    memory = (session.get("providerData") or {}).get("memory") or {}
    context = (memory.get("state") or {}).get("context_text") if memory.get("enabled") else None
    return f"{instructions}\n\n{context}".strip() if context else instructions
