"""JSON from outside: read as orjson reads it, never deeper than agreed, in linear time."""

from __future__ import annotations

import contextlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.errors import RemoteProtocolError
from voxpy.localagent.responder import Say, Turn
from voxpy.localagent.rules import RuleResponder
from voxpy.realtime.tools import ToolSet
from voxpy.text import json
from voxpy.wire.realtime.client.protocol import RealtimeClient
from voxpy.wire.realtime.endpoint import refusal_reason

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=30,
)


@given(json_values)
def test_what_was_written_is_read(value: object) -> None:
    assert json.loads(orjson.dumps(value)) == value


@given(st.text() | st.binary() | st.text(alphabet='[]{}":,\\1 ', max_size=300))
def test_whatever_comes_raises_nothing_else(text: str | bytes) -> None:
    with contextlib.suppress(ValueError):
        json.loads(text)


@pytest.mark.parametrize("levels", [65, 255, 980, 1025, 100_000])
@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_too_deep_is_refused_before_it_is_parsed(levels: int, brackets: str) -> None:
    opening = brackets[0] if brackets == "[]" else '{"a":'
    with pytest.raises(json.TooDeep, match="nested deeper than 64 levels"):
        json.loads(opening * levels + "1" + brackets[1] * levels)
    with pytest.raises(json.TooDeep):
        json.loads((opening * levels).encode())


def test_depth_is_of_nesting_and_not_of_number() -> None:
    assert json.loads("[" + ",".join(["[[1]]"] * 1000) + "]") == [[[1]]] * 1000
    deepest = "[" * json.MAX_DEPTH + "]" * json.MAX_DEPTH
    assert orjson.dumps(json.loads(deepest)) == deepest.encode()


def test_brackets_in_strings_do_not_count() -> None:
    text = "[{" * 200 + '\\"' + "[" * 200
    assert json.loads(orjson.dumps([text, "\\", text])) == [text, "\\", text]


@pytest.mark.parametrize("piece", ['"', '\\"', '"\\', "[]", '[",'])
def test_hostile_text_is_looked_at_once(piece: str) -> None:
    """A megabyte of what makes careless patterns start over; quadratic time would take hours."""
    with pytest.raises(ValueError):  # noqa: PT011  # whatever is wrong with it first
        json.loads("[" * 65 + piece * (1_000_000 // len(piece)))
    with pytest.raises(ValueError):  # noqa: PT011
        json.loads("[]" * 65 + piece * (1_000_000 // len(piece)))


DEEP = '{"a":' * 980 + "1" + "}" * 980


async def test_arguments_of_a_tool_may_not_be_a_thousand_deep() -> None:
    def note(text: str) -> str:
        return text

    answer = await ToolSet(note).call("note", f'{{"text": {DEEP}}}')
    assert "nested deeper than 64 levels" in answer


def test_neither_may_an_event_of_a_service() -> None:
    with pytest.raises(RemoteProtocolError, match="nested deeper than 64 levels"):
        RealtimeClient().receive(f'{{"type": "session.updated", "session": {DEEP}}}')


def test_a_refusal_is_shown_as_text_whatever_its_depth() -> None:
    assert "HTTP 401" in refusal_reason(401, DEEP)


def test_a_functions_output_is_read_out_whatever_its_depth() -> None:
    called = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c", "output": DEEP}
    (said,) = RuleResponder().acts(Turn(items=[called, output]))
    assert isinstance(said, Say)
