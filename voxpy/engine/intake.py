"""From the media tick, which must not wait, to a task that computes on what it is given."""

from __future__ import annotations

from collections.abc import Callable

import trio

from voxpy.audio.frame import FRAME_S, Format, Samples, pcm16
from voxpy.engine.session import Session
from voxpy.engine.speech import SpeechGate, load_engines
from voxpy.media.vad import RATE_HZ, GateFraming

__all__ = ["GateTask", "Intake"]

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
        self._engines = await load_engines(self._session.around.speech)
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
