"""JSON from outside: read as orjson reads it, never deeper than agreed, in linear time."""

from __future__ import annotations

import contextlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.text import json

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
