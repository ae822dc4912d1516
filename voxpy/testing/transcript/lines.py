"""A call as lines ``who: what``, in the order of what happened."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import attrs

from voxpy.testing.story import CallStory, Said

WHO = ("caller", "agent", "callee", "keys", "tool", "event", "log", "end")
"""People, digits pressed, tools called; and, only where they are expected: events, log, the end."""
CUT_OFF = "—"
"""Ends what the agent was interrupted in."""
WORDS_BEFORE_CUT = 3
RELAYED_S = 1.0
"""What the caller hears so soon after a callee began to speak, or the agent to murmur, is that."""
_SPACES = re.compile(r"\s+")
_TOOL = re.compile(r"(\S+)\s+(\{.*\})", re.DOTALL)


@attrs.frozen(kw_only=True)
class TranscriptLine:
    """One thing that happened. ``at_s`` is in seconds since the call came in."""

    who: str
    what: str
    at_s: float

    def __str__(self) -> str:
        return f"{self.at_s:8.2f}  {self.who}: {self.what}"


def lines_of(call: CallStory) -> list[TranscriptLine]:
    """Return the call so far, all kinds of lines, by time."""
    return sorted(_lines(call), key=lambda line: line.at_s)


def source_of(line: TranscriptLine) -> str:
    """Return a line as an author would write it to expect exactly this.

    Of words that were cut off only the first stand in it: where they end is a matter of chance.
    """
    what, cut_off = line.what, ""
    if line.who == "agent" and what.endswith(CUT_OFF):
        known = what.removesuffix(CUT_OFF).split()[:WORDS_BEFORE_CUT]
        what, cut_off = " ".join(known), f"{{any}} {CUT_OFF}" if known else f"{{any}}{CUT_OFF}"
    escaped = re.sub(r"\\|\{(?=[a-z_])", lambda found: "\\" + found[0], what) + cut_off
    if escaped.startswith("/"):
        escaped = "\\" + escaped
    return f"{line.who}: {escaped}"


def canonical(who: str, what: str) -> str:
    """Return what was said or done in the one form in which it is compared.

    Runs of white space count as one space; a tool's arguments are JSON with sorted keys.
    """
    tool = _TOOL.fullmatch(what.strip()) if who == "tool" else None
    if tool:
        with suppress(ValueError):  # placeholders inside: compared as they stand
            what = f"{tool[1]} {_json(json.loads(tool[2]))}"
    return _SPACES.sub(" ", what).strip()


def _lines(call: CallStory) -> Iterator[TranscriptLine]:
    # Of what happens at one time, first what takes none.
    for tool in call.tools:
        yield _line("tool", f"{tool.name} {_json(tool.arguments)}", tool.at_s)
    for entry in call.find("caller presses"):
        yield _line("keys", str(entry.personal.get("digits", "")), entry.t)
    said = call.transcript
    others = [s.at_s for s in said if s.who == "callee"] + _murmurs(call)
    for one in said:
        relayed = one.who == "agent" and any(0 <= one.at_s - s < RELAYED_S for s in others)
        if not relayed:
            yield _line(one.who, _words(one), one.at_s)
    for event in call.events:
        yield _line("event", event.name, event.at_s)
    for entry in call.entries:
        if entry.kind == "log":
            yield _line("log", str(entry.personal.get("text", "")), entry.t)
        elif entry.kind == "session" and entry.name == "ending":
            yield _line("end", str(entry.data.get("reason", "")), entry.t)


def _murmurs(call: CallStory) -> list[float]:
    """Return when the agent murmured into the caller's speech, which is no turn of its own."""
    told = [e for e in call.events if e.payload.get("backchannel_id") and "phrase" in e.payload]
    return [event.at_s for event in told]


def _line(who: str, what: str, at_s: float) -> TranscriptLine:
    return TranscriptLine(who=who, what=canonical(who, what), at_s=round(at_s, 2))


def _words(said: Said) -> str:
    if not said.interrupted:
        return said.text
    return f"{said.heard_text or ''} {CUT_OFF}".strip()


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
