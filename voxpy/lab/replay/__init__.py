"""Running a recorded session again, on virtual time, to see where it goes another way."""

from __future__ import annotations

from voxpy.lab.replay.comparing import Difference, first_difference
from voxpy.lab.replay.recording import Recording, read_recording
from voxpy.lab.replay.running import Replayed, replay

__all__ = [
    "Difference",
    "Recording",
    "Replayed",
    "first_difference",
    "read_recording",
    "replay",
]
