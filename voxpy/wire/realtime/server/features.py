"""What a server does of its own accord, besides answering: idle timeout, ping, memory.

Idle timeout (``idle_timeout_ms`` of server_vad, OpenAI's GA): speaking up when the caller says
nothing. The clock starts when the last response has played. An empty user turn is then committed,
so that the model has something to answer. It starts again after a turn without words, or a cough
would silence the agent for good.

Ping: Inworld's, a quirk; it needs no answer and carries the time of day.

Memory (``providerData.memory``): every ``turn_interval`` turns a summary is asked for. Like
Inworld, it tells it by an unasked ``session.updated`` with ``providerData.memory.state``.
A turn is a completed response to something the caller said or wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.server_events import Ping, SessionUpdated
from voxpy.wire.realtime.server.effects import InputCleared, SessionChanged, Summarise
from voxpy.wire.realtime.server.state import Feature, ServerState


class IdleTimeout(Feature):
    """Runs only where the session's turn detection has an ``idle_timeout_ms``."""

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._idle_since: float | None = None  # None before the first response

    def deadline(self) -> float | None:
        """Return when the silence has lasted long enough, None while there is none."""
        state = self._state
        timeout_ms = (state.turn_detection or {}).get("idle_timeout_ms")
        quiet = state.response is None and not state.turns.speaking and not state.turns.awaited
        if not timeout_ms or self._idle_since is None or not quiet:
            return None
        return float(max(self._idle_since, state.output.playing_until) + timeout_ms / 1000)

    def tick(self) -> None:
        """Commit the silence and have it answered, if it is time."""
        deadline = self.deadline()
        if deadline is None or deadline > self._state.now:
            return
        state, turns = self._state, self._state.turns
        self._idle_since = None
        turns.item_id = turns.item_id or state.conversation.reserve()
        end_ms = turns.appended.ms
        start_ms = end_ms - min(self._silence_ms(), turns.buffered.ms)
        state.outbox.emit(
            se.InputAudioBufferTimeoutTriggered(
                audio_start_ms=start_ms, audio_end_ms=end_ms, item_id=turns.item_id
            )
        )
        awaited = turns.take(state.commit_turn(answer=True, from_ms=start_ms, to_ms=end_ms))
        state.effects.append(InputCleared())
        if awaited is not None:
            state.turn_recognised(awaited, "", answer_anyway=True)

    def _silence_ms(self) -> float:
        return float((self._state.turn_detection or {})["idle_timeout_ms"])

    def response_ended(self, status: str) -> None:
        """The silence begins, at the latest when the audio has played."""
        self._idle_since = self._state.now

    def turn_unanswered(self) -> None:
        """Nothing was said: the silence begins anew."""
        if self._idle_since is not None:
            self._idle_since = self._state.now


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
