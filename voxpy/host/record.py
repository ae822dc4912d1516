"""The call record: what a finished session was, gathered from its trace as it is written."""

from __future__ import annotations

from typing import Any

import attrs

from voxpy.engine.ending import End
from voxpy.engine.trace import Entry

__all__ = ["CallRecord", "RecordKeeper"]

VERSION = 1


@attrs.define(kw_only=True)
class CallRecord:
    """What is kept of a session in ``record.json``. Numbers and transcripts stand in ``personal``.

    ``finish_reason`` uses the words of VoxEngine's call history; durations are in seconds.
    """

    session_id: str
    rule_name: str
    scenarios: list[str]
    started_at: str
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
    personal: dict[str, Any] = attrs.field(factory=lambda: {"transcript": [], "caller_failed": ""})

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        return {"v": VERSION, **attrs.asdict(self)}


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
        elif entry.kind == "event":
            self._event(entry)
        elif entry.name == "call over":
            self._call_over(entry)
        elif entry.name == "recording transcribed":
            record.transcripts.append(entry.data["url"])
        elif entry.name == "agent audible" and "reply_ms" in entry.data:
            record.reply_ms.append(entry.data["reply_ms"])
        elif entry.name == "agent fell silent":
            record.barge_in_ms.append(entry.data["after_ms"])

    def _event(self, entry: Entry) -> None:
        payload = entry.personal.get("payload") or {}
        match entry.name.rsplit(".", 1)[-1]:
            case "ConversationItemInputAudioTranscriptionCompleted":
                self._line(entry, "caller", payload.get("transcript"))
            case "ResponseOutputAudioTranscriptDone":
                self._line(entry, "agent", payload.get("transcript"))
            case "RecordStarted":
                self.record.recordings.append(entry.data["url"])
            case "Started" if entry.name == "Recorder.Started":
                self.record.recordings.append(entry.data["url"])

    def _call_over(self, entry: Entry) -> None:
        """Note a call's end from our own step: the event is not posted once a session has ended."""
        self.record.calls.append(
            {
                "call_id": entry.unit,
                "duration_s": entry.data["duration_s"],
                "end_reason": {"code": entry.data["code"], "description": entry.data["reason"]},
                "successful": entry.data["duration_s"] > 0,
            }
        )

    def _line(self, entry: Entry, who: str, text: Any) -> None:
        if text:
            line = {"t": round(entry.t, 2), "who": who, "text": str(text)}
            self.record.personal["transcript"].append(line)

    def finish(self, end: End) -> None:
        """Note how the session ended."""
        self.record.finish_reason = end.reason.finish_reason
        self.record.end_reason = end.reason.value
        self.record.end_detail = end.detail
