"""``AnsweringMachineDetector``: listens to a call from its answer on and tells who answered."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import trio

from voxpy.amd.decision import BOUNDARIES_S, ENGLISH, Decider, Thresholds, Verdict
from voxpy.amd.events import AMDEvent, Events
from voxpy.audio.beep import BeepDetector
from voxpy.audio.frame import Samples
from voxpy.audio.mix import rms_dbfs
from voxpy.call import Call
from voxpy.engine import clock
from voxpy.engine.events import Event
from voxpy.engine.hearing import GateTask
from voxpy.engine.session import Session
from voxpy.engine.speech import SpeechEngines, load_engines
from voxpy.engine.units import Catalog, Unit, Waiter
from voxpy.errors import EngineMissing, ScenarioError
from voxpy.events import CallEvents
from voxpy.media.memory import SpeechMemory
from voxpy.media.vad import FRAME_MS, RATE_HZ

LOUD_DBFS = -35.0
"""A beep is louder, and the noise of a line is not."""
MEMORY_S = 12.0
"""The words of a longer greeting are those of its end."""
BEFORE_MS = 300
"""Sound the recogniser gets from before the gate's speech: soft consonants are none to it."""


class AnsweringMachineDetector(Unit):
    """Finds out whether a human or a machine answered (VoxEngine: AMD.AnsweringMachineDetector).

    Made by ``AMD.create``. It listens from the moment it has an answered call, whether or not
    somebody awaits ``detect``; listen with ``AMD.Events``. ``call`` is what it listens to, if it
    has one yet, ``model`` the one it was made with, ``timeout`` how long it listens, in ms.
    """

    _catalog: ClassVar[Catalog] = {"AMD.Events": Events}

    def __init__(
        self,
        session: Session,
        *,
        model: str,
        timeout_ms: float,
        thresholds: Thresholds,
    ) -> None:
        super().__init__(session, session.new_id("amd"))
        self.model = model
        self.timeout = timeout_ms
        self.call: Call | None = None
        self._decider = Decider(
            boundary_s=BOUNDARIES_S[model], thresholds=thresholds, hears_words=model in ENGLISH
        )
        self._memory = SpeechMemory(memory_s=MEMORY_S, rate_hz=RATE_HZ)
        self._greeting_from_ms: float | None = None
        self._text = ""
        self._to_recognise, self._heard = trio.open_memory_channel[Samples](1)
        self._beeps = BeepDetector(RATE_HZ)
        self._listening = GateTask(session, self.id(), self._hear)
        self._untap: Callable[[], None] = lambda: None
        self._answered = trio.Event()
        self._deadline = math.inf
        self._over = trio.Event()
        self._outcome: AMDEvent | None = None

    def attach(self, call: Call) -> None:
        """Listen to ``call`` from its answer on; ``call_pstn(amd=...)`` does this.

        Raises ScenarioError if it has another call already. voxpy's own.
        """
        if self.call is not None:
            raise ScenarioError(f"{self.id()} already listens to call {self.call.id()}")
        self.call = call
        for kind in (CallEvents.Disconnected, CallEvents.Failed):
            call.listeners.add_waiter(Waiter(kind, self._call_over))
        match call.state():
            case "TERMINATED":
                self._complete("CALL_ENDED")
                return
            case "CONNECTED":
                self._begin(call)
            case _:
                waiter = Waiter(CallEvents.Connected, lambda _: self._begin(call))
                call.listeners.add_waiter(waiter)
        self._session.spawn(self.id(), self._run)

    async def detect(self) -> Any:
        """Wait for the end of the detection; return ``AMD.Events.DetectionComplete``.

        Or ``DetectionError``: it has no call, or the host no speech gate. A second time it returns
        the same at once. VoxEngine: AnsweringMachineDetector.detect.
        """
        if self.call is None and self._outcome is None:
            self._fail("it has no call: pass call= to AMD.create, or the detector to call_pstn")
        await self._over.wait()
        assert self._outcome is not None
        return self._outcome

    # -- listening ---------------------------------------------------------------------------------

    def _begin(self, call: Call) -> None:
        """The call is answered: what is heard from here on counts."""
        if self._outcome is not None or call.state() == "TERMINATED":  # its end is still to come
            return
        source = call.media.source
        assert source is not None
        intake = self._listening.intake
        self._untap = self._session.graph.tap(
            call.media, lambda said, _: intake.put(said, source.format)
        )
        self._deadline = clock.now() + self.timeout / 1000
        self._session.post(call.listeners, CallEvents.AudioIdentificationStarted(call=call))
        self._answered.set()

    async def _run(self) -> None:
        try:
            await self._listening.open()  # while it rings
            engines = await load_engines(self._session.context.speech)
        except EngineMissing as error:
            self._fail(str(error))
            return
        await self._answered.wait()
        if self._outcome is not None:
            return
        self._session.spawn(f"{self.id()} recognising", self._recognise, engines)
        with trio.CancelScope(deadline=self._deadline):
            await self._listening.run()
        self._complete("TIMEOUT")  # unless it was something else that ended it

    def _hear(self, probability: float, samples: Samples) -> None:
        self._memory.add(samples)
        decider = self._decider
        if self._beeps.process(samples):
            verdict: Verdict | None = decider.beep()
        else:
            loud = rms_dbfs(samples) > LOUD_DBFS
            verdict = decider.feed(probability, FRAME_MS, loud=loud)
        if verdict is not None:
            self._decide(verdict)
            return
        now_ms = self._memory.position_ms
        if self._greeting_from_ms is None and decider.greeting_s:
            self._greeting_from_ms = max(0.0, now_ms - decider.greeting_s * 1000 - BEFORE_MS)
        if decider.words_due():
            self._to_recognise.send_nowait(
                self._memory.segment(self._greeting_from_ms or 0.0, now_ms)
            )

    async def _recognise(self, engines: SpeechEngines) -> None:
        async for samples in self._heard:
            self._text = await engines.run(engines.ears.transcribe, samples)
            if self._outcome is not None:
                return
            verdict = self._decider.words(self._text)
            if verdict is not None:
                self._decide(verdict)

    def _decide(self, verdict: Verdict) -> None:
        self._complete(verdict.result_class, round(verdict.confidence, 1))

    # -- the end -----------------------------------------------------------------------------------

    def _call_over(self, _event: Event) -> None:
        self._answered.set()
        self._complete("CALL_ENDED")

    def _complete(self, result_class: str, confidence: float | None = None) -> None:
        call = self.call
        if self._outcome is not None or call is None:
            return
        self._session.trace.step(
            "answer classified",
            unit=self.id(),
            result_class=result_class,
            confidence=confidence,
            greeting_ms=round(self._decider.greeting_s * 1000),
            text=self._text,
        )
        self._finish(
            Events.DetectionComplete(
                amd=self, call=call, result_class=result_class, confidence=confidence
            )
        )
        result = CallEvents.AudioIdentificationResult(
            call=call, audio_type=result_class, audio_sub_type="NONE", confidence=confidence
        )
        self._session.post(call.listeners, result)
        self._session.post(call.listeners, CallEvents.AudioIdentificationStopped(call=call))

    def _fail(self, message: str) -> None:
        call = self.call
        self._finish(Events.DetectionError(amd=self, call=call, message=message))
        if call is not None:
            self._session.post(call.listeners, CallEvents.AudioIdentificationError(call=call))

    def _finish(self, outcome: AMDEvent) -> None:
        self._outcome = outcome
        self._untap()
        self._listening.close()
        self._to_recognise.close()
        self._post(outcome)
        self._over.set()
