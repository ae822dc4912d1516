"""``Silero.VADEvents``: what a voice activity detector tells a scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from voxpy.engine.events import Event, Namespace, event_class
from voxpy.errors import HelpsWithNames

if TYPE_CHECKING:
    from voxpy.silero.vad import VAD


@attrs.frozen(kw_only=True)
class VADData(HelpsWithNames):
    """VoxEngine's envelope: the name of the event and its content."""

    custom_event: str = ""
    payload: dict[str, Any] = attrs.field(factory=dict)


@event_class
class VADEvent(Event):
    """Base of every event of a detector."""

    vad: VAD
    data: VADData = attrs.field(factory=VADData)


class VADEvents(metaclass=Namespace):
    """Events of a VAD; listen with ``vad.add_event_listener`` (VoxEngine: Silero.VADEvents)."""

    @event_class
    class Result(VADEvent):
        """Speech started, or ended: one of the two is set, in seconds since the first audio."""

        name: ClassVar[str] = "Silero.VAD.Result"
        speech_start_at: float | None = None
        speech_end_at: float | None = None

    @event_class
    class Reset(VADEvent):
        """The detector was reset."""

        name: ClassVar[str] = "Silero.VAD.Reset"

    @event_class
    class Error(VADEvent):
        """The detector cannot go on; ``data.payload["message"]`` says why."""

        name: ClassVar[str] = "Silero.VAD.Error"

    @event_class
    class ConnectorInformation(VADEvent):
        """The detector is ready. Always its first event."""

        name: ClassVar[str] = "Silero.VAD.ConnectorInformation"
