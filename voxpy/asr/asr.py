"""``ASR``: turns speech into text; one task that hears, one that recognises.

Two tasks, so that the start of speech is told while something earlier is still being recognised.
The second does one thing after another, so results keep their order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import attrs
import trio

from voxpy.asr.events import ASREvent, ASREvents
from voxpy.asr.hints import apply_hints, without_profanity
from voxpy.asr.profiles import language_of
from voxpy.audio.frame import Samples, pcm16
from voxpy.constants import spoken_language
from voxpy.engine.hearing import Hearing, Intake
from voxpy.engine.session import Session
from voxpy.engine.speech import Recognised, SpeechEngines, has_language, load_engines
from voxpy.engine.units import Catalog, MediaUnit
from voxpy.errors import EngineMissing, ScenarioError, SoundFailed, nearest
from voxpy.media.memory import quietest_cut
from voxpy.media.turns import Pause, SpeechStarted, SpeechStopped, TurnEvent
from voxpy.media.unit import MediaPort
from voxpy.media.vad import RATE_HZ
from voxpy.players.services import Hired, hire
from voxpy.wire.speech import SERVICES, Utterance

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
_NATIVE = {"threshold": (0.01, 0.99), "silence_ms": (100, 5000)}
"""What ``request`` may tune, with the bounds of each."""


@attrs.frozen(kw_only=True)
class ASROptions:
    """The parameters of ``create_asr``, checked."""

    language: str
    profile: str = ""
    model: str | None = None
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


class ASR(MediaUnit):
    """Turns speech into text (VoxEngine: ASR). Made by ``VoxEngine.create_asr``.

    It only hears: send it a call with ``call.send_media_to(asr)``. Listen with ``ASREvents``.
    """

    _catalog: ClassVar[Catalog] = {"ASREvents": ASREvents}

    def __init__(self, session: Session, options: ASROptions) -> None:
        super().__init__(session, session.new_id("asr"))
        self._options = options
        self._intake = Intake(session, self.id())
        self.media = MediaPort(name=self.id(), sink=self._intake)
        self._hearing: Hearing | None = None
        self._from_ms = 0.0
        self._interim_at_ms = math.inf
        self._recognising = 0
        self._to_recognise, self._heard = trio.open_memory_channel[_Heard](WAITING_UTTERANCES)
        self._life = trio.CancelScope()
        self._over = self._stopped = False

    def language(self) -> str:
        """Return the language of its profile, such as ``en-US`` (VoxEngine: ASR.language)."""
        return self._options.language

    def dictionary(self) -> list[str]:
        """Return its phrase hints (VoxEngine: ASR.dictionary)."""
        return list(self._options.phrase_hints)

    def stop(self) -> None:
        """Stop recognising; ``ASREvents.Stopped`` follows and is the last event. Idempotent.

        What was being said, or recognised, is dropped: whoever waits for the result stops then.
        VoxEngine: ASR.stop.
        """
        self._session.trace.command("ASR.stop", unit=self.id())
        self._stop()

    def _begin(self) -> None:
        self._session.spawn(self.id(), self._run)

    def _stop(self) -> None:
        if not self._stopped:
            self._stopped = True
            self._finish()
            heard_s = 0.0 if self._hearing is None else self._hearing.position_ms / 1000
            event = ASREvents.Stopped(asr=self, duration=round(heard_s, 3))
            self._post(event)

    # -- hearing -----------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            engines = await load_engines(self._session.context.speech)
            hearing = Hearing(await engines.run(engines.gate), memory_s=LONGEST_S + SEARCH_S)
        except EngineMissing as error:
            self._fail(str(error))
            return
        try:
            hired = hire(self._session, self._options.profile)
        except SoundFailed as error:
            self._fail(str(error))
            return
        if hired is None and not has_language(engines.ears, self._options.language):
            known = sorted(engines.ears.languages)
            self._fail(
                f"the profile asks for {self._options.language}, and the recogniser of this host "
                f"understands: {', '.join(known)}; a service understands more: "
                f"{_services(self._options.language)}"
            )
            return
        if self._over:
            return
        self._session.spawn(f"{self.id()} recognising", self._recognise, engines, hired)
        hearing.detector.threshold = self._options.threshold
        hearing.detector.silence_ms = self._options.silence_ms
        self._hearing = hearing
        self._tell(ASREvents.Started(asr=self))
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
                self._tell(ASREvents.CaptureStarted(asr=self))
            case Pause(at_ms):
                self._tell_interim(hearing, at_ms)
            case SpeechStopped(end_ms, speech_end_ms):
                self._tell(ASREvents.SpeechCaptured(asr=self))
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
                "the recogniser is too slow; an utterance is lost", unit=self.id()
            )

    async def _recognise(self, engines: SpeechEngines, hired: Hired | None) -> None:
        """Recognise what was heard, in order, until stopped."""
        told = ""  # the last interim result
        async for heard in self._heard:
            try:
                recognised = await self._words(engines, hired, heard.samples)
            except SoundFailed as error:
                if not self._over:
                    self._tell(ASREvents.ASRError(asr=self, error=str(error)))
                continue
            finally:
                self._recognising -= 1
            text = self._edited(recognised.text)
            if self._over:
                return
            if heard.final:
                told = ""
                self._result(text, recognised.confidence, heard.end_ms)
            elif text and text != told:
                told = text
                self._tell(ASREvents.InterimResult(asr=self, text=text))

    async def _words(
        self, engines: SpeechEngines, hired: Hired | None, samples: Samples
    ) -> Recognised:
        if hired is None:
            return await engines.run(engines.ears.recognise, samples)
        said = Utterance(
            samples.astype("<i2").tobytes(),
            self._options.language,
            self._options.model,
            self._options.phrase_hints,
        )
        return Recognised(*await hired.hear(self._session, said))

    def _edited(self, text: str) -> str:
        text = apply_hints(text, self._options.phrase_hints)
        return without_profanity(text) if self._options.profanity_filter else text

    def _result(self, text: str, confidence: float, end_ms: float) -> None:
        if not text:
            self._session.trace.step("no words in what was heard", unit=self.id())
            return
        self._post(
            ASREvents.Result(
                asr=self,
                text=text,
                confidence=round(confidence, 3),
                result_end_time=f"{end_ms / 1000:.3f}s",
                language_code=self._options.language,
            )
        )
        if self._options.single_utterance:
            self._stop()

    # -- the end -----------------------------------------------------------------------------------

    def _tell(self, event: ASREvent) -> None:
        if not self._over:
            self._post(event)

    def _fail(self, problem: str) -> None:
        self._tell(ASREvents.ASRError(asr=self, error=problem))
        self._finish()

    def _finish(self) -> None:
        self._over = True
        self._intake.close()
        self._to_recognise.close()
        self._life.cancel()
        self._session.graph.remove(self.media)


def create_asr(
    session: Session,
    *,
    profile: str | None,
    model: str | None,
    interim_results: bool,
    single_utterance: bool,
    phrase_hints: Sequence[str],
    profanity_filter: bool,
    headers: Mapping[str, str] | None,
    request: Mapping[str, Any] | None,
) -> ASR:
    """Return a recogniser that begins to load; see ``VoxEngine.create_asr``."""
    given: Any = profile  # scenarios are not always type checked
    language = None
    if isinstance(given, str):
        language = language_of(given) or spoken_language(given)
    if language is None:
        raise ScenarioError(
            f"create_asr: profile must end in a language ('en-US', ASRProfileList.Google.en_US), "
            f"not {profile!r}"
        )
    options = ASROptions(
        language=language,
        profile=given,
        model=_model(model),
        phrase_hints=_hints(phrase_hints),
        interim_results=bool(interim_results),
        single_utterance=bool(single_utterance),
        profanity_filter=bool(profanity_filter),
        **_native(request or {}),
    )
    asr = ASR(session, options)
    session.trace.command(
        "VoxEngine.create_asr",
        unit=asr.id(),
        profile=profile,
        model=model,
        phrase_hints=list(options.phrase_hints),
        request=dict(request or {}),
    )
    asr._begin()
    return asr


def _services(language: str) -> str:
    return ", ".join(f"profile='{name}/{language}'" for name in SERVICES)


def _model(model: Any) -> str | None:
    """Return a service's own name of a model: ``ASRModelList.Deepgram.nova_3`` is nova-3."""
    if not isinstance(model, str):
        return None
    return model.rsplit(":", 1)[-1].replace("_", "-") if ":" in model else model


def _hints(hints: Any) -> tuple[str, ...]:
    several = isinstance(hints, Sequence) and not isinstance(hints, str)
    if several and all(isinstance(h, str) and h for h in hints):
        return tuple(hints)
    raise ScenarioError(f"create_asr: phrase_hints must be a list of strings, not {hints!r}")


def _native(request: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in request.items():
        if name not in _NATIVE:
            hint = nearest(name, _NATIVE) or f"; known are {', '.join(_NATIVE)}"
            raise ScenarioError(f"create_asr: request has no {name!r}{hint}")
        low, high = _NATIVE[name]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not low <= value <= high:
            raise ScenarioError(
                f"create_asr: request[{name!r}] must be from {low} to {high}, not {value!r}"
            )
    return dict(request)
