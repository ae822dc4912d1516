"""What a trace tells: pure, from entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from voxpy.engine.trace import Entry
from voxpy.testing import Said
from voxpy.testing.story import CallStory

R = "Inworld.RealtimeAPI."


class Story(CallStory):
    def __init__(self, *entries: Entry) -> None:
        self._entries = entries

    @property
    def entries(self) -> Sequence[Entry]:
        return self._entries


def step(t: float, name: str, text: str = "", **data: Any) -> Entry:
    return Entry(t=t, kind="step", name=name, data=data, personal={"text": text} if text else {})


def event(t: float, name: str, **payload: Any) -> Entry:
    return Entry(t=t, kind="event", name=name, personal={"payload": payload})


def command(t: float, name: str, **payload: Any) -> Entry:
    return Entry(t=t, kind="command", name=name, personal={"payload": payload})


def agent(item_id: str, text: str, t: float) -> list[Entry]:
    done = R + "ResponseOutputAudioTranscriptDone"
    return [event(t, done, item_id=item_id, transcript=text)]


def heard_as(t: float, item_id: str, text: str, played_ms: int, of_ms: int) -> Entry:
    return step(t, "agent heard as", text, item_id=item_id, played_ms=played_ms, of_ms=of_ms)


# -- the transcript --------------------------------------------------------------------------------


def test_an_agents_words_stand_where_they_began_to_sound() -> None:
    story = Story(
        *agent("i1", "first words", 1.0),
        *agent("i2", "second words", 1.1),
        step(2.0, "caller speaks", "go on", seconds=0.5),
        heard_as(3.0, "i1", "first words", 1500, 1500),
        heard_as(5.0, "i2", "second", 800, 2000),
    )
    assert story.transcript == [
        Said(who="agent", text="first words", at_s=1.5, heard_text="first words"),
        Said(who="caller", text="go on", at_s=2.0),
        Said(who="agent", text="second words", at_s=4.2, heard_text="second", interrupted=True),
    ]


def test_a_response_that_was_cut_before_its_text_was_whole() -> None:
    delta = R + "ResponseOutputAudioTranscriptDelta"
    story = Story(
        event(1.0, delta, item_id="i", delta="one two "),
        event(1.1, delta, item_id="i", delta="three"),
        heard_as(2.0, "i", "one", 300, 1000),
    )
    assert [(s.text, s.heard_text, s.interrupted) for s in story.transcript] == [
        ("one two three", "one", True)
    ]


def test_what_the_agent_understood_belongs_to_what_was_last_said() -> None:
    done = R + "ConversationItemInputAudioTranscriptionCompleted"
    story = Story(
        event(0.5, done, transcript="noise before anybody spoke"),
        step(1.0, "caller speaks", "my name is Ann", seconds=1.0),
        step(2.0, "callee speaks", "hi Ann", seconds=1.0),
        event(2.5, done, transcript="my name"),
        event(3.0, done, transcript="is Anne"),
    )
    assert story.transcript == [
        Said(who="caller", text="my name is Ann", at_s=1.0, heard_text="my name is Anne"),
        Said(who="callee", text="hi Ann", at_s=2.0),
    ]


def test_words_of_a_player_are_known_as_they_were_heard() -> None:
    story = Story(
        step(2.5, "caller heard", "welcome", seconds=1.0),
        *agent("i", "hello", 3.0),
        heard_as(4.0, "i", "hello", 1000, 1000),
        step(4.5, "caller heard", "hello", seconds=1.0),
    )
    assert [(s.text, s.at_s) for s in story.transcript] == [("welcome", 1.0), ("hello", 3.0)]


# -- the rest --------------------------------------------------------------------------------------


def call(call_id: str, arguments: str = '{"a": 1}') -> dict[str, Any]:
    return {"type": "function_call", "name": "add", "call_id": call_id, "arguments": arguments}


def test_tools_however_they_are_told() -> None:
    output = {"type": "function_call_output", "call_id": "c1", "output": '{"sum": 2}'}
    answered = Entry(
        t=4,
        kind="step",
        name="tool answered",
        data={"call_id": "c2"},
        personal={"payload": {"output": "not json"}},
    )
    story = Story(
        event(1, R + "ResponseOutputItemDone", item=call("c1")),
        event(2, R + "ResponseDone", response={"output": [call("c1"), call("c2", "{broken")]}),
        command(3, "conversation.item.create", item=output),
        command(3, "conversation.item.create", item={"type": "message"}),
        answered,
        event(5, R + "ResponseDone", response={"output": [call("c3")]}),
    )
    told = [(t.call_id, t.at_s, t.arguments, t.result) for t in story.tools]
    assert told == [
        ("c1", 1, {"a": 1}, {"sum": 2}),
        ("c2", 2, "{broken", "not json"),
        ("c3", 5, {"a": 1}, None),
    ]


def test_truncations_by_the_scenario_and_by_voxpy() -> None:
    story = Story(
        command(1, "conversation.item.truncate", item_id="i", audio_end_ms=100),
        step(2, "conversation.item.truncate", item_id="j", audio_end_ms=200),
    )
    told = [(t.item_id, t.audio_end_ms, t.at_s) for t in story.truncations]
    assert told == [("i", 100, 1), ("j", 200, 2)]


def test_events_show_the_providers_message_or_their_fields() -> None:
    connected = Entry(t=1, kind="event", name="Call.Connected", unit="call-1", data={"a": 1})
    story = Story(connected, event(2, R + "Error", error={"code": "x"}))
    first, second = story.events
    assert (first.name, first.unit, first.payload) == ("Call.Connected", "call-1", {"a": 1})
    assert second.payload == {"error": {"code": "x"}}
    assert story.names("event") == ["Call.Connected", R + "Error"]


def test_latencies_are_those_of_replies() -> None:
    story = Story(
        step(1, "agent audible"),
        step(2, "agent audible", reply_ms=460),
    )
    assert [(x.at_s, x.reply_ms) for x in story.latencies] == [(2, 460)]
