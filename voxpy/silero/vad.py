"""``VAD``: a voice activity detector that hears one stream.

The rules are those of Silero's own VADIterator: speech starts with a frame above the threshold and
ends after ``min_silence_ms`` below it (less 0.15); both ends are padded.
"""

from __future__ import annotations

from typing import Any, ClassVar

from voxpy.audio.frame import Samples
from voxpy.engine.hearing import GateTask
from voxpy.engine.session import Session
from voxpy.engine.units import Catalog, MediaUnit
from voxpy.errors import NotSupported
from voxpy.media.turns import SpeechStarted, SpeechStopped, TurnDetector
from voxpy.media.unit import MediaPort
from voxpy.media.vad import FRAME_MS
from voxpy.silero.events import VADData, VADEvent, VADEvents

MODEL = "Silero VAD v6.2"


class VAD(MediaUnit):
    """Tells when speech starts and ends (VoxEngine: Silero.VAD). Made by ``Silero.create_vad``.

    It only hears: send it a call with ``call.send_media_to(vad)``. Listen with
    ``Silero.VADEvents``.
    """

    _catalog: ClassVar[Catalog] = {"Silero.VADEvents": VADEvents}

    def __init__(
        self, session: Session, *, threshold: float, min_silence_ms: int, speech_pad_ms: int
    ) -> None:
        super().__init__(session, session.new_id("vad"))
        self._pad_ms = speech_pad_ms
        self._detector = TurnDetector(
            threshold=threshold,
            start_ms=FRAME_MS,
            silence_ms=min_silence_ms,
            prefix_padding_ms=speech_pad_ms,
        )
        self._listening = GateTask(session, self.id(), self._hear)
        self.media = MediaPort(name=self.id(), sink=self._listening.intake)
        self._closed = False

    def web_socket_id(self) -> str:
        """Raises NotSupported: it runs in this process, without a WebSocket."""
        raise NotSupported("VAD.web_socket_id(): the detector runs in this process, no WebSocket")

    def reset(self) -> None:
        """Forget the speech in progress and what was heard; ``VADEvents.Reset`` follows.

        Seconds go on being counted from the first audio.
        """
        self._session.trace.command("VAD.reset", unit=self.id())
        if not self._closed:
            self._listening.reset()
            self._detector.reset()
            self._tell(VADEvents.Reset, {})

    def close(self) -> None:
        """Stop listening; no event follows. Idempotent."""
        self._session.trace.command("VAD.close", unit=self.id())
        self._closed = True
        self._listening.close()
        self._session.graph.remove(self.media)

    async def _open(self) -> None:
        await self._listening.open()
        self._session.spawn(self.id(), self._listening.run)
        self._tell(VADEvents.ConnectorInformation, {"id": self.id(), "model": MODEL})

    def _hear(self, probability: float, _samples: Samples) -> None:
        for event in self._detector.feed(probability, FRAME_MS):
            match event:
                case SpeechStarted(start_ms):
                    at_s = start_ms / 1000
                    self._tell(VADEvents.Result, {"speechStartAt": at_s}, speech_start_at=at_s)
                case SpeechStopped(_, speech_end_ms):
                    at_s = (speech_end_ms + self._pad_ms) / 1000
                    self._tell(VADEvents.Result, {"speechEndAt": at_s}, speech_end_at=at_s)

    def _tell(self, kind: type[VADEvent], payload: dict[str, Any], **fields: Any) -> None:
        if not self._closed:
            data = VADData(custom_event=kind.__name__, payload=payload)
            self._post(kind(vad=self, data=data, **fields))
