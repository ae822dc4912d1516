"""What the local agent remembers."""

from __future__ import annotations

from typing import Any

from voxpy.localagent.responder import instructions_with_memory, recollect


def said(role: str, text: str) -> dict[str, Any]:
    kind = {"user": "input_text", "assistant": "output_text"}[role]
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


ITEMS = [
    said("user", "Hello. My name is Ann Lee, and I need a room for two. Is it dear?"),
    said("assistant", "My name is Voxi. It is not."),
    {"type": "function_call", "name": "f", "arguments": "{}"},
    said("user", "Good"),
]


def test_facts_summary_and_context() -> None:
    made = recollect(ITEMS, {}, {"max_facts": 20, "max_memory_length": 2000})
    assert made["facts"] == ["My name is Ann Lee, and I need a room for two"]
    assert made["summary"].endswith("Agent: My name is Voxi. It is not. Caller: Good")
    assert made["context_text"].startswith("Known of the caller: My name is Ann Lee")
    assert made["context_text"].endswith("Said last: " + made["summary"])


def test_facts_are_kept_once_the_newest_first_to_stay() -> None:
    before = {"facts": ["I like tea", "My name is Ann Lee, and I need a room for two"]}
    items = [*ITEMS, said("user", "I live in Oslo.")]
    made = recollect(items, before, {"max_facts": 2, "max_memory_length": 2000})
    assert made["facts"] == ["My name is Ann Lee, and I need a room for two", "I live in Oslo"]
    assert recollect(items, before, {"max_facts": 0})["facts"] == []


def test_texts_keep_their_length() -> None:
    made = recollect(ITEMS, {}, {"max_facts": 9, "max_memory_length": 30})
    assert 0 < len(made["summary"]) <= 30
    assert 0 < len(made["context_text"]) <= 30
    assert made["summary"].endswith("Caller: Good")


def test_nothing_said() -> None:
    assert recollect([], {}, {}) == {"facts": [], "summary": "", "context_text": ""}


def test_the_memory_is_added_to_the_instructions_only_while_it_is_on() -> None:
    memory = {"enabled": True, "state": {"context_text": "Known: Ann"}}
    session = {"instructions": "Be brief.", "providerData": {"memory": memory}}
    assert instructions_with_memory(session) == "Be brief.\n\nKnown: Ann"
    memory["enabled"] = False
    assert instructions_with_memory(session) == "Be brief."
    assert (
        instructions_with_memory({"instructions": "Be brief.", "providerData": {}}) == "Be brief."
    )
