"""``ElevenLabs``: agents, and speech from text as it comes (VoxEngine: ElevenLabs module)."""

from __future__ import annotations

from typing import TypeAlias

from voxpy.elevenlabs import agents, tts
from voxpy.engine.events import Namespace
from voxpy.realtime import tools

__all__ = ["ElevenLabs"]


class ElevenLabs(metaclass=Namespace):
    """The ElevenLabs module; also what ``require(Modules.ElevenLabs)`` returns."""

    AgentsClient: TypeAlias = agents.AgentsClient
    AgentsEvents: TypeAlias = agents.AgentsEvents
    Events: TypeAlias = agents.Events
    RealtimeTTSPlayer: TypeAlias = tts.RealtimeTTSPlayer
    Silent: TypeAlias = tools.Silent
    ToolSet: TypeAlias = tools.ToolSet
    create_realtime_tts_player = staticmethod(tts.create_realtime_tts_player)
    create_agents_client = staticmethod(agents.create_agents_client)
