"""A call as lines to read: both sides' speech, events, tools, latencies, with their virtual times.

::

      0.00 s  caller    +15550100 calls +15550199
      0.02 s  event     Call.Connected
      0.04 s  agent     says: Hello!
      2.10 s  caller    says: What can you do?
      3.20 s  agent     audible, 460 ms after the caller's last sound
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from voxpy.engine.trace import Entry, as_json

TIME_WIDTH = 11
WHO_WIDTH = 10
VALUE_CHARACTERS = 85
"""Longer values are shortened: a session.update holds pages of prompt."""

QUIET_EVENTS = frozenset(
    "StateChanged AudioQualityDetected FirstAudioPacketReceived ConversationItemAdded "
    "ConversationItemDone ResponseContentPartAdded ResponseContentPartDone ResponseOutputItemAdded "
    "ResponseOutputItemDone ResponseOutputTextDelta ResponseOutputTextDone "
    "ResponseOutputAudioTranscriptDelta ResponseOutputAudioDone OutputAudioBufferStarted "
    "OutputAudioBufferStopped ConversationItemInputAudioTranscriptionDelta "
    "InputAudioBufferCommitted ResponseFunctionCallArgumentsDelta "
    "ResponseFunctionCallArgumentsDone ConnectorInformation".split()
)
QUIET_STEPS = frozenset(
    {
        "call began",
        "caller finished",
        "callee finished",
        "agent silent",
        "module loaded",
        "tool called",
        "tool answered",
    }
)


@attrs.frozen
class Line:
    """One thing that happened. ``at_s`` is in seconds since the call came in."""

    at_s: float
    who: str
    text: str


def timeline(entries: Sequence[Entry], *, full: bool = False) -> list[Line]:
    """Return what matters of a trace; ``full`` shortens no value."""
    cut = str if full else _cut
    tools = ToolWords()
    return [line for entry in entries for line in _lines(entry, cut, tools)]


def render(lines: Sequence[Line], *, width: int = 110) -> str:
    """Return the lines as one text, wrapped to ``width`` characters."""
    return "\n".join(row for line in lines for row in _rows(line, width))


def _rows(line: Line, width: int) -> Iterator[str]:
    lead = f"{line.at_s:8.2f} s  {line.who:<{WHO_WIDTH}}"
    room = max(20, width - len(lead))
    for paragraph in line.text.splitlines() or [""]:
        for row in textwrap.wrap(paragraph, room, replace_whitespace=False) or [""]:
            yield (lead + row).rstrip()
            lead = " " * len(lead)


def _lines(entry: Entry, cut: Cut, tools: ToolWords) -> Iterator[Line]:
    try:
        words = tools(entry)
        told = ("tool", cut(words)) if words else _KINDS.get(entry.kind, _other)(entry, cut)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        told = _other(entry, cut)  # a line that another program, or an accident, has changed
    if told is not None:
        yield Line(round(entry.t, 2), *told)


Told = tuple[str, str] | None
Cut = Callable[[Any], str]


def _event(entry: Entry, cut: Cut) -> Told:
    short = entry.name.rsplit(".", 1)[-1]
    payload = _payload(entry)
    match short:
        case "CallAlerting":
            return "caller", f"{payload.get('callerid')} calls {payload.get('destination')}"
        case "ResponseOutputAudioTranscriptDone" | "ResponseAudioTranscriptDone":
            return "agent", f"says: {payload.get('transcript')}"
        case "ConversationItemInputAudioTranscriptionCompleted":
            return "agent", f"understands: {payload.get('transcript')}"
        case "ResponseDone":
            status = (payload.get("response") or {}).get("status")
            return None if status == "completed" else ("event", f"{entry.name}: {status}")
    return None if short in QUIET_EVENTS else ("event", _with_fields(cut, entry.name, payload))


def _command(entry: Entry, cut: Cut) -> Told:
    unit = f"{entry.unit}: " if entry.unit else ""
    return "scenario", unit + _with_fields(cut, entry.name, _payload(entry))


def _step(entry: Entry, cut: Cut) -> Told:
    who, _, what = entry.name.partition(" ")
    text = entry.personal.get("text", "")
    match entry.name:
        case "caller speaks" | "callee speaks":
            return who, f"says: {text or '(sound)'}"
        case "caller presses" | "callee presses":
            return who, f"presses {entry.personal.get('digits')}"
        case "caller heard" | "callee heard":
            return who, f"heard: {text}"
        case "agent audible" if "reply_ms" in entry.data:
            return "agent", f"audible, {entry.data['reply_ms']} ms after the caller's last sound"
        case "agent says" | "agent understands":
            return "agent", f"{what}: {text}"
        case "agent audible":
            return "agent", "audible"
        case "agent fell silent":
            return "agent", f"silent {entry.data['after_ms']} ms after the caller broke in"
        case "agent heard as":
            played_s, of_s = entry.data["played_ms"] / 1000, entry.data["of_ms"] / 1000
            whole = "to its end" if played_s >= of_s else f"{played_s:g} of {of_s:g} s"
            return "agent", f"was heard {whole}: {text}"
    if entry.name in QUIET_STEPS:
        return None
    if who in ("caller", "callee"):
        return who, _with_fields(cut, what, {**entry.data, **entry.personal})
    return "voxpy", _with_fields(cut, entry.name, _payload(entry))


def _log(entry: Entry, cut: Cut) -> Told:
    return "log", cut(entry.personal.get("text", ""))


def _warning(entry: Entry, cut: Cut) -> Told:
    return "WARNING", _with_fields(cut, entry.name, {**entry.data, **entry.personal})


def _error(entry: Entry, cut: Cut) -> Told:
    told = ": ".join(str(t) for t in (entry.data.get("message"), entry.personal.get("text")) if t)
    frames = str(entry.data.get("frames") or "").rstrip()
    return "ERROR", f"in {entry.name}: {told}" + (f"\n{frames}" if frames else "")


def _session(entry: Entry, cut: Cut) -> Told:
    if entry.name != "ending":
        return None
    return "session", f"ends: {entry.data.get('reason')}: {entry.data.get('detail')}"


def _other(entry: Entry, cut: Cut) -> Told:
    return entry.kind, _with_fields(cut, entry.name, {**entry.data, **entry.personal})


_KINDS: dict[str, Callable[[Entry, Cut], Told]] = {
    "event": _event,
    "command": _command,
    "step": _step,
    "log": _log,
    "warning": _warning,
    "error": _error,
    "session": _session,
}


def _payload(entry: Entry) -> Mapping[str, Any]:
    payload = entry.personal.get("payload")
    return payload if isinstance(payload, Mapping) else {**entry.data, **entry.personal}


class ToolWords:
    """Says function calls and their results in words, each once.

    A service tells of both with items, and whoever runs the tools with steps; a scenario that
    answers by itself has the items alone. So of the two the first is told, whichever it is.
    """

    def __init__(self) -> None:
        self._told: Counter[tuple[bool, str]] = Counter()

    def __call__(self, entry: Entry) -> str:
        """Return what an entry tells of a tool; mostly nothing."""
        payload = _payload(entry)
        if entry.name in ("tool called", "tool answered"):
            called = entry.name == "tool called"
            given = str(payload.get("arguments" if called else "output", ""))
            if self._is_known(called, given, -1):
                return ""
            name = str(entry.data.get("tool"))
            return f"calls {name}({given})" if called else f"hears from {name}: {given}"
        item = payload.get("item")
        if not isinstance(item, Mapping):
            return ""
        match entry.name.rsplit(".", 1)[-1], item.get("type"):
            case "ResponseOutputItemDone", "function_call":
                given = str(item.get("arguments", ""))
                known = self._is_known(True, given, 1)
                return "" if known else f"calls {item.get('name')}({given})"
            case "ConversationItemAdded", "function_call_output":
                given = str(item.get("output", ""))
                return "" if self._is_known(False, given, 1) else f"hears: {given}"
        return ""

    def _is_known(self, called: bool, given: str, way: int) -> bool:
        """Whether the other way of telling it came first; items count up, steps down."""
        before = self._told[called, given]
        self._told[called, given] += way
        return before * way < 0


def _with_fields(cut: Cut, name: str, fields: Mapping[str, Any]) -> str:
    shown = {k: v for k, v in fields.items() if v not in (None, "", {}, []) and k not in UNSHOWN}
    return f"{name} {cut(as_json(shown).decode())}" if shown else name


UNSHOWN = frozenset({"event_id", "type"})


def _cut(text: Any) -> str:
    words = str(text)
    return words if len(words) <= VALUE_CHARACTERS else words[: VALUE_CHARACTERS - 1] + "…"
