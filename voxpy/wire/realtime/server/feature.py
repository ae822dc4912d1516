"""What a part of the server that acts by itself can take part in.

Such a part sees what happens in the session, asks to be called at a time, and then sends events of
its own. The session's state knows them only as this.
"""

from __future__ import annotations

__all__ = ["Feature"]


class Feature:
    """Reacts to nothing; a feature overrides what concerns it.

    Times are the session's, read from its state: it is up to date whenever one of these is called.
    """

    def deadline(self) -> float | None:
        """Return when ``tick`` is due next, None for never. May lie in the past."""
        return None

    def tick(self) -> None:
        """Time has passed: do what is due. Afterwards ``deadline`` must lie in the future."""

    def speech_started(self) -> None:
        """The caller began to speak."""

    def speech_paused(self) -> None:
        """The caller has fallen silent in mid-turn."""

    def speech_resumed(self) -> None:
        """The caller goes on after a pause."""

    def words_so_far(self, text: str) -> None:
        """All of the turn's words that are recognised so far."""

    def speech_ended(self) -> None:
        """The caller's speech is over, committed or forgotten."""

    def turn_unanswered(self) -> None:
        """A turn was recognised and needs no answer: there were no words in it."""

    def response_began(self) -> None:
        """A response is active."""

    def response_ended(self, status: str) -> None:
        """The response is over, no other is active yet."""
