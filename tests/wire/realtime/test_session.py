from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.wire.realtime.events.formats import audio_format
from voxpy.wire.realtime.events.problems import InvalidValue
from voxpy.wire.realtime.events.session import default_session, merge, response_overrides

DEFAULT = default_session("sess_1")


def at(session: Mapping[str, Any], path: str) -> Any:
    found: Any = session
    for name in path.split("."):
        found = found[name]
    return found


def change(path: str, value: Any) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    return value  # type: ignore[no-any-return]


def test_what_is_absent_stays() -> None:
    merged = merge(DEFAULT, {"audio": {"output": {"voice": "Hades"}}, "instructions": "Be brief."})
    expected = copy.deepcopy(DEFAULT)
    expected["instructions"] = "Be brief."
    expected["audio"]["output"]["voice"] = "Hades"
    assert merged == expected
    assert default_session("sess_1") == DEFAULT  # nothing was changed in place


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("instructions", ""),
        ("tools", []),
        ("audio.input.turn_detection", None),
        ("audio.input.transcription", None),
        ("audio.input.noise_reduction", None),
        ("audio.input.noise_reduction", {"type": "far_field"}),
        ("model", "openai/gpt-4.1-mini"),
        ("output_modalities", ["text"]),
        ("temperature", 0.7),
        ("max_output_tokens", 4096),
        ("max_output_tokens", "inf"),
        ("tool_choice", "required"),
        ("tool_choice", {"type": "function", "name": "f"}),
        ("tool_choice", {"type": "mcp", "server_label": "s"}),
        ("tools", [{"type": "function", "name": "f", "parameters": {}}, {"type": "web_search"}]),
        ("truncation", {"type": "retention_ratio", "retention_ratio": 0.5}),
        ("truncation", "disabled"),
        ("tracing", None),
        ("tracing", "auto"),
        ("tracing", {"workflow_name": "w"}),
        ("include", ["item.input_audio_transcription.logprobs"]),
        ("audio.output.speed", 0.25),
        ("audio.output.speed", 1.5),
        ("audio.output.model", "inworld-tts-1.5-mini"),
        ("providerData.tts.delivery_mode", "CREATIVE"),
        ("providerData.stt.vad_threshold", 1),
        ("providerData.auto_tool_response", False),
        ("providerData.metadata", {"sdk": "voxpy"}),
        ("providerData.brand_new.field", [1]),
    ],
)
def test_values_that_are_taken_as_they_are(path: str, value: Any) -> None:
    assert at(merge(DEFAULT, change(path, value)), path) == value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("type", "meeting"),
        ("model", ""),
        ("instructions", None),
        ("output_modalities", []),
        ("output_modalities", ["audio", "audio"]),
        ("output_modalities", ["video"]),
        ("temperature", 2.1),
        ("temperature", True),
        ("max_output_tokens", 0),
        ("max_output_tokens", 4097),
        ("max_output_tokens", "infinite"),
        ("max_output_tokens", 1.5),
        ("tools", {}),
        ("tools", [{"type": "function"}]),
        ("tools", [{"name": "f"}]),
        ("tool_choice", "always"),
        ("tool_choice", {"type": "function"}),
        ("truncation", {"type": "retention_ratio", "retention_ratio": 2}),
        ("include", ["x"]),
        ("audio", None),
        ("audio.input", []),
        ("audio.input.format", "opus"),
        ("audio.input.format", {"type": "audio/pcm", "rate": 11025}),
        ("audio.input.format", {"type": "audio/pcmu", "rate": 16000}),
        ("audio.input.format", {"type": "audio/pcm", "rate": True}),
        ("audio.input.format", {"type": 5}),
        ("audio.input.transcription.model", "whisper-99"),
        ("audio.input.noise_reduction", {"type": "loud"}),
        ("audio.input.turn_detection", "semantic_vad"),
        ("audio.input.turn_detection", {"type": "psychic"}),
        ("audio.input.turn_detection", {"type": "semantic_vad", "eagerness": "huge"}),
        ("audio.input.turn_detection", {"type": "server_vad", "threshold": 1.1}),
        ("audio.input.turn_detection", {"type": "server_vad", "silence_duration_ms": -1}),
        ("audio.input.turn_detection.create_response", "yes"),
        ("audio.output.voice", ""),
        ("audio.output.speed", 0.2),
        ("audio.output.speed", 1.6),
        ("providerData", None),
        ("providerData.tts.delivery_mode", "creative"),
        ("providerData.stt.end_of_turn_confidence_threshold", 1.01),
        ("providerData.backchannel.enabled", 1),
        ("providerData.backchannel.allowed_phrases", ["a", 2]),
        ("providerData.memory.max_facts", -1),
        ("providerData.responsiveness.max_tokens", 0),
    ],
)
def test_values_outside_their_range_name_the_field(path: str, value: Any) -> None:
    update = {"instructions": "applied?", **change(path, value)}
    with pytest.raises(InvalidValue) as caught:
        merge(DEFAULT, update)
    assert caught.value.param is not None
    assert caught.value.param.startswith(f"session.{path}")
    assert caught.value.code == "invalid_value"
    assert DEFAULT["instructions"] == ""


@pytest.mark.parametrize(
    ("given_format", "wire", "known"),
    [
        ("pcm16", {"type": "audio/pcm", "rate": 24000}, ("pcm16", 24000)),
        ("g711_ulaw", {"type": "audio/pcmu"}, ("pcmu", 8000)),
        ("g711_alaw", {"type": "audio/pcma"}, ("pcma", 8000)),
        ("float32", {"type": "audio/float32", "rate": 24000}, ("float32", 24000)),
        ("audio/pcmu", {"type": "audio/pcmu"}, ("pcmu", 8000)),
        ({"type": "audio/pcmu", "rate": 8000}, {"type": "audio/pcmu"}, ("pcmu", 8000)),
        ({"type": "audio/pcm"}, {"type": "audio/pcm", "rate": 24000}, ("pcm16", 24000)),
        ({"rate": 16000}, {"type": "audio/pcm", "rate": 16000}, ("pcm16", 16000)),
        (
            {"type": "audio/pcm", "rate": 44100.0},
            {"type": "audio/pcm", "rate": 44100},
            ("pcm16", 44100),
        ),
    ],
)
@pytest.mark.parametrize("direction", ["input", "output"])
def test_formats(direction: Any, given_format: Any, wire: Any, known: tuple[str, int]) -> None:
    merged = merge(DEFAULT, change(f"audio.{direction}.format", given_format))
    assert merged["audio"][direction]["format"] == wire
    assert audio_format(merged, direction) == known


def test_a_session_that_names_no_format_is_24_khz() -> None:
    assert audio_format({}, "input") == ("pcm16", 24000)
    assert audio_format({"audio": {"output": {"format": None}}}, "output") == ("pcm16", 24000)
    assert audio_format({"audio": {"output": {"format": "g711_ulaw"}}}, "output") == ("pcmu", 8000)
    with pytest.raises(InvalidValue, match="opus"):
        audio_format({"audio": {"input": {"format": {"type": "audio/opus"}}}}, "input")


def test_turn_detection_merges_within_a_kind_and_starts_afresh_with_another() -> None:
    path = "audio.input.turn_detection"
    quick = merge(DEFAULT, change(path, {"eagerness": "high", "create_response": False}))
    assert at(quick, path) == {
        "type": "semantic_vad",
        "eagerness": "high",
        "create_response": False,
        "interrupt_response": True,
    }
    energy = merge(quick, change(path, {"type": "server_vad", "threshold": 0.4, "eagerness": "x"}))
    assert at(energy, path) == {
        "type": "server_vad",
        "threshold": 0.4,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    }
    off = merge(energy, change(path, None))
    assert at(merge(off, change(path, {})), path) == at(DEFAULT, path)


def test_transcription_merges_and_comes_back_with_its_default_model() -> None:
    path = "audio.input.transcription"
    spanish = merge(DEFAULT, change(path, {"language": "es-ES"}))
    assert at(spanish, path) == {"model": "inworld/inworld-stt-1", "language": "es-ES"}
    off = merge(spanish, change(path, None))
    assert at(merge(off, change(path, {"prompt": "names"})), path) == {
        "model": "inworld/inworld-stt-1",
        "prompt": "names",
    }


def test_unknown_and_read_only_fields_are_ignored() -> None:
    update = {"provider_data": {"stt": 5}, "id": "mine", "object": 3, "expires_at": 1, "voice": 4}
    assert merge(DEFAULT, update) == DEFAULT
    assert merge(DEFAULT, {"audio": {"sideways": 1, "input": {"gain": 2}}}) == DEFAULT


def test_provider_data_merges_branch_by_branch() -> None:
    one = merge(
        DEFAULT,
        {"providerData": {"tts": {"language": "en"}, "stt": {"prompt": "p"}, "user_id": "u"}},
    )
    two = merge(one, {"providerData": {"tts": {"delivery_mode": "STABLE"}, "stt": None}})
    assert two["providerData"] == {
        "tts": {"language": "en", "delivery_mode": "STABLE"},
        "user_id": "u",
    }
    three = merge(two, {"providerData": {"tts": {"language": None}}})
    assert three["providerData"]["tts"] == {"delivery_mode": "STABLE"}


def test_an_enabled_backchannel_shows_its_defaults() -> None:
    off = merge(DEFAULT, change("providerData.backchannel", {"max_per_turn": 5}))
    assert off["providerData"]["backchannel"] == {"max_per_turn": 5}
    on = merge(off, change("providerData.backchannel.enabled", True))["providerData"]["backchannel"]
    assert (on["max_per_turn"], on["min_gap_ms"], on["decider_kind"]) == (5, 4000, "llm")


def test_response_overrides() -> None:
    asked = {
        "conversation": "auto",
        "voice": "Hades",
        "instructions": "x",
        "audio": {"output": {"voice": "Nobody"}},
        "metadata": {"k": "v"},
    }
    assert response_overrides(asked) == {
        "conversation": "auto",
        "voice": "Hades",
        "instructions": "x",
        "metadata": {"k": "v"},
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("conversation", "mine"),
        ("output_modalities", ["smell"]),
        ("metadata", {"k": 1}),
        ("metadata", {str(i): "v" for i in range(17)}),
        ("input", [{"content": [3]}]),
    ],
)
def test_response_overrides_refuse(field: str, value: Any) -> None:
    with pytest.raises(InvalidValue) as caught:
        response_overrides({field: value})
    assert str(caught.value.param).startswith(f"response.{field}")


KEYS = ["type", "audio", "input", "output", "format", "rate", "turn_detection", "transcription"]
KEYS += ["providerData", "tts", "tools", "tool_choice", "truncation", "enabled", "backchannel"]
KEYS += ["noise_reduction", "tracing", "prompt", "language", "model", "name", "threshold"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(KEYS), json_values, max_size=4))
def test_any_update_is_merged_or_refused_as_a_whole(update: dict[str, Any]) -> None:
    before = copy.deepcopy(update)
    try:
        merged = merge(DEFAULT, update)
    except InvalidValue as exc:
        assert str(exc.param).startswith("session")  # noqa: PT017 - either outcome is right
    else:
        assert merge(merged, update) == merged
        assert merge(merged, merged) == merged  # what the server tells can be sent back
        assert audio_format(merged, "output")[1] > 0
    assert update == before
    assert default_session("sess_1") == DEFAULT
