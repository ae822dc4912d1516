"""The framing of a speech gate: any audio in, 512 samples of 16 kHz out.

A gate answers for 32 ms at a time, the graph moves 20 ms; and what comes over a socket is cut
anywhere.
"""

from __future__ import annotations

import numpy as np

from voxpy.audio.convert import Converter, decode
from voxpy.audio.frame import Format, Samples, pcm16

RATE_HZ = 16_000
FRAME_SAMPLES = 512
"""What a gate takes at a time; Silero's network knows no other size at this rate."""
FRAME_MS = 32


class GateFraming:
    """Turns a stream of audio into what a gate takes. One per stream: it has a memory."""

    def __init__(self) -> None:
        self._format: Format | None = None
        self._converter: Converter | None = None
        self._pending = b""
        self._uncut = np.zeros(0, np.int16)

    def convert(self, data: bytes, fmt: Format) -> Samples:
        """Return ``data`` at 16 kHz; what is less than a 20 ms frame waits for its rest.

        Another ``fmt`` than before starts a new conversion and drops what waits.
        """
        if fmt != self._format:
            self._format, self._converter = fmt, Converter(fmt, pcm16(RATE_HZ))
            self._pending = b""
        assert self._converter is not None
        self._pending += data
        whole = len(self._pending) // fmt.frame_bytes * fmt.frame_bytes
        ready, self._pending = self._pending[:whole], self._pending[whole:]
        return decode(self._converter.convert(ready), pcm16(RATE_HZ)) if ready else _NOTHING

    def cut(self, samples: Samples) -> list[Samples]:
        """Take samples at 16 kHz; return the frames, each of shape (512,), they complete."""
        uncut = np.concatenate([self._uncut, samples])
        n_frames = len(uncut) // FRAME_SAMPLES
        self._uncut = uncut[n_frames * FRAME_SAMPLES :]
        return [uncut[n * FRAME_SAMPLES : (n + 1) * FRAME_SAMPLES] for n in range(n_frames)]


_NOTHING = np.zeros(0, np.int16)
