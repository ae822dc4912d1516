"""The events of OpenAI's text clients: what a stream of theirs consists of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from voxpy.engine.events import event_class
from voxpy.realtime.envelope import (
    ConnectorInformation,
    EventNamespace,
    Field,
    RealtimeAPIEvent,
    Unknown,
    number_in,
    text_in,
)


@event_class
class TextEvent(RealtimeAPIEvent):
    """A piece of the answer; ``data.payload`` is all of it, and these are the commonest fields."""

    delta = Field(text_in)
    text = Field(text_in)
    content = Field(text_in)
    arguments = Field(text_in)
    function_name = Field(text_in, "name")


@event_class
class APIError(RealtimeAPIEvent):
    """The request failed; ``status`` is HTTP's, None if there was no answer."""

    message = Field(text_in)
    status = Field(number_in)


_RESPONSES: Mapping[str, str] = {
    "ResponseCodeInterpreterCallCodeDelta": "response.code_interpreter_call_code.delta",
    "ResponseCodeInterpreterCallCodeDone": "response.code_interpreter_call_code.done",
    "ResponseCodeInterpreterCallCompleted": "response.code_interpreter_call.completed",
    "ResponseCodeInterpreterCallInProgress": "response.code_interpreter_call.in_progress",
    "ResponseCodeInterpreterCallInterpreting": "response.code_interpreter_call.interpreting",
    "ResponseCompleted": "response.completed",
    "ResponseContentPartAdded": "response.content_part.added",
    "ResponseContentPartDone": "response.content_part.done",
    "ResponseCreated": "response.created",
    "ResponseError": "error",
    "ResponseFileSearchCallCompleted": "response.file_search_call.completed",
    "ResponseFileSearchCallInProgress": "response.file_search_call.in_progress",
    "ResponseFileSearchCallSearching": "response.file_search_call.searching",
    "ResponseFunctionCallArgumentsDelta": "response.function_call_arguments.delta",
    "ResponseFunctionCallArgumentsDone": "response.function_call_arguments.done",
    "ResponseInProgress": "response.in_progress",
    "ResponseFailed": "response.failed",
    "ResponseIncomplete": "response.incomplete",
    "ResponseOutputItemAdded": "response.output_item.added",
    "ResponseOutputItemDone": "response.output_item.done",
    "ResponseReasoningSummaryPartAdded": "response.reasoning_summary_part.added",
    "ResponseReasoningSummaryPartDone": "response.reasoning_summary_part.done",
    "ResponseReasoningSummaryTextDelta": "response.reasoning_summary_text.delta",
    "ResponseReasoningSummaryTextDone": "response.reasoning_summary_text.done",
    "ResponseReasoningTextDelta": "response.reasoning_text.delta",
    "ResponseReasoningTextDone": "response.reasoning_text.done",
    "ResponseRefusalDelta": "response.refusal.delta",
    "ResponseRefusalDone": "response.refusal.done",
    "ResponseTextDelta": "response.output_text.delta",
    "ResponseTextDone": "response.output_text.done",
    "ResponseWebSearchCallCompleted": "response.web_search_call.completed",
    "ResponseWebSearchCallInProgress": "response.web_search_call.in_progress",
    "ResponseWebSearchCallSearching": "response.web_search_call.searching",
    "ResponseImageGenCallCompleted": "response.image_generation_call.completed",
    "ResponseImageGenCallGenerating": "response.image_generation_call.generating",
    "ResponseImageGenCallInProgress": "response.image_generation_call.in_progress",
    "ResponseImageGenCallPartialImage": "response.image_generation_call.partial_image",
    "ResponseMCPCallArgumentsDelta": "response.mcp_call_arguments.delta",
    "ResponseMCPCallArgumentsDone": "response.mcp_call_arguments.done",
    "ResponseMCPCallCompleted": "response.mcp_call.completed",
    "ResponseMCPCallFailed": "response.mcp_call.failed",
    "ResponseMCPCallInProgress": "response.mcp_call.in_progress",
    "ResponseMCPListToolsCompleted": "response.mcp_list_tools.completed",
    "ResponseMCPListToolsFailed": "response.mcp_list_tools.failed",
    "ResponseMCPListToolsInProgress": "response.mcp_list_tools.in_progress",
    "ResponseOutputTextAnnotationAdded": "response.output_text.annotation.added",
    "ResponseQueued": "response.queued",
    "ResponseCustomToolCallInputDelta": "response.custom_tool_call_input.delta",
    "ResponseCustomToolCallInputDone": "response.custom_tool_call_input.done",
}


class ResponsesAPIEvents(
    metaclass=EventNamespace, prefix="OpenAI.ResponsesAPI", wire_types=_RESPONSES
):
    """Events of the responses client (VoxEngine: OpenAI.ResponsesAPIEvents)."""

    Unknown: TypeAlias = Unknown
    ResponseCodeInterpreterCallCodeDelta: TypeAlias = TextEvent
    ResponseCodeInterpreterCallCodeDone: TypeAlias = TextEvent
    ResponseCodeInterpreterCallCompleted: TypeAlias = TextEvent
    ResponseCodeInterpreterCallInProgress: TypeAlias = TextEvent
    ResponseCodeInterpreterCallInterpreting: TypeAlias = TextEvent
    ResponseCompleted: TypeAlias = TextEvent
    ResponseContentPartAdded: TypeAlias = TextEvent
    ResponseContentPartDone: TypeAlias = TextEvent
    ResponseCreated: TypeAlias = TextEvent
    ResponseError: TypeAlias = TextEvent
    ResponseFileSearchCallCompleted: TypeAlias = TextEvent
    ResponseFileSearchCallInProgress: TypeAlias = TextEvent
    ResponseFileSearchCallSearching: TypeAlias = TextEvent
    ResponseFunctionCallArgumentsDelta: TypeAlias = TextEvent
    ResponseFunctionCallArgumentsDone: TypeAlias = TextEvent
    ResponseInProgress: TypeAlias = TextEvent
    ResponseFailed: TypeAlias = TextEvent
    ResponseIncomplete: TypeAlias = TextEvent
    ResponseOutputItemAdded: TypeAlias = TextEvent
    ResponseOutputItemDone: TypeAlias = TextEvent
    ResponseReasoningSummaryPartAdded: TypeAlias = TextEvent
    ResponseReasoningSummaryPartDone: TypeAlias = TextEvent
    ResponseReasoningSummaryTextDelta: TypeAlias = TextEvent
    ResponseReasoningSummaryTextDone: TypeAlias = TextEvent
    ResponseReasoningTextDelta: TypeAlias = TextEvent
    ResponseReasoningTextDone: TypeAlias = TextEvent
    ResponseRefusalDelta: TypeAlias = TextEvent
    ResponseRefusalDone: TypeAlias = TextEvent
    ResponseTextDelta: TypeAlias = TextEvent
    ResponseTextDone: TypeAlias = TextEvent
    ResponseWebSearchCallCompleted: TypeAlias = TextEvent
    ResponseWebSearchCallInProgress: TypeAlias = TextEvent
    ResponseWebSearchCallSearching: TypeAlias = TextEvent
    ResponseImageGenCallCompleted: TypeAlias = TextEvent
    ResponseImageGenCallGenerating: TypeAlias = TextEvent
    ResponseImageGenCallInProgress: TypeAlias = TextEvent
    ResponseImageGenCallPartialImage: TypeAlias = TextEvent
    ResponseMCPCallArgumentsDelta: TypeAlias = TextEvent
    ResponseMCPCallArgumentsDone: TypeAlias = TextEvent
    ResponseMCPCallCompleted: TypeAlias = TextEvent
    ResponseMCPCallFailed: TypeAlias = TextEvent
    ResponseMCPCallInProgress: TypeAlias = TextEvent
    ResponseMCPListToolsCompleted: TypeAlias = TextEvent
    ResponseMCPListToolsFailed: TypeAlias = TextEvent
    ResponseMCPListToolsInProgress: TypeAlias = TextEvent
    ResponseOutputTextAnnotationAdded: TypeAlias = TextEvent
    ResponseQueued: TypeAlias = TextEvent
    ResponseCustomToolCallInputDelta: TypeAlias = TextEvent
    ResponseCustomToolCallInputDone: TypeAlias = TextEvent
    ResponsesAPIError: TypeAlias = APIError
    ConnectorInformation: TypeAlias = ConnectorInformation


_CHAT: Mapping[str, str] = {
    "Chunk": "chunk",
    "Content": "content",
    "ContentDelta": "content.delta",
    "ContentDone": "content.done",
    "RefusalDelta": "refusal.delta",
    "RefusalDone": "refusal.done",
    "FunctionToolCallArgumentsDelta": "tool_calls.function.arguments.delta",
    "FunctionToolCallArgumentsDone": "tool_calls.function.arguments.done",
    "LogProbsContentDelta": "logprobs.content.delta",
    "LogProbsContentDone": "logprobs.content.done",
    "LogProbsRefusalDelta": "logprobs.refusal.delta",
    "LogProbsRefusalDone": "logprobs.refusal.done",
}


class ChatCompletionsAPIEvents(
    metaclass=EventNamespace, prefix="OpenAI.ChatCompletionsAPI", wire_types=_CHAT
):
    """Events of the chat client (VoxEngine: OpenAI.ChatCompletionsAPIEvents).

    Those below ``Chunk`` are the pieces put together, as OpenAI's client for Python has them.
    """

    Unknown: TypeAlias = Unknown
    Chunk: TypeAlias = TextEvent
    Content: TypeAlias = TextEvent
    ContentDelta: TypeAlias = TextEvent
    ContentDone: TypeAlias = TextEvent
    RefusalDelta: TypeAlias = TextEvent
    RefusalDone: TypeAlias = TextEvent
    FunctionToolCallArgumentsDelta: TypeAlias = TextEvent
    FunctionToolCallArgumentsDone: TypeAlias = TextEvent
    LogProbsContentDelta: TypeAlias = TextEvent
    LogProbsContentDone: TypeAlias = TextEvent
    LogProbsRefusalDelta: TypeAlias = TextEvent
    LogProbsRefusalDone: TypeAlias = TextEvent
    ChatCompletionsAPIError: TypeAlias = APIError
    ConnectorInformation: TypeAlias = ConnectorInformation
