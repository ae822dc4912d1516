"""Speaking up when the caller says nothing: ``idle_timeout_ms`` of server_vad (OpenAI's GA).

The clock starts when the last response has played. An empty user turn is then committed, so that
the model has something to answer. It starts again after a turn without words, or a cough would
silence the agent for good.
"""

from __future__ import annotations

from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.server.effects import InputCleared
from voxpy.wire.realtime.server.feature import Feature
from voxpy.wire.realtime.server.state import ServerState

__all__ = ["IdleTimeout"]


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
        state.outbox.emit(
            se.InputAudioBufferTimeoutTriggered(
                audio_start_ms=end_ms - min(self._silence_ms(), turns.buffered.ms),
                audio_end_ms=end_ms,
                item_id=turns.item_id,
            )
        )
        awaited = turns.take(state.commit_turn(answer=True))
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
