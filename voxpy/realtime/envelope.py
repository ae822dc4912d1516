"""What an event of a speech service is, whatever the service, and the namespaces made of them.

``Inworld.RealtimeAPIEvents.SessionCreated`` and ``OpenAI.RealtimeAPIEvents.SessionCreated`` are two
events with two names, but what they carry is one thing: it stands in ``events.py`` once, or beside
the connector of the only service that has it. A connector's namespace is a prefix and a list::

    class RealtimeAPIEvents(metaclass=EventNamespace, prefix="OpenAI.RealtimeAPI"):
        SessionCreated: TypeAlias = events.SessionCreated
        ...

To a type checker each member is the class there, so that listeners and annotations are checked. At
run time each is a subclass of it with the service's own ``name``, so that a listener for another
service's event is an error when it is added, and not an event that never comes.

``event.data.payload`` is the service's JSON event, untouched; the attributes beside it read the
same payload under the service's own names, so that ``event.transcript`` is
``event.data.payload["transcript"]``. A field that the service leaves out, or sends as null, reads
as ``""``, ``{}`` or None by its kind: services leave out several that OpenAI always sends. Audio
deltas are no events; they go to the media graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeAlias, TypeVar, overload

import attrs

from voxpy.engine.events import Event, Namespace, event_class

if TYPE_CHECKING:
    from voxpy.realtime.client import RealtimeAPIClient

_T = TypeVar("_T")


class EventNamespace(Namespace):
    """A service's events: ``prefix``, and members that are classes of this module or their like.

    ``wire_types`` names the service's ``type`` of members whose class does not; ``names`` has
    members that VoxEngine gives a name without the prefix.
    """

    _kinds: Mapping[str, type[Any]]

    def __new__(
        mcs,
        name: str,
        bases: tuple[type, ...],
        members: dict[str, Any],
        *,
        prefix: str,
        wire_types: Mapping[str, str] = MappingProxyType({}),
        names: Mapping[str, str] = MappingProxyType({}),
    ) -> EventNamespace:
        """Make the members this service's own, those of the bases too."""
        for base in bases:
            members |= {k: v for k, v in vars(base).items() if k not in members and _is_event(v)}
        for key, value in members.items():
            if _is_event(value):
                named = {"wire_type": wire_types[key]} if key in wire_types else {}
                wire_name = names.get(key, f"{prefix}.{key}")
                named |= {"name": wire_name, "__qualname__": f"{name}.{key}"}
                members[key] = _of_service(value, key, named, members)
        namespace = super().__new__(mcs, name, bases, members)
        kinds = {
            k.wire_type: k for k in namespace.members().values() if getattr(k, "wire_type", "")
        }
        renamed = {wire: members[key] for key, wire in _SPELLINGS.items() if key in members}
        namespace._kinds = {**renamed, **kinds}
        return namespace

    def of_wire_type(cls, wire_type: str) -> type[Any]:  # noqa: N805  a metaclass
        """Return the event for a ``type`` of the service's: ``Unknown`` for one without a name."""
        return cls._kinds.get(wire_type) or cls.members()["Unknown"]


def _is_event(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Event)


def _of_service(
    body: type[Event], key: str, named: Mapping[str, str], members: Mapping[str, Any]
) -> type[Event]:
    # By hand: attrs has made everything already, and 36 classes more would be felt at import.
    own = {
        "__slots__": (),
        "__doc__": body.__doc__,
        "__module__": members["__module__"],
        **named,
    }
    return type(key, (body,), own)


# Events that had other names before general availability: services mix the two, and namespaces of
# VoxEngine have one or the other.
_SPELLINGS: Mapping[str, str] = {
    "ConversationItemAdded": "conversation.item.created",
    "ConversationItemCreated": "conversation.item.added",
    "ResponseOutputAudioDone": "response.audio.done",
    "ResponseAudioDone": "response.output_audio.done",
    "ResponseOutputAudioTranscriptDelta": "response.audio_transcript.delta",
    "ResponseAudioTranscriptDelta": "response.output_audio_transcript.delta",
    "ResponseOutputAudioTranscriptDone": "response.audio_transcript.done",
    "ResponseAudioTranscriptDone": "response.output_audio_transcript.done",
    "ResponseOutputTextDelta": "response.text.delta",
    "ResponseTextDelta": "response.output_text.delta",
    "ResponseOutputTextDone": "response.text.done",
    "ResponseTextDone": "response.output_text.done",
}


# -- the media stream ------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class MediaInfo:
    """What a stream was; ``duration`` in seconds."""

    duration: float = 0.0


@event_class
class WebSocketMediaStarted(Event):
    """The agent's first audio is here; ``encoding`` is a ``WebSocketAudioEncoding``."""

    client: RealtimeAPIClient
    tag: str = ""
    encoding: str = ""
    custom_parameters: Mapping[str, Any] = attrs.field(factory=dict)


@event_class
class WebSocketMediaEnded(Event):
    """The agent has been silent for 1 s, which does not mean that all was heard."""

    client: RealtimeAPIClient
    tag: str = ""
    media_info: MediaInfo = attrs.field(factory=MediaInfo)


class MediaEvents:
    """What every connector's ``Events`` has: ``class Events(MediaEvents, metaclass=…)``."""

    WebSocketMediaStarted: TypeAlias = WebSocketMediaStarted
    WebSocketMediaEnded: TypeAlias = WebSocketMediaEnded


# -- the service's messages ------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class EventData:
    """VoxEngine's envelope: the name of the event and the service's own JSON object."""

    custom_event: str = ""
    payload: dict[str, Any] = attrs.field(factory=dict)


@event_class
class RealtimeAPIEvent(Event):
    """Base of the service's events; ``wire_type`` is the service's ``type``, empty without one."""

    wire_type: ClassVar[str] = ""
    client: RealtimeAPIClient
    data: EventData = attrs.field(factory=EventData)


def text_in(payload: Mapping[str, Any], key: str) -> str:
    value = payload.get(key)
    return value if isinstance(value, str) else ""


def number_in(payload: Mapping[str, Any], key: str) -> float | None:
    value = payload.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def object_in(payload: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = payload.get(key)
    return value if isinstance(value, dict) else {}


class Field(Generic[_T]):
    """Reads one field of the payload; its name there is the attribute's own, unless given."""

    def __init__(self, read: Callable[[Mapping[str, Any], str], _T], key: str = "") -> None:
        self._read = read
        self._key = key

    def __set_name__(self, owner: type, name: str) -> None:
        self._key = self._key or name

    @overload
    def __get__(self, event: None, owner: type) -> Self: ...

    @overload
    def __get__(self, event: RealtimeAPIEvent, owner: type) -> _T: ...

    def __get__(self, event: RealtimeAPIEvent | None, owner: type) -> _T | Self:
        return self if event is None else self._read(event.data.payload, self._key)


@event_class
class Unknown(RealtimeAPIEvent):
    """Whatever the service sends that has no name of its own, unchanged."""


@event_class
class HTTPResponse(RealtimeAPIEvent):
    """The service answered the upgrade with an HTTP response: no connection."""


@event_class
class WebSocketError(RealtimeAPIEvent):
    """The connection failed; the payload says how."""


@event_class
class ConnectorInformation(RealtimeAPIEvent):
    """The first event of a connection: ``applicationVersion``, ``id``, ``endpoint``."""
