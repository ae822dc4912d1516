"""Where Inworld's service differs from OpenAI's, or may: each difference is a switch.

The defaults are what Inworld was seen to do, or is said to do by those who talk to it, so that a
client that gets on with this server has met the oddities. Where nothing is known, the default is
what most clients expect.

A class of switches is a frozen attrs class whose fields are made with ``switch``; their types are
bool, int, float, str, a Literal of strings, or one of these or None. ``NAME=VALUE`` texts set them.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar

import attrs

from voxpy.errors import nearest

T = TypeVar("T")

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def switch(default: Any, meaning: str) -> Any:
    """Return a field with a default and one sentence on what it means."""
    return attrs.field(default=default, metadata={"meaning": meaning})


def parse_switches(base: T, settings: Iterable[str]) -> T:
    """Return ``base`` changed by texts ``NAME=VALUE``; a dash in a name is an underscore.

    A bare ``NAME`` turns a bool on; ``none`` is None where the type allows it. Raises ValueError
    with a sentence that names the switch and what it takes.
    """
    hints = typing.get_type_hints(type(base))
    chosen: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        name = name.strip().replace("-", "_")
        if name not in hints:
            raise ValueError(f"there is no {name!r}{nearest(name, hints)}")
        if not equals and hints[name] is bool:
            text = "true"
        chosen[name] = _value(name, text.strip(), hints[name])
    return attrs.evolve(base, **chosen)  # type: ignore[misc]


def _value(name: str, text: str, hint: Any) -> Any:
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if types.NoneType in kinds and text.lower() == "none":
        return None
    kind = next(kind for kind in kinds if kind is not types.NoneType)
    value = _read(text, kind)
    if value is None:
        raise ValueError(f"{name} takes {_takes(hint)}, not {text!r}")
    return value


def _read(text: str, kind: Any) -> Any:
    """Return the value, or None if the text is none of that kind."""
    if typing.get_origin(kind) is typing.Literal:
        return text if text in typing.get_args(kind) else None
    if kind is bool:
        known = text.lower()
        return True if known in _TRUE else False if known in _FALSE else None
    try:
        return kind(text)
    except ValueError:
        return None


def _takes(hint: Any) -> str:
    if isinstance(hint, types.UnionType):
        return " or ".join(_takes(kind) for kind in typing.get_args(hint))
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(typing.get_args(hint))
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    return words.get(hint, "none")


def describe(cls: Any) -> list[tuple[str, str]]:
    """Return ``(name=default, what it means)`` for every switch of a class, in order."""
    return [
        (f"{field.name}={_told(field.default)}", str(field.metadata.get("meaning", "")))
        for field in attrs.fields(cls)
    ]


def _told(value: Any) -> str:
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


@attrs.frozen(kw_only=True)
class Quirks:
    """How a RealtimeServer behaves where services differ. ``Quirks()`` is like Inworld."""

    null_call_previous_id: bool = switch(
        True, "previous_item_id of function calls is null, in mid-conversation too"
    )
    call_done_name: bool = switch(
        False, "function_call_arguments.done repeats the name that the item has (OpenAI)"
    )
    transcript_deltas: Literal["cumulative", "additive"] = switch(
        "cumulative", "each delta of the caller's words is all of them so far, or only what is new"
    )
    transcription: Literal["before_response", "after_created", "after_done"] = switch(
        "before_response", "when the caller's words are told: neither service guarantees an order"
    )
    text_first: bool = switch(False, "output_text deltas come before the transcript's")
    mulaw_thirds: bool = switch(
        True, "item lengths of 8 kHz mu-law are bytes/24 ms: truncate takes a third of the real ms"
    )
    legacy_names: bool = switch(False, "events of the beta spelling (response.audio.delta ...)")
    beta_fields: bool = switch(
        False,
        "session and response take OpenAI's beta fields (voice, modalities, turn_detection ...)",
    )
    end_padding: bool = switch(True, "half a millisecond of silence ends the audio of a response")
    ping_interval_s: float | None = switch(
        None, "send a ping event this often (Inworld does; its period is not known)"
    )
    exhausted_at_response: int | None = switch(
        None, "with this response (1 is the first) send SESSION_RESOURCES_EXHAUSTED, without a type"
    )
    auto_tool_response: bool = switch(
        True, "answer tool results unasked where providerData.auto_tool_response says nothing"
    )
    create_response_ignored: bool = switch(
        False, "answer turns although create_response is false (one client says Inworld does)"
    )
    transcription_fails_at: int | None = switch(
        None, "the words of this turn (1 is the first) cannot be recognised"
    )
    openai_handshake: bool = switch(
        False, "addresses with ?model=, the header api-key, a key among the subprotocols (OpenAI)"
    )
    openai_session: bool = switch(
        False, "sessions start as OpenAI's: audio alone, server_vad, no transcription"
    )
    openai_stt_models: bool = switch(
        False, "OpenAI's names of transcription models are taken, and mean the local one"
    )
    manual_vad_events: bool = switch(True, "speech_started and _stopped without turn detection too")
    turn_suggestions: bool = switch(True, "send turn_suggestion and turn_suggestion_revoked")
    buffer_response_id: bool = switch(
        False, "output_audio_buffer events have a response_id (OpenAI)"
    )
    conversation_created: bool = switch(
        False, "conversation.created follows session.created (OpenAI)"
    )
    transcribes_unasked: bool = switch(
        False, "sessions start with transcription of the caller, whatever else (xAI)"
    )
    session_created: bool = switch(
        True, "session.created begins the session (xAI has conversation.created alone)"
    )


_OPENAI = Quirks(
    null_call_previous_id=False,
    call_done_name=True,
    transcript_deltas="additive",
    mulaw_thirds=False,
    end_padding=False,
    auto_tool_response=False,
    openai_handshake=True,
    openai_session=True,
    openai_stt_models=True,
    manual_vad_events=False,
    turn_suggestions=False,
    buffer_response_id=True,
    conversation_created=True,
)
LIKE: Mapping[str, Quirks] = {
    "inworld": Quirks(),
    "openai": _OPENAI,
    "openai-beta": attrs.evolve(_OPENAI, legacy_names=True, beta_fields=True),
    "grok": attrs.evolve(
        _OPENAI, beta_fields=True, session_created=False, transcribes_unasked=True
    ),
    "yandex": attrs.evolve(_OPENAI, conversation_created=False),
}
"""Whole services: what ``voxpy agent --as`` sets at once."""
