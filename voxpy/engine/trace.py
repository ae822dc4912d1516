"""One append-only record per session: a line of JSON per event, command and step, flushed at once.

Versioned (``v``), with seconds since the session began (``t``). Fields that carry personal data
(numbers, transcripts, prompts, headers) stand under ``personal`` and nowhere else; secrets are
masked by value and by key before anything is written.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TextIO

import attrs
import orjson

from voxpy.engine.events import Event
from voxpy.text.plain import plain

VERSION = 1

PERSONAL_KEYS = frozenset(
    "body callerid content custom_data custom_parameters destination digits display_name "
    "from_uri headers instructions number payload text to_uri tone transcript".split()
)


DEEPEST = 20
"""Levels of nesting written of a value that JSON cannot hold as it is, such as a circle."""

UNIT_FIELDS = frozenset(
    "amd asr call client conference player recorder "
    "sequence_player turn_detector vad websocket".split()
)
"""Fields of events that hold the unit the event is about; of several the last counts."""


class Masking(Protocol):
    """Hides secret values; see voxpy.engine.masking."""

    def text(self, text: str) -> str:
        """Return ``text`` with every secret value replaced."""

    def json(self, value: Any) -> Any:
        """Return a JSON value with secrets replaced, known by their value or by their key."""


@attrs.frozen(kw_only=True)
class Entry:
    """One line of the trace. ``t`` is in seconds since the session began."""

    t: float
    kind: str
    name: str
    unit: str = ""
    data: Mapping[str, Any] = attrs.field(factory=dict)
    personal: Mapping[str, Any] = attrs.field(factory=dict)

    def to_json(self) -> bytes:
        """Return the entry as one line of JSON, without the newline."""
        line: dict[str, Any] = {"v": VERSION, "t": round(self.t, 4), "kind": self.kind}
        line["name"] = self.name
        if self.unit:
            line["unit"] = self.unit
        if self.data:
            line["data"] = self.data
        if self.personal:
            line["personal"] = self.personal
        return as_json(line)


class Trace:
    """Writes entries to its sinks, in order, as they happen."""

    def __init__(self, *, now: Callable[[], float], masking: Masking) -> None:
        self._now = now
        self._masking = masking
        self._began = now()
        self._sinks: list[Callable[[Entry], None]] = []
        self.hide_tones = False

    def add_sink(self, sink: Callable[[Entry], None]) -> None:
        """Send every entry from now on to ``sink`` as well."""
        self._sinks.append(sink)

    def elapsed_s(self) -> float:
        """Return the seconds since the session began."""
        return self._now() - self._began

    def masked(self, text: str) -> str:
        """Return ``text`` with every known secret value replaced, for files beside the trace."""
        return self._masking.text(text)

    def write(self, kind: str, name: str, *, unit: str = "", **fields: Any) -> None:
        """Add an entry; fields with a personal key are put under ``personal``."""
        if self.hide_tones and "tone" in fields:
            fields["tone"] = "*hidden*"
        fields = self._masking.json(fields)
        entry = Entry(
            t=self.elapsed_s(),
            kind=kind,
            name=self._masking.text(name),
            unit=unit,
            data={k: v for k, v in fields.items() if k not in PERSONAL_KEYS},
            personal={k: v for k, v in fields.items() if k in PERSONAL_KEYS},
        )
        for sink in tuple(self._sinks):
            try:
                sink(entry)
            except OSError as error:  # a full disk must not end calls; the other sinks say so
                if sink in self._sinks:  # not if the warning of another has met it first
                    self._sinks.remove(sink)
                self.warning("the trace loses a sink that cannot write", error=str(error))

    def event(self, event: Event) -> None:
        """Record that ``event`` was posted to the scenario."""
        unit, fields = event_fields(event)
        self.write("event", event.name, unit=unit, **fields)

    def command(self, name: str, *, unit: str = "", **fields: Any) -> None:
        """Record a call of the scenario into voxpy."""
        self.write("command", name, unit=unit, **fields)

    def step(self, name: str, *, unit: str = "", **fields: Any) -> None:
        """Record something voxpy did by itself."""
        self.write("step", name, unit=unit, **fields)

    def log(self, text: str) -> None:
        """Record a line of ``Logger.write``."""
        self.write("log", "Logger.write", text=text)

    def warning(self, text: str, **fields: Any) -> None:
        """Record something the author should look at."""
        self.write("warning", text, **fields)


def as_json(value: Any) -> bytes:
    """Return ``value`` as one line of JSON, whatever a scenario put into it.

    What JSON lacks becomes text; what is nested deeper than DEEPEST becomes an ellipsis.
    """
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # a number beyond 64 bits, half a surrogate pair, a tuple as key, a circle
        return json.dumps(_plain(value, 0)).encode()


def _plain(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value
    if depth == DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {str(k): _plain(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v, depth + 1) for v in value]
    return str(value)


def event_fields(event: Event) -> tuple[str, dict[str, Any]]:
    """Return the id of the unit an event is about and its plain fields."""
    unit, fields = "", {}
    kind: Any = type(event)
    for field in attrs.fields(kind):
        value = getattr(event, field.name)
        if field.name in UNIT_FIELDS:
            unit = value.id() if value is not None else ""
        elif attrs.has(type(value)):
            fields.update(attrs.asdict(value, recurse=True))
        elif value not in (None, "", {}):
            fields[field.name] = value
    return unit, fields


class FileSink:
    """Writes ``trace.jsonl``; every line reaches the operating system before the next step."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __call__(self, entry: Entry) -> None:
        """Write one line."""
        self._file.write(entry.to_json() + b"\n")
        self._file.flush()


class LogSink:
    """Writes ``session.log`` in the manner of VoxEngine: ``YYYY-MM-DD HH:MM:SS.mmm text``, UTC.

    What may be personal is left to the trace, where it is marked; the lines of ``Logger.write`` are
    the scenario's own words and stand as they are. No text can pass for a line of its own: what
    follows a line break is indented, and controls are escaped.
    """

    def __init__(self, file: TextIO, wall: Callable[[], datetime.datetime]) -> None:
        self._file = file
        self._wall = wall

    def __call__(self, entry: Entry) -> None:
        """Write one entry as one line, or more where the text has several."""
        stamp = f"{self._wall():%Y-%m-%d %H:%M:%S.%f}"[:-3]
        text = plain(self._text(entry), keep="\n\t").replace("\n", "\n    ")
        self._file.write(f"{stamp} {text}\n")
        self._file.flush()

    @staticmethod
    def _text(entry: Entry) -> str:
        if entry.kind == "log":
            return str(entry.personal.get("text", ""))
        lead = {"event": "Event", "command": "Command", "warning": "WARNING!", "error": "ERROR"}
        words = [lead.get(entry.kind, entry.kind), entry.name]
        if entry.unit:
            words.append(entry.unit)
        if entry.data:
            words.append(as_json(entry.data).decode())
        return " ".join(words)
