"""What a RealtimeServer asks of the one who owns its ears, its brain and its voice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs


@attrs.frozen
class SessionChanged:
    """The session is now this one. Read-only; a later change makes another object."""

    session: Mapping[str, Any]


@attrs.frozen
class Ignored:
    """The client sent fields that mean nothing here, by their places in the event.

    The services say nothing of those, or refuse them: whoever develops the client should know.
    """

    event: str
    places: tuple[str, ...]


@attrs.frozen
class AudioReceived:
    """Caller audio for the ears, in the session's input format."""

    data: bytes


@attrs.frozen(kw_only=True)
class ItemAudio:
    """The client made a user item of audio: transcribe it.

    The answer goes to ``transcript_completed(..., item_id=item_id)``. The audio is in the format
    given, which later changes of the session do not change.
    """

    item_id: str
    data: bytes = attrs.field(repr=False)
    encoding: str
    rate_hz: int


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


@attrs.frozen(kw_only=True)
class ConsiderBackchannel:
    """Decide whether to say "uh-huh" while the caller speaks, and say it before ``deadline``.

    Answered by ``backchannel_audio`` and ``backchannel_done``, or by ``backchannel_skipped``. If
    ``phrase`` is set the rule decider chose it and there is nothing to decide; otherwise the phrase
    must be one of ``allowed_phrases``, unless that is empty. ``items`` is the end of the
    conversation; ``volume_gain`` is the factor for the samples; ``settings`` is the session's whole
    ``providerData.backchannel`` (``small_model``, ``temperature``, ``prompt_template`` ...).
    """

    backchannel_id: str
    transcript_so_far: str
    phrase: str | None
    allowed_phrases: tuple[str, ...]
    items: tuple[Mapping[str, Any], ...]
    volume_gain: float
    deadline: float
    settings: Mapping[str, Any]


@attrs.frozen(kw_only=True)
class Fill:
    """The answer is late: make a short filler ("Let me see.") and hand it to ``filler_audio``.

    Not after ``deadline``, which is when it will be refused. ``settings`` is the session's whole
    ``providerData.responsiveness``; ``voice`` is the response's.
    """

    response_id: str
    session: Mapping[str, Any]
    voice: str
    items: tuple[Mapping[str, Any], ...]
    deadline: float
    settings: Mapping[str, Any]


@attrs.frozen(kw_only=True)
class Summarise:
    """Make a memory of the conversation and hand it to ``memory``.

    ``items`` are those to remember, oldest first; ``state`` is the memory so far (``facts``,
    ``summary``, ``context_text``), empty at first; ``settings`` is ``providerData.memory``.
    """

    items: tuple[Mapping[str, Any], ...]
    state: Mapping[str, Any]
    settings: Mapping[str, Any]


Effect = (
    SessionChanged
    | AudioReceived
    | InputCleared
    | InputCommitted
    | ItemAudio
    | Ignored
    | Respond
    | Stop
    | OutputCleared
    | ConsiderBackchannel
    | Fill
    | Summarise
)
