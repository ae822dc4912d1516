"""``RealtimeAPIEvents`` and ``Events``: what an Inworld client tells a scenario.

VoxEngine: Inworld.RealtimeAPIEvents, Inworld.Events. ``event.data.payload`` is the service's JSON
event, untouched; the attributes beside it read the same payload under the service's own names, so
that ``event.transcript`` is ``event.data.payload["transcript"]``. A field that the service leaves
out, or sends as null, reads as ``""``, ``{}`` or None by its kind: Inworld leaves out several that
OpenAI always sends. Audio deltas are no events; they go to the media graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Self, TypeVar, overload

import attrs

from voxpy.engine.events import Event, Namespace, event_class
from voxpy.inworld.client import RealtimeAPIClient

__all__ = [
    "BY_WIRE_TYPE",
    "EventData",
    "Events",
    "MediaInfo",
    "RealtimeAPIEvent",
    "RealtimeAPIEvents",
]

_T = TypeVar("_T")


@attrs.frozen(kw_only=True)
class EventData:
    """VoxEngine's envelope: the name of the event and the service's own JSON object."""

    custom_event: str = ""
    payload: dict[str, Any] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class MediaInfo:
    """What a stream was; ``duration`` in seconds."""

    duration: float = 0.0


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


class RealtimeAPIEvents(metaclass=Namespace):
    """Events of the service; listen with ``client.add_event_listener``.

    VoxEngine: Inworld.RealtimeAPIEvents.
    """

    @event_class
    class Unknown(RealtimeAPIEvent):
        """Whatever the service sends that has no name of its own, unchanged."""

        name = "Inworld.RealtimeAPI.Unknown"

    @event_class
    class HTTPResponse(RealtimeAPIEvent):
        """The service answered the upgrade with an HTTP response: no connection."""

        name = "Inworld.RealtimeAPI.HTTPResponse"

    @event_class
    class Error(RealtimeAPIEvent):
        """The service refused something; most errors leave the session open."""

        name = "Inworld.RealtimeAPI.Error"
        wire_type = "error"

        @property
        def error(self) -> dict[str, Any]:
            """The error object; some of Inworld's frames have its fields at the top level."""
            nested = self.data.payload.get("error")
            return nested if isinstance(nested, dict) else self.data.payload

        @property
        def message(self) -> str:
            """What went wrong, or an empty string."""
            return _text(self.error, "message") or _text(self.data.payload, "message")

        @property
        def code(self) -> str:
            """The machine-readable code, such as ``invalid_value``; often empty at Inworld."""
            return _text(self.error, "code")

    @event_class
    class SessionCreated(RealtimeAPIEvent):
        """The session exists, with the service's defaults: time for ``session_update``."""

        name = "Inworld.RealtimeAPI.SessionCreated"
        wire_type = "session.created"
        session = _Field(_object)

    @event_class
    class SessionUpdated(RealtimeAPIEvent):
        """The session has changed; also sent unasked, after every memory cycle."""

        name = "Inworld.RealtimeAPI.SessionUpdated"
        wire_type = "session.updated"
        session = _Field(_object)

    @event_class
    class ConversationItemAdded(RealtimeAPIEvent):
        """An item entered the conversation; an answer's item is still empty."""

        name = "Inworld.RealtimeAPI.ConversationItemAdded"
        wire_type = "conversation.item.added"
        item = _Field(_object)

    @event_class
    class ConversationItemDone(RealtimeAPIEvent):
        """An item is complete."""

        name = "Inworld.RealtimeAPI.ConversationItemDone"
        wire_type = "conversation.item.done"
        item = _Field(_object)

    @event_class
    class ConversationItemDeleted(RealtimeAPIEvent):
        """An item is gone."""

        name = "Inworld.RealtimeAPI.ConversationItemDeleted"
        wire_type = "conversation.item.deleted"
        item_id = _Field(_text)

    @event_class
    class ConversationItemRetrieved(RealtimeAPIEvent):
        """The answer to ``conversation_item_retrieve``."""

        name = "Inworld.RealtimeAPI.ConversationItemRetrieved"
        wire_type = "conversation.item.retrieved"
        item = _Field(_object)

    @event_class
    class ConversationItemTruncated(RealtimeAPIEvent):
        """An item was cut at what had been heard."""

        name = "Inworld.RealtimeAPI.ConversationItemTruncated"
        wire_type = "conversation.item.truncated"
        item_id = _Field(_text)
        audio_end_ms = _Field(_number)

    @event_class
    class ConversationItemInputAudioTranscriptionDelta(RealtimeAPIEvent):
        """What the caller is saying; Inworld usually sends the whole text so far."""

        name = "Inworld.RealtimeAPI.ConversationItemInputAudioTranscriptionDelta"
        wire_type = "conversation.item.input_audio_transcription.delta"
        item_id = _Field(_text)
        delta = _Field(_text)

    @event_class
    class ConversationItemInputAudioTranscriptionCompleted(RealtimeAPIEvent):
        """What the caller said; may be empty, and may come twice with a correction."""

        name = "Inworld.RealtimeAPI.ConversationItemInputAudioTranscriptionCompleted"
        wire_type = "conversation.item.input_audio_transcription.completed"
        item_id = _Field(_text)
        transcript = _Field(_text)

    @event_class
    class ResponseCreated(RealtimeAPIEvent):
        """The agent begins to answer."""

        name = "Inworld.RealtimeAPI.ResponseCreated"
        wire_type = "response.created"
        response = _Field(_object)

    @event_class
    class ResponseDone(RealtimeAPIEvent):
        """The answer is over; ``response["status"]`` says how."""

        name = "Inworld.RealtimeAPI.ResponseDone"
        wire_type = "response.done"
        response = _Field(_object)

    @event_class
    class ResponseOutputItemAdded(RealtimeAPIEvent):
        """The answer has a new item."""

        name = "Inworld.RealtimeAPI.ResponseOutputItemAdded"
        wire_type = "response.output_item.added"
        response_id = _Field(_text)
        item = _Field(_object)

    @event_class
    class ResponseOutputItemDone(RealtimeAPIEvent):
        """An item of the answer is complete; names the function of a call."""

        name = "Inworld.RealtimeAPI.ResponseOutputItemDone"
        wire_type = "response.output_item.done"
        response_id = _Field(_text)
        item = _Field(_object)

    @event_class
    class ResponseContentPartAdded(RealtimeAPIEvent):
        """An item of the answer has a new part."""

        name = "Inworld.RealtimeAPI.ResponseContentPartAdded"
        wire_type = "response.content_part.added"
        response_id = _Field(_text)
        item_id = _Field(_text)
        part = _Field(_object)

    @event_class
    class ResponseContentPartDone(RealtimeAPIEvent):
        """A part of the answer is complete."""

        name = "Inworld.RealtimeAPI.ResponseContentPartDone"
        wire_type = "response.content_part.done"
        response_id = _Field(_text)
        item_id = _Field(_text)
        part = _Field(_object)

    @event_class
    class ResponseOutputTextDelta(RealtimeAPIEvent):
        """More text of an answer in writing."""

        name = "Inworld.RealtimeAPI.ResponseOutputTextDelta"
        wire_type = "response.output_text.delta"
        response_id = _Field(_text)
        item_id = _Field(_text)
        delta = _Field(_text)

    @event_class
    class ResponseOutputTextDone(RealtimeAPIEvent):
        """The whole text of an answer in writing."""

        name = "Inworld.RealtimeAPI.ResponseOutputTextDone"
        wire_type = "response.output_text.done"
        response_id = _Field(_text)
        item_id = _Field(_text)
        text = _Field(_text)

    @event_class
    class ResponseOutputAudioDone(RealtimeAPIEvent):
        """All audio of a part is sent, which is before it has been heard."""

        name = "Inworld.RealtimeAPI.ResponseOutputAudioDone"
        wire_type = "response.output_audio.done"
        response_id = _Field(_text)
        item_id = _Field(_text)

    @event_class
    class ResponseOutputAudioTranscriptDelta(RealtimeAPIEvent):
        """More of what the agent says, ahead of the sound."""

        name = "Inworld.RealtimeAPI.ResponseOutputAudioTranscriptDelta"
        wire_type = "response.output_audio_transcript.delta"
        response_id = _Field(_text)
        item_id = _Field(_text)
        delta = _Field(_text)

    @event_class
    class ResponseOutputAudioTranscriptDone(RealtimeAPIEvent):
        """All that the agent says in this part, heard or not."""

        name = "Inworld.RealtimeAPI.ResponseOutputAudioTranscriptDone"
        wire_type = "response.output_audio_transcript.done"
        response_id = _Field(_text)
        item_id = _Field(_text)
        transcript = _Field(_text)

    @event_class
    class ResponseFunctionCallArgumentsDelta(RealtimeAPIEvent):
        """More of a function call's arguments."""

        name = "Inworld.RealtimeAPI.ResponseFunctionCallArgumentsDelta"
        wire_type = "response.function_call_arguments.delta"
        response_id = _Field(_text)
        item_id = _Field(_text)
        call_id = _Field(_text)
        delta = _Field(_text)

    @event_class
    class ResponseFunctionCallArgumentsDone(RealtimeAPIEvent):
        """A function call is complete; ``arguments`` is JSON text.

        ``function_name`` may be empty: Inworld may name the function only in the item.
        """

        name = "Inworld.RealtimeAPI.ResponseFunctionCallArgumentsDone"
        wire_type = "response.function_call_arguments.done"
        response_id = _Field(_text)
        item_id = _Field(_text)
        call_id = _Field(_text)
        arguments = _Field(_text)
        function_name = _Field(_text, "name")

    @event_class
    class InputAudioBufferSpeechStarted(RealtimeAPIEvent):
        """The caller begins to speak: time to stop the agent."""

        name = "Inworld.RealtimeAPI.InputAudioBufferSpeechStarted"
        wire_type = "input_audio_buffer.speech_started"
        item_id = _Field(_text)
        audio_start_ms = _Field(_number)

    @event_class
    class InputAudioBufferSpeechStopped(RealtimeAPIEvent):
        """The caller has stopped speaking."""

        name = "Inworld.RealtimeAPI.InputAudioBufferSpeechStopped"
        wire_type = "input_audio_buffer.speech_stopped"
        item_id = _Field(_text)
        audio_end_ms = _Field(_number)

    @event_class
    class InputAudioBufferCommitted(RealtimeAPIEvent):
        """What the caller said has become an item."""

        name = "Inworld.RealtimeAPI.InputAudioBufferCommitted"
        wire_type = "input_audio_buffer.committed"
        item_id = _Field(_text)

    @event_class
    class InputAudioBufferCleared(RealtimeAPIEvent):
        """The answer to ``input_audio_buffer_clear``."""

        name = "Inworld.RealtimeAPI.InputAudioBufferCleared"
        wire_type = "input_audio_buffer.cleared"

    @event_class
    class InputAudioBufferTimeoutTriggered(RealtimeAPIEvent):
        """The caller has been silent for the session's ``idle_timeout_ms``."""

        name = "Inworld.RealtimeAPI.InputAudioBufferTimeoutTriggered"
        wire_type = "input_audio_buffer.timeout_triggered"
        item_id = _Field(_text)
        audio_start_ms = _Field(_number)
        audio_end_ms = _Field(_number)

    @event_class
    class OutputAudioBufferStarted(RealtimeAPIEvent):
        """The agent's audio begins. Inworld gives no ``response_id``."""

        name = "Inworld.RealtimeAPI.OutputAudioBufferStarted"
        wire_type = "output_audio_buffer.started"
        response_id = _Field(_text)

    @event_class
    class OutputAudioBufferStopped(RealtimeAPIEvent):
        """The agent's audio is all sent. Inworld gives no ``response_id``."""

        name = "Inworld.RealtimeAPI.OutputAudioBufferStopped"
        wire_type = "output_audio_buffer.stopped"
        response_id = _Field(_text)

    @event_class
    class OutputAudioBufferCleared(RealtimeAPIEvent):
        """Audio was thrown away, by request or because the caller spoke."""

        name = "Inworld.RealtimeAPI.OutputAudioBufferCleared"
        wire_type = "output_audio_buffer.cleared"
        response_id = _Field(_text)

    @event_class
    class RateLimitsUpdated(RealtimeAPIEvent):
        """What is left of the account's quota, in ``data.payload["rate_limits"]``."""

        name = "Inworld.RealtimeAPI.RateLimitsUpdated"
        wire_type = "rate_limits.updated"

    @event_class
    class WebSocketError(RealtimeAPIEvent):
        """The connection failed; the payload says how."""

        name = "Inworld.RealtimeAPI.WebSocketError"

    @event_class
    class ConnectorInformation(RealtimeAPIEvent):
        """The first event of a connection: ``applicationVersion``, ``id``, ``endpoint``."""

        name = "Inworld.RealtimeAPI.ConnectorInformation"


class Events(metaclass=Namespace):
    """Events of the media stream from the service (VoxEngine: Inworld.Events)."""

    @event_class
    class WebSocketMediaStarted(Event):
        """The agent's first audio is here; ``encoding`` is a ``WebSocketAudioEncoding``."""

        name: ClassVar[str] = "Inworld.Events.WebSocketMediaStarted"
        client: RealtimeAPIClient
        tag: str = ""
        encoding: str = ""
        custom_parameters: Mapping[str, Any] = attrs.field(factory=dict)

    @event_class
    class WebSocketMediaEnded(Event):
        """The agent has been silent for 1 s, which does not mean that all was heard."""

        name: ClassVar[str] = "Inworld.Events.WebSocketMediaEnded"
        client: RealtimeAPIClient
        tag: str = ""
        media_info: MediaInfo = attrs.field(factory=MediaInfo)


# Spellings from before general availability, which the service has also been seen to send.
_BETA_SPELLINGS = {
    "conversation.item.created": RealtimeAPIEvents.ConversationItemAdded,
    "response.audio.done": RealtimeAPIEvents.ResponseOutputAudioDone,
    "response.audio_transcript.delta": RealtimeAPIEvents.ResponseOutputAudioTranscriptDelta,
    "response.audio_transcript.done": RealtimeAPIEvents.ResponseOutputAudioTranscriptDone,
    "response.text.delta": RealtimeAPIEvents.ResponseOutputTextDelta,
    "response.text.done": RealtimeAPIEvents.ResponseOutputTextDone,
}


def _by_wire_type() -> dict[str, type[RealtimeAPIEvent]]:
    kinds: list[type[RealtimeAPIEvent]] = list(RealtimeAPIEvents.members().values())
    return {kind.wire_type: kind for kind in kinds if kind.wire_type} | _BETA_SPELLINGS


# Which class a service event becomes; what is not here becomes ``RealtimeAPIEvents.Unknown``.
BY_WIRE_TYPE: Mapping[str, type[RealtimeAPIEvent]] = MappingProxyType(_by_wire_type())
