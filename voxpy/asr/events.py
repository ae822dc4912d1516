"""``ASREvents``: what a recogniser tells a scenario (VoxEngine: ASREvents)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from voxpy.engine.events import Event, Namespace, event_class

if TYPE_CHECKING:
    from voxpy.asr.asr import ASR


@event_class
class ASREvent(Event):
    """Base of every event of a recogniser."""

    asr: ASR


class ASREvents(metaclass=Namespace):
    """Events of an ASR; listen with ``asr.add_event_listener``.

    For each utterance: CaptureStarted, InterimResults if asked for, SpeechCaptured, Result. There
    is no result for sound without words. After Stopped or ASRError nothing follows, but Stopped
    after an ASRError when the scenario stops it.
    """

    @event_class
    class Started(ASREvent):
        """The engines are loaded: from here on it hears."""

        name: ClassVar[str] = "ASR.Started"

    @event_class
    class CaptureStarted(ASREvent):
        """Speech began, 64 ms ago."""

        name: ClassVar[str] = "ASR.CaptureStarted"

    @event_class
    class SpeechCaptured(ASREvent):
        """Speech ended some 600 ms ago; what was said is being recognised."""

        name: ClassVar[str] = "ASR.SpeechCaptured"

    @event_class
    class Result(ASREvent):
        """What was said.

        ``confidence`` is 0.0 to 1.0: the mean probability that the recogniser gave to the parts of
        the words. ``result_end_time`` is where the speech ended in the audio heard so far, written
        as ``"3.420s"``. ``channel_tag`` is None: one ASR hears one channel.
        """

        name: ClassVar[str] = "ASR.Result"
        text: str
        confidence: float
        result_end_time: str = ""
        language_code: str = ""
        channel_tag: int | None = None

    @event_class
    class InterimResult(ASREvent):
        """What has been said so far, if asked for; later ones and the Result may differ."""

        name: ClassVar[str] = "ASR.InterimResult"
        text: str

    @event_class
    class Stopped(ASREvent):
        """It hears no more. ``duration`` is how much it heard, in s; ``cost`` is a string."""

        name: ClassVar[str] = "ASR.Stopped"
        cost: str = "0"
        duration: float = 0.0

    @event_class
    class ASRError(ASREvent):
        """It cannot recognise, and ``error`` says why and what would help."""

        name: ClassVar[str] = "ASR.Error"
        error: str
