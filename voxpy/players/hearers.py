"""Units that tell their own listeners what is played to them: calls (VoxEngine: Call.Playback…)."""

from __future__ import annotations

from typing import Protocol

from voxpy.engine.session import Session
from voxpy.media.unit import MediaPort

__all__ = ["Hearer", "add_hearer", "hearers_of", "remove_hearer"]


class Hearer(Protocol):
    """Learns of a player that is heard by its port when something happens."""

    def playback_ready(self) -> None:
        """The sound is loaded."""

    def playback_started(self, duration_ms: float) -> None:
        """It begins; 0 if its length is not known."""

    def playback_finished(self, error: str | None) -> None:
        """It is over, or cannot be played."""


def add_hearer(session: Session, port: MediaPort, hearer: Hearer) -> None:
    """Tell ``hearer`` of every player that ``port`` hears."""
    _hearers(session)[port] = hearer


def remove_hearer(session: Session, port: MediaPort) -> None:
    """Tell nobody any more what ``port`` hears."""
    _hearers(session).pop(port, None)


def hearers_of(session: Session, port: MediaPort) -> list[Hearer]:
    """Return whoever wants to know of the player at ``port``."""
    known = _hearers(session).items()
    return [hearer for target, hearer in known if session.graph.feed_of(target) is port]


def _hearers(session: Session) -> dict[MediaPort, Hearer]:
    hearers: dict[MediaPort, Hearer] = session.parts.setdefault("hearers", {})
    return hearers
