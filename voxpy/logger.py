"""``Logger``: lines of the scenario's own in the session log (VoxEngine: Logger)."""

from __future__ import annotations

from typing import Any

import attrs

from voxpy.engine.context import current
from voxpy.engine.events import Event
from voxpy.engine.trace import as_json, event_fields
from voxpy.errors import HelpsWithNames

__all__ = ["Logger", "LoggerNamespace"]


class LoggerNamespace(HelpsWithNames):
    """Made once, as ``Logger``."""

    __slots__ = ()  # what a scenario stored here would be seen by every other session

    def write(self, message: Any) -> None:
        """Write a line to ``session.log`` and to the trace.

        Strings go as they are; events and other objects as JSON. What is longer than
        ``limits.log_characters`` (VoxEngine: 15,000) is cut. Secrets are masked.
        """
        session = current("Logger.write")
        text = message if isinstance(message, str) else _as_json(message)
        limit = session.context.settings.limits.log_characters
        session.trace.log(text if len(text) <= limit else text[: limit - 1] + "…")

    def hide_tones(self, flag: bool) -> None:
        """Keep the digits of ToneReceived out of trace and log. VoxEngine: Logger.hideTones."""
        current("Logger.hide_tones").trace.hide_tones = bool(flag)

    def _title(self) -> str:
        return "Logger"


def _as_json(message: Any) -> str:
    if isinstance(message, Event):
        unit, fields = event_fields(message)
        message = {"name": message.name, **({"unit": unit} if unit else {}), **fields}
    elif attrs.has(type(message)):
        message = attrs.asdict(message)
    elif isinstance(message, BaseException):
        message = {"message": str(message), "type": type(message).__name__}
    return as_json(message).decode()


Logger = LoggerNamespace()
