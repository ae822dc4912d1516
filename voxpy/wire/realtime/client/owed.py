"""What the server owes us: whether an agent that says nothing should be saying something.

A dead agent looks like a quiet one. What tells them apart is that something is due: the session was
asked for and is not confirmed, a response was asked for and has not begun, it has begun and does
not end, the last one failed, the caller said something and nothing came of it. How long that may
last is the watchdog's business, which has a clock; here is only *whether*, in words.

The caller's turns are the doubtful case: a server may find that a cough needs no answer. So a turn
counts once its words are known, or when a second one follows; one without words does not.

Nothing that the caller does takes anything back, or "hello? are you there?" would be taken for
life. Only the agent's own doing does: a response that completes, or its audio (which the owner of
the playout sees).

An ``error`` names the event it is about by an id, which most clients do not give. One that names
nothing is about the ``session.update`` if nothing else was sent that it could be about.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.types import Error, Response, ServerEvent, end_reason


class Owed:
    """Follows both directions of a session."""

    def __init__(self) -> None:
        self._greeted = self._confirmed = False
        self._updates: list[str | None] = []  # event ids of those that are not answered
        self._others = False  # something else was sent that an error may be about
        self._creates = 0
        self._turns = 0
        self._has_words = False
        self._failed = ""

    def words(self, active: str | None) -> str:
        """Return what is due, as the end of "the agent ..."; empty if nothing is.

        ``active`` is the response under way.
        """
        if self._updates:
            return "has not confirmed the session"
        if not self._greeted:
            return "has said nothing since the connection was made"
        if self._failed:
            return self._failed
        if self._creates:
            return "has not begun the response it was asked for"
        if active is not None:
            return "has not finished its response"
        if self._has_words or self._turns > 1:
            return "has not answered the caller"
        return ""

    def sent(self, kind: str, event_id: str | None) -> None:
        """An event of this type was sent."""
        match kind:
            case "session.update":
                self._updates.append(event_id)
                self._failed = ""
            case "input_audio_buffer.append":
                pass
            case "response.create":
                self._creates += 1
                self._others = True
            case _:
                self._others = True

    def follow(self, event: ServerEvent, *, answers_turns: bool) -> None:
        """Take an event of the server's. ``answers_turns``: it responds to the caller unasked."""
        match event:
            case se.SessionCreated() | se.ConversationCreated():
                self._greeted = True
            case se.SessionUpdated():
                self._greeted = self._confirmed = True
                self._others = False
                del self._updates[:1]
            case se.ResponseCreated():
                self._creates = max(0, self._creates - 1)
                self._turns, self._has_words = 0, False
            case se.InputAudioBufferCommitted() if answers_turns:
                self._turns += 1
            case se.ConversationItemInputAudioTranscriptionCompleted() if self._turns:
                if event.transcript.strip():
                    self._has_words = True
                else:
                    self._turns -= 1
            case se.ConversationItemInputAudioTranscriptionFailed() if self._turns:
                self._turns -= 1

    def done(self, response: Response, *, said: bool) -> str:
        """Take the end of a response; ``said`` is whether anything of it can be heard or read.

        Returns why it came to nothing, if it did: a response that failed, or broke off before it
        said anything. Empty for one that completed or was cancelled.
        """
        status = response.get("status")
        if status == "failed" or (status == "incomplete" and not said):
            why = end_reason(response) or "no reason told"
            self._failed = (
                f"does not answer: its response {_VERBS[status]} ({_told(response, why)})"
            )
            return self._failed
        if status == "completed" or said:
            self._failed = ""
        return ""

    def refused(self, error: Error) -> bool:
        """Take an error that is no race; return whether the session itself was refused."""
        if self._is_about_update(error):
            self._updates = self._updates[1:]
            if not self._confirmed:  # else it goes on as it was
                self._failed = f"refused the session: {error.message}"
            return True
        if self._creates and not self._updates:
            self._creates -= 1
            self._failed = f"does not answer: a response was refused ({error.message})"
        return not self._greeted

    def raced(self) -> None:
        """A create was refused because a response is active."""
        self._creates = max(0, self._creates - 1)

    def _is_about_update(self, error: Error) -> bool:
        if not self._updates:
            return False
        if error.event_id is not None:
            return error.event_id in self._updates
        if error.param:
            return error.param.partition(".")[0] == "session"
        return not self._others


_VERBS = {"failed": "failed", "incomplete": "broke off"}


def _told(response: Mapping[str, Any], why: str) -> str:
    details = response.get("status_details")
    error = details.get("error") if isinstance(details, Mapping) else None
    message = error.get("message") if isinstance(error, Mapping) else None
    return f"{why}: {message}" if isinstance(message, str) and message else why
