"""A memory of a conversation made by simple rules: what was said last, and what callers told.

No model is asked: this is for running the memory cycle of a session, not for remembering well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from voxpy.localagent.responder import Item, text_of

__all__ = ["instructions_with_memory", "recollect"]

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
