"""``RecorderEvents``: what a recorder tells a scenario (VoxEngine: RecorderEvents)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from voxpy.engine.events import Event, Namespace, event_class

if TYPE_CHECKING:
    from voxpy.recording.recorder import Recorder


@event_class
class RecorderEvent(Event):
    """Base of every event about one recorder."""

    recorder: Recorder


class RecorderEvents(metaclass=Namespace):
    """Events of a recorder. Listen with ``recorder.add_event_listener``."""

    @event_class
    class Started(RecorderEvent):
        """Recording has begun, into ``url``."""

        name: ClassVar[str] = "Recorder.Started"
        url: str

    @event_class
    class Stopped(RecorderEvent):
        """Recording has ended and its file is complete.

        ``duration`` in s; ``cost`` is a string, as in VoxEngine. The rest is voxpy's own:
        ``transcript_url`` is where the words will be written if the recording is transcribed.
        """

        name: ClassVar[str] = "Recorder.Stopped"
        cost: str = "0"
        duration: float = 0.0
        url: str = ""
        reason: str = ""
        transcript_url: str = ""

    @event_class
    class RecorderError(RecorderEvent):
        """The recording or its transcript failed; calls go on."""

        name: ClassVar[str] = "Recorder.Error"
        error: str
