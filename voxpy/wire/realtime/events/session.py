"""The session object: how it starts and how an update changes it.

Sessions are plain JSON objects and are never changed in place: ``merge`` returns a new one and
shares what did not change, so that whoever holds an older one may go on reading it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from voxpy.wire.realtime.events.formats import DEFAULT_HZ, format_rule
from voxpy.wire.realtime.events.problems import InvalidValue
from voxpy.wire.realtime.events.provider_data import provider_data
from voxpy.wire.realtime.events.rules import (
    Rule,
    boolean,
    either,
    integer,
    item,
    json_object,
    list_of,
    nullable,
    number,
    one_of,
    partial,
    string,
    text,
)

DEFAULT_STT_MODEL = "inworld/inworld-stt-1"
STT_MODELS = (
    DEFAULT_STT_MODEL,
    "assemblyai/u3-rt-pro",
    "assemblyai/universal-streaming-multilingual",
    "assemblyai/universal-streaming-english",
    "soniox/stt-rt-v4",
)
"""What Inworld documents; it refuses a session.update that names another."""
_OPENAI_STT_MODELS = ("gpt-", "whisper-")
"""How those that OpenAI's clients ask for begin; with a quirk the server takes such names too."""

_TURN_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "semantic_vad": {
        "type": "semantic_vad",
        "eagerness": "medium",
        "create_response": True,
        "interrupt_response": True,
    },
    "server_vad": {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    },
}


def default_session(session_id: str, *, openai: bool = False) -> dict[str, Any]:
    """Return the session a connection starts with.

    These are local defaults: what Inworld's session.created holds is not documented. Model, voice
    and turn detection follow what its pages say of each. With ``openai`` the session starts as the
    GA service's: audio alone, server_vad, and no word of what the caller says until it is asked.
    """
    pcm = {"type": "audio/pcm", "rate": DEFAULT_HZ}
    detection = _TURN_DEFAULTS["server_vad" if openai else "semantic_vad"]
    output: dict[str, Any] = {"format": dict(pcm), "voice": "marin", "speed": 1.0}
    if not openai:
        output |= {"voice": "Dennis", "model": "inworld-tts-2"}
    return {
        "id": session_id,
        "object": "realtime.session",
        "type": "realtime",
        "model": "gpt-realtime" if openai else "google-ai-studio/gemini-2.5-flash",
        "output_modalities": ["audio"] if openai else ["audio", "text"],
        "instructions": "",
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "audio": {
            "input": {
                "format": dict(pcm),
                "transcription": None if openai else {"model": DEFAULT_STT_MODEL},
                "noise_reduction": None,
                "turn_detection": dict(detection),
            },
            "output": output,
        },
        "providerData": {},
    }


def merge(
    session: Mapping[str, Any], update: Mapping[str, Any], *, openai_stt: bool = False
) -> dict[str, Any]:
    """Return ``session`` changed by the ``session`` object of a ``session.update``.

    What is absent stays. null turns ``turn_detection``, ``transcription`` and ``noise_reduction``
    off and removes branches of ``providerData``; empty values clear. Fields that are read-only or
    unknown (``provider_data`` among them) are ignored, see ``ignored``. Raises InvalidValue and
    applies nothing if any value is outside its documented range.
    """
    merged: dict[str, Any] = _SESSION(dict(session), dict(update), "session")
    transcription = merged["audio"]["input"]["transcription"]
    if (
        transcription is not None
        and transcription is not session["audio"]["input"]["transcription"]
    ):
        model = transcription["model"]
        if not (openai_stt and model.startswith(_OPENAI_STT_MODELS)):
            one_of(*STT_MODELS)(None, model, "session.audio.input.transcription.model")
    return merged


_BETA_FIELDS = {
    "modalities": "output_modalities",
    "max_response_output_tokens": "max_output_tokens",
    "voice": "audio.output.voice",
    "speed": "audio.output.speed",
    "output_audio_format": "audio.output.format",
    "input_audio_format": "audio.input.format",
    "input_audio_transcription": "audio.input.transcription",
    "input_audio_noise_reduction": "audio.input.noise_reduction",
    "turn_detection": "audio.input.turn_detection",
}
"""Where the fields of OpenAI's beta sessions stand today."""


def from_beta(fields: Mapping[str, Any], *, response: bool = False) -> dict[str, Any]:
    """Return a session or, with ``response``, a response's overrides in today's shape.

    What is in it already stays. The voice of one response is flat in both.
    """
    moved: dict[str, Any] = {}
    for name, value in fields.items():
        if name in _BETA_FIELDS and not (response and name == "voice"):
            *outer, last = _BETA_FIELDS[name].split(".")
            place = moved
            for step in outer:
                place = place.setdefault(step, {})
            place[last] = value
    rest = {n: v for n, v in fields.items() if n not in _BETA_FIELDS or (response and n == "voice")}
    return laid_over(moved, rest)


def flat_voice(response: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a response's overrides with the voice where Inworld has it; OpenAI nests it.

    What else is in ``audio`` stays there, and means nothing.
    """
    audio = response.get("audio")
    output = audio.get("output") if isinstance(audio, dict) else None
    if not isinstance(output, dict) or "voice" not in output or "voice" in response:
        return response
    left = {name: value for name, value in output.items() if name != "voice"}
    outer = {**response, "voice": output["voice"]}
    return {**outer, "audio": {"output": left} if left else None}


_READ_ONLY = {"id", "object", "expires_at", "client_secret"}
"""Clients that change a session and send it back whole mean nothing by these."""


def ignored(asked: Mapping[str, Any], holds: Mapping[str, Any], place: str) -> Iterator[str]:
    """Yield the places of ``asked`` that mean nothing here: ``holds`` is what became of it."""
    for name, value in asked.items():
        if value is None or name in _READ_ONLY or name == "format":  # which has many spellings
            continue
        if name not in holds:
            yield f"{place}.{name}"
        elif isinstance(value, Mapping) and isinstance(holds[name], Mapping):
            yield from ignored(value, holds[name], f"{place}.{name}")


def laid_over(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``over`` laid over it, object by object; None is a value like others.

    An object of another ``type`` replaces the one below it: what belonged to ``server_vad``, or the
    rate of PCM, would be wrong under ``semantic_vad`` and mu-law.
    """
    merged = dict(base)
    for name, value in over.items():
        below = merged.get(name)
        merged[name] = laid_over(below or {}, value) if _same_kind(below, value) else value
    return merged


def _same_kind(below: Any, value: Any) -> bool:
    if not (isinstance(below, Mapping) and isinstance(value, Mapping)):
        return False
    return bool(value.get("type", below.get("type")) == below.get("type"))


def response_overrides(response: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a ``response.create`` changes for one response, checked; raises InvalidValue.

    null means "as the session": clients that write all their fields out send it. Unknown fields are
    ignored, ``audio`` among them: the voice of one response is the flat ``voice`` (Inworld).
    """
    asked = {name: value for name, value in response.items() if value is not None}
    return _OVERRIDES({}, asked, "response")  # type: ignore[no-any-return]


def _transcription(current: Any, value: Any, param: str) -> dict[str, Any]:
    base = current or {"model": DEFAULT_STT_MODEL}
    return _TRANSCRIPTION(base, value, param)  # type: ignore[no-any-return]


def _turn_detection(current: Any, value: Any, param: str) -> dict[str, Any]:
    """Merge within one kind of detection; a change of kind starts from that kind's defaults."""
    asked = json_object(None, value, param)
    kind = asked.get("type") or (current or {}).get("type") or "semantic_vad"
    one_of(*_TURN_DEFAULTS)(None, kind, f"{param}.type")
    base = current if current and current["type"] == kind else _TURN_DEFAULTS[kind]
    fields = {name: _TURN_RULES[name] for name in _TURN_DEFAULTS[kind]}
    return partial(fields)(dict(base), asked, param)  # type: ignore[no-any-return]


def _tool(_current: Any, value: Any, param: str) -> dict[str, Any]:
    tool = json_object(None, value, param)
    kind = one_of("function", "web_search", "mcp")(None, tool.get("type"), f"{param}.type")
    if kind == "function":
        text(None, tool.get("name"), f"{param}.name")
        nullable(string)(None, tool.get("description"), f"{param}.description")
        nullable(json_object)(None, tool.get("parameters"), f"{param}.parameters")
    return tool


def _tool_choice(_current: Any, value: Any, param: str) -> dict[str, Any]:
    kind = one_of("function", "mcp")(None, value.get("type"), f"{param}.type")
    needed = "name" if kind == "function" else "server_label"
    text(None, value.get(needed), f"{param}.{needed}")
    return value  # type: ignore[no-any-return]


def _voice(_current: Any, value: Any, place: str) -> str:
    """A name, or as OpenAI's custom voices are written an object with an ``id``."""
    if isinstance(value, dict):
        return text(None, value.get("id"), f"{place}.id")
    return text(None, value, place)


def _modalities(_current: Any, value: Any, param: str) -> list[str]:
    listed: list[str] = list_of(one_of("audio", "text"))(None, value, param)
    if not listed or len(set(listed)) != len(listed):
        raise InvalidValue(param, "expected audio, text or both, each once")
    return listed


def _max_tokens(current: Any, value: Any, param: str) -> Any:
    rule = one_of("inf") if isinstance(value, str) else integer(1, 4096)
    return rule(current, value, param)


def _metadata(_current: Any, value: Any, param: str) -> dict[str, str]:
    pairs: dict[str, str] = json_object(None, value, param)
    if len(pairs) > _METADATA_PAIRS:
        raise InvalidValue(param, f"expected at most {_METADATA_PAIRS} pairs, not {len(pairs)}")
    return {name: string(None, pair, f"{param}.{name}") for name, pair in pairs.items()}


def _retention(_current: Any, value: Any, param: str) -> dict[str, Any]:
    one_of("retention_ratio")(None, value.get("type"), f"{param}.type")
    number(0, 1)(None, value.get("retention_ratio"), f"{param}.retention_ratio")
    return value  # type: ignore[no-any-return]


_METADATA_PAIRS = 16
_TURN_RULES: Mapping[str, Rule] = {
    "type": string,
    "eagerness": one_of("low", "medium", "high", "auto"),
    "threshold": number(0, 1),
    "prefix_padding_ms": integer(0),
    "silence_duration_ms": integer(0),
    "idle_timeout_ms": nullable(integer(0)),
    "create_response": boolean,
    "interrupt_response": boolean,
}
_TRANSCRIPTION = partial({"model": text, "language": nullable(string), "prompt": nullable(string)})
_INPUT = partial(
    {
        "format": format_rule,
        "transcription": nullable(_transcription),
        "noise_reduction": nullable(partial({"type": one_of("near_field", "far_field")})),
        "turn_detection": nullable(_turn_detection),
    }
)
_OUTPUT = partial(
    {"format": format_rule, "voice": _voice, "model": text, "speed": number(0.25, 1.5)}
)
_GENERATION: Mapping[str, Rule] = {
    "instructions": string,
    "output_modalities": _modalities,
    "temperature": number(0, 2),
    "max_output_tokens": _max_tokens,
    "tools": list_of(_tool),
    "tool_choice": either(one_of("auto", "none", "required"), _tool_choice),
    "prompt": nullable(either(string, json_object)),
}
_SESSION = partial(
    {
        **_GENERATION,
        "type": one_of("realtime", "transcription"),
        "model": text,
        "truncation": either(one_of("auto", "disabled"), _retention),
        "tracing": nullable(either(one_of("auto"), json_object)),
        "include": list_of(one_of("item.input_audio_transcription.logprobs")),
        "audio": partial({"input": _INPUT, "output": _OUTPUT}),
        "providerData": provider_data,
    }
)
_OVERRIDES = partial(
    {
        **_GENERATION,
        "conversation": one_of("auto", "none"),
        "voice": _voice,
        "metadata": nullable(_metadata),
        "input": list_of(item),
    }
)
