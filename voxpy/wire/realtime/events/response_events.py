"""Events a server sends about responses, MCP calls and Inworld's back-channel.

Field types are the wire's: audio is base64 text. What one of the services leaves out defaults to
None, and None is not sent.
"""

# No "from __future__ import annotations" here: the codec reads the field types of these classes.
from typing import ClassVar

from voxpy.wire.realtime.events.types import (
    Item,
    JsonObject,
    Part,
    Response,
    ServerEvent,
    wire_event,
)

__all__ = [
    "McpListToolsCompleted",
    "McpListToolsFailed",
    "McpListToolsInProgress",
    "ResponseBackchannelAudioDelta",
    "ResponseBackchannelAudioDone",
    "ResponseBackchannelSkipped",
    "ResponseContentPartAdded",
    "ResponseContentPartDone",
    "ResponseCreated",
    "ResponseDone",
    "ResponseFunctionCallArgumentsDelta",
    "ResponseFunctionCallArgumentsDone",
    "ResponseMcpCallArgumentsDelta",
    "ResponseMcpCallArgumentsDone",
    "ResponseMcpCallCompleted",
    "ResponseMcpCallFailed",
    "ResponseMcpCallInProgress",
    "ResponseOutputAudioDelta",
    "ResponseOutputAudioDone",
    "ResponseOutputAudioTranscriptDelta",
    "ResponseOutputAudioTranscriptDone",
    "ResponseOutputItemAdded",
    "ResponseOutputItemDone",
    "ResponseOutputTextDelta",
    "ResponseOutputTextDone",
]


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
