"""``XAI``, ``Google`` and ``VoxTTS``: voices of VoxEngine's that cannot be had here, and why."""

from __future__ import annotations

from typing import Any, NoReturn

from voxpy.engine.events import Namespace
from voxpy.errors import NotSupported

__all__ = ["XAI", "Google", "VoxTTS"]

_INSTEAD = (
    "use ElevenLabs, Cartesia or Inworld's create_realtime_tts_player, or VoxEngine."
    "create_tts_player"
)


class XAI(metaclass=Namespace):
    """VoxEngine: XAI module. Its voice agent is ``Grok``."""

    @staticmethod
    def create_realtime_tts_player(*_: Any, **__: Any) -> NoReturn:
        """Raises NotSupported: xAI documents no wire for text that comes piece by piece."""
        raise NotSupported(f"xAI documents no streaming wire of its voices; {_INSTEAD}")


class Google(metaclass=Namespace):
    """VoxEngine: Google module. Its voice agent is ``Gemini``."""

    @staticmethod
    def create_realtime_tts_player(*_: Any, **__: Any) -> NoReturn:
        """Raises NotSupported: Google's streaming voices are had by gRPC alone."""
        raise NotSupported(f"Google's streaming voices speak gRPC, which voxpy has not; {_INSTEAD}")


class VoxTTS(metaclass=Namespace):
    """VoxEngine: VoxTTS module."""

    @staticmethod
    def create_realtime_tts_player(*_: Any, **__: Any) -> NoReturn:
        """Raises NotSupported: these voices are Voximplant's own, inside its platform."""
        raise NotSupported(f"VoxTTS is Voximplant's own and not to be had outside; {_INSTEAD}")
