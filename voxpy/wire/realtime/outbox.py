"""Frames waiting to be sent, each with an id of its own."""

from __future__ import annotations

from collections.abc import Callable

from voxpy.wire.realtime.codec import encode, encode_audio_delta
from voxpy.wire.realtime.types import ServerEvent

__all__ = ["Outbox"]


class Outbox:
    """Server events in the order they happened. ``new_id("event")`` names them."""

    def __init__(self, new_id: Callable[[str], str]) -> None:
        self._new_id = new_id
        self._frames: list[bytes] = []

    def emit(self, event: ServerEvent) -> None:
        """Queue an event; it is encoded now, so that later changes do not reach it."""
        self._frames.append(encode(event, event_id=self._new_id("event")))

    def emit_audio(self, audio: bytes, *, part: bytes) -> None:
        """Queue an audio delta; ``part`` as for ``encode_audio_delta``."""
        event_id = self._new_id("event")
        self._frames.append(encode_audio_delta(audio, event_id=event_id, part=part))

    def drain(self) -> list[bytes]:
        """Return what is queued and forget it."""
        frames, self._frames = self._frames, []
        return frames
