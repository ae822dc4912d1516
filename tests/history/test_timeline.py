"""A trace as lines to read."""

from __future__ import annotations

from typing import Any

from voxpy.engine.trace import Entry
from voxpy.history.timeline import Line, render, timeline

R = "Inworld.RealtimeAPI."


def entry(kind: str, name: str, t: float = 1.0, unit: str = "", **fields: Any) -> Entry:
    personal = {k: fields.pop(k) for k in list(fields) if k in ("text", "payload", "digits")}
    return Entry(t=t, kind=kind, name=name, unit=unit, data=fields, personal=personal)


def told(*entries: Entry) -> list[tuple[str, str]]:
    return [(line.who, line.text) for line in timeline(entries)]


def test_a_call_reads_like_one() -> None:
    lines = told(
        entry("event", "Application.CallAlerting", payload={"callerid": "1", "destination": "2"}),
        entry("command", "Call.answer", unit="call-1"),
        entry("event", "Call.Connected", encrypted=False),
        entry("event", R + "ResponseOutputAudioTranscriptDone", payload={"transcript": "Hello"}),
        entry("step", "agent audible"),
        entry("step", "caller speaks", text="What?"),
        entry("step", "agent fell silent", after_ms=220),
        entry("step", "agent heard as", text="Hel", played_ms=200, of_ms=900),
        entry("step", "agent audible", reply_ms=460),
        entry("step", "caller presses", digits="12"),
        entry("session", "ending", reason="terminated", detail="VoxEngine.terminate"),
    )
    assert lines == [
        ("caller", "1 calls 2"),
        ("scenario", "call-1: Call.answer"),
        ("event", 'Call.Connected {"encrypted":false}'),
        ("agent", "says: Hello"),
        ("agent", "audible"),
        ("caller", "says: What?"),
        ("agent", "silent 220 ms after the caller broke in"),
        ("agent", "was heard 0.2 of 0.9 s: Hel"),
        ("agent", "audible, 460 ms after the caller's last sound"),
        ("caller", "presses 12"),
        ("session", "ends: terminated: VoxEngine.terminate"),
    ]


def test_what_nobody_reads_is_left_out() -> None:
    assert (
        told(
            entry("event", R + "ResponseContentPartAdded", payload={"type": "x"}),
            entry("event", R + "ResponseDone", payload={"response": {"status": "completed"}}),
            entry("step", "agent silent", seconds=1.0),
            entry("session", "started"),
        )
        == []
    )


def test_a_response_that_was_not_completed_is_told() -> None:
    cut = entry("event", R + "ResponseDone", payload={"response": {"status": "cancelled"}})
    assert told(cut) == [("event", R + "ResponseDone: cancelled")]


def test_errors_come_with_their_frames() -> None:
    failed = entry(
        "error",
        "handler",
        message="KeyError: 'x'",
        frames='  File "a.py", line 3, in f\n    x[1]\n',
    )
    [(who, text)] = told(failed)
    assert who == "ERROR"
    assert text.startswith("in handler: KeyError: 'x'\n  File")
    rows = render(timeline([failed])).splitlines()
    assert len(rows) == 3
    assert rows[1].endswith('File "a.py", line 3, in f')


def test_long_values_are_shortened_and_long_lines_wrapped() -> None:
    update = entry("command", "session.update", payload={"instructions": "x" * 5000})
    [(_, text)] = told(update)
    assert len(text) < 130
    rows = render([Line(1.0, "agent", "word " * 60)], width=60).splitlines()
    assert len(rows) > 4
    assert max(map(len, rows)) <= 60
    assert all(row.startswith(" " * 10) for row in rows[1:])


def test_every_kind_of_entry_has_a_line() -> None:
    assert told(
        entry("warning", "handler blocks the loop", handler="f"),
        entry("log", "Logger.write", text="a line"),
        entry("step", "tool called", tool="add", payload={"arguments": "{}"}),
        entry("step", "tool answered", tool="add", payload={"output": "3"}),
        entry("step", "caller receives digits", text="1"),
        entry("step", "websocket closed", code=1000),
        entry("brandnew", "thing", a=1),
    ) == [
        ("WARNING", 'handler blocks the loop {"handler":"f"}'),
        ("log", "a line"),
        ("tool", "calls add({})"),
        ("tool", "hears from add: 3"),
        ("caller", 'receives digits {"text":"1"}'),
        ("voxpy", 'websocket closed {"code":1000}'),
        ("brandnew", 'thing {"a":1}'),
    ]


def test_a_call_of_a_tool_is_told_once_with_its_name_arguments_and_result() -> None:
    call = {"type": "function_call", "name": "add", "arguments": '{"a":1}'}
    output = {"type": "function_call_output", "output": "3"}
    events = [
        entry("event", "Inworld.RealtimeAPI.ResponseOutputItemDone", payload={"item": call}),
        entry("step", "tool called", tool="add", payload={"arguments": '{"a":1}'}),
        entry("step", "tool answered", tool="add", payload={"output": "3"}),
        entry("event", "Inworld.RealtimeAPI.ConversationItemAdded", payload={"item": output}),
    ]
    assert told(*events) == [("tool", 'calls add({"a":1})'), ("tool", "hears from add: 3")]
    assert told(events[3], events[2], *events[:2]) == [
        ("tool", "hears: 3"),
        ("tool", 'calls add({"a":1})'),
    ]
