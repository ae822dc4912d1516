"""What drives a VAD: a gate in a task of the session, and the turns of what it says.

The rules are those of Silero's own VADIterator: speech starts with a frame above the threshold and
ends after ``min_silence_ms`` below it (less 0.15); both ends are padded.
"""

from __future__ import annotations

from typing import Any

from voxpy.audio.frame import Samples
from voxpy.engine.hearing import GateTask
from voxpy.engine.session import Session
from voxpy.media.turns import SpeechStarted, SpeechStopped, TurnDetector
from voxpy.media.unit import MediaPort
from voxpy.media.vad import FRAME_MS
from voxpy.silero.events import VADData, VADEvent, VADEvents
from voxpy.silero.vad import VAD

__all__ = ["VADController"]

MODEL = "Silero VAD v6.2"


class VADController:
    """Implements ``voxpy.silero.vad.VADControl``."""

    def __init__(
        self, session: Session, *, threshold: float, min_silence_ms: int, speech_pad_ms: int
    ) -> None:
        self._session = session
        self._pad_ms = speech_pad_ms
        self._detector = TurnDetector(
            threshold=threshold,
            start_ms=FRAME_MS,
            silence_ms=min_silence_ms,
            prefix_padding_ms=speech_pad_ms,
        )
        self.vad_id = session.new_id("vad")
        self.vad = VAD(session, self)
        self._listening = GateTask(session, self.vad_id, self._hear)
        self.media = MediaPort(name=self.vad_id, sink=self._listening.intake)
        self._closed = False

    async def open(self) -> None:
        """Load the gate and begin to listen. Raises EngineMissing."""
        await self._listening.open()
        self._session.spawn(self.vad_id, self._listening.run)
        self._post(VADEvents.ConnectorInformation, {"id": self.vad_id, "model": MODEL})

    def reset(self) -> None:
        """Forget what was heard."""
        self._session.trace.command("VAD.reset", unit=self.vad_id)
        if not self._closed:
            self._listening.reset()
            self._detector.reset()
            self._post(VADEvents.Reset, {})

    def close(self) -> None:
        """Stop listening."""
        self._session.trace.command("VAD.close", unit=self.vad_id)
        self._closed = True
        self._listening.close()
        self._session.graph.remove(self.media)

    def _hear(self, probability: float, _samples: Samples) -> None:
        for event in self._detector.feed(probability, FRAME_MS):
            match event:
                case SpeechStarted(start_ms):
                    at_s = start_ms / 1000
                    self._post(VADEvents.Result, {"speechStartAt": at_s}, speech_start_at=at_s)
                case SpeechStopped(_, speech_end_ms):
                    at_s = (speech_end_ms + self._pad_ms) / 1000
                    self._post(VADEvents.Result, {"speechEndAt": at_s}, speech_end_at=at_s)

    def _post(self, kind: type[VADEvent], payload: dict[str, Any], **fields: Any) -> None:
        if not self._closed:
            data = VADData(custom_event=kind.__name__, payload=payload)
            self._session.post(self.vad.listeners, kind(vad=self.vad, data=data, **fields))
