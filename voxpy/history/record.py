"""The call record: what a finished session was, gathered from its trace as it is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from voxpy.engine.ending import End
from voxpy.engine.trace import Entry

VERSION = 1
TRACE = "trace.jsonl"
RECORDING = "call.wav"
"""The recording of the whole call, in its folder."""
TRANSACTION_HEADER = "X-Provider-Call-Id"
"""VoxEngine: GetCallHistory, transaction_id."""


@attrs.define(kw_only=True)
class CallRecord:
    """What is kept of a session in ``record.json``. Numbers and transcripts stand in ``personal``.

    ``finish_reason`` uses the words of VoxEngine's call history; durations are in seconds. Each of
    ``calls`` is a leg, with VoxEngine's fields of a call; its numbers and custom data stand in
    ``personal["calls"]`` under its id. A leg without an ``end_reason`` has not ended.
    """

    session_id: str
    rule_name: str
    scenarios: list[str]
    started_at: str
    channel: str = ""
    duration_s: float = 0.0
    finish_reason: str = ""
    end_reason: str = ""
    end_detail: str = ""
    calls: list[dict[str, Any]] = attrs.field(factory=list)
    recordings: list[str] = attrs.field(factory=list)
    transcripts: list[str] = attrs.field(factory=list)
    reply_ms: list[int] = attrs.field(factory=list)
    barge_in_ms: list[int] = attrs.field(factory=list)
    warnings: list[str] = attrs.field(factory=list)
    errors: list[str] = attrs.field(factory=list)
    agent_failures: int = 0
    personal: dict[str, Any] = attrs.field(
        factory=lambda: {"transcript": [], "caller_failed": "", "calls": {}}
    )

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        return {"v": VERSION, **attrs.asdict(self)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> CallRecord:
        """Return the record of such values; unknown ones are left out.

        Raises TypeError if something is missing.
        """
        known = {field.name for field in attrs.fields(cls)}
        return cls(**{name: value[name] for name in value if name in known})


class RecordKeeper:
    """A trace sink that fills a CallRecord."""

    def __init__(self, record: CallRecord) -> None:
        self.record = record

    def __call__(self, entry: Entry) -> None:
        """Take one entry."""
        record = self.record
        record.duration_s = round(entry.t, 3)
        if entry.kind == "warning":
            record.warnings.append(entry.name)
        elif entry.kind == "error":
            record.errors.append(str(entry.data.get("message", entry.name)))
            record.agent_failures += entry.name == "agent failed"
        elif entry.kind == "event":
            self._event(entry)
        elif entry.name == "agent failed again":
            record.agent_failures += 1
        elif entry.name == "call began":
            self._call_began(entry)
        elif entry.name == "call over":
            self._call_over(entry)
        elif entry.name == "recording transcribed":
            record.transcripts.append(entry.data["url"])
        elif entry.name in ("agent says", "agent understands"):
            who = "agent" if entry.name == "agent says" else "caller"
            self._line(entry, who, entry.personal.get("text"))
        elif entry.name == "agent audible" and "reply_ms" in entry.data:
            record.reply_ms.append(entry.data["reply_ms"])
        elif entry.name == "agent fell silent":
            record.barge_in_ms.append(entry.data["after_ms"])

    def _event(self, entry: Entry) -> None:
        payload = entry.personal.get("payload") or {}
        match entry.name.rsplit(".", 1)[-1]:
            case "ConversationItemInputAudioTranscriptionCompleted":
                self._line(entry, "caller", payload.get("transcript"))
            case "ResponseOutputAudioTranscriptDone" | "ResponseAudioTranscriptDone":
                self._line(entry, "agent", payload.get("transcript"))
            case "CallAlerting":
                self._alerting(entry)
            case "AudioQualityDetected":
                self._call(entry.unit)["audio_quality"] = entry.data["quality"]
            case "RecordStarted":
                self.record.recordings.append(entry.data["url"])
            case "Started" if entry.name == "Recorder.Started":
                self.record.recordings.append(entry.data["url"])

    def _alerting(self, entry: Entry) -> None:
        """Note who calls whom, and the provider's own name of the call where it has one."""
        personal = self.record.personal
        for name in ("callerid", "destination"):
            personal.setdefault(name, entry.personal.get(name, ""))
        headers = entry.personal.get("headers")
        given = headers if isinstance(headers, Mapping) else {}
        personal["transaction_id"] = str(given.get(TRANSACTION_HEADER, ""))

    def _call_began(self, entry: Entry) -> None:
        call = self._call(entry.unit)
        call["at_s"] = round(entry.t, 3)
        call["incoming"] = incoming = entry.data["incoming"]
        call["remote_number_type"] = entry.data["client_type"]
        ours, theirs = entry.personal.get("destination", ""), entry.personal.get("callerid", "")
        self.record.personal["calls"][entry.unit] = {
            "local_number": ours if incoming else theirs,
            "remote_number": theirs if incoming else ours,
        }

    def _call_over(self, entry: Entry) -> None:
        """Note a call's end from our own step: the event is not posted once a session has ended."""
        call = self._call(entry.unit)
        call["duration_s"] = duration_s = entry.data["duration_s"]
        call["end_reason"] = {"code": entry.data["code"], "description": entry.data["reason"]}
        call["successful"] = duration_s > 0
        if "counts" in entry.data:
            call["counts"] = dict(entry.data["counts"])
        if entry.personal.get("custom_data"):
            numbers = self.record.personal["calls"].setdefault(entry.unit, {})
            numbers["custom_data"] = entry.personal["custom_data"]

    def _call(self, call_id: str) -> dict[str, Any]:
        for call in self.record.calls:
            if call["call_id"] == call_id:
                return call
        self.record.calls.append({"call_id": call_id})
        return self.record.calls[-1]

    def _line(self, entry: Entry, who: str, text: Any) -> None:
        if text:
            line = {"t": round(entry.t, 2), "who": who, "text": str(text)}
            self.record.personal["transcript"].append(line)

    def finish(self, end: End) -> None:
        """Note how the session ended."""
        self.record.finish_reason = end.reason.finish_reason
        self.record.end_reason = end.reason.value
        self.record.end_detail = end.detail
