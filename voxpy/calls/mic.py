"""Whether the far end of a call speaks, as ``CallEvents.MicStatusChange``."""

from __future__ import annotations

from voxpy.call import Call
from voxpy.calls.features import raise_not_supported
from voxpy.engine.session import Session

__all__ = ["Mic"]


class Mic:
    """Implements ``voxpy.engine.callport.MicStatus``."""

    def __init__(self, session: Session, call: Call, channel: str) -> None:
        self._session = session
        self._call = call
        self._channel = channel

    @property
    def enabled(self) -> bool:
        """Whether voice activity is reported."""
        return False

    def handle(self, enable: bool) -> None:
        """Start or stop reporting."""
        raise_not_supported("handle_mic_status", self._channel)

    def close(self) -> None:
        """Stop for good: the call is over. Idempotent."""
