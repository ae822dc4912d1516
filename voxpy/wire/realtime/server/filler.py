"""Bridging the wait for a slow answer: Inworld's responsiveness (``providerData.responsiveness``).

If nothing of the answer has come ``initial_wait_timeout_ms`` after the turn was committed, a short
filler is asked for, which is spoken as part of the response's audio. Whether Inworld puts its words
into transcript and history is not known; here they are in neither, since the agent's next answer
should not build on them. The fields are those of Inworld's page, their defaults are local.
"""

from __future__ import annotations

import attrs

from voxpy.wire.realtime.server.effects import Fill
from voxpy.wire.realtime.server.feature import Feature
from voxpy.wire.realtime.server.state import ServerState

__all__ = ["Filler"]


@attrs.frozen
class _Asked:
    response_id: str
    deadline: float


class Filler(Feature):
    """Asks for fillers, and lets through those that come in time."""

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._asked: _Asked | None = None
        self._turn_ended: float | None = None  # the turn the coming response answers
        self._waiting_since = 0.0
        self._count = 0  # in this turn
        self._last_end = float("-inf")
        self._first_reply = True

    def deadline(self) -> float | None:
        """Return when the caller will have waited long enough; None if no filler may come."""
        settings, response = self._state.branch("responsiveness"), self._state.response
        if settings is None or response is None or response.has_content or not response.speaks:
            return None
        if self._count >= settings["max_initial_per_turn"] or self._asked is not None:
            return None
        if self._first_reply and not settings["enable_filler_on_first_assistant_reply"]:
            return None
        waited = self._waiting_since + settings["initial_wait_timeout_ms"] / 1000
        return float(max(waited, self._last_end + settings["min_filler_gap_ms"] / 1000))

    def tick(self) -> None:
        """Ask for a filler if it is time."""
        deadline, state = self.deadline(), self._state
        settings, response = state.branch("responsiveness"), state.response
        if deadline is None or deadline > state.now or settings is None or response is None:
            return
        self._count += 1
        asked = _Asked(response.id, state.now + settings["hard_deadline_ms"] / 1000)
        self._asked = asked
        tail = int(settings["history_tail_items"])
        state.effects.append(
            Fill(
                response_id=response.id,
                session=state.session,
                voice=response.voice,
                items=state.conversation.items[-tail:] if tail else (),
                deadline=asked.deadline,
                settings=settings,
            )
        )

    def audio(self, response_id: str, data: bytes) -> bool:
        """Speak the filler that was asked for; False if it is not wanted any more."""
        state, asked, self._asked = self._state, self._asked, None
        response = state.response
        if asked is None or response is None or not response_id == response.id == asked.response_id:
            self._asked = asked
            return False
        if state.now > asked.deadline or not response.filler(data, state.now):
            return False
        self._last_end = state.output.playing_until
        return True

    def speech_ended(self) -> None:
        """A turn of the caller's: it may have its fillers."""
        self._turn_ended = self._state.now
        self._count = 0

    def response_began(self) -> None:
        """The caller waits: since the end of the turn, or else from now on."""
        self._asked = None
        since, self._turn_ended = self._turn_ended, None
        self._waiting_since = self._state.now if since is None else since
        self._first_reply = not any(
            item.get("role") == "assistant" for item in self._state.conversation.items
        )

    def response_ended(self, status: str) -> None:
        """A filler that comes now is too late."""
        self._asked = None
