"""The events of the Realtime protocol, once for all services that speak it: see ``envelope``."""

from __future__ import annotations

from typing import Any

from voxpy.engine.events import event_class
from voxpy.realtime.envelope import ConnectorInformation as ConnectorInformation
from voxpy.realtime.envelope import (
    Field,
    RealtimeAPIEvent,
    number_in,
    object_in,
    text_in,
)
from voxpy.realtime.envelope import HTTPResponse as HTTPResponse
from voxpy.realtime.envelope import Unknown as Unknown
from voxpy.realtime.envelope import WebSocketError as WebSocketError


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
        return text_in(self.error, "message") or text_in(self.data.payload, "message")

    @property
    def code(self) -> str:
        """The machine-readable code, such as ``invalid_value``; some services leave it empty."""
        return text_in(self.error, "code")


@event_class
class SessionCreated(RealtimeAPIEvent):
    """The session exists, with the service's defaults: time for ``session_update``."""

    wire_type = "session.created"
    session = Field(object_in)


@event_class
class SessionUpdated(RealtimeAPIEvent):
    """The session has changed; also sent unasked, after every memory cycle."""

    wire_type = "session.updated"
    session = Field(object_in)


@event_class
class ConversationCreated(RealtimeAPIEvent):
    """The conversation exists; of some services the first event of all."""

    wire_type = "conversation.created"
    conversation = Field(object_in)


@event_class
class ConversationItemCreated(RealtimeAPIEvent):
    """An item entered the conversation (the beta's name for ``ConversationItemAdded``)."""

    wire_type = "conversation.item.created"
    item = Field(object_in)


@event_class
class ConversationItemAdded(RealtimeAPIEvent):
    """An item entered the conversation; an answer's item is still empty."""

    wire_type = "conversation.item.added"
    item = Field(object_in)


@event_class
class ConversationItemDone(RealtimeAPIEvent):
    """An item is complete."""

    wire_type = "conversation.item.done"
    item = Field(object_in)


@event_class
class ConversationItemDeleted(RealtimeAPIEvent):
    """An item is gone."""

    wire_type = "conversation.item.deleted"
    item_id = Field(text_in)


@event_class
class ConversationItemRetrieved(RealtimeAPIEvent):
    """The answer to ``conversation_item_retrieve``."""

    wire_type = "conversation.item.retrieved"
    item = Field(object_in)


@event_class
class ConversationItemTruncated(RealtimeAPIEvent):
    """An item was cut at what had been heard."""

    wire_type = "conversation.item.truncated"
    item_id = Field(text_in)
    audio_end_ms = Field(number_in)


@event_class
class ConversationItemInputAudioTranscriptionDelta(RealtimeAPIEvent):
    """What the caller is saying; of some services all of it so far."""

    wire_type = "conversation.item.input_audio_transcription.delta"
    item_id = Field(text_in)
    delta = Field(text_in)


@event_class
class ConversationItemInputAudioTranscriptionCompleted(RealtimeAPIEvent):
    """What the caller said; may be empty, and may come twice with a correction."""

    wire_type = "conversation.item.input_audio_transcription.completed"
    item_id = Field(text_in)
    transcript = Field(text_in)


@event_class
class ConversationItemInputAudioTranscriptionSegment(RealtimeAPIEvent):
    """A stretch of what one speaker said, with its times in seconds."""

    wire_type = "conversation.item.input_audio_transcription.segment"
    item_id = Field(text_in)
    text = Field(text_in)
    speaker = Field(text_in)
    start = Field(number_in)
    end = Field(number_in)


@event_class
class ConversationItemInputAudioTranscriptionFailed(RealtimeAPIEvent):
    """What the caller said could not be recognised; ``error`` says why."""

    wire_type = "conversation.item.input_audio_transcription.failed"
    item_id = Field(text_in)
    error = Field(object_in)


@event_class
class ResponseCreated(RealtimeAPIEvent):
    """The agent begins to answer."""

    wire_type = "response.created"
    response = Field(object_in)


@event_class
class ResponseDone(RealtimeAPIEvent):
    """The answer is over; ``response["status"]`` says how."""

    wire_type = "response.done"
    response = Field(object_in)


@event_class
class ResponseOutputItemAdded(RealtimeAPIEvent):
    """The answer has a new item."""

    wire_type = "response.output_item.added"
    response_id = Field(text_in)
    item = Field(object_in)


@event_class
class ResponseOutputItemDone(RealtimeAPIEvent):
    """An item of the answer is complete; names the function of a call."""

    wire_type = "response.output_item.done"
    response_id = Field(text_in)
    item = Field(object_in)


@event_class
class ResponseContentPartAdded(RealtimeAPIEvent):
    """An item of the answer has a new part."""

    wire_type = "response.content_part.added"
    response_id = Field(text_in)
    item_id = Field(text_in)
    part = Field(object_in)


@event_class
class ResponseContentPartDone(RealtimeAPIEvent):
    """A part of the answer is complete."""

    wire_type = "response.content_part.done"
    response_id = Field(text_in)
    item_id = Field(text_in)
    part = Field(object_in)


@event_class
class ResponseOutputTextDelta(RealtimeAPIEvent):
    """More text of an answer in writing."""

    wire_type = "response.output_text.delta"
    response_id = Field(text_in)
    item_id = Field(text_in)
    delta = Field(text_in)


@event_class
class ResponseOutputTextDone(RealtimeAPIEvent):
    """The whole text of an answer in writing."""

    wire_type = "response.output_text.done"
    response_id = Field(text_in)
    item_id = Field(text_in)
    text = Field(text_in)


@event_class
class ResponseOutputAudioDone(RealtimeAPIEvent):
    """All audio of a part is sent, which is before it has been heard."""

    wire_type = "response.output_audio.done"
    response_id = Field(text_in)
    item_id = Field(text_in)


@event_class
class ResponseOutputAudioTranscriptDelta(RealtimeAPIEvent):
    """More of what the agent says, ahead of the sound."""

    wire_type = "response.output_audio_transcript.delta"
    response_id = Field(text_in)
    item_id = Field(text_in)
    delta = Field(text_in)


@event_class
class ResponseOutputAudioTranscriptDone(RealtimeAPIEvent):
    """All that the agent says in this part, heard or not."""

    wire_type = "response.output_audio_transcript.done"
    response_id = Field(text_in)
    item_id = Field(text_in)
    transcript = Field(text_in)


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
    response_id = Field(text_in)
    item_id = Field(text_in)
    call_id = Field(text_in)
    delta = Field(text_in)


@event_class
class ResponseFunctionCallArgumentsDone(RealtimeAPIEvent):
    """A function call is complete; ``arguments`` is JSON text.

    ``function_name`` may be empty: some services name the function in the item only.
    """

    wire_type = "response.function_call_arguments.done"
    response_id = Field(text_in)
    item_id = Field(text_in)
    call_id = Field(text_in)
    arguments = Field(text_in)
    function_name = Field(text_in, "name")


@event_class
class ResponseMCPCallArgumentsDelta(RealtimeAPIEvent):
    """More of the arguments of a call that the service makes to an MCP server."""

    wire_type = "response.mcp_call_arguments.delta"
    item_id = Field(text_in)
    delta = Field(text_in)


@event_class
class ResponseMCPCallArgumentsDone(RealtimeAPIEvent):
    """All arguments of such a call; JSON text."""

    wire_type = "response.mcp_call_arguments.done"
    item_id = Field(text_in)
    arguments = Field(text_in)


@event_class
class ResponseMCPCallInProgress(RealtimeAPIEvent):
    """The service calls a tool of an MCP server."""

    wire_type = "response.mcp_call.in_progress"
    item_id = Field(text_in)


@event_class
class ResponseMCPCallCompleted(RealtimeAPIEvent):
    """The MCP server has answered."""

    wire_type = "response.mcp_call.completed"
    item_id = Field(text_in)


@event_class
class ResponseMCPCallFailed(RealtimeAPIEvent):
    """The call to the MCP server failed."""

    wire_type = "response.mcp_call.failed"
    item_id = Field(text_in)


@event_class
class MCPListToolsInProgress(RealtimeAPIEvent):
    """The service asks an MCP server for its tools."""

    wire_type = "mcp_list_tools.in_progress"
    item_id = Field(text_in)


@event_class
class MCPListToolsCompleted(RealtimeAPIEvent):
    """The MCP server has told its tools."""

    wire_type = "mcp_list_tools.completed"
    item_id = Field(text_in)


@event_class
class MCPListToolsFailed(RealtimeAPIEvent):
    """The MCP server did not tell its tools."""

    wire_type = "mcp_list_tools.failed"
    item_id = Field(text_in)


@event_class
class InputAudioBufferDTMFEventReceived(RealtimeAPIEvent):
    """The service heard a key of the phone; ``event`` is the key."""

    wire_type = "input_audio_buffer.dtmf_event_received"
    event = Field(text_in)


@event_class
class InputAudioBufferSpeechStarted(RealtimeAPIEvent):
    """The caller begins to speak: time to stop the agent."""

    wire_type = "input_audio_buffer.speech_started"
    item_id = Field(text_in)
    audio_start_ms = Field(number_in)


@event_class
class InputAudioBufferSpeechStopped(RealtimeAPIEvent):
    """The caller has stopped speaking."""

    wire_type = "input_audio_buffer.speech_stopped"
    item_id = Field(text_in)
    audio_end_ms = Field(number_in)


@event_class
class InputAudioBufferCommitted(RealtimeAPIEvent):
    """What the caller said has become an item."""

    wire_type = "input_audio_buffer.committed"
    item_id = Field(text_in)


@event_class
class InputAudioBufferCleared(RealtimeAPIEvent):
    """The answer to ``input_audio_buffer_clear``."""

    wire_type = "input_audio_buffer.cleared"


@event_class
class InputAudioBufferTimeoutTriggered(RealtimeAPIEvent):
    """The caller has been silent for the session's ``idle_timeout_ms``."""

    wire_type = "input_audio_buffer.timeout_triggered"
    item_id = Field(text_in)
    audio_start_ms = Field(number_in)
    audio_end_ms = Field(number_in)


@event_class
class OutputAudioBufferStarted(RealtimeAPIEvent):
    """The agent's audio begins. ``response_id`` may be empty."""

    wire_type = "output_audio_buffer.started"
    response_id = Field(text_in)


@event_class
class OutputAudioBufferStopped(RealtimeAPIEvent):
    """The agent's audio is all sent. ``response_id`` may be empty."""

    wire_type = "output_audio_buffer.stopped"
    response_id = Field(text_in)


@event_class
class OutputAudioBufferCleared(RealtimeAPIEvent):
    """Audio was thrown away, by request or because the caller spoke."""

    wire_type = "output_audio_buffer.cleared"
    response_id = Field(text_in)


@event_class
class RateLimitsUpdated(RealtimeAPIEvent):
    """What is left of the account's quota, in ``data.payload["rate_limits"]``."""

    wire_type = "rate_limits.updated"
