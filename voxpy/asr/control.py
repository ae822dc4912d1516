"""What drives an ASR: one task that hears, one that recognises, and the events of both.

Two tasks, so that the start of speech is told while something earlier is still being recognised.
The second does one thing after another, so results keep their order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs
import trio

from voxpy.asr.events import ASREvent, ASREvents
from voxpy.asr.hints import apply_hints, without_profanity
from voxpy.asr.unit import ASR
from voxpy.audio.frame import Samples, pcm16
from voxpy.engine.hearing import Hearing, Intake
from voxpy.engine.session import Session
from voxpy.engine.speech import SpeechEngines, load_engines
from voxpy.errors import EngineMissing
from voxpy.media.memory import quietest_cut
from voxpy.media.turns import Pause, SpeechStarted, SpeechStopped, TurnEvent
from voxpy.media.unit import MediaPort
from voxpy.media.vad import RATE_HZ

__all__ = ["ASRController", "ASROptions"]

LONGEST_S = 22.0
"""Speech without a pause is recognised in parts of at most this: the recogniser takes 24 s."""
SEARCH_S = 6.0
"""How far from the end of a part the quietest place to cut is looked for."""
INTERIM_EVERY_S = 1.0
INTERIM_SHARE = 0.25
"""An interim result costs what recognising all that was said so far costs, so they become rarer
with its length: in all, five times the cost of the result at most."""
STARVED_S = 0.2
"""No frame for so long: nobody sends any more, and what was being said is over."""
WAITING_UTTERANCES = 16


@attrs.frozen(kw_only=True)
class ASROptions:
    """The parameters of ``create_asr``, checked."""

    language: str
    phrase_hints: Sequence[str] = ()
    interim_results: bool = False
    single_utterance: bool = False
    profanity_filter: bool = False
    threshold: float = 0.5
    silence_ms: int = 600


@attrs.frozen
class _Heard:
    """Something to recognise. ``end_ms`` is where its speech ended."""

    samples: Samples
    end_ms: float
    final: bool


class ASRController:
    """Implements ``voxpy.asr.unit.ASRControl``."""

    def __init__(self, session: Session, options: ASROptions) -> None:
        self._session = session
        self._options = options
        self.asr_id = session.new_id("asr")
        self.asr = ASR(session, self)
        self._intake = Intake(session, self.asr_id)
        self.media = MediaPort(name=self.asr_id, sink=self._intake)
        self._hearing: Hearing | None = None
        self._from_ms = 0.0
        self._interim_at_ms = math.inf
        self._recognising = 0
        self._to_recognise, self._heard = trio.open_memory_channel[_Heard](WAITING_UTTERANCES)
        self._life = trio.CancelScope()
        self._over = self._stopped = False

    @property
    def language(self) -> str:
        """The language of the profile."""
        return self._options.language

    @property
    def dictionary(self) -> Sequence[str]:
        """The phrase hints."""
        return self._options.phrase_hints

    def start(self) -> None:
        """Begin, in tasks of the session."""
        self._session.spawn(self.asr_id, self._run)

    def stop(self) -> None:
        """Stop recognising, now."""
        self._session.trace.command("ASR.stop", unit=self.asr_id)
        self._stop()

    def _stop(self) -> None:
        if not self._stopped:
            self._stopped = True
            self._finish()
            heard_s = 0.0 if self._hearing is None else self._hearing.position_ms / 1000
            event = ASREvents.Stopped(asr=self.asr, duration=round(heard_s, 3))
            self._session.post(self.asr.listeners, event)

    # -- hearing -----------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            engines = await load_engines(self._session.context.speech)
            hearing = Hearing(await engines.run(engines.gate), memory_s=LONGEST_S + SEARCH_S)
        except EngineMissing as error:
            self._fail(str(error))
            return
        known = sorted(engines.ears.languages)
        if self._options.language.split("-")[0] not in known:
            self._fail(
                f"the profile asks for {self._options.language}, and the recogniser of this host "
                f"understands: {', '.join(known)}"
            )
            return
        if self._over:
            return
        self._session.spawn(f"{self.asr_id} recognising", self._recognise, engines)
        hearing.detector.threshold = self._options.threshold
        hearing.detector.silence_ms = self._options.silence_ms
        self._hearing = hearing
        self._post(ASREvents.Started(asr=self.asr))
        with self._life:
            while True:
                await self._listen(engines, hearing)

    async def _listen(self, engines: SpeechEngines, hearing: Hearing) -> None:
        """Hear the next frame, or silence where one is missing in the middle of speech."""
        frame, fmt = self._intake.format.silence, self._intake.format
        with trio.move_on_after(STARVED_S if hearing.detector.in_turn else math.inf) as waiting:
            frame, fmt = await self._intake.next()
        if waiting.cancelled_caught:
            frame = pcm16(RATE_HZ).silence * math.ceil(self._options.silence_ms / 20 + 2)
        for samples in hearing.take(frame, fmt):
            for event in hearing.follow(await engines.ask(hearing.gate, samples)):
                self._turn(hearing, event)
        if hearing.detector.in_turn:
            self._go_on(hearing)

    def _turn(self, hearing: Hearing, event: TurnEvent) -> None:
        match event:
            case SpeechStarted(start_ms):
                self._from_ms = start_ms
                self._interim_at_ms = start_ms + INTERIM_EVERY_S * 1000
                self._post(ASREvents.CaptureStarted(asr=self.asr))
            case Pause(at_ms):
                self._tell_interim(hearing, at_ms)
            case SpeechStopped(end_ms, speech_end_ms):
                self._post(ASREvents.SpeechCaptured(asr=self.asr))
                self._submit(hearing.segment(self._from_ms, end_ms), speech_end_ms, final=True)

    def _go_on(self, hearing: Hearing) -> None:
        """While speech goes on: cut what would be too long, tell what there is so far."""
        position_ms = hearing.position_ms
        if position_ms - self._from_ms >= LONGEST_S * 1000:
            samples = hearing.segment(self._from_ms, position_ms)
            cut = quietest_cut(samples, search_s=SEARCH_S, rate_hz=RATE_HZ)
            self._from_ms += cut * 1000 / RATE_HZ
            self._submit(samples[:cut], self._from_ms, final=True)
        if position_ms >= self._interim_at_ms:
            self._tell_interim(hearing, position_ms)

    def _tell_interim(self, hearing: Hearing, at_ms: float) -> None:
        """Have what was said so far recognised, unless the recogniser is busy with other things."""
        if not self._options.interim_results or self._recognising:
            return
        said_ms = at_ms - self._from_ms
        self._interim_at_ms = at_ms + max(INTERIM_EVERY_S * 1000, said_ms * INTERIM_SHARE)
        self._submit(hearing.segment(self._from_ms, at_ms), at_ms, final=False)

    # -- recognising -------------------------------------------------------------------------------

    def _submit(self, samples: Samples, end_ms: float, *, final: bool) -> None:
        try:
            self._to_recognise.send_nowait(_Heard(samples, end_ms, final))
            self._recognising += 1
        except trio.WouldBlock:  # minutes behind
            self._session.trace.warning(
                "the recogniser is too slow; an utterance is lost", unit=self.asr_id
            )

    async def _recognise(self, engines: SpeechEngines) -> None:
        """Recognise what was heard, in order, until stopped."""
        told = ""  # the last interim result
        async for heard in self._heard:
            recognised = await engines.run(engines.ears.recognise, heard.samples)
            self._recognising -= 1
            text = self._edited(recognised.text)
            if self._over:
                return
            if heard.final:
                told = ""
                self._result(text, recognised.confidence, heard.end_ms)
            elif text and text != told:
                told = text
                self._post(ASREvents.InterimResult(asr=self.asr, text=text))

    def _edited(self, text: str) -> str:
        text = apply_hints(text, self._options.phrase_hints)
        return without_profanity(text) if self._options.profanity_filter else text

    def _result(self, text: str, confidence: float, end_ms: float) -> None:
        if not text:
            self._session.trace.step("no words in what was heard", unit=self.asr_id)
            return
        self._post(
            ASREvents.Result(
                asr=self.asr,
                text=text,
                confidence=round(confidence, 3),
                result_end_time=f"{end_ms / 1000:.3f}s",
                language_code=self.language,
            )
        )
        if self._options.single_utterance:
            self._stop()

    # -- the end -----------------------------------------------------------------------------------

    def _post(self, event: ASREvent) -> None:
        if not self._over:
            self._session.post(self.asr.listeners, event)

    def _fail(self, problem: str) -> None:
        self._post(ASREvents.ASRError(asr=self.asr, error=problem))
        self._finish()

    def _finish(self) -> None:
        self._over = True
        self._intake.close()
        self._to_recognise.close()
        self._life.cancel()
        self._session.graph.remove(self.media)
