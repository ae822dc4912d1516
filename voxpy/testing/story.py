"""What happened in one call, read from the trace of its session: for assertions.

All times are in seconds since the call came in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import attrs
import orjson

from voxpy.engine.ending import End
from voxpy.engine.trace import Entry
from voxpy.history.record import CallRecord
from voxpy.history.timeline import render, timeline
from voxpy.host.sessions import HostedSession
from voxpy.simulation.tones import SOUND

UTTERANCE_GAP_S = 0.5
"""Silence after which a simulated person takes an utterance to be over."""
CUT_MS = 40
"""An item that lacks less than this was played to its end: the last frame may be a partial one."""


@attrs.frozen(kw_only=True)
class Said:
    """One thing somebody said. ``who`` is caller, agent or callee.

    ``heard_text`` is what reached the other side: what the agent's recogniser understood of the
    caller, what was played of the agent's words. None if nobody has told. ``interrupted``: the
    agent was cut off. Words that no realtime agent spoke (a player's) are known only as heard.
    """

    who: str
    text: str
    at_s: float
    heard_text: str | None = None
    interrupted: bool = False


@attrs.frozen(kw_only=True)
class Happened:
    """One event the scenario was sent.

    ``payload`` holds its fields; of an event of a provider, the provider's own message.
    """

    name: str
    at_s: float
    unit: str = ""
    payload: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Latency:
    """One reply: from the caller's last sound to the first sound of the agent it heard."""

    at_s: float
    reply_ms: int


@attrs.frozen(kw_only=True)
class ToolCalled:
    """One function the model called. ``result`` is what it was sent back, None if nothing was."""

    name: str
    arguments: Any
    at_s: float
    call_id: str
    result: Any = None


@attrs.frozen(kw_only=True)
class Truncated:
    """What the service was told of an item that was cut off, in milliseconds as on the wire."""

    item_id: str
    audio_end_ms: int
    at_s: float


class CallStory:
    """Everything that is known of a call, while it lasts and afterwards."""

    @property
    def entries(self) -> Sequence[Entry]:
        """The session's trace so far."""
        raise NotImplementedError

    @property
    def hosted(self) -> HostedSession:
        """The session and its folder."""
        raise NotImplementedError

    def names(self, kind: str) -> list[str]:
        """Return the names of the trace's entries of one kind, in order."""
        return [e.name for e in self.entries if e.kind == kind]

    def find(self, name: str) -> list[Entry]:
        """Return the entries of a name, in order."""
        return [e for e in self.entries if e.name == name]

    @property
    def transcript(self) -> list[Said]:
        """What was said, in the order in which it began to sound."""
        return _transcript(self.entries)

    @property
    def events(self) -> list[Happened]:
        """The events the scenario was sent."""
        return [_happened(e) for e in self.entries if e.kind == "event"]

    @property
    def latencies(self) -> list[Latency]:
        """How soon the agent replied, turn by turn."""
        return [
            Latency(at_s=e.t, reply_ms=e.data["reply_ms"])
            for e in self.find("agent audible")
            if "reply_ms" in e.data
        ]

    @property
    def tools(self) -> list[ToolCalled]:
        """The functions the model called, in order."""
        return _tools(self.entries)

    @property
    def truncations(self) -> list[Truncated]:
        """What the service was told to forget because it was not heard."""
        found = [(e, _told(e)) for e in self.find("conversation.item.truncate")]
        return [
            Truncated(item_id=told["item_id"], audio_end_ms=told["audio_end_ms"], at_s=e.t)
            for e, told in found
        ]

    @property
    def recordings(self) -> list[Path]:
        """The recordings; the first one is of the whole call: left the caller, right what it heard.

        Complete when the session is over.
        """
        return [Path(unquote(urlsplit(uri).path)) for uri in self.record.recordings]

    @property
    def log(self) -> list[str]:
        """The scenario's own log lines."""
        return [str(e.personal.get("text", "")) for e in self.entries if e.kind == "log"]

    @property
    def errors(self) -> list[BaseException]:
        """What went wrong in handlers and tasks of the session."""
        return self.hosted.session.errors

    @property
    def record(self) -> CallRecord:
        """The call record, as it stands in ``record.json`` in the end."""
        return self.hosted.record

    @property
    def end(self) -> End | None:
        """Why the session ended; None while it lasts."""
        return self.hosted.session.ended

    @property
    def folder(self) -> Path:
        """Where the session's trace, log, recordings and record are."""
        return self.hosted.folder.root

    def timeline(self) -> str:
        """Return the call as a text to read, a line for everything that matters."""
        return render(timeline(self.entries))


def _told(entry: Entry) -> Mapping[str, Any]:
    """Return what an entry tells, whether the scenario did it or voxpy by itself."""
    payload = entry.personal.get("payload")
    return payload if isinstance(payload, Mapping) else {**entry.data, **entry.personal}


def _happened(entry: Entry) -> Happened:
    return Happened(name=entry.name, at_s=entry.t, unit=entry.unit, payload=_told(entry))


# -- what was said --------------------------------------------------------------------------------


def _transcript(entries: Sequence[Entry]) -> list[Said]:
    people: list[Said] = []
    heard: list[Said] = []
    agent: dict[str, Said] = {}
    sounded: list[tuple[float, float]] = []
    for entry in entries:
        text = str(entry.personal.get("text", ""))
        match entry.name:
            case "caller speaks" | "callee speaks":
                people.append(Said(who=entry.name.split()[0], text=text, at_s=entry.t))
            case "caller heard" if text != SOUND:  # music and ring-back are nobody's words
                began_s = entry.t - UTTERANCE_GAP_S - entry.data["seconds"]
                heard.append(Said(who="agent", text=text, at_s=round(began_s, 2), heard_text=text))
            case "agent says":
                item_id = entry.data["item_id"]
                known = agent.get(item_id) or Said(who="agent", text="", at_s=entry.t)
                agent[item_id] = attrs.evolve(known, text=text)
            case "agent understands":
                _understood(people, text)
            case "agent heard as" if "item_id" in entry.data:
                said, began_s = _heard_as(entry, agent.get(entry.data["item_id"]))
                agent[entry.data["item_id"]] = said
                sounded.append((began_s, entry.t))
            case _ if entry.kind == "event":
                _event_said(entry, people, agent)
    others = [h for h in heard if not any(a - 0.5 <= h.at_s <= b for a, b in sounded)]
    return sorted([*people, *agent.values(), *others], key=lambda said: said.at_s)


def _heard_as(entry: Entry, known: Said | None) -> tuple[Said, float]:
    """Return what the agent said with how much of it was heard, and when that began to sound."""
    played_ms, of_ms = entry.data["played_ms"], entry.data["of_ms"]
    text = str(entry.personal.get("text", ""))
    known = known or Said(who="agent", text=text, at_s=0.0)
    began_s = max(known.at_s, round(entry.t - played_ms / 1000, 2))
    cut = played_ms < of_ms - CUT_MS
    return attrs.evolve(known, at_s=began_s, heard_text=text, interrupted=cut), began_s


def _event_said(entry: Entry, people: list[Said], agent: dict[str, Said]) -> None:
    payload = _told(entry)
    item_id = str(payload.get("item_id", ""))
    match entry.name.rsplit(".", 1)[-1]:
        case "ConversationItemInputAudioTranscriptionCompleted" if people:
            _understood(people, payload.get("transcript"))
        case "ResponseOutputAudioTranscriptDelta" | "ResponseAudioTranscriptDelta":
            known = agent.get(item_id) or Said(who="agent", text="", at_s=entry.t)
            agent[item_id] = attrs.evolve(known, text=known.text + str(payload.get("delta", "")))
        case "ResponseOutputAudioTranscriptDone" | "ResponseAudioTranscriptDone":
            known = agent.get(item_id) or Said(who="agent", text="", at_s=entry.t)
            agent[item_id] = attrs.evolve(known, text=str(payload.get("transcript", "")))


def _understood(people: list[Said], text: str | None) -> None:
    last = next((p for p in reversed(people) if p.who == "caller"), None)
    if last is not None:
        words = " ".join(filter(None, [last.heard_text, text]))
        people[people.index(last)] = attrs.evolve(last, heard_text=words)


# -- what was called ------------------------------------------------------------------------------


def _tools(entries: Sequence[Entry]) -> list[ToolCalled]:
    calls: dict[str, ToolCalled] = {}
    for entry in entries:
        told = _told(entry)
        for called in _calls_in(entry, told):
            calls.setdefault(called.call_id, called)
        call_id, output = _output_in(entry, told)
        if call_id in calls:
            calls[call_id] = attrs.evolve(calls[call_id], result=_json(output))
    return list(calls.values())


def _calls_in(entry: Entry, told: Mapping[str, Any]) -> list[ToolCalled]:
    match entry.name.rsplit(".", 1)[-1]:
        case "tool called":
            item = {"type": "function_call", "name": entry.data.get("tool"), **entry.data, **told}
            items = [item]
        case "ResponseOutputItemDone":
            items = [told.get("item") or {}]
        case "ResponseDone":
            items = (told.get("response") or {}).get("output") or []
        case _:
            return []
    return [
        ToolCalled(
            name=str(item.get("name", "")),
            arguments=_json(item.get("arguments")),
            at_s=entry.t,
            call_id=str(item.get("call_id", "")),
        )
        for item in items
        if item.get("type") == "function_call"
    ]


def _output_in(entry: Entry, told: Mapping[str, Any]) -> tuple[str, Any]:
    if entry.name == "tool answered":
        return str(entry.data.get("call_id", "")), told.get("output")
    item = told.get("item") if entry.name == "conversation.item.create" else None
    if isinstance(item, Mapping) and item.get("type") == "function_call_output":
        return str(item.get("call_id", "")), item.get("output")
    return "", None


def _json(text: Any) -> Any:
    """Return the value a JSON text stands for; what is none stays as it is."""
    try:
        return orjson.loads(text)
    except (ValueError, TypeError):
        return text
