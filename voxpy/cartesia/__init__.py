"""``Cartesia``: agents, and speech from text as it comes (VoxEngine: Cartesia module)."""

from __future__ import annotations

from typing import TypeAlias

from voxpy.cartesia import agents, tts
from voxpy.engine.events import Namespace

__all__ = ["Cartesia"]


class Cartesia(metaclass=Namespace):
    """The Cartesia module; also what ``require(Modules.Cartesia)`` returns."""

    AgentsClient: TypeAlias = agents.AgentsClient
    AgentsEvents: TypeAlias = agents.AgentsEvents
    Events: TypeAlias = agents.Events
    RealtimeTTSPlayer: TypeAlias = tts.RealtimeTTSPlayer
    create_realtime_tts_player = staticmethod(tts.create_realtime_tts_player)
    create_agents_client = staticmethod(agents.create_agents_client)
