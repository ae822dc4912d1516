"""What a provider's media stream tells us, the same for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from voxpy.audio.frame import Format

__all__ = [
    "Audio",
    "Dtmf",
    "Flow",
    "MarkPlayed",
    "Problem",
    "Start",
    "Stop",
    "StreamEvent",
    "Unknown",
]


@attrs.frozen
class StreamEvent:
    """Something came from the provider."""


@attrs.frozen(kw_only=True)
class Start(StreamEvent):
    """The stream has begun; ``format`` holds for both directions.

    ``caller`` and ``callee`` are empty where neither the protocol nor the parameters name them.
    """

    call_id: str
    stream_id: str
    caller: str
    callee: str
    parameters: Mapping[str, str]
    format: Format


@attrs.frozen
class Audio(StreamEvent):
    """Audio of the far end. ``sequence`` counts chunks where the provider may swap them, else 0."""

    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")
    sequence: int = 0


@attrs.frozen
class Dtmf(StreamEvent):
    """The far end pressed a key, one of ``0-9*#A-D``."""

    digit: str


@attrs.frozen
class MarkPlayed(StreamEvent):
    """Everything sent before this mark has been played, or has been cleared."""

    name: str


@attrs.frozen
class Flow(StreamEvent):
    """Whether the provider takes more audio: False until it says True again."""

    may_send: bool


@attrs.frozen
class Stop(StreamEvent):
    """The provider has ended the stream; the call is over, or goes on without us."""

    reason: str = ""


@attrs.frozen
class Problem(StreamEvent):
    """The provider says that something is wrong, in its own words; the stream goes on."""

    text: str


@attrs.frozen
class Unknown(StreamEvent):
    """A message of a kind that is not known here, whole."""

    kind: str
    raw: Mapping[str, Any]
