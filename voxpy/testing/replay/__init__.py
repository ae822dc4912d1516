"""Running a recorded session again, on virtual time, to see where it goes another way."""

from __future__ import annotations

from voxpy.testing.replay.comparing import Difference, first_difference
from voxpy.testing.replay.recording import Recording, read_recording
from voxpy.testing.replay.running import Replayed, replay

__all__ = [
    "Difference",
    "Recording",
    "Replayed",
    "first_difference",
    "read_recording",
    "replay",
]
