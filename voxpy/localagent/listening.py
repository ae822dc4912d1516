"""What one connection hears: appended audio in, turns and their words told to the protocol.

Everything is done in the order it came. A client may append a minute at once and commit in the same
breath: the ears take a while for that, and the commit means the audio before it, no less and no
more. So audio is queued with the format it came in, what changes how it is heard is queued behind
it, and while the ears are ``behind`` the connection holds back what the client says of its audio.
Of the queue only audio is ever lost, and the client is told.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import trio

from voxpy.engine import clock
from voxpy.engine.hearing import Hearing
from voxpy.localagent.engines import Engines, Samples
from voxpy.localagent.wireaudio import linear
from voxpy.media.turns import (
    DEFAULT_SILENCE_MS,
    PAUSE_MS,
    Pause,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
    TurnDetector,
    TurnEvent,
)
from voxpy.media.vad import GateFraming
from voxpy.wire.realtime.events.formats import BYTES_PER_SAMPLE, WholeSamples, audio_format
from voxpy.wire.realtime.server.effects import (
    Effect,
    InputCleared,
    InputCommitted,
    ItemAudio,
    SessionChanged,
)
from voxpy.wire.realtime.server.protocol import RealtimeServer

UNFINISHED_WAIT_MS = 700
LIKELY_OVER = 0.85
"""The probability told with a turn suggestion; the ears only know finished from unfinished."""
PARTIAL_MS = 500
"""Transcripts of unfinished speech come no closer together."""
MOST_WAITING_BYTES = 32 * 1024 * 1024
"""Audio that may wait for the ears: two of the largest appends, eleven minutes of 24 kHz PCM. The
ears take a second for the minute, and less."""


@attrs.frozen
class _Audio:
    """Appended audio, in the format the session had when it came."""

    data: bytes
    encoding: str
    rate_hz: int


_Heard = _Audio | InputCommitted | InputCleared | ItemAudio | SessionChanged


class Listening:
    """The ears of a connection; ``apply`` carries out what the protocol asks for.

    ``caught_up`` is called whenever the ears have heard all there is.
    """

    def __init__(
        self,
        protocol: RealtimeServer,
        engines: Engines,
        *,
        apply: Callable[[list[Effect]], None],
        report: Callable[[str], None],
        caught_up: Callable[[], None] = lambda: None,
    ) -> None:
        self._protocol = protocol
        self._engines = engines
        self._apply = apply
        self._report = report
        self._caught_up = caught_up
        self._hearing: Hearing | None = None
        self._turn_detection: Mapping[str, Any] | None = _turn_detection(protocol.session)
        self._to_hear, self._hear = trio.open_memory_channel[_Heard](math.inf)
        self._waiting = 0
        self._waiting_bytes = 0
        self._lost_ms = 0.0
        self._samples = WholeSamples()
        self._turn_from_ms = 0.0
        self._partial_until_ms = 0.0
        self._early: str | None = None

    def hear(self, data: bytes) -> None:
        """Queue audio in the session's input format."""
        encoding, rate_hz = audio_format(self._protocol.session, "input")
        if self._waiting_bytes + len(data) > MOST_WAITING_BYTES:
            self._lose(len(data) * 1000 / (BYTES_PER_SAMPLE[encoding] * rate_hz))
            return
        self._waiting_bytes += len(data)
        self.note(_Audio(data, encoding, rate_hz))

    def note(self, item: _Heard) -> None:
        """Queue what the client did with its audio, or what changes how it is heard."""
        self._waiting += 1
        self._to_hear.send_nowait(item)

    @property
    def behind(self) -> bool:
        """Whether something waits to be heard, or is being heard."""
        return self._waiting > 0

    def _lose(self, lost_ms: float) -> None:
        if not self._lost_ms:
            self._report("a client appends audio faster than it can be heard; some of it is lost")
        self._lost_ms += lost_ms

    @property
    def caller_talks(self) -> bool:
        """Whether the caller is talking, rather than silent in a pause or at the end of a turn."""
        return self._hearing is not None and self._hearing.detector.talking

    def _settle(self) -> None:
        self._apply(self._protocol.effects())

    async def run(self) -> None:
        """Listen until cancelled."""
        self._hearing = Hearing(await self._engines.run(self._engines.gate))
        configure(self._hearing.detector, self._turn_detection)
        async for item in self._hear:
            await self._take(self._hearing, item)
            self._waiting -= 1
            if not self._waiting:
                self._tell_of_loss()
                self._caught_up()

    async def _take(self, hearing: Hearing, item: _Heard) -> None:
        match item:
            case _Audio(data, encoding, rate_hz):
                self._waiting_bytes -= len(data)
                heard = linear(self._samples.take(data, encoding), encoding, rate_hz)
                for event in await self._engines.run(hearing.feed, *heard):
                    await self._turn(event)
                await self._tell_partial()
            case InputCommitted(item_id):
                segment = hearing.segment(self._turn_from_ms, hearing.position_ms)
                self._forget(hearing)
                await self._transcribe(segment, item_id)
            case ItemAudio():
                sound = linear(item.data, item.encoding, item.rate_hz)
                await self._transcribe(GateFraming().convert(*sound), item.item_id)
            case InputCleared():
                self._forget(hearing)
            case SessionChanged(session):
                self._turn_detection = _turn_detection(session)
                configure(hearing.detector, self._turn_detection)

    def _forget(self, hearing: Hearing) -> None:
        """What was heard so far belongs to no coming turn."""
        hearing.detector.reset()
        self._turn_from_ms = hearing.position_ms
        self._early = None

    def _tell_of_loss(self) -> None:
        lost_ms, self._lost_ms = self._lost_ms, 0.0
        if lost_ms:
            self._protocol.audio_lost(lost_ms)
            self._settle()

    async def _turn(self, event: TurnEvent) -> None:
        manual = self._turn_detection is None  # the client commits, from where it did last
        match event:
            case SpeechStarted(start_ms):
                self._early = None
                self._partial_until_ms = start_ms
                if not manual:
                    self._turn_from_ms = start_ms
                self._apply(self._protocol.speech_started(start_ms, clock.now()))
            case Pause(at_ms):
                await self._pause(at_ms)
            case SpeechResumed():
                self._early = None
                self._protocol.speech_resumed(clock.now())
            case SpeechStopped(end_ms, _):
                early, self._early = self._early, None
                self._protocol.speech_stopped(end_ms, clock.now())
                if not manual:
                    self._settle()
                    await self._transcribe(self._segment(self._turn_from_ms, end_ms), known=early)
                    self._turn_from_ms = end_ms  # a commit to come has no part in this turn
        self._settle()

    async def _pause(self, at_ms: float) -> None:
        """Transcribe what there is: if that was all, it is known before the turn is over."""
        assert self._hearing is not None
        text = await self._words_until(at_ms)
        if text is None:
            return
        self._early = text
        self._partial_until_ms = at_ms
        self._protocol.transcript_delta(text, clock.now())
        if looks_unfinished(text):
            self._hearing.detector.extend(UNFINISHED_WAIT_MS)
            return
        self._protocol.speech_paused(
            clock.now(),
            silence_ms=PAUSE_MS,
            probability=LIKELY_OVER,
            duration_ms=at_ms - self._turn_from_ms,
        )

    async def _tell_partial(self) -> None:
        """While the caller speaks without a pause: the words so far, if a back-channel needs them.

        Otherwise not: each costs about as much as the whole transcript.
        """
        assert self._hearing is not None
        settings = self._protocol.session["providerData"].get("backchannel") or {}
        if not settings.get("enabled") or not self._hearing.detector.in_turn:
            return
        position_ms = self._hearing.detector.position_ms
        if position_ms - self._partial_until_ms >= max(settings["eval_interval_ms"], PARTIAL_MS):
            self._partial_until_ms = position_ms
            text = await self._words_until(position_ms)
            if text is not None:
                self._protocol.transcript_delta(text, clock.now())
                self._settle()

    def _segment(self, from_ms: float, to_ms: float) -> Samples:
        assert self._hearing is not None
        return self._hearing.segment(from_ms, to_ms)

    async def _words_until(self, to_ms: float) -> str | None:
        """Return the words of the turn so far; None if the recogniser fails, as it will again."""
        try:
            return await self._words(self._segment(self._turn_from_ms, to_ms))
        except Exception as error:  # told when the turn is over
            self._report(f"the ears failed: {error!r}")
            return None

    async def _words(self, samples: Samples) -> str:
        return await self._engines.run(self._engines.ears.transcribe, samples)

    async def _transcribe(
        self, samples: Samples, item_id: str | None = None, *, known: str | None = None
    ) -> None:
        """Tell the protocol the words of a turn, or why there are none."""
        try:
            text = await self._words(samples) if known is None else known
        except Exception as error:  # a recogniser is anybody's code; the session must survive it
            self._report(f"the ears failed: {error!r}")
            failed = self._protocol.transcript_failed(str(error), clock.now(), item_id=item_id)
            self._apply(failed)
            return
        self._apply(self._protocol.transcript_completed(text, clock.now(), item_id=item_id))


def _turn_detection(session: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return session["audio"]["input"]["turn_detection"]  # type: ignore[no-any-return]


_EAGERNESS_SILENCE_MS = {"high": 400, "medium": DEFAULT_SILENCE_MS, "auto": 600, "low": 900}
"""Our own figures: the service's are not published."""

_SERVER_VAD_SILENCE_MS = 500  # the Realtime protocol's default of silence_duration_ms
_SHORTEST_SILENCE_MS, _LONGEST_SILENCE_MS = 100, 10_000
_PREFIX_PADDING_MS = 300
_THRESHOLD = 0.5


def configure(detector: TurnDetector, turn_detection: Mapping[str, Any] | None) -> None:
    """Make ``detector`` obey a session's ``turn_detection`` object."""
    detector.silence_ms = silence_ms_for(turn_detection)
    server_vad = turn_detection or {}
    threshold, padding_ms = server_vad.get("threshold"), server_vad.get("prefix_padding_ms")
    detector.threshold = _THRESHOLD if threshold is None else float(threshold)
    detector.prefix_padding_ms = _PREFIX_PADDING_MS if padding_ms is None else int(padding_ms)


def silence_ms_for(turn_detection: Mapping[str, Any] | None) -> int:
    """Return the silence that ends a turn under a session's ``turn_detection`` object.

    ``server_vad``: its ``silence_duration_ms`` (500 if absent or not a number), held within 100 ms
    to 10 s. ``semantic_vad``: by ``eagerness``, high 400, medium and auto 600, low 900. ``None``
    (manual turns) and anything else: 600.
    """
    if turn_detection is None:
        return DEFAULT_SILENCE_MS
    if turn_detection.get("type") == "server_vad":
        asked = turn_detection.get("silence_duration_ms")
        if isinstance(asked, bool) or not isinstance(asked, int | float) or asked != asked:
            return _SERVER_VAD_SILENCE_MS
        return int(min(max(asked, _SHORTEST_SILENCE_MS), _LONGEST_SILENCE_MS))
    eagerness = str(turn_detection.get("eagerness"))
    return _EAGERNESS_SILENCE_MS.get(eagerness, DEFAULT_SILENCE_MS)


_DANGLING = frozenset(
    "a an the my your our their his its every and but or so because if when while although unless "
    "than for to from with of at by about into between without is are was were am i'm we're it's "
    "i've could should would um uh uhm er erm hmm i we".split()
)
_WHOLE = re.compile(
    r"\b(?:(?:think|hope|guess|believe|say|not) so|it is|that is|they are|there you are"
    r"|(?:yes|no|yeah),? (?:i|we|you|it|that) \w+)$"
)
_SHORT_NUMBER = re.compile(
    r"\b(?:number|phone|mobile|cell) (?:is|was)(?: plus)?(?:[\s,-]*\d){0,6}$"
)  # fewer digits than any phone number has


def looks_unfinished(text: str) -> bool:
    """Return whether ``text`` breaks off, so that the caller will probably go on.

    True for a dangling last word ("I would like to", "it is for the", "um"), for a trailing comma,
    dash or ellipsis, and for a phone number that has only just begun ("my number is 55").
    """
    text = text.strip().lower()
    if not text or text.endswith("?"):
        return False  # "Who am I talking to?"
    if text.endswith((",", "-", "—", "...", "…")):
        return True
    words = text.rstrip(".! ")
    if _WHOLE.search(words):
        return False
    return words.split(" ")[-1] in _DANGLING or bool(_SHORT_NUMBER.search(words))
