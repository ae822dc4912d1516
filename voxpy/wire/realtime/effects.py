"""What a RealtimeServer asks of the one who owns its ears, its brain and its voice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

__all__ = [
    "AudioReceived",
    "Effect",
    "InputCleared",
    "InputCommitted",
    "OutputCleared",
    "Respond",
    "SessionChanged",
    "Stop",
]


@attrs.frozen
class SessionChanged:
    """The session is now this one. Read-only; a later change makes another object."""

    session: Mapping[str, Any]


@attrs.frozen
class AudioReceived:
    """Caller audio for the ears, in the session's input format."""

    data: bytes


@attrs.frozen
class InputCleared:
    """The ears must forget what they heard and is not committed."""


@attrs.frozen
class InputCommitted:
    """The client ended a turn by hand: transcribe what was heard since the last one.

    The answer goes to ``transcript_completed(..., item_id=item_id)``.
    """

    item_id: str


@attrs.frozen(kw_only=True)
class Respond:
    """Begin to generate this response.

    ``session`` and ``items`` (the conversation, oldest first) are as of now and read-only;
    ``overrides`` is what ``response.create`` changed for this response, checked.
    """

    response_id: str
    session: Mapping[str, Any]
    items: tuple[Mapping[str, Any], ...]
    overrides: Mapping[str, Any]


@attrs.frozen
class Stop:
    """Stop generating; what still comes is ignored.

    ``reason`` is ``turn_detected`` (the caller spoke) or ``client_cancelled``.
    """

    response_id: str
    reason: str


@attrs.frozen
class OutputCleared:
    """Audio that was not played yet is void: drop what is synthesised and not handed over."""


Effect = (
    SessionChanged | AudioReceived | InputCleared | InputCommitted | Respond | Stop | OutputCleared
)
