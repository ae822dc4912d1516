"""What one connection hears: appended audio in, turns and their words told to the protocol.

In the order things came: audio is transcribed up to where the client committed or cleared it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import trio

from voxpy.engine import clock
from voxpy.engine.hearing import Hearing
from voxpy.localagent.engines import Engines
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
from voxpy.wire.realtime.events.formats import WholeSamples, audio_format
from voxpy.wire.realtime.server.effects import Effect, InputCleared, InputCommitted
from voxpy.wire.realtime.server.protocol import RealtimeServer

__all__ = ["Listening", "configure", "looks_unfinished", "silence_ms_for"]


UNFINISHED_WAIT_MS = 700
LIKELY_OVER = 0.85
"""The probability told with a turn suggestion; the ears only know finished from unfinished."""
PARTIAL_MS = 500
"""Transcripts of unfinished speech come no closer together."""
HEARING_QUEUE = 512


class Listening:
    """The ears of a connection; ``apply`` carries out what the protocol asks for."""

    def __init__(
        self,
        protocol: RealtimeServer,
        engines: Engines,
        *,
        apply: Callable[[list[Effect]], None],
        report: Callable[[str], None],
    ) -> None:
        self._protocol = protocol
        self._engines = engines
        self._apply = apply
        self._report = report
        self._hearing: Hearing | None = None
        self._to_hear, self._hear = trio.open_memory_channel[bytes | InputCommitted | InputCleared](
            HEARING_QUEUE
        )
        self._samples = WholeSamples()
        self._turn_from_ms = 0.0
        self._partial_until_ms = 0.0
        self._early: tuple[float, str] | None = None
        self._losing = False

    def hear(self, item: bytes | InputCommitted | InputCleared) -> None:
        """Queue audio in the session's input format, or what the client did with it."""
        try:
            self._to_hear.send_nowait(item)
            self._losing = False
        except trio.WouldBlock:  # 20 s behind: lose audio rather than memory
            if not self._losing:
                self._losing = True
                self._report("the ears are 20 s behind; audio of the caller is lost")

    def configure(self) -> None:
        """Take over the session's turn detection."""
        if self._hearing is not None:
            configure(self._hearing.detector, self._turn_detection())

    @property
    def caller_talks(self) -> bool:
        """Whether the caller is talking, rather than silent in a pause or at the end of a turn."""
        return self._hearing is not None and self._hearing.detector.talking

    def _turn_detection(self) -> Mapping[str, Any] | None:
        return self._protocol.session["audio"]["input"]["turn_detection"]  # type: ignore[no-any-return]

    def _settle(self) -> None:
        self._apply(self._protocol.effects())

    async def run(self) -> None:
        """Listen until cancelled."""
        self._hearing = Hearing(await self._engines.run(self._engines.gate))
        configure(self._hearing.detector, self._turn_detection())
        async for item in self._hear:
            if isinstance(item, InputCommitted):
                await self._transcribe_committed(item.item_id)
            elif isinstance(item, InputCleared):
                self._hearing.detector.reset()
                self._turn_from_ms = self._hearing.position_ms
            else:
                encoding, rate_hz = audio_format(self._protocol.session, "input")
                whole = self._samples.take(item, encoding)
                heard = linear(whole, encoding, rate_hz)
                for event in await self._engines.run(self._hearing.feed, *heard):
                    await self._turn(event)
                await self._tell_partial()

    async def _turn(self, event: TurnEvent) -> None:
        assert self._hearing is not None
        manual = self._turn_detection() is None  # the client commits, from where it did last
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
                    text = early[1] if early else await self._transcribe(self._turn_from_ms, end_ms)
                    self._apply(self._protocol.transcript_completed(text, clock.now()))
        self._settle()

    async def _pause(self, at_ms: float) -> None:
        """Transcribe what there is: if that was all, it is known before the turn is over."""
        assert self._hearing is not None
        text = await self._transcribe(self._turn_from_ms, at_ms)
        self._early = (at_ms, text)
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
            text = await self._transcribe(self._turn_from_ms, position_ms)
            self._protocol.transcript_delta(text, clock.now())
            self._settle()

    async def _transcribe(self, from_ms: float, to_ms: float) -> str:
        assert self._hearing is not None
        samples = self._hearing.segment(from_ms, to_ms)
        return await self._engines.run(self._engines.ears.transcribe, samples)

    async def _transcribe_committed(self, item_id: str) -> None:
        assert self._hearing is not None
        text = await self._transcribe(self._turn_from_ms, self._hearing.position_ms)
        self._turn_from_ms = self._hearing.position_ms
        self._hearing.detector.reset()
        self._apply(self._protocol.transcript_completed(text, clock.now(), item_id=item_id))


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
