"""Who has the floor: the caller, the agent that owes an answer, or nobody.

A session may be moved to another connection only while nobody has it. Playback is not seen here:
ask the playout too.
"""

from __future__ import annotations

from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.types import ServerEvent

__all__ = ["Floor"]

ANSWER_WITHIN_S = 8.0
"""A turn that got no response by then gets none (``create_response`` false, or a manual commit)."""


class Floor:
    """Follows a session; ``now`` is seconds on any clock that does not go back."""

    def __init__(self) -> None:
        self._speaking = False
        self._responding = False
        self._answer_due_until = float("-inf")

    def is_free(self, now: float) -> bool:
        """Return whether nobody speaks, no response is under way and none is owed."""
        return not self._speaking and not self._responding and now >= self._answer_due_until

    def follow(self, event: ServerEvent, now: float) -> None:
        """Take an event of the server's."""
        match event:
            case se.InputAudioBufferSpeechStarted():
                self._speaking = True
            case se.InputAudioBufferSpeechStopped() | se.InputAudioBufferCommitted():
                self._speaking = False
                self._answer_due_until = now + ANSWER_WITHIN_S
            case se.InputAudioBufferCleared():
                self._speaking = False
            case se.ResponseCreated():
                self._responding = True
                self._answer_due_until = float("-inf")
            case se.ResponseDone():
                self._responding = False
            case se.ConversationItemInputAudioTranscriptionFailed():
                self._answer_due_until = float("-inf")
            case se.ConversationItemInputAudioTranscriptionCompleted():
                if not event.transcript.strip():
                    self._answer_due_until = float("-inf")
