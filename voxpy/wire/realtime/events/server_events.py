"""Every event a server sends: OpenAI's GA set and Inworld's own.

A new event is one class here and nothing else: the table at the end, the codec, the tests' round
trip and the inputs of the fuzzer are made of the classes. Field types are the wire's: milliseconds
are numbers, audio is base64 text. What one of the services leaves out defaults to None, and None is
not sent; see ``extra`` of WireEvent for null.
"""

# No "from __future__ import annotations" here: the codec reads the field types of these classes.
from typing import ClassVar

import attrs

from voxpy.wire.realtime.events.types import (
    Error,
    Item,
    JsonObject,
    JsonObjects,
    Part,
    Response,
    ServerEvent,
    events_among,
    wire_event,
)

# -- the session -----------------------------------------------------------------------------------


@wire_event
class SessionCreated(ServerEvent):
    """First event of a connection: the session as it starts."""

    type: ClassVar[str] = "session.created"
    session: JsonObject


@wire_event
class SessionUpdated(ServerEvent):
    """The whole effective session.

    Answers ``session.update``; Inworld also sends it unasked, after each memory cycle.
    """

    type: ClassVar[str] = "session.updated"
    session: JsonObject


@wire_event
class ConversationCreated(ServerEvent):
    """The default conversation exists. GA sends it; Inworld is not confirmed to."""

    type: ClassVar[str] = "conversation.created"
    conversation: JsonObject


@wire_event
class Ping(ServerEvent):
    """Inworld's keepalive; needs no answer. ``timestamp`` is milliseconds of Unix time."""

    type: ClassVar[str] = "ping"
    timestamp: float | None = None


@wire_event
class ErrorEvent(ServerEvent):
    """Something failed. Most errors leave the session open."""

    type: ClassVar[str] = "error"
    error: Error


@wire_event
class RateLimitsUpdated(ServerEvent):
    """What is left of the account's limits, one object per limit."""

    type: ClassVar[str] = "rate_limits.updated"
    rate_limits: JsonObjects


# -- the audio buffers -----------------------------------------------------------------------------


@wire_event
class InputAudioBufferSpeechStarted(ServerEvent):
    """The caller began to speak; ``item_id`` is that of the coming user item.

    ``audio_start_ms`` counts all audio ever appended and includes the prefix padding.
    """

    type: ClassVar[str] = "input_audio_buffer.speech_started"
    item_id: str
    audio_start_ms: float | None = None


@wire_event
class InputAudioBufferSpeechStopped(ServerEvent):
    """The caller stopped; ``audio_end_ms`` counts all audio ever appended."""

    type: ClassVar[str] = "input_audio_buffer.speech_stopped"
    item_id: str
    audio_end_ms: float | None = None


@wire_event
class InputAudioBufferCommitted(ServerEvent):
    """The audio became a user item, by the client's commit or by turn detection."""

    type: ClassVar[str] = "input_audio_buffer.committed"
    item_id: str
    previous_item_id: str | None = None


@wire_event
class InputAudioBufferCleared(ServerEvent):
    """The audio that was not committed is gone."""

    type: ClassVar[str] = "input_audio_buffer.cleared"


@wire_event
class InputAudioBufferTimeoutTriggered(ServerEvent):
    """Nobody spoke for the idle timeout of ``server_vad``."""

    type: ClassVar[str] = "input_audio_buffer.timeout_triggered"
    item_id: str
    audio_start_ms: float | None = None
    audio_end_ms: float | None = None


@wire_event
class InputAudioBufferTurnSuggestion(ServerEvent):
    """Inworld: the turn may be over, with this ``probability`` (0 to 1). A hint only."""

    type: ClassVar[str] = "input_audio_buffer.turn_suggestion"
    item_id: str
    utterance_index: int | None = None
    probability: float | None = None
    trailing_silence_ms: float | None = None
    audio_duration_ms: float | None = None
    inference_ms: float | None = None


@wire_event
class InputAudioBufferTurnSuggestionRevoked(ServerEvent):
    """Inworld: the caller went on speaking; the earlier hint no longer holds."""

    type: ClassVar[str] = "input_audio_buffer.turn_suggestion_revoked"
    item_id: str
    utterance_index: int | None = None


@wire_event
class OutputAudioBufferStarted(ServerEvent):
    """The first audio of a response is out. Inworld gives no ``response_id``."""

    type: ClassVar[str] = "output_audio_buffer.started"
    response_id: str | None = None


@wire_event
class OutputAudioBufferStopped(ServerEvent):
    """The last audio of a response is out. Inworld gives no ``response_id``."""

    type: ClassVar[str] = "output_audio_buffer.stopped"
    response_id: str | None = None


@wire_event
class OutputAudioBufferCleared(ServerEvent):
    """Audio not out yet was dropped. Inworld gives no ``response_id``."""

    type: ClassVar[str] = "output_audio_buffer.cleared"
    response_id: str | None = None


# -- items -----------------------------------------------------------------------------------------


@wire_event
class ConversationItemAdded(ServerEvent):
    """An item entered the conversation; one the model makes is still empty.

    Inworld sends ``previous_item_id`` null for function calls: do not order by it.
    """

    type: ClassVar[str] = "conversation.item.added"
    item: Item
    previous_item_id: str | None = None


@wire_event
class ConversationItemDone(ServerEvent):
    """An item is final, without its audio."""

    type: ClassVar[str] = "conversation.item.done"
    item: Item
    previous_item_id: str | None = None


@wire_event
class ConversationItemDeleted(ServerEvent):
    """An item is gone."""

    type: ClassVar[str] = "conversation.item.deleted"
    item_id: str


@wire_event
class ConversationItemTruncated(ServerEvent):
    """The audio of an assistant item was cut after ``audio_end_ms``."""

    type: ClassVar[str] = "conversation.item.truncated"
    item_id: str
    content_index: int | None = None
    audio_end_ms: float | None = None


@wire_event
class ConversationItemRetrieved(ServerEvent):
    """The item that was asked for."""

    type: ClassVar[str] = "conversation.item.retrieved"
    item: Item


@wire_event
class ConversationItemInputAudioTranscriptionDelta(ServerEvent):
    """Part of what the caller says, while he says it.

    GA adds pieces; Inworld usually sends the whole text so far, again and again.
    """

    type: ClassVar[str] = "conversation.item.input_audio_transcription.delta"
    item_id: str
    content_index: int | None = None
    delta: str | None = None
    logprobs: JsonObjects | None = None


@wire_event
class ConversationItemInputAudioTranscriptionCompleted(ServerEvent):
    """What the caller said; may be empty. ``provider_data`` may hold Inworld's voice profile."""

    type: ClassVar[str] = "conversation.item.input_audio_transcription.completed"
    item_id: str
    content_index: int | None = None
    transcript: str
    usage: JsonObject | None = None
    logprobs: JsonObjects | None = None
    provider_data: JsonObject | None = attrs.field(default=None, metadata={"wire": "providerData"})


@wire_event
class ConversationItemInputAudioTranscriptionFailed(ServerEvent):
    """The caller's words could not be recognised."""

    type: ClassVar[str] = "conversation.item.input_audio_transcription.failed"
    item_id: str
    content_index: int | None = None
    error: Error


@wire_event
class ConversationItemInputAudioTranscriptionSegment(ServerEvent):
    """GA diarisation: one speaker's words from ``start`` to ``end`` seconds."""

    type: ClassVar[str] = "conversation.item.input_audio_transcription.segment"
    item_id: str
    content_index: int | None = None
    id: str | None = None
    start: float | None = None
    end: float | None = None
    speaker: str | None = None
    text: str


# -- responses -------------------------------------------------------------------------------------


@wire_event
class ResponseCreated(ServerEvent):
    """A response began."""

    type: ClassVar[str] = "response.created"
    response: Response


@wire_event
class ResponseDone(ServerEvent):
    """A response ended, well or not: see ``status`` and ``status_details``. Always sent."""

    type: ClassVar[str] = "response.done"
    response: Response
    usage: JsonObject | None = None


@wire_event
class ResponseOutputItemAdded(ServerEvent):
    """A response began an item: a message or a function call."""

    type: ClassVar[str] = "response.output_item.added"
    response_id: str
    output_index: int | None = None
    item: Item


@wire_event
class ResponseOutputItemDone(ServerEvent):
    """An item of a response is final."""

    type: ClassVar[str] = "response.output_item.done"
    response_id: str
    output_index: int | None = None
    item: Item


@wire_event
class _OfPart(ServerEvent):
    """Where in a response the event belongs."""

    response_id: str
    item_id: str
    output_index: int | None = None
    content_index: int | None = None


@wire_event
class ResponseContentPartAdded(_OfPart):
    """A message began a part."""

    type: ClassVar[str] = "response.content_part.added"
    part: Part


@wire_event
class ResponseContentPartDone(_OfPart):
    """A part of a message is final."""

    type: ClassVar[str] = "response.content_part.done"
    part: Part


@wire_event
class ResponseOutputAudioDelta(_OfPart):
    """Agent audio, base64 in the session's output format, sent faster than it plays."""

    type: ClassVar[str] = "response.output_audio.delta"
    delta: str


@wire_event
class ResponseOutputAudioDone(_OfPart):
    """No more audio for this part."""

    type: ClassVar[str] = "response.output_audio.done"


@wire_event
class ResponseOutputAudioTranscriptDelta(_OfPart):
    """More words of what the audio says."""

    type: ClassVar[str] = "response.output_audio_transcript.delta"
    delta: str


@wire_event
class ResponseOutputAudioTranscriptDone(_OfPart):
    """All words of what the audio says."""

    type: ClassVar[str] = "response.output_audio_transcript.done"
    transcript: str | None = None


@wire_event
class ResponseOutputTextDelta(_OfPart):
    """More text. Inworld sends it next to the transcript when both modalities are on."""

    type: ClassVar[str] = "response.output_text.delta"
    delta: str


@wire_event
class ResponseOutputTextDone(_OfPart):
    """All of the text."""

    type: ClassVar[str] = "response.output_text.done"
    text: str | None = None


@wire_event
class _OfCall(ServerEvent):
    """Which function call the event belongs to."""

    response_id: str
    item_id: str
    output_index: int | None = None
    call_id: str | None = None


@wire_event
class ResponseFunctionCallArgumentsDelta(_OfCall):
    """More of a call's arguments, which are JSON text."""

    type: ClassVar[str] = "response.function_call_arguments.delta"
    delta: str


@wire_event
class ResponseFunctionCallArgumentsDone(_OfCall):
    """All arguments of a call. Inworld may omit ``name``: the function_call item has it."""

    type: ClassVar[str] = "response.function_call_arguments.done"
    arguments: str
    name: str | None = None


# -- MCP -------------------------------------------------------------------------------------------


@wire_event
class _OfMcpCall(ServerEvent):
    """Which MCP call the event belongs to."""

    item_id: str
    response_id: str | None = None
    output_index: int | None = None


@wire_event
class ResponseMcpCallArgumentsDelta(_OfMcpCall):
    """GA: more of the arguments of a call to an MCP server."""

    type: ClassVar[str] = "response.mcp_call_arguments.delta"
    delta: str


@wire_event
class ResponseMcpCallArgumentsDone(_OfMcpCall):
    """GA: all arguments of a call to an MCP server."""

    type: ClassVar[str] = "response.mcp_call_arguments.done"
    arguments: str | None = None


@wire_event
class ResponseMcpCallInProgress(_OfMcpCall):
    """GA: the MCP server was called."""

    type: ClassVar[str] = "response.mcp_call.in_progress"


@wire_event
class ResponseMcpCallCompleted(_OfMcpCall):
    """GA: the MCP server answered."""

    type: ClassVar[str] = "response.mcp_call.completed"


@wire_event
class ResponseMcpCallFailed(_OfMcpCall):
    """GA: the MCP server did not answer."""

    type: ClassVar[str] = "response.mcp_call.failed"


@wire_event
class McpListToolsInProgress(ServerEvent):
    """GA: an MCP server is being asked for its tools."""

    type: ClassVar[str] = "mcp_list_tools.in_progress"
    item_id: str


@wire_event
class McpListToolsCompleted(ServerEvent):
    """GA: an MCP server named its tools."""

    type: ClassVar[str] = "mcp_list_tools.completed"
    item_id: str


@wire_event
class McpListToolsFailed(ServerEvent):
    """GA: an MCP server did not name its tools."""

    type: ClassVar[str] = "mcp_list_tools.failed"
    item_id: str


# -- Inworld's back-channel ------------------------------------------------------------------------


@wire_event
class ResponseBackchannelAudioDelta(ServerEvent):
    """Inworld: audio of an "uh-huh" while the caller speaks; belongs to no response."""

    type: ClassVar[str] = "response.backchannel.audio.delta"
    backchannel_id: str | None = None
    delta: str


@wire_event
class ResponseBackchannelAudioDone(ServerEvent):
    """Inworld: the back-channel is complete, it said ``phrase``."""

    type: ClassVar[str] = "response.backchannel.audio.done"
    backchannel_id: str | None = None
    phrase: str | None = None


@wire_event
class ResponseBackchannelSkipped(ServerEvent):
    """Inworld: no back-channel after all (``deadline_missed``, ``min_gap_not_elapsed`` …)."""

    type: ClassVar[str] = "response.backchannel.skipped"
    backchannel_id: str | None = None
    reason: str | None = None


SERVER_EVENTS = events_among(globals(), ServerEvent)
"""The class of every server event, by its name on the wire."""
