"""Inworld's ``ping`` events, a quirk: they need no answer and carry the time of day."""

from __future__ import annotations

from voxpy.wire.realtime.events.server_events import Ping
from voxpy.wire.realtime.server.feature import Feature
from voxpy.wire.realtime.server.state import ServerState

__all__ = ["Keepalive"]


class Keepalive(Feature):
    """Sends a ping every ``ping_interval_s``; ``unix_at_zero_s`` is Unix time when now is 0."""

    def __init__(self, state: ServerState, *, unix_at_zero_s: float) -> None:
        self._state = state
        self._unix_at_zero_s = unix_at_zero_s
        self._last = state.now

    def begin(self) -> None:
        """The session begins now."""
        self._last = self._state.now

    def deadline(self) -> float | None:
        """Return when the next ping is due."""
        interval_s = self._state.quirks.ping_interval_s
        return self._last + interval_s if interval_s else None

    def tick(self) -> None:
        """Send a ping if one is due; those missed meanwhile are not made up for."""
        deadline = self.deadline()
        if deadline is not None and deadline <= self._state.now:
            self._last = self._state.now
            timestamp_ms = round((self._unix_at_zero_s + self._state.now) * 1000)
            self._state.outbox.emit(Ping(timestamp=timestamp_ms))
