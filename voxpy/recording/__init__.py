"""Recordings: of a call, of whatever is sent to a recorder, and their transcripts.

VoxEngine: Call.record, Recorder module.
"""

from __future__ import annotations

from voxpy.recording.events import RecorderEvents
from voxpy.recording.recorder import Recorder, create_recorder

__all__ = ["Recorder", "RecorderEvents", "create_recorder"]
