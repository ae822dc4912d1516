"""Inworld's ``providerData``: its branches, their documented values and defaults.

The key is camelCase and everything inside is snake_case, but for ``text_generation_config``. Fields
this table does not know are kept: Inworld adds to it often. Source: the service's providerData,
back-channel and responsiveness pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxpy.wire.realtime.events.rules import (
    Rule,
    boolean,
    integer,
    json_object,
    list_of,
    number,
    one_of,
    partial,
    string,
)

_SHARE = number(0, 1)
_COUNT = integer(0)
_MS = number(0)


def _branch(**fields: Rule) -> Rule:
    return partial(fields, rest=True, clears=True)


_STT = _branch(
    prompt=string,
    voice_profile=boolean,
    language_hints=list_of(string),
    end_of_turn_confidence_threshold=_SHARE,
    vad_threshold=_SHARE,
    min_end_of_turn_silence=_MS,
    max_turn_silence=_MS,
)
_TTS = _branch(
    segmenter_strategy=one_of(
        "auto", "balanced", "sentence", "full_turn", "fast_start", "per_segment_context"
    ),
    steering_handling=one_of("repeat_each_chunk", "emit_once"),
    language=string,
    delivery_mode=one_of("STABLE", "BALANCED", "CREATIVE"),
    conversational=boolean,
    user_turn_mode=one_of("both", "audio_only", "text_only", "none"),
    timestamp_type=one_of("WORD", "CHARACTER"),
    timestamp_transport_strategy=one_of("SYNC", "ASYNC"),
)
_MEMORY = _branch(
    enabled=boolean,
    turn_interval=_COUNT,
    max_memory_length=_COUNT,
    max_transcript_items=_COUNT,
    max_facts=_COUNT,
    trim_after_summarize=boolean,
    state=json_object,
)
_BACKCHANNEL = _branch(
    enabled=boolean,
    small_model=string,
    eval_interval_ms=_MS,
    min_speech_ms=_MS,
    min_gap_ms=_MS,
    max_per_turn=_COUNT,
    hard_deadline_ms=_MS,
    history_tail_items=_COUNT,
    temperature=number(0, 2),
    max_tokens=integer(1),
    volume_gain=number(0),
    require_pause=boolean,
    allowed_phrases=list_of(string),
    prompt_template=string,
    decider_kind=one_of("llm", "rule"),
    rule_fire_probability=_SHARE,
)
_RESPONSIVENESS = _branch(
    enabled=boolean,
    initial_wait_timeout_ms=_MS,
    hard_deadline_ms=_MS,
    history_tail_items=_COUNT,
    temperature=number(0, 2),
    max_tokens=integer(1),
    min_filler_gap_ms=_MS,
    max_initial_per_turn=_COUNT,
    max_buffer_deltas=_COUNT,
    enable_filler_on_first_assistant_reply=boolean,
    prompt_template=string,
    pause_text=string,
    small_model=string,
)
_CACHING = _branch(enabled=boolean, ttl=string, cache_instructions=boolean, cache_tools=boolean)

_MERGE = _branch(
    stt=_STT,
    tts=_TTS,
    memory=_MEMORY,
    backchannel=_BACKCHANNEL,
    responsiveness=_RESPONSIVENESS,
    caching=_CACHING,
    text_generation_config=_branch(),
    auto_tool_response=boolean,
    user_id=string,
    metadata=_branch(),
)

BACKCHANNEL_DEFAULTS: Mapping[str, Any] = {
    "eval_interval_ms": 800,
    "min_speech_ms": 800,
    "min_gap_ms": 4000,
    "max_per_turn": 3,
    "hard_deadline_ms": 1500,
    "history_tail_items": 4,
    "temperature": 0.7,
    "max_tokens": 6,
    "volume_gain": 0.6,
    "require_pause": False,
    "decider_kind": "llm",
}
"""What Inworld documents for the back-channel; shown in the session once it is enabled."""

RESPONSIVENESS_DEFAULTS: Mapping[str, Any] = {
    "initial_wait_timeout_ms": 1200,
    "hard_deadline_ms": 2000,
    "history_tail_items": 4,
    "temperature": 0.7,
    "max_tokens": 12,
    "min_filler_gap_ms": 8000,
    "max_initial_per_turn": 1,
    "enable_filler_on_first_assistant_reply": False,
}
"""Local defaults: the values of Inworld's example. Of its real defaults it says only that they
exist."""

MEMORY_DEFAULTS: Mapping[str, Any] = {
    "turn_interval": 8,
    "max_memory_length": 2000,
    "max_transcript_items": 40,
    "max_facts": 20,
    "trim_after_summarize": False,
}
"""Local defaults; ``max_memory_length`` is taken for characters. Inworld's are not published."""

_DEFAULTS = {
    "backchannel": BACKCHANNEL_DEFAULTS,
    "responsiveness": RESPONSIVENESS_DEFAULTS,
    "memory": MEMORY_DEFAULTS,
}


def provider_data(current: Any, value: Any, param: str) -> dict[str, Any]:
    """Merge ``providerData`` branch by branch; null removes a branch or a field of one.

    Back-channel, responsiveness and memory get their defaults filled in once they are enabled.
    Raises InvalidValue.
    """
    merged: dict[str, Any] = _MERGE(current, value, param)
    for name, defaults in _DEFAULTS.items():
        branch = merged.get(name) or {}
        if branch.get("enabled"):
            merged[name] = {**defaults, **branch}
    return merged
