"""Listening for the beep of an answering machine on a call."""

from __future__ import annotations

from collections.abc import Sequence

from voxpy.call import Call
from voxpy.calls.features import raise_not_supported
from voxpy.engine.session import Session

__all__ = ["Beep"]


class Beep:
    """Implements ``voxpy.engine.callport.BeepDetection``."""

    def __init__(self, session: Session, call: Call, channel: str) -> None:
        self._session = session
        self._call = call
        self._channel = channel

    def enable(self, *, frequencies: Sequence[float] | None, timeout: float | None) -> None:
        """Start listening."""
        raise_not_supported("enable_beep_detection", self._channel)

    def disable(self) -> None:
        """Stop listening."""
        raise_not_supported("disable_beep_detection", self._channel)

    def close(self) -> None:
        """Stop for good: the call is over. Idempotent."""
