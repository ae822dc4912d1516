"""The call record, gathered from trace entries."""

# ruff: noqa: E501  tables and scenario sources read better in whole lines

from __future__ import annotations

from typing import Any

import pytest

from voxpy.engine.ending import End, EndReason
from voxpy.engine.trace import Entry
from voxpy.history.record import CallRecord, RecordKeeper

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
    began = {"incoming": True, "client_type": "pstn"}
    numbers = {"callerid": "+1555", "destination": "+1666"}
    over = {"code": 16, "reason": "Hung up by the caller", "duration_s": 4.5}
    refused = {"code": 486, "reason": "Rejected", "duration_s": 0.0}
    record = keep(
        entry("step", "call began", 0.0, data=began, personal=numbers),
        Entry(
            t=2.0,
            kind="step",
            name="call began",
            unit="outgoing-1",
            data={"incoming": False, "client_type": "sip"},
            personal={"callerid": "+1666", "destination": "sip:desk"},
        ),
        entry("event", "Call.AudioQualityDetected", data={"quality": "HD"}),
        entry("step", "call over", data=over, personal={"custom_data": "vip"}),
    )
    assert record.calls[1] == {
        "call_id": "outgoing-1",
        "at_s": 2.0,
        "incoming": False,
        "remote_number_type": "sip",
    }, "it has not ended"
    RecordKeeper(record)(Entry(t=3, kind="step", name="call over", unit="outgoing-1", data=refused))
    assert [c["successful"] for c in record.calls] == [True, False]
    assert record.calls[0] == {
        "call_id": "call-1",
        "at_s": 0.0,
        "incoming": True,
        "remote_number_type": "pstn",
        "audio_quality": "HD",
        "duration_s": 4.5,
        "end_reason": {"code": 16, "description": "Hung up by the caller"},
        "successful": True,
    }
    assert record.personal["calls"] == {
        "call-1": {"local_number": "+1666", "remote_number": "+1555", "custom_data": "vip"},
        "outgoing-1": {"local_number": "+1666", "remote_number": "sip:desk"},
    }


def test_who_called_and_what_went_wrong() -> None:
    headers = {"X-Provider-Call-Id": "CA1"}
    alerting = {"callerid": "+1555", "destination": "+1666", "headers": headers}
    record = keep(
        entry("event", "Application.CallAlerting", personal=alerting),
        entry("error", "mine.answer", data={"message": "ValueError"}),
    )
    told = [record.personal[n] for n in ("callerid", "destination", "transaction_id")]
    assert told == ["+1555", "+1666", "CA1"]
    assert record.errors == ["ValueError"]


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
