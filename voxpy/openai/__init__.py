"""``OpenAI``: realtime sessions, and text by chat completions and responses.

VoxEngine: OpenAI module.
"""

from __future__ import annotations

from typing import TypeAlias

from voxpy.engine.events import Namespace
from voxpy.openai import realtime
from voxpy.realtime import client, session, tools

__all__ = ["OpenAI"]


class OpenAI(metaclass=Namespace):
    """The OpenAI module; also what ``require(Modules.OpenAI)`` returns."""

    Beta: TypeAlias = realtime.Beta
    Events: TypeAlias = realtime.Events
    RealtimeAPIClient: TypeAlias = client.RealtimeAPIClient
    RealtimeAPIClientType: TypeAlias = realtime.RealtimeAPIClientType
    RealtimeAPIEvents: TypeAlias = realtime.RealtimeAPIEvents
    SessionParameters: TypeAlias = session.SessionParameters
    Silent: TypeAlias = tools.Silent
    ToolSet: TypeAlias = tools.ToolSet
    create_realtime_api_client = staticmethod(realtime.create_realtime_api_client)
