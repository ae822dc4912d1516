"""Whether the far end of a call speaks, as ``CallEvents.MicStatusChange``."""

from __future__ import annotations

from collections.abc import Callable

from voxpy.audio.frame import Samples
from voxpy.call import Call
from voxpy.engine.hearing import GateTask
from voxpy.engine.session import Session
from voxpy.errors import EngineMissing
from voxpy.events import CallEvents
from voxpy.media.turns import SpeechStarted, SpeechStopped, TurnDetector
from voxpy.media.vad import FRAME_MS

__all__ = ["Mic"]

START_MS = 60
"""Speech before it counts: two answers of the gate, so that a click does not."""
SILENCE_MS = 300
"""Silence that ends it: longer than the pauses inside a sentence, shorter than the end of one."""


class Mic:
    """Implements ``voxpy.engine.callport.MicStatus``."""

    def __init__(self, session: Session, call: Call, channel: str) -> None:
        self._session = session
        self._call = call
        self._listening: GateTask | None = None
        self._untap: Callable[[], None] = lambda: None
        self._closed = False

    @property
    def enabled(self) -> bool:
        """Whether voice activity is reported."""
        return self._listening is not None

    def handle(self, enable: bool) -> None:
        """Start or stop reporting; twice the same changes nothing.

        While it is on, a change is reported 64 ms after the far end begins to speak and 300 ms
        after it stops. Without speech engines the log says so and nothing is reported.
        """
        ignored = {"ignored_in_state": self._call.state()} if self._closed else {}
        self._session.trace.command(
            "Call.handle_mic_status", unit=self._call.id(), enable=enable, **ignored
        )
        if self._closed or bool(enable) == self.enabled:
            return
        if enable:
            self._start()
        else:
            self._stop()

    def close(self) -> None:
        """Stop for good: the call is over. Idempotent."""
        self._closed = True
        self._stop()

    def _start(self) -> None:
        detector = TurnDetector(start_ms=START_MS, silence_ms=SILENCE_MS, prefix_padding_ms=0)

        def hear(probability: float, _samples: Samples) -> None:
            for event in detector.feed(probability, FRAME_MS):
                if isinstance(event, SpeechStarted | SpeechStopped):
                    self._post(active=isinstance(event, SpeechStarted))

        unit = f"the microphone of {self._call.id()}"
        listening = self._listening = GateTask(self._session, unit, hear)
        self._session.spawn(unit, self._listen, listening)
        source = self._call.media.source
        assert source is not None

        def tap(said: bytes, _heard: bytes) -> None:
            listening.intake.put(said, source.format)

        self._untap = self._session.graph.tap(self._call.media, tap)

    async def _listen(self, listening: GateTask) -> None:
        try:
            await listening.open()
        except EngineMissing as error:
            self._session.trace.warning(
                "handle_mic_status: nothing will be reported",
                unit=self._call.id(),
                message=str(error),
            )
            if listening is self._listening:
                self._stop()
            return
        await listening.run()

    def _stop(self) -> None:
        self._untap()
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.close()

    def _post(self, *, active: bool) -> None:
        event = CallEvents.MicStatusChange(call=self._call, active=active)
        self._session.post(self._call.listeners, event)
