"""Our own files as an accident, or somebody, has left them: they are read as far as they go."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.history.conftest import MakeStore
from voxpy.history.history import History
from voxpy.history.record import CallRecord
from voxpy.history.search import find_sessions
from voxpy.history.timeline import render, timeline
from voxpy.history.tracefile import read_record, read_trace, record_of

anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=5,
)  # fmt: skip
NAMES = (
    "started", "call began", "call over", "recording transcribed", "agent audible", "tool called",
    "agent fell silent", "agent heard as", "Application.CallAlerting", "Call.AudioQualityDetected",
    "Call.RecordStarted", "Recorder.Started", "Inworld.RealtimeAPI.ResponseDone", "ending",
    "Inworld.RealtimeAPI.ResponseOutputAudioTranscriptDone", "loading scenario", "Logger.write",
)  # fmt: skip
KINDS = ("session", "event", "step", "command", "log", "warning", "error", "else")
fields = st.dictionaries(
    st.sampled_from(
        "payload incoming client_type callerid headers url after_ms reply_ms played_ms of_ms code "
        "duration_s custom_data reason text message frames rule file quality".split()
    ),
    anything,
)
entry = st.fixed_dictionaries(
    {"t": st.floats(0, 1e6), "kind": st.sampled_from(KINDS), "name": st.sampled_from(NAMES)},
    optional={"unit": anything, "data": fields | anything, "personal": fields | anything},
)


@given(st.lists(entry | anything, max_size=8), st.binary(max_size=20))
def test_any_trace_becomes_a_timeline_and_a_record(lines: list[Any], rest: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.jsonl"
        path.write_bytes(b"\n".join(orjson.dumps(line) for line in lines) + b"\n" + rest)
        entries = read_trace(path)
    render(timeline(entries))
    render(timeline(entries, full=True))
    record_of(entries, session_id="s").to_json()


RECORD = CallRecord(session_id="s-1", rule_name="all", scenarios=["a.py"], started_at="")
RECORD.finish_reason = "Normal termination"
RECORD.calls.append({"call_id": "call-1", "duration_s": 2.0, "end_reason": {"code": 200}})


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(sorted(RECORD.to_json())), anything, max_size=3),
    st.dictionaries(st.sampled_from(["call_id", "at_s", "duration_s", "end_reason"]), anything),
)
def test_any_record_is_read_or_left_and_the_history_goes_on(
    make_store: MakeStore, changed: dict[str, Any], call: dict[str, Any]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        folder = base / "sessions" / "s-1"
        folder.mkdir(parents=True)
        running = CallRecord(session_id="s-1", rule_name="", scenarios=[], started_at="")
        dead = History(base, make_store(base))
        dead.write(running, folder)
        dead.close()
        value = {**RECORD.to_json(), "calls": [{**RECORD.calls[0], **call}], **changed}
        (folder / "record.json").write_bytes(orjson.dumps(value))
        read_record(folder)
        with closing(make_store(base)) as store:
            History.settle_now(store)
            (row,) = find_sessions(store)
        assert row.state in ("ended", "interrupted")
