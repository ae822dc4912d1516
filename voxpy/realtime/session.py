"""The session object as editors see it, and what in one is probably misspelt.

``session.update`` goes out as it was written: services have fields of their own, and tomorrow's
are not known here. So nothing is refused; a name that is close to one of these is told of.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypedDict

from voxpy.errors import nearest


class AudioFormat(TypedDict, total=False):
    """``audio/pcm`` with a rate, ``audio/pcmu`` or ``audio/pcma``."""

    type: str
    rate: int


class Transcription(TypedDict, total=False):
    """How the caller's words are recognised."""

    model: str
    language: str | None
    prompt: str | None


class TurnDetection(TypedDict, total=False):
    """When a turn is over: the fields of ``semantic_vad`` and of ``server_vad``."""

    type: Literal["semantic_vad", "server_vad"]
    eagerness: Literal["low", "medium", "high", "auto"]
    threshold: float
    prefix_padding_ms: int
    silence_duration_ms: int
    idle_timeout_ms: int | None
    create_response: bool
    interrupt_response: bool


class AudioInput(TypedDict, total=False):
    """From the caller to the agent."""

    format: AudioFormat
    transcription: Transcription | None
    noise_reduction: dict[str, str] | None
    turn_detection: TurnDetection | None


class AudioOutput(TypedDict, total=False):
    """From the agent to the caller."""

    format: AudioFormat
    voice: str | dict[str, str]
    model: str
    speed: float


class AudioParameters(TypedDict, total=False):
    """Both directions."""

    input: AudioInput
    output: AudioOutput


class SessionObject(TypedDict, total=False):
    """A session, as far as all services of the Realtime protocol have it, and ``providerData``."""

    type: Literal["realtime", "transcription"]
    model: str
    instructions: str
    output_modalities: list[Literal["audio", "text"]]
    temperature: float
    max_output_tokens: int | Literal["inf"]
    tools: list[dict[str, Any]]
    tool_choice: str | dict[str, Any]
    prompt: str | dict[str, Any] | None
    truncation: str | dict[str, Any]
    tracing: str | dict[str, Any] | None
    include: list[str]
    audio: AudioParameters
    providerData: dict[str, Any]


class SessionParameters(TypedDict, total=False):
    """What ``session_update`` takes. Annotate a constant with it, and editors know every name."""

    session: SessionObject
    event_id: str


def misspelt(
    given: Mapping[str, Any], kind: type = SessionParameters, place: str = ""
) -> Iterator[str]:
    """Yield a sentence for each name that is none of ours, but close to one."""
    known = typing.get_type_hints(kind)
    for name, value in given.items():
        if name in known:
            for below in _objects(known[name]):
                if isinstance(value, Mapping):
                    yield from misspelt(value, below, f"{place}{name}.")
        elif hint := nearest(str(name), known):
            yield f"there is no {place}{name}{hint}"


def _objects(hint: Any) -> Iterator[type]:
    """Yield the typed dictionaries among the kinds a value may be of."""
    for kind in typing.get_args(hint) or (hint,):
        if typing.is_typeddict(kind):
            yield kind
