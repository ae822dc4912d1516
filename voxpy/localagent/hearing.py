"""What one connection hears: from appended bytes to turns and the samples of each. No trio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from voxpy.audio.convert import Converter
from voxpy.audio.frame import Format, pcm16
from voxpy.engine.speech import SpeechGate
from voxpy.localagent.turns import TurnDetector, TurnEvent, silence_ms_for
from voxpy.localagent.vad import FRAME_MS, FRAME_SAMPLES, RATE_HZ

__all__ = ["Hearing"]

Samples = npt.NDArray[np.int16]

MEMORY_S = 60
"""A turn longer than this is transcribed from its last minute."""
ROOM_S = 15
PREFIX_PADDING_MS = 300
THRESHOLD = 0.5


class Hearing:
    """Gate, turn detector and memory of one connection. Blocking: call it off the event loop."""

    def __init__(self, gate: SpeechGate) -> None:
        self._gate = gate
        self._format: Format | None = None
        self._converter: Converter | None = None
        self._pending = b""
        self._unframed = np.zeros(0, np.int16)
        self._memory = np.zeros(0, np.int16)
        self._remembered = 0
        self._memory_starts_at = 0
        self.detector = TurnDetector()

    def configure(self, turn_detection: Mapping[str, Any] | None) -> None:
        """Take over the session's ``turn_detection``."""
        self.detector.silence_ms = silence_ms_for(turn_detection)
        server_vad = turn_detection or {}
        threshold, padding_ms = server_vad.get("threshold"), server_vad.get("prefix_padding_ms")
        self.detector.threshold = THRESHOLD if threshold is None else float(threshold)
        self.detector.prefix_padding_ms = (
            PREFIX_PADDING_MS if padding_ms is None else int(padding_ms)
        )

    def feed(self, data: bytes, fmt: Format) -> list[TurnEvent]:
        """Take appended audio in the session's input format; return what happened in it."""
        samples = self._to_16_khz(data, fmt)
        self._remember(samples)
        self._unframed = np.concatenate([self._unframed, samples])
        events: list[TurnEvent] = []
        n_frames = len(self._unframed) // FRAME_SAMPLES
        for n in range(n_frames):
            frame = self._unframed[n * FRAME_SAMPLES : (n + 1) * FRAME_SAMPLES]
            events += self.detector.feed(self._gate.probability(frame), FRAME_MS)
        self._unframed = self._unframed[n_frames * FRAME_SAMPLES :]
        return events

    def segment(self, from_ms: float, to_ms: float) -> Samples:
        """Return the remembered samples (16 kHz) between two positions of the input timeline."""
        oldest = max(0, self._remembered - MEMORY_S * RATE_HZ)
        start = max(oldest, int(from_ms * RATE_HZ / 1000) - self._memory_starts_at)
        end = min(self._remembered, int(to_ms * RATE_HZ / 1000) - self._memory_starts_at)
        return self._memory[start : max(start, end)].copy()

    @property
    def position_ms(self) -> float:
        """How much audio has been appended, in milliseconds."""
        return (self._memory_starts_at + self._remembered) * 1000 / RATE_HZ

    def _to_16_khz(self, data: bytes, fmt: Format) -> Samples:
        if fmt != self._format:
            self._format, self._converter = fmt, Converter(fmt, pcm16(RATE_HZ))
            self._pending = b""
        assert self._converter is not None
        self._pending += data
        whole = len(self._pending) // fmt.frame_bytes * fmt.frame_bytes
        ready, self._pending = self._pending[:whole], self._pending[whole:]
        if not ready:
            return np.zeros(0, np.int16)
        return np.frombuffer(self._converter.convert(ready), dtype="<i2")

    def _remember(self, samples: Samples) -> None:
        if self._remembered + len(samples) > len(self._memory):
            self._make_room(len(samples))
        self._memory[self._remembered : self._remembered + len(samples)] = samples
        self._remembered += len(samples)

    def _make_room(self, n_samples: int) -> None:
        """Forget all but the last minute, and leave room for some time: copying is rare."""
        oldest = max(0, self._remembered - MEMORY_S * RATE_HZ)
        kept = self._memory[oldest : self._remembered]
        self._memory = np.zeros(len(kept) + n_samples + ROOM_S * RATE_HZ, np.int16)
        self._memory[: len(kept)] = kept
        self._remembered = len(kept)
        self._memory_starts_at += oldest
