"""The memory of a long conversation: ``providerData.memory``.

Every ``turn_interval`` turns a summary is asked for. It is told as Inworld tells it: by a
``session.updated`` that nobody asked for, with ``providerData.memory.state``. A turn is a completed
response to something the caller said or wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxpy.wire.realtime.events.server_events import SessionUpdated
from voxpy.wire.realtime.server.effects import SessionChanged, Summarise
from voxpy.wire.realtime.server.feature import Feature
from voxpy.wire.realtime.server.state import ServerState

__all__ = ["Memory"]


class Memory(Feature):
    """Counts turns, asks for summaries and publishes them.

    A client may begin a session with the ``state`` of an earlier one: version and counts go on.
    """

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._last_user_id: str | None = None
        self._since = 0  # turns since the last summary was asked for
        self._turns = 0  # turns of this session
        self._published = 0  # of those, told in the state
        self._summarising: str | None = None  # the first item to keep if the rest is trimmed

    def response_ended(self, status: str) -> None:
        """Count the turn, and ask for a summary with the last of an interval."""
        settings = self._state.branch("memory")
        said = self._last_said()
        if status != "completed" or said in (None, self._last_user_id):
            return
        self._last_user_id = said
        self._turns += 1
        self._since += 1
        if settings is None or self._summarising is not None:
            return
        if self._since >= max(1, settings["turn_interval"]):
            self._since = 0
            self._summarising = said
            most = int(settings["max_transcript_items"])
            items = self._state.conversation.items
            previous = dict(settings.get("state") or {})
            self._state.effects.append(
                Summarise(items=items[-most:] if most else (), state=previous, settings=settings)
            )

    def _last_said(self) -> str | None:
        for item in reversed(self._state.conversation.items):
            if item.get("role") == "user":
                return str(item["id"])
        return None

    def take(self, made: Mapping[str, Any]) -> bool:
        """Publish a summary; False if none was asked for or memory is off by now."""
        state, first_kept, self._summarising = self._state, self._summarising, None
        settings = state.branch("memory")
        if first_kept is None or settings is None:
            return False
        before = settings.get("state") or {}
        memory = {
            "version": int(before.get("version") or 0) + 1,
            "facts": list(made.get("facts") or ()),
            "summary": str(made.get("summary") or ""),
            "context_text": str(made.get("context_text") or ""),
            "turns_since_gen": self._since,
            "total_turns": int(before.get("total_turns") or 0) + self._turns - self._published,
            "items_trimmed": int(before.get("items_trimmed") or 0)
            + self._trim(settings, first_kept),
        }
        self._published = self._turns
        provider_data = {
            **state.session["providerData"],
            "memory": {**settings, "state": memory},
        }
        state.session = {**state.session, "providerData": provider_data}
        state.outbox.emit(SessionUpdated(session=state.session))
        state.effects.append(SessionChanged(state.session))
        return True

    def _trim(self, settings: Mapping[str, Any], first_kept: str) -> int:
        """Forget what is summarised, except the turn that may still be playing."""
        if not settings["trim_after_summarize"]:
            return 0
        conversation = self._state.conversation
        if conversation.find(first_kept) is None:
            return 0
        return conversation.trim(first_kept)
