"""Conferences: many calls that hear each other (VoxEngine: Conference module)."""

from __future__ import annotations

from typing import Any

from voxpy.conferences.conference import Conference
from voxpy.conferences.control import ConferenceController
from voxpy.conferences.events import ConferenceEvents
from voxpy.engine.session import Session
from voxpy.errors import ScenarioError

__all__ = ["Conference", "ConferenceEvents", "create", "destroy"]


def create(session: Session, *, hd_audio: bool) -> Conference:
    """Return a conference; see ``VoxEngine.create_conference``."""
    controller = ConferenceController(session, hd_audio=hd_audio)
    session.trace.command(
        "VoxEngine.create_conference", unit=controller.conference_id, hd_audio=hd_audio
    )
    controller.start()
    return controller.conference


def destroy(conference: Conference) -> None:
    """Stop a conference. Raises ScenarioError for what is none."""
    given: Any = conference  # scenarios are not always type checked
    if not isinstance(given, Conference):
        raise ScenarioError(f"destroy_conference takes a Conference, not {given!r}")
    given.stop()
