from __future__ import annotations

import base64
import types
import typing
from collections.abc import Mapping
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.errors import LocalProtocolError, RemoteProtocolError
from voxpy.text.json import MAX_DEPTH
from voxpy.wire.realtime.events import client_events as ce
from voxpy.wire.realtime.events import rules
from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.codec import (
    LEGACY_NAMES,
    decode_audio,
    encode,
    encode_append,
    encode_audio_delta,
    parse_client,
    parse_server,
)
from voxpy.wire.realtime.events.types import (
    Error,
    Unknown,
    end_reason,
    function_calls,
    item_text,
)

# -- strategies ----------------------------------------------------------------------------------

texts = st.text(max_size=12)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from(["model", "voice", "x"]), json_values, max_size=3)
parts = st.fixed_dictionaries({"type": texts}, optional={"text": texts, "transcript": st.none()})
items = st.fixed_dictionaries(
    {"type": texts}, optional={"id": texts, "content": st.lists(parts, max_size=2), "x": texts}
)
responses = st.fixed_dictionaries(
    {"id": texts}, optional={"status": texts, "output": st.lists(items, max_size=2)}
)
errors = st.fixed_dictionaries(
    {"message": texts.filter(bool)},
    optional={"type": texts, "code": st.none() | texts, "more": json_values},
)
BY_CHECK: dict[Any, st.SearchStrategy[Any]] = {
    str: texts,
    int: st.integers(0, 99),
    float: st.integers(0, 99) | st.floats(0, 9, allow_nan=False),
    Error: errors,
    rules.json_object: objects,
    rules.objects: st.lists(objects, max_size=2),
    rules.item: items,
    rules.part: parts,
    rules.response: responses,
}


def frames_of(cls: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Frames of one class, drawn from its field types: a second reading, apart from the codec's."""
    needed: dict[str, Any] = {"type": st.just(cls.type)}
    optional: dict[str, Any] = {"x_extra": json_values, "extra": json_values}
    for field in attrs.fields(cls):
        if field.name == "extra":
            continue
        kinds = typing.get_args(field.type) if _is_union(field.type) else (field.type,)
        kind = kinds[0]
        drawn = BY_CHECK[kind.__metadata__[0] if hasattr(kind, "__metadata__") else kind]
        wire = field.metadata.get("wire", field.name)
        if field.default is attrs.NOTHING:
            needed[wire] = drawn
        else:
            optional[wire] = drawn | st.none()
    return st.fixed_dictionaries(needed, optional=optional)


def _is_union(kind: Any) -> bool:
    return typing.get_origin(kind) in (types.UnionType, typing.Union)


SERVER_CLASSES = list(se.SERVER_EVENTS.values())
CLIENT_CLASSES = list(ce.CLIENT_EVENTS.values())


# -- round trips -----------------------------------------------------------------------------------


@given(st.sampled_from(SERVER_CLASSES).flatmap(frames_of))
def test_server_events_round_trip(frame: dict[str, Any]) -> None:
    event = parse_server(orjson.dumps(frame))
    assert type(event) is se.SERVER_EVENTS[frame["type"]]
    assert orjson.loads(encode(event)) == frame
    assert parse_server(encode(event)) == event


@given(st.sampled_from(CLIENT_CLASSES).flatmap(frames_of))
def test_client_events_round_trip(frame: dict[str, Any]) -> None:
    event = parse_client(orjson.dumps(frame))
    assert type(event) is ce.CLIENT_EVENTS[frame["type"]]
    assert orjson.loads(encode(event)) == frame


@pytest.mark.parametrize("cls", [*SERVER_CLASSES, *CLIENT_CLASSES], ids=lambda c: c.type)
def test_a_missing_needed_field_is_named(cls: Any) -> None:
    parse = parse_server if cls in SERVER_CLASSES else parse_client
    needed = [f.name for f in attrs.fields(cls) if f.default is attrs.NOTHING]
    if not needed:
        assert type(parse(orjson.dumps({"type": cls.type}))) is cls
        return
    with pytest.raises(RemoteProtocolError, match=r"^\$\.(" + "|".join(needed) + "): missing"):
        parse(orjson.dumps({"type": cls.type}))


def test_unknown_types_survive_whole() -> None:
    text = b'{"type":"response.hologram","event_id":"e7","a":[1,{"b":null}]}'
    event = parse_server(text)
    assert isinstance(event, Unknown)
    assert (event.type, event.event_id) == ("response.hologram", "e7")
    assert orjson.loads(encode(event)) == orjson.loads(text)


# -- nothing but RemoteProtocolError -----------------------------------------------------------


def parses_or_refuses(text: str | bytes) -> None:
    for parse in (parse_server, parse_client):
        try:
            event = parse(text)
        except RemoteProtocolError as exc:
            told = str(exc)
        else:
            encode(event)
            told = "$" + repr(event.type)
        assert told.startswith("$")
        assert len(told) < 400


@given(st.binary(max_size=60) | st.text(st.characters(), max_size=60))
def test_arbitrary_input(text: str | bytes) -> None:
    parses_or_refuses(text)


@given(json_values)
def test_arbitrary_json(value: Any) -> None:
    parses_or_refuses(orjson.dumps(value))


FIELD_NAMES = sorted({f.name for cls in SERVER_CLASSES for f in attrs.fields(cls)})  # type: ignore[arg-type]


@given(
    st.sampled_from([*se.SERVER_EVENTS, *ce.CLIENT_EVENTS, *LEGACY_NAMES, "error"]),
    st.dictionaries(st.sampled_from([*FIELD_NAMES, "message"]), json_values | items, max_size=9),
)
def test_known_types_with_arbitrary_fields(name: str, fields: dict[str, Any]) -> None:
    parses_or_refuses(orjson.dumps({**fields, "type": name}))


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 200, 300, 1000, 5000])
@pytest.mark.parametrize("brackets", [("[", "]"), ('{"a":', "}")])
def test_deep_nesting_is_refused(depth: int, brackets: tuple[str, str]) -> None:
    value = brackets[0] * depth + "1" + brackets[1] * depth
    text = f'{{"type":"session.update","event_id":"e","session":{{"x":{value}}}}}'
    with pytest.raises(RemoteProtocolError, match=r"nested deeper|depth limit"):
        parse_client(text)
    parses_or_refuses(text.replace("session.update", "who.knows"))


def test_wide_is_not_deep() -> None:
    tools = [{"type": "function", "name": f"f{i}", "parameters": {}} for i in range(100)]
    event = parse_client(orjson.dumps({"type": "session.update", "session": {"tools": tools}}))
    assert isinstance(event, ce.SessionUpdate)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "$: not JSON"),
        (b"\xff\xfe", "$: not JSON"),
        ("\ud800", "$: not JSON"),
        ("[1, 2]", "$: expected an object, not an array of 2 elements"),
        ("null", "$: expected an object, not null"),
        ('{"event_id":"e"}', "$: The 'type' field is missing. The frame has 'event_id'"),
        ('{"errorType":"SESSION_RESOURCES_EXHAUSTED"}', "The frame has 'errorType'"),
        ('{"type":7}', "$.type: expected a string, not 7"),
        ('{"type":["a"]}', "$.type: expected a string, not an array of 1 elements"),
        (
            '{"type":"conversation.item.added","item":{"content":[3]}}',
            "$.item.content[0]: expected an object, not 3",
        ),
        (
            '{"type":"conversation.item.added","item":{"content":[{},{"text":true}]}}',
            "$.item.content[1].text: expected a string, not true",
        ),
        (
            '{"type":"response.done","response":{"output":[{"id":4}]}}',
            "$.response.output[0].id: expected a string, not 4",
        ),
        (
            '{"type":"response.output_audio.delta","response_id":"r","item_id":"i","delta":null}',
            "$.delta: expected a string, not null",
        ),
        (
            '{"type":"conversation.item.truncated","item_id":"i","content_index":0.5}',
            "$.content_index: expected an integer, not 0.5",
        ),
        (
            '{"type":"input_audio_buffer.speech_started","item_id":"i","audio_start_ms":"9"}',
            "$.audio_start_ms: expected a number, not '9'",
        ),
        ('{"type":"error","error":[]}', "$.error: expected an object, not an array of 0 elements"),
    ],
)
def test_messages_name_the_place_and_what_came(text: str | bytes, message: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_server(text)
    assert message in str(caught.value)


def test_long_values_are_cut_in_messages() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_server('{"type":"session.created","session":"' + "x" * 9999 + '"}')
    assert len(str(caught.value)) < 120


# -- older and Inworld's spellings ----------------------------------------------------------------


@pytest.mark.parametrize(("old", "cls"), LEGACY_NAMES.items())
def test_legacy_names_are_read_and_ga_names_written(old: str, cls: type[Any]) -> None:
    fields = {
        "response_id": "r",
        "item_id": "i",
        "event_id": "e",
        "output_index": 0,
        "content_index": 0,
        "delta": "AAAA",
        "item": {"id": "i"},
    }
    event = parse_server(orjson.dumps({"type": old, **fields}))
    assert type(event) is cls
    assert orjson.loads(encode(event))["type"] == cls.type != old


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "error", "message": "went wrong"},
        {"type": "error", "error": None, "message": "went wrong"},
        {"type": "error", "error": {"code": None}, "message": "went wrong"},
        {"type": "error", "error": "went wrong"},
        {"type": "error", "error": {"message": "went wrong"}, "message": "other"},
    ],
)
def test_error_messages_wherever_they_stand(frame: Mapping[str, Any]) -> None:
    event = parse_server(orjson.dumps(frame))
    assert isinstance(event, se.ErrorEvent)
    assert event.error.message == "went wrong"


def test_an_error_without_any_message_tells_its_code() -> None:
    event = parse_server('{"type":"error","error":{"code":"rate_limited"}}')
    assert isinstance(event, se.ErrorEvent)
    assert event.error.message == "rate_limited"


# -- the audio path --------------------------------------------------------------------------------


@given(st.binary(max_size=200))
def test_audio_frames_equal_the_general_encoding(audio: bytes) -> None:
    text = base64.b64encode(audio).decode()
    assert orjson.loads(encode_append(audio)) == orjson.loads(
        encode(ce.InputAudioBufferAppend(audio=text))
    )
    part = b'"response_id":"r","item_id":"i","output_index":0,"content_index":0'
    delta = parse_server(encode_audio_delta(audio, event_id='e"1', part=part))
    assert delta == se.ResponseOutputAudioDelta(
        event_id='e"1', response_id="r", item_id="i", output_index=0, content_index=0, delta=text
    )
    assert decode_audio(text, "$.delta") == audio


@pytest.mark.parametrize("text", ["A", "AAAAA", "A!==", "é", "====", "AA=A", "\ud800"])
def test_bad_base64_is_a_protocol_error(text: str) -> None:
    with pytest.raises(RemoteProtocolError, match=r"^\$\.audio: not base64"):
        decode_audio(text, "$.audio")


@given(st.binary(min_size=1, max_size=200), st.sampled_from([4, 60, 76]))
def test_sloppy_base64_is_understood(audio: bytes, width: int) -> None:
    """Without padding, wrapped, or in the alphabet of URLs: other stacks write all three."""
    plain = base64.b64encode(audio).decode()
    url_safe = base64.urlsafe_b64encode(audio).decode()
    lines = "\r\n".join(plain[n : n + width] for n in range(0, len(plain), width))
    for written in (plain.rstrip("="), url_safe, url_safe.rstrip("="), lines, lines + "\n"):
        assert decode_audio(written, "$.delta") == audio


def test_what_is_not_json_cannot_be_sent() -> None:
    with pytest.raises(LocalProtocolError, match=r"session\.update cannot be written as JSON"):
        encode(ce.SessionUpdate(session={"model": object()}))


def test_any_mapping_can_be_sent() -> None:
    update = ce.SessionUpdate(session={"audio": types.MappingProxyType({"input": {}})})
    assert b'"audio":{"input":{}}' in encode(update)


# -- the classes ---------------------------------------------------------------------------------


def test_events_are_frozen_and_equal_by_value() -> None:
    event = se.ResponseOutputTextDelta(response_id="r", item_id="i", delta="d")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.delta = "x"  # type: ignore[misc]
    assert event == se.ResponseOutputTextDelta(response_id="r", item_id="i", delta="d")
    assert event != se.ResponseOutputAudioDelta(response_id="r", item_id="i", delta="d")
    with pytest.raises(TypeError):
        hash(event)


def test_repr_leaves_out_what_is_absent_and_cuts_audio() -> None:
    event = se.ResponseOutputAudioDelta(response_id="r", item_id="i", delta="A" * 5000)
    assert repr(event).startswith("ResponseOutputAudioDelta(response_id='r', item_id='i', delta=")
    assert len(repr(event)) < 200


def test_reading_items_and_responses() -> None:
    said = {"type": "message", "content": [{"text": "a"}, {"transcript": None}, {"text": "b"}]}
    assert item_text(said) == "a b"
    assert item_text({"type": "function_call_output", "output": "42"}) == "42"
    call = {"type": "function_call", "id": "i", "call_id": "c", "name": "f", "arguments": "{}"}
    assert [c.name for c in function_calls({"status": "completed", "output": [said, call]})] == [
        "f"
    ]
    assert function_calls({"status": "cancelled", "output": [call]}) == []
    assert end_reason({"status_details": {"reason": "turn_detected"}}) == "turn_detected"
    assert end_reason({"status_details": {"error": {"code": None, "type": "server_error"}}}) == (
        "server_error"
    )
    assert end_reason({"status_details": None}) is None
