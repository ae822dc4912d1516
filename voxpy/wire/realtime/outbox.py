"""Frames waiting to be sent, each with an id of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import orjson

from voxpy.wire.realtime.events.codec import LEGACY_NAMES, encode, encode_audio_delta
from voxpy.wire.realtime.events.types import ServerEvent

__all__ = ["Outbox"]

_BETA_NAMES = {cls.type.encode(): name.encode() for name, cls in LEGACY_NAMES.items()}


class Outbox:
    """Server events in the order they happened. ``new_id("event")`` names them.

    With ``legacy_names`` those that had another name in the beta are sent under it.
    """

    def __init__(self, new_id: Callable[[str], str], *, legacy_names: bool = False) -> None:
        self._new_id = new_id
        self._legacy_names = legacy_names
        self._frames: list[bytes] = []

    def emit(self, event: ServerEvent) -> None:
        """Queue an event; it is encoded now, so that later changes do not reach it."""
        self._queue(encode(event, event_id=self._new_id("event")))

    def emit_audio(self, audio: bytes, *, part: bytes) -> None:
        """Queue an audio delta; ``part`` as for ``encode_audio_delta``."""
        event_id = self._new_id("event")
        self._queue(encode_audio_delta(audio, event_id=event_id, part=part))

    def emit_bare(self, fields: Mapping[str, str]) -> None:
        """Queue an object that is no event: without type or id."""
        self._frames.append(orjson.dumps(fields))

    def drain(self) -> list[bytes]:
        """Return what is queued and forget it."""
        frames, self._frames = self._frames, []
        return frames

    def _queue(self, frame: bytes) -> None:
        self._frames.append(_in_beta_spelling(frame) if self._legacy_names else frame)


def _in_beta_spelling(frame: bytes) -> bytes:
    quote, name, rest = frame.split(b'"', 4)[2:]  # a frame begins {"type":"name"
    return b'{"type"%b"%b"%b' % (quote, _BETA_NAMES.get(name, name), rest)
