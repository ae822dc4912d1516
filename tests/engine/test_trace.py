"""The record of a session: versioned, complete, without secrets, personal data apart."""

from __future__ import annotations

import datetime
import io
import json
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy import events
from voxpy.call import Call
from voxpy.engine.events import Event, Started
from voxpy.engine.masking import Masker
from voxpy.engine.trace import Entry, FileSink, LogSink, Trace, as_json, event_fields
from voxpy.engine.units import Unit
from voxpy.websocket import WebSocket

PERSONAL = (
    "callerid destination to_uri from_uri display_name headers custom_data text tone body content "
    "number"
).split()

EVENT_CLASSES = [
    pytest.param(kind, id=kind.name)
    for family in (events.AppEvents, events.CallEvents, events.WatchdogEvents)
    for kind in family.members().values()
]


def make_unit() -> Unit:
    session: Any = None  # nothing waits here
    return Unit(session, "unit-1")


def value_for(name: str, wanted: Any) -> Any:
    """Return a value of a field's type; text says which field it belongs to."""
    if wanted is str:
        return f"value of {name}"
    if wanted in (Call, Unit, WebSocket):
        return make_unit()
    if isinstance(wanted, type) and attrs.has(wanted):
        return filled(wanted)
    origin = typing.get_origin(wanted)
    if origin in (Mapping, dict) or wanted is Mapping:
        return {"X-Name": f"value of {name}"}
    if origin in (Sequence, list, tuple):
        return [value_for(name, typing.get_args(wanted)[0])]
    return {bool: True, int: 7, float: 7.5, Any: f"value of {name}"}.get(wanted, f"value of {name}")


def filled(kind: type[Any]) -> Any:
    hints = typing.get_type_hints(kind, vars(events) | {"Call": Call, "WebSocketUnit": WebSocket})
    return kind(**{f.name: value_for(f.name, hints[f.name]) for f in attrs.fields(kind)})


class Book:
    """A trace with its lines."""

    def __init__(self, *secrets: str) -> None:
        self.now = 100.0
        self.file = io.BytesIO()
        self.entries: list[Entry] = []
        self.trace = Trace(now=lambda: self.now, masking=Masker(secrets))
        self.trace.add_sink(FileSink(self.file))
        self.trace.add_sink(self.entries.append)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.file.getvalue().splitlines()]


def test_every_line_has_version_time_kind_and_name() -> None:
    book = Book()
    book.trace.step("loading", file="a.py")
    book.now = 101.23456
    book.trace.command("say", unit="call-1", text="hello", delay=3)
    book.trace.warning("careful")
    book.trace.log("note")
    assert book.lines == [
        {"v": 1, "t": 0.0, "kind": "step", "name": "loading", "data": {"file": "a.py"}},
        {
            "v": 1,
            "t": 1.2346,
            "kind": "command",
            "name": "say",
            "unit": "call-1",
            "data": {"delay": 3},
            "personal": {"text": "hello"},
        },
        {"v": 1, "t": 1.2346, "kind": "warning", "name": "careful"},
        {"v": 1, "t": 1.2346, "kind": "log", "name": "Logger.write", "personal": {"text": "note"}},
    ]


def test_secrets_disappear_by_value_and_by_key() -> None:
    book = Book("sk-123456")
    book.trace.command("connect sk-123456", url="wss://h/?k=sk-123456", api_key="other")
    book.trace.log("my key is sk-123456")
    book.trace.command("send", payload={"session": {"auth_token": "abc"}})
    told = book.file.getvalue().decode()
    assert "sk-123456" not in told
    assert "other" not in told
    assert "abc" not in told
    assert told.count("***") == 5


@pytest.mark.parametrize("kind", EVENT_CLASSES)
def test_every_event_can_be_written_and_keeps_personal_data_apart(kind: Any) -> None:
    book = Book()
    event: Event = filled(kind)
    book.trace.event(event)
    (line,) = book.lines
    assert line["name"] == kind.name
    unit, fields = event_fields(event)
    about_unit = {f.name for f in attrs.fields(kind)} & {"call", "client", "websocket"}
    assert unit == line.get("unit", "") == ("unit-1" if about_unit else "")
    assert set(line.get("data", {})) | set(line.get("personal", {})) == set(fields)
    outside = json.dumps(line.get("data", {}))
    assert not [key for key in PERSONAL if f"value of {key}" in outside]
    assert "unit-1" not in outside


def test_what_an_event_leaves_empty_is_left_out() -> None:
    assert event_fields(Started(session_id="s")) == (
        "",
        {"session_id": "s", "account_id": 0, "application_id": 0},
    )


def test_hidden_tones() -> None:
    book = Book()
    book.trace.hide_tones = True
    kind: Any = events.CallEvents.ToneReceived
    book.trace.event(attrs.evolve(filled(kind), tone="5"))
    assert book.lines[0]["personal"]["tone"] == "*hidden*"
    book.trace.hide_tones = False
    book.trace.event(attrs.evolve(filled(kind), tone="5"))
    assert book.lines[1]["personal"]["tone"] == "5"


weird = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))  # surrogates, too
    | st.binary()
    | st.builds(object)
    | st.just(Started(session_id="s")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.text() | st.tuples(st.integers()) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(weird)
def test_whatever_a_field_holds_becomes_one_line_of_json(value: Any) -> None:
    book = Book()
    book.trace.write("command", "x", value=value)
    told = book.file.getvalue()
    assert told.count(b"\n") == 1
    assert json.loads(told)["name"] == "x"
    text = io.StringIO()
    LogSink(text, lambda: datetime.datetime(2000, 1, 1))(book.entries[0])  # noqa: DTZ001
    text.getvalue().encode()


def test_a_circle_ends_in_an_ellipsis() -> None:
    circle: dict[str, Any] = {}
    circle["again"] = circle
    told = as_json(circle)
    assert told.count(b"again") == 20
    assert json.loads(told)


class FullDisk(io.RawIOBase):
    def write(self, data: Any) -> int:
        raise OSError(28, "No space left on device")


def test_a_full_disk_loses_one_sink_and_no_call() -> None:
    trace = Trace(now=lambda: 0.0, masking=Masker())
    entries: list[Entry] = []
    trace.add_sink(FileSink(FullDisk()))
    trace.add_sink(entries.append)
    trace.step("first")
    trace.step("second")
    assert sorted(e.name for e in entries) == [
        "first",
        "second",
        "the trace loses a sink that cannot write",
    ]
    assert "No space left" in str([e.data for e in entries])


def test_the_log_is_voxengines() -> None:
    file = io.StringIO()
    trace = Trace(now=lambda: 0.0, masking=Masker())
    stamp = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.UTC)
    trace.add_sink(LogSink(file, lambda: stamp))
    trace.log("hello")
    trace.event(Started(session_id="s", rule_name="r", account_id=1, application_id=2))
    trace.command("Call.answer", unit="call-1")
    trace.warning("careful", why="x")
    trace.write("error", "limit")
    trace.step("loaded")
    at = "2026-01-02 03:04:05.678"
    assert file.getvalue().splitlines() == [
        f"{at} hello",
        f"{at} Event Application.Started "
        '{"session_id":"s","rule_name":"r","account_id":1,"application_id":2}',
        f"{at} Command Call.answer call-1",
        f'{at} WARNING! careful {{"why":"x"}}',
        f"{at} ERROR limit",
        f"{at} step loaded",
    ]


def test_the_log_has_no_numbers_and_no_words_but_the_scenarios_own() -> None:
    file = io.StringIO()
    trace = Trace(now=lambda: 0.0, masking=Masker())
    trace.add_sink(LogSink(file, lambda: datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)))
    trace.step("call began", unit="call-1", incoming=True, callerid="+4930", destination="+1666")
    trace.step("caller heard", text="my card number is")
    trace.write("error", "x", message="oh", payload={"transcript": "a word"})
    trace.log("hello")
    text = file.getvalue()
    assert not any(word in text for word in ("4930", "1666", "card", "a word"))
    assert 'step call began call-1 {"incoming":true}' in text
    assert text.endswith(" hello\n")


def test_no_text_passes_for_a_line_of_the_log() -> None:
    file = io.StringIO()
    trace = Trace(now=lambda: 0.0, masking=Masker())
    trace.add_sink(LogSink(file, lambda: datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)))
    trace.log("one\n2026-01-02 00:00:00.000 ERROR forged\r\x1b[2Jtwo")
    assert file.getvalue().splitlines() == [
        "2026-01-02 00:00:00.000 one",
        "    2026-01-02 00:00:00.000 ERROR forged\\r\\x1b[2Jtwo",
    ]


def test_two_sinks_that_fail_at_once() -> None:
    trace = Trace(now=lambda: 0.0, masking=Masker())
    entries: list[Entry] = []
    trace.add_sink(FileSink(FullDisk()))
    trace.add_sink(FileSink(FullDisk()))
    trace.add_sink(entries.append)
    trace.step("first")
    trace.step("second")
    assert {"first", "second"} < {entry.name for entry in entries}
