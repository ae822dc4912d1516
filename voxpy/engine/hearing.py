"""What one stream says: audio in, turns and the samples of each out.

``Hearing`` knows no loop and no clock. ``Intake`` is the way from the media tick, which must not
wait, to a task that computes; ``GateTask`` is such a task, for who only wants to know of speech.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from voxpy.audio.frame import FRAME_S, Format, Samples, pcm16
from voxpy.engine.speech import SpeechGate, load_engines
from voxpy.media.memory import SpeechMemory
from voxpy.media.turns import TurnDetector, TurnEvent
from voxpy.media.vad import FRAME_MS, RATE_HZ, GateFraming

if TYPE_CHECKING:
    from voxpy.engine.session import Session

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


WAITING_S = 20.0
"""Audio that may wait for a recogniser; more is lost rather than kept, and the log says so."""


class Intake:
    """A queue of frames; as a media Sink it asks for 16 kHz, as a tap it takes any format."""

    format: Format = pcm16(RATE_HZ)

    def __init__(self, session: Session, unit: str) -> None:
        self._session = session
        self._unit = unit
        self._losing = False
        self._closed = False
        self._put, self._take = trio.open_memory_channel[tuple[bytes, Format]](
            round(WAITING_S / FRAME_S)
        )

    def push(self, frame: bytes) -> None:
        """Take 20 ms in ``format``."""
        self.put(frame, self.format)

    def put(self, frame: bytes, fmt: Format) -> None:
        """Take audio in ``fmt``; what comes after ``close`` is ignored."""
        if self._closed:
            return
        try:
            self._put.send_nowait((frame, fmt))
            self._losing = False
        except trio.WouldBlock:
            if not self._losing:
                self._losing = True
                self._session.trace.warning(
                    f"listening is {WAITING_S:g} s behind; audio is lost", unit=self._unit
                )

    def close(self) -> None:
        """Take no more. Whoever waits for more is to be cancelled. Idempotent."""
        self._closed = True

    async def next(self) -> tuple[bytes, Format]:
        """Return the oldest audio, waiting for it."""
        return await self._take.receive()


class GateTask:
    """Asks a speech gate about everything that comes in, in a task of the session.

    ``hear(probability, samples)`` is called for every 32 ms: 512 samples at 16 kHz. Each listener
    has a gate of its own: a gate remembers what it heard, and two that began at different times do
    not hear the same.
    """

    def __init__(self, session: Session, unit: str, hear: Callable[[float, Samples], None]) -> None:
        self.intake = Intake(session, unit)
        self._session = session
        self._unit = unit
        self._hear = hear
        self._gate: SpeechGate | None = None
        self._life = trio.CancelScope()

    async def open(self) -> None:
        """Load what is needed. Raises EngineMissing."""
        self._engines = await load_engines(self._session.context.speech)
        self._gate = await self._engines.run(self._engines.gate)

    async def run(self) -> None:
        """Listen until closed; ``open`` comes first."""
        assert self._gate is not None
        framing = GateFraming()
        with self._life:
            while True:
                for frame in framing.cut(framing.convert(*await self.intake.next())):
                    self._hear(await self._engines.ask(self._gate, frame), frame)

    def reset(self) -> None:
        """Forget what was heard so far."""
        if self._gate is not None:
            self._gate.reset()

    def close(self) -> None:
        """Stop listening, without waiting. Idempotent."""
        self.intake.close()
        self._life.cancel()
