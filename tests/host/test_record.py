"""The call record, gathered from trace entries."""

# ruff: noqa: E501  tables and scenario sources read better in whole lines

from __future__ import annotations

from typing import Any

import pytest

from voxpy.engine.ending import End, EndReason
from voxpy.engine.trace import Entry
from voxpy.host.record import CallRecord, RecordKeeper

R = "Inworld.RealtimeAPI."


def keep(*entries: Entry) -> CallRecord:
    record = CallRecord(session_id="s", rule_name="r", scenarios=["a.py"], started_at="now")
    keeper = RecordKeeper(record)
    for entry in entries:
        keeper(entry)
    return record


def entry(kind: str, name: str, t: float = 1.0, **fields: Any) -> Entry:
    return Entry(t=t, kind=kind, name=name, unit="call-1", **fields)


def test_both_sides_of_the_conversation_in_order() -> None:
    record = keep(
        entry("event", R + "ResponseOutputAudioTranscriptDone", personal={"payload": {"transcript": "Hi"}}),
        entry("event", R + "ConversationItemInputAudioTranscriptionCompleted", 2.351, personal={"payload": {"transcript": "Bye"}}),
        entry("event", R + "ConversationItemInputAudioTranscriptionCompleted", personal={"payload": {"transcript": ""}}),
        entry("event", R + "ResponseOutputAudioTranscriptDone"),
    )  # fmt: skip
    assert record.personal["transcript"] == [
        {"t": 1.0, "who": "agent", "text": "Hi"},
        {"t": 2.35, "who": "caller", "text": "Bye"},
    ]


def test_how_calls_ended() -> None:
    over = {"code": 16, "reason": "Hung up by the caller", "duration_s": 4.5}
    refused = {"code": 486, "reason": "Rejected", "duration_s": 0.0}
    record = keep(entry("step", "call over", data=over), entry("step", "call over", data=refused))
    assert [c["successful"] for c in record.calls] == [True, False]
    assert record.calls[0] == {
        "call_id": "call-1",
        "duration_s": 4.5,
        "end_reason": {"code": 16, "description": "Hung up by the caller"},
        "successful": True,
    }


def test_measures_warnings_and_recordings() -> None:
    record = keep(
        entry("step", "agent audible", data={"reply_ms": 460}),
        entry("step", "agent audible"),
        entry("step", "agent fell silent", data={"after_ms": 120}),
        entry("warning", "handler blocks the loop"),
        entry("event", "Call.RecordStarted", 7.1234, data={"url": "file:///x.wav"}),
    )
    assert record.reply_ms == [460]
    assert record.barge_in_ms == [120]
    assert record.warnings == ["handler blocks the loop"]
    assert record.recordings == ["file:///x.wav"]
    assert record.duration_s == 7.123


@pytest.mark.parametrize("reason", EndReason)
def test_every_end_has_voxengines_word(reason: EndReason) -> None:
    record = keep()
    RecordKeeper(record).finish(End(reason, "why"))
    assert record.end_reason == reason.value
    assert record.end_detail == "why"
    assert record.to_json()["finish_reason"] == reason.finish_reason
    assert record.to_json()["v"] == 1
