"""Conferences: many calls that hear each other (VoxEngine: Conference module)."""

from __future__ import annotations

from voxpy.conferences.conference import Conference
from voxpy.conferences.events import ConferenceEvents

__all__ = ["Conference", "ConferenceEvents"]
