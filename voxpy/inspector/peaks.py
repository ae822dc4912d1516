"""The loudness of a recording in small steps: what a waveform is drawn of."""

from __future__ import annotations

from pathlib import Path

import numpy as np

STEP_MS = 40
BLOCK_STEPS = 1500
"""A minute at a time: an hour of two sides is 115 MB."""
FLOOR_DB = -60.0


def peaks(path: Path, *, first: int = 0) -> bytes:
    """Return the loudest sample of each step from ``first`` on, left and right in turn.

    A byte each, linear in decibels: 0 is -60 dB or less, 255 full scale. A recording with one side
    has it twice. Empty for a file that is no recording (yet). Steps that are not whole are left out
    until they are.
    """
    import soundfile

    found = bytearray()
    try:
        with soundfile.SoundFile(path) as file:
            step = file.samplerate * STEP_MS // 1000
            if first * step >= file.frames:
                return b""
            file.seek(first * step)
            while (
                len(block := file.read(step * BLOCK_STEPS, dtype="int16", always_2d=True)) >= step
            ):
                whole = block[: len(block) // step * step].reshape(-1, step, block.shape[1])
                loudest = np.abs(whole.astype(np.int32)).max(axis=1)
                found += _scaled(loudest[:, [0, -1]])
    except (OSError, soundfile.LibsndfileError):
        pass
    return bytes(found)


def _scaled(loudest: np.ndarray[tuple[int, int], np.dtype[np.int32]]) -> bytes:
    decibels = 20 * np.log10(np.maximum(loudest, 1) / 32767)
    scaled = np.clip((decibels - FLOOR_DB) / -FLOOR_DB * 255, 0, 255)
    return bytes(scaled.astype(np.uint8).tobytes())
