"""The events of a speech client, once for all services, and the namespaces made of them.

``Inworld.RealtimeAPIEvents.SessionCreated`` and ``OpenAI.RealtimeAPIEvents.SessionCreated`` are two
events with two names, but what they carry is one thing: it stands here. A connector's namespace is
a prefix and a list::

    class RealtimeAPIEvents(metaclass=EventNamespace, prefix="OpenAI.RealtimeAPI"):
        SessionCreated: TypeAlias = events.SessionCreated
        ...

To a type checker each member is the class here, so that listeners and annotations are checked. At
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
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, overload

import attrs

from voxpy.engine.events import Event, Namespace, event_class

if TYPE_CHECKING:
    from voxpy.realtime.client import RealtimeAPIClient

_T = TypeVar("_T")


class EventNamespace(Namespace):
    """A service's events: ``prefix``, and members that are classes of this module or their like."""

    _kinds: Mapping[str, type[Any]]

    def __new__(
        mcs, name: str, bases: tuple[type, ...], members: dict[str, Any], *, prefix: str
    ) -> EventNamespace:
        """Make the members this service's own."""
        for key, value in members.items():
            if isinstance(value, type) and issubclass(value, Event):
                members[key] = _of_service(value, key, f"{name}.{key}", f"{prefix}.{key}", members)
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


def _of_service(
    body: type[Event], key: str, qualified: str, wire_string: str, members: Mapping[str, Any]
) -> type[Event]:
    # By hand: attrs has made everything already, and 36 classes more would be felt at import.
    own = {
        "__slots__": (),
        "__doc__": body.__doc__,
        "__module__": members["__module__"],
        "__qualname__": qualified,
        "name": wire_string,
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


def _text(payload: Mapping[str, Any], key: str) -> str:
    value = payload.get(key)
    return value if isinstance(value, str) else ""


def _number(payload: Mapping[str, Any], key: str) -> float | None:
    value = payload.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _object(payload: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = payload.get(key)
    return value if isinstance(value, dict) else {}


class _Field(Generic[_T]):
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
class Error(RealtimeAPIEvent):
    """The service refused something; most errors leave the session open."""

    wire_type = "error"

    @property
    def error(self) -> dict[str, Any]:
        """The error object; a service may put its fields at the top level."""
        nested = self.data.payload.get("error")
        return nested if isinstance(nested, dict) else self.data.payload

    @property
    def message(self) -> str:
        """What went wrong, or an empty string."""
        return _text(self.error, "message") or _text(self.data.payload, "message")

    @property
    def code(self) -> str:
        """The machine-readable code, such as ``invalid_value``; some services leave it empty."""
        return _text(self.error, "code")


@event_class
class SessionCreated(RealtimeAPIEvent):
    """The session exists, with the service's defaults: time for ``session_update``."""

    wire_type = "session.created"
    session = _Field(_object)


@event_class
class SessionUpdated(RealtimeAPIEvent):
    """The session has changed; also sent unasked, after every memory cycle."""

    wire_type = "session.updated"
    session = _Field(_object)


@event_class
class ConversationCreated(RealtimeAPIEvent):
    """The conversation exists; of some services the first event of all."""

    wire_type = "conversation.created"
    conversation = _Field(_object)


@event_class
class ConversationItemCreated(RealtimeAPIEvent):
    """An item entered the conversation (the beta's name for ``ConversationItemAdded``)."""

    wire_type = "conversation.item.created"
    item = _Field(_object)


@event_class
class ConversationItemAdded(RealtimeAPIEvent):
    """An item entered the conversation; an answer's item is still empty."""

    wire_type = "conversation.item.added"
    item = _Field(_object)


@event_class
class ConversationItemDone(RealtimeAPIEvent):
    """An item is complete."""

    wire_type = "conversation.item.done"
    item = _Field(_object)


@event_class
class ConversationItemDeleted(RealtimeAPIEvent):
    """An item is gone."""

    wire_type = "conversation.item.deleted"
    item_id = _Field(_text)


@event_class
class ConversationItemRetrieved(RealtimeAPIEvent):
    """The answer to ``conversation_item_retrieve``."""

    wire_type = "conversation.item.retrieved"
    item = _Field(_object)


@event_class
class ConversationItemTruncated(RealtimeAPIEvent):
    """An item was cut at what had been heard."""

    wire_type = "conversation.item.truncated"
    item_id = _Field(_text)
    audio_end_ms = _Field(_number)


@event_class
class ConversationItemInputAudioTranscriptionDelta(RealtimeAPIEvent):
    """What the caller is saying; of some services all of it so far."""

    wire_type = "conversation.item.input_audio_transcription.delta"
    item_id = _Field(_text)
    delta = _Field(_text)


@event_class
class ConversationItemInputAudioTranscriptionCompleted(RealtimeAPIEvent):
    """What the caller said; may be empty, and may come twice with a correction."""

    wire_type = "conversation.item.input_audio_transcription.completed"
    item_id = _Field(_text)
    transcript = _Field(_text)


@event_class
class ConversationItemInputAudioTranscriptionSegment(RealtimeAPIEvent):
    """A stretch of what one speaker said, with its times in seconds."""

    wire_type = "conversation.item.input_audio_transcription.segment"
    item_id = _Field(_text)
    text = _Field(_text)
    speaker = _Field(_text)
    start = _Field(_number)
    end = _Field(_number)


@event_class
class ConversationItemInputAudioTranscriptionFailed(RealtimeAPIEvent):
    """What the caller said could not be recognised; ``error`` says why."""

    wire_type = "conversation.item.input_audio_transcription.failed"
    item_id = _Field(_text)
    error = _Field(_object)


@event_class
class ResponseCreated(RealtimeAPIEvent):
    """The agent begins to answer."""

    wire_type = "response.created"
    response = _Field(_object)


@event_class
class ResponseDone(RealtimeAPIEvent):
    """The answer is over; ``response["status"]`` says how."""

    wire_type = "response.done"
    response = _Field(_object)


@event_class
class ResponseOutputItemAdded(RealtimeAPIEvent):
    """The answer has a new item."""

    wire_type = "response.output_item.added"
    response_id = _Field(_text)
    item = _Field(_object)


@event_class
class ResponseOutputItemDone(RealtimeAPIEvent):
    """An item of the answer is complete; names the function of a call."""

    wire_type = "response.output_item.done"
    response_id = _Field(_text)
    item = _Field(_object)


@event_class
class ResponseContentPartAdded(RealtimeAPIEvent):
    """An item of the answer has a new part."""

    wire_type = "response.content_part.added"
    response_id = _Field(_text)
    item_id = _Field(_text)
    part = _Field(_object)


@event_class
class ResponseContentPartDone(RealtimeAPIEvent):
    """A part of the answer is complete."""

    wire_type = "response.content_part.done"
    response_id = _Field(_text)
    item_id = _Field(_text)
    part = _Field(_object)


@event_class
class ResponseOutputTextDelta(RealtimeAPIEvent):
    """More text of an answer in writing."""

    wire_type = "response.output_text.delta"
    response_id = _Field(_text)
    item_id = _Field(_text)
    delta = _Field(_text)


@event_class
class ResponseOutputTextDone(RealtimeAPIEvent):
    """The whole text of an answer in writing."""

    wire_type = "response.output_text.done"
    response_id = _Field(_text)
    item_id = _Field(_text)
    text = _Field(_text)


@event_class
class ResponseOutputAudioDone(RealtimeAPIEvent):
    """All audio of a part is sent, which is before it has been heard."""

    wire_type = "response.output_audio.done"
    response_id = _Field(_text)
    item_id = _Field(_text)


@event_class
class ResponseOutputAudioTranscriptDelta(RealtimeAPIEvent):
    """More of what the agent says, ahead of the sound."""

    wire_type = "response.output_audio_transcript.delta"
    response_id = _Field(_text)
    item_id = _Field(_text)
    delta = _Field(_text)


@event_class
class ResponseOutputAudioTranscriptDone(RealtimeAPIEvent):
    """All that the agent says in this part, heard or not."""

    wire_type = "response.output_audio_transcript.done"
    response_id = _Field(_text)
    item_id = _Field(_text)
    transcript = _Field(_text)


@event_class
class ResponseTextDelta(ResponseOutputTextDelta):
    """The beta's name for ``ResponseOutputTextDelta``."""

    wire_type = "response.text.delta"


@event_class
class ResponseTextDone(ResponseOutputTextDone):
    """The beta's name for ``ResponseOutputTextDone``."""

    wire_type = "response.text.done"


@event_class
class ResponseAudioDone(ResponseOutputAudioDone):
    """The beta's name for ``ResponseOutputAudioDone``."""

    wire_type = "response.audio.done"


@event_class
class ResponseAudioTranscriptDelta(ResponseOutputAudioTranscriptDelta):
    """The beta's name for ``ResponseOutputAudioTranscriptDelta``."""

    wire_type = "response.audio_transcript.delta"


@event_class
class ResponseAudioTranscriptDone(ResponseOutputAudioTranscriptDone):
    """The beta's name for ``ResponseOutputAudioTranscriptDone``."""

    wire_type = "response.audio_transcript.done"


@event_class
class ResponseFunctionCallArgumentsDelta(RealtimeAPIEvent):
    """More of a function call's arguments."""

    wire_type = "response.function_call_arguments.delta"
    response_id = _Field(_text)
    item_id = _Field(_text)
    call_id = _Field(_text)
    delta = _Field(_text)


@event_class
class ResponseFunctionCallArgumentsDone(RealtimeAPIEvent):
    """A function call is complete; ``arguments`` is JSON text.

    ``function_name`` may be empty: some services name the function in the item only.
    """

    wire_type = "response.function_call_arguments.done"
    response_id = _Field(_text)
    item_id = _Field(_text)
    call_id = _Field(_text)
    arguments = _Field(_text)
    function_name = _Field(_text, "name")


@event_class
class ResponseMCPCallArgumentsDelta(RealtimeAPIEvent):
    """More of the arguments of a call that the service makes to an MCP server."""

    wire_type = "response.mcp_call_arguments.delta"
    item_id = _Field(_text)
    delta = _Field(_text)


@event_class
class ResponseMCPCallArgumentsDone(RealtimeAPIEvent):
    """All arguments of such a call; JSON text."""

    wire_type = "response.mcp_call_arguments.done"
    item_id = _Field(_text)
    arguments = _Field(_text)


@event_class
class ResponseMCPCallInProgress(RealtimeAPIEvent):
    """The service calls a tool of an MCP server."""

    wire_type = "response.mcp_call.in_progress"
    item_id = _Field(_text)


@event_class
class ResponseMCPCallCompleted(RealtimeAPIEvent):
    """The MCP server has answered."""

    wire_type = "response.mcp_call.completed"
    item_id = _Field(_text)


@event_class
class ResponseMCPCallFailed(RealtimeAPIEvent):
    """The call to the MCP server failed."""

    wire_type = "response.mcp_call.failed"
    item_id = _Field(_text)


@event_class
class MCPListToolsInProgress(RealtimeAPIEvent):
    """The service asks an MCP server for its tools."""

    wire_type = "mcp_list_tools.in_progress"
    item_id = _Field(_text)


@event_class
class MCPListToolsCompleted(RealtimeAPIEvent):
    """The MCP server has told its tools."""

    wire_type = "mcp_list_tools.completed"
    item_id = _Field(_text)


@event_class
class MCPListToolsFailed(RealtimeAPIEvent):
    """The MCP server did not tell its tools."""

    wire_type = "mcp_list_tools.failed"
    item_id = _Field(_text)


@event_class
class InputAudioBufferDTMFEventReceived(RealtimeAPIEvent):
    """The service heard a key of the phone; ``event`` is the key."""

    wire_type = "input_audio_buffer.dtmf_event_received"
    event = _Field(_text)


@event_class
class InputAudioBufferSpeechStarted(RealtimeAPIEvent):
    """The caller begins to speak: time to stop the agent."""

    wire_type = "input_audio_buffer.speech_started"
    item_id = _Field(_text)
    audio_start_ms = _Field(_number)


@event_class
class InputAudioBufferSpeechStopped(RealtimeAPIEvent):
    """The caller has stopped speaking."""

    wire_type = "input_audio_buffer.speech_stopped"
    item_id = _Field(_text)
    audio_end_ms = _Field(_number)


@event_class
class InputAudioBufferCommitted(RealtimeAPIEvent):
    """What the caller said has become an item."""

    wire_type = "input_audio_buffer.committed"
    item_id = _Field(_text)


@event_class
class InputAudioBufferCleared(RealtimeAPIEvent):
    """The answer to ``input_audio_buffer_clear``."""

    wire_type = "input_audio_buffer.cleared"


@event_class
class InputAudioBufferTimeoutTriggered(RealtimeAPIEvent):
    """The caller has been silent for the session's ``idle_timeout_ms``."""

    wire_type = "input_audio_buffer.timeout_triggered"
    item_id = _Field(_text)
    audio_start_ms = _Field(_number)
    audio_end_ms = _Field(_number)


@event_class
class OutputAudioBufferStarted(RealtimeAPIEvent):
    """The agent's audio begins. ``response_id`` may be empty."""

    wire_type = "output_audio_buffer.started"
    response_id = _Field(_text)


@event_class
class OutputAudioBufferStopped(RealtimeAPIEvent):
    """The agent's audio is all sent. ``response_id`` may be empty."""

    wire_type = "output_audio_buffer.stopped"
    response_id = _Field(_text)


@event_class
class OutputAudioBufferCleared(RealtimeAPIEvent):
    """Audio was thrown away, by request or because the caller spoke."""

    wire_type = "output_audio_buffer.cleared"
    response_id = _Field(_text)


@event_class
class RateLimitsUpdated(RealtimeAPIEvent):
    """What is left of the account's quota, in ``data.payload["rate_limits"]``."""

    wire_type = "rate_limits.updated"


@event_class
class WebSocketError(RealtimeAPIEvent):
    """The connection failed; the payload says how."""


@event_class
class ConnectorInformation(RealtimeAPIEvent):
    """The first event of a connection: ``applicationVersion``, ``id``, ``endpoint``."""
