"""``OpenAI``: realtime sessions, and text by chat completions and responses.

VoxEngine: OpenAI module.
"""

from __future__ import annotations

from typing import TypeAlias

from voxpy.engine.events import Namespace
from voxpy.openai import realtime, text, text_events
from voxpy.realtime import client, session, tools

__all__ = ["OpenAI"]


class OpenAI(metaclass=Namespace):
    """The OpenAI module; also what ``require(Modules.OpenAI)`` returns."""

    Beta: TypeAlias = realtime.Beta
    ChatCompletionsAPIClient: TypeAlias = text.ChatCompletionsAPIClient
    ChatCompletionsAPIEvents: TypeAlias = text_events.ChatCompletionsAPIEvents
    Events: TypeAlias = realtime.Events
    RealtimeAPIClient: TypeAlias = client.RealtimeAPIClient
    RealtimeAPIClientType: TypeAlias = realtime.RealtimeAPIClientType
    RealtimeAPIEvents: TypeAlias = realtime.RealtimeAPIEvents
    ResponsesAPIClient: TypeAlias = text.ResponsesAPIClient
    ResponsesAPIEvents: TypeAlias = text_events.ResponsesAPIEvents
    SessionParameters: TypeAlias = session.SessionParameters
    Silent: TypeAlias = tools.Silent
    ToolSet: TypeAlias = tools.ToolSet
    create_chat_completions_api_client = staticmethod(text.create_chat_completions_api_client)
    create_responses_api_client = staticmethod(text.create_responses_api_client)
    create_realtime_api_client = staticmethod(realtime.create_realtime_api_client)
