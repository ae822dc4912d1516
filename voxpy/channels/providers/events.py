"""What passes over a provider's media stream, the same for all of them, in both directions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from voxpy.audio.frame import Format


def _size(data: bytes) -> str:
    return f"<{len(data)} bytes>"


# -- from the provider -----------------------------------------------------------------------------


@attrs.define
class StreamEvent:
    """Something came from the provider."""


@attrs.frozen(kw_only=True)
class Start(StreamEvent):
    """The stream has begun. ``inbound`` is what the caller's audio comes as, ``outbound`` what ours
    goes as: a provider may convert on one side only.

    ``caller`` and ``callee`` are empty where neither the protocol nor the parameters name them.
    """

    call_id: str
    stream_id: str
    caller: str
    callee: str
    parameters: Mapping[str, str]
    inbound: Format
    outbound: Format
    display_name: str = ""


@attrs.define  # frozen it would cost three times as much, for every frame
class Audio(StreamEvent):
    """Audio of the far end. ``sequence`` counts chunks where the provider may swap them, else 0."""

    data: bytes = attrs.field(repr=_size)
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
class Odd(StreamEvent):
    """A message that cannot be, or not now; it is dropped, and the stream goes on."""

    problem: str


@attrs.frozen
class Unknown(StreamEvent):
    """A message of a kind that is not known here, whole."""

    kind: str
    raw: Mapping[str, Any]


# -- from the host ---------------------------------------------------------------------------------


@attrs.frozen
class HostEvent:
    """The host asked the provider for something."""


@attrs.frozen
class Play(HostEvent):
    """Let the caller hear this, after what waits already."""

    data: bytes = attrs.field(repr=_size)


@attrs.frozen
class Mark(HostEvent):
    """Tell when everything before this has been played."""

    name: str


@attrs.frozen
class Clear(HostEvent):
    """Drop everything that has not been played."""


@attrs.frozen
class PlayDigits(HostEvent):
    """Let the caller hear the tones of these digits."""

    digits: str


@attrs.frozen
class HangUp(HostEvent):
    """End the call."""


@attrs.frozen
class Ignored(HostEvent):
    """A message that changes nothing for the caller."""

    kind: str
