"""What one stream says: audio in, turns and the samples of each out. Knows no loop and no clock."""

from __future__ import annotations

from voxpy.audio.frame import Format, Samples
from voxpy.engine.speech import SpeechGate
from voxpy.media.memory import SpeechMemory
from voxpy.media.turns import TurnDetector, TurnEvent
from voxpy.media.vad import FRAME_MS, RATE_HZ, GateFraming

__all__ = ["MEMORY_S", "Hearing"]

MEMORY_S = 60
"""A turn longer than this is transcribed from its last minute."""


class Hearing:
    """Gate, turn detector and memory of one stream; ``detector`` may be tuned at any time.

    The gate takes the best part of a millisecond for each 32 ms: ``feed`` is for work off the event
    loop, ``take`` and ``follow`` for those who ask the gate in between, in their own time.
    """

    def __init__(self, gate: SpeechGate, *, memory_s: float = MEMORY_S) -> None:
        self.gate = gate
        self.detector = TurnDetector()
        self._framing = GateFraming()
        self._memory = SpeechMemory(memory_s=memory_s, rate_hz=RATE_HZ)

    @property
    def position_ms(self) -> float:
        """How much audio has been heard, in milliseconds."""
        return self._memory.position_ms

    def feed(self, data: bytes, fmt: Format) -> list[TurnEvent]:
        """Take audio cut anywhere, in ``fmt``; return what happened in it."""
        frames = self.take(data, fmt)
        return [event for f in frames for event in self.follow(self.gate.probability(f))]

    def take(self, data: bytes, fmt: Format) -> list[Samples]:
        """Remember audio cut anywhere; return the frames the gate is to be asked about."""
        samples = self._framing.convert(data, fmt)
        self._memory.add(samples)
        return self._framing.cut(samples)

    def follow(self, probability: float) -> list[TurnEvent]:
        """Take the gate's answer for the next frame; return what happened in it."""
        return self.detector.feed(probability, FRAME_MS)

    def segment(self, from_ms: float, to_ms: float) -> Samples:
        """Return the remembered samples (16 kHz) between two positions of the timeline."""
        return self._memory.segment(from_ms, to_ms)
