"""What a host says while it runs: readable lines, or one JSON object per line."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from typing import Any, TextIO

from voxpy.engine import clock
from voxpy.engine.masking import Masker
from voxpy.engine.trace import Entry, Trace, as_json
from voxpy.text.plain import plain

LEVELS = {"warning": "WARNING", "error": "ERROR"}


def host_log(
    file: TextIO, secret_values: Callable[[], Iterable[str]], *, as_lines_of_json: bool
) -> Trace:
    """Return the log of a host: a Trace of its own, so secrets are masked before anything else.

    Personal fields (numbers, destinations) stand under ``personal`` in JSON.
    """
    log = Trace(now=lambda: 0.0, masking=_Masking(secret_values))  # dates are enough
    sink = _JsonLines if as_lines_of_json else _ReadableLines
    log.add_sink(sink(file, clock.calendar))
    return log


class _Masking:
    """Masks the secrets of the moment: they may be rotated while the host runs."""

    def __init__(self, values: Callable[[], Iterable[str]]) -> None:
        self._values = values
        self._masker = Masker()

    def text(self, text: str) -> str:
        self._masker.add(*self._values())
        return self._masker.text(text)

    def json(self, value: Any) -> Any:
        self._masker.add(*self._values())
        return self._masker.json(value)


class _JsonLines:
    """``{"time": ..., "level": "info", "event": ..., "data": {...}, "personal": {...}}``."""

    def __init__(self, file: TextIO, wall: Callable[[], datetime.datetime]) -> None:
        self._file = file
        self._wall = wall

    def __call__(self, entry: Entry) -> None:
        line: dict[str, Any] = {
            "time": self._wall().isoformat(timespec="milliseconds"),
            "level": LEVELS.get(entry.kind, "info").lower(),
            "event": entry.name,
        }
        if entry.data:
            line["data"] = entry.data
        if entry.personal:
            line["personal"] = entry.personal
        self._file.write(as_json(line).decode() + "\n")
        self._file.flush()


class _ReadableLines:
    """``12:03:55.120 call began  rule=support session=20250102-...``."""

    def __init__(self, file: TextIO, wall: Callable[[], datetime.datetime]) -> None:
        self._file = file
        self._wall = wall

    def __call__(self, entry: Entry) -> None:
        stamp = f"{self._wall().astimezone():%H:%M:%S.%f}"[:-3]
        level = f"{LEVELS[entry.kind]}: " if entry.kind in LEVELS else ""
        fields = {**entry.data, **entry.personal}
        told = "".join(f" {key}={_shown(value)}" for key, value in fields.items())
        self._file.write(f"{stamp} {level}{plain(entry.name)}{' ' if told else ''}{told}\n")
        self._file.flush()


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else as_json(value).decode()
    # What comes from outside must not look like a line of ours, nor move the cursor.
    return text if text.isprintable() and " " not in text else _quoted(text)


def _quoted(text: str) -> str:
    return '"' + plain(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'
