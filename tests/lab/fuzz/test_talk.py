"""The rules about what a scenario tells its clients: what they find, and what they let pass."""

from __future__ import annotations

from typing import Any

from voxpy.engine.trace import Entry
from voxpy.lab.fuzz.invariants import repeated_openings, twice_answered, unclosed_clients


def entry(kind: str, name: str, t: float = 0.0, unit: str = "client-1", **payload: Any) -> Entry:
    return Entry(t=t, kind=kind, name=name, unit=unit, data={}, personal={"payload": payload})


def event(name: str, t: float, unit: str = "client-1") -> Entry:
    return entry("event", f"Inworld.RealtimeAPI.{name}", t, unit)


def ask(t: float, words: str = "Greet.", unit: str = "client-1") -> Entry:
    return entry("command", "response.create", t, unit, response={"instructions": words})


def result(t: float, call_id: str) -> Entry:
    item = {"type": "function_call_output", "call_id": call_id, "output": "{}"}
    return entry("command", "conversation.item.create", t, item=item)


def test_the_greeting_again_at_once_is_found() -> None:
    assert [t for t, _ in repeated_openings([ask(0), ask(1.0)])] == [1.0]


def test_the_greeting_again_at_another_session_updated_is_found() -> None:
    spoken = event("InputAudioBufferSpeechStarted", 4)
    entries = [event("SessionUpdated", 0), ask(0), spoken, event("SessionUpdated", 9), ask(9)]
    assert [t for t, _ in repeated_openings(entries)] == [9]


def test_the_items_before_it_belong_to_a_greeting() -> None:
    def item(text: str) -> Entry:
        return entry("command", "conversation.item.create", item={"type": "message", "text": text})

    assert list(repeated_openings([item("a"), ask(0), item("b"), ask(0.5)])) == []
    assert list(repeated_openings([item("a"), ask(0), item("a"), ask(0.5)])) != []


def test_what_is_no_second_greeting() -> None:
    later = [ask(0), ask(10)]  # "Are you still there?"
    answered = [ask(0), event("InputAudioBufferSpeechStarted", 1), ask(2)]
    other = [ask(0), ask(1, "Say goodbye.")]
    two_clients = [ask(0), ask(1, unit="client-2")]
    tool = [ask(0), result(0.5, "c1"), ask(0.5)]
    for entries in (later, answered, other, two_clients, tool):
        assert list(repeated_openings(entries)) == []


def test_a_result_sent_twice_is_found_whoever_sends_it() -> None:
    ours = Entry(t=2.0, kind="step", name="tool answered", unit="client-1", data={"call_id": "c1"})
    assert [t for t, _ in twice_answered([result(1, "c1"), ours])] == [2.0]
    assert list(twice_answered([result(1, "c1"), result(1, "c2")])) == []


def test_a_client_left_open_is_found() -> None:
    update = entry("command", "session.update", 1.0)
    ending = Entry(t=3.0, kind="session", name="ending")
    gone = Entry(t=4.0, kind="step", name="websocket closed", unit="client-1")
    assert [t for t, _ in unclosed_clients([update, ending, gone])] == [1.0]
    closed = entry("command", "RealtimeAPIClient.close", 2.0)
    assert list(unclosed_clients([update, closed, ending])) == []
    assert list(unclosed_clients([update, gone, ending])) == []
    never_used = event("ConnectorInformation", 0)
    assert list(unclosed_clients([never_used, ending])) == []
