"""``ConferenceEvents``: what a conference tells a scenario (VoxEngine: ConferenceEvents)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from voxpy.engine.events import Event, Namespace, event_class
from voxpy.errors import NotSupported

if TYPE_CHECKING:
    from voxpy.conferences.conference import Conference

_OF_VIDEO = frozenset("EndpointAdded EndpointUpdated EndpointRemoved EndpointManaged".split())


@event_class
class ConferenceEvent(Event):
    """Base of every event about one conference."""

    conference: Conference


class _Names(Namespace):
    if not TYPE_CHECKING:

        def __getattr__(cls, name: str) -> Any:  # noqa: N805  the class is its instance
            if name in _OF_VIDEO:
                raise NotSupported(
                    f"ConferenceEvents.{name} tells of the endpoints of a video conference, which "
                    "voxpy has not"
                )
            return super().__getattr__(name)


class ConferenceEvents(metaclass=_Names):
    """Events of a conference. Listen with ``conference.add_event_listener``."""

    @event_class
    class Started(ConferenceEvent):
        """The conference exists."""

        name: ClassVar[str] = "Conference.Started"

    @event_class
    class Stopped(ConferenceEvent):
        """The conference is over."""

        name: ClassVar[str] = "Conference.Stopped"

    @event_class
    class ConferenceError(ConferenceEvent):
        """Somebody could not join: ``code`` is 403, for one member too many."""

        name: ClassVar[str] = "Conference.Error"
        error: str
        code: int = 0
        endpoint_id: str = ""
