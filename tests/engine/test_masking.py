"""Secrets disappear by value and by key, and nothing else does."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.engine.masking import MASK, SHORTEST_SECRET_CHARACTERS, Masker

secrets = st.text(min_size=SHORTEST_SECRET_CHARACTERS).filter(lambda s: "*" not in s)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_a_value_is_masked_wherever_it_stands() -> None:
    masker = Masker(["sk-123456"])
    assert masker.text("Basic sk-123456, again sk-123456.") == "Basic ***, again ***."
    assert masker.json({"a": ["x sk-123456"], "sk-123456": 1}) == {"a": ["x ***"], "***": 1}


def test_of_two_values_the_longer_wins_so_that_no_tail_shows() -> None:
    assert Masker(["abcdef", "abcdefghij"]).text("abcdefghij") == "***"


def test_short_values_are_left_alone() -> None:
    masker = Masker(["12345", ""])
    assert masker.text("12345") == "12345"


def test_a_value_learnt_later_is_masked_from_then_on() -> None:
    masker = Masker()
    assert masker.text("rotated-key") == "rotated-key"
    masker.add("rotated-key")
    assert masker.text("rotated-key") == "***"


def test_characters_that_mean_something_in_patterns_are_taken_literally() -> None:
    assert Masker([".*.*.*"]).text("abcdef .*.*.*") == "abcdef ***"


def test_keys_hide_what_they_hold() -> None:
    given_ = {
        "Authorization": "Bearer x",
        "apiKey": "k",
        "api_key": "k",
        "X-Api-Key": "k",
        "client_secret": {"value": "v", "expires_at": 17},
        "password": 1234,
        "token": "t",
        "access_tokens": ["a", "b"],
        "authorization": None,
        "api_key_needed": True,
    }
    assert Masker().json(given_) == {
        "Authorization": "***",
        "apiKey": "***",
        "api_key": "***",
        "X-Api-Key": "***",
        "client_secret": {"value": "***", "expires_at": "***"},
        "password": "***",
        "token": "***",
        "access_tokens": ["***", "***"],
        "authorization": None,
        "api_key_needed": True,
    }


def test_what_services_count_in_tokens_stays_readable() -> None:
    usage = {
        "total_tokens": 253,
        "input_token_details": {"text_tokens": 119, "audio_tokens": 13},
        "max_output_tokens": "inf",
    }
    assert Masker().json(usage) == usage


def test_the_original_is_not_touched() -> None:
    original = {"token": "t", "list": ["secret-value"]}
    Masker(["secret-value"]).json(original)
    assert original == {"token": "t", "list": ["secret-value"]}


@given(st.lists(secrets, min_size=1, max_size=4), st.text(), st.data())
def test_no_known_value_survives(values: list[str], around: str, data: st.DataObject) -> None:
    value = data.draw(st.sampled_from(values))
    masked = Masker(values).text(f"{around}\0{value}\0{around}")
    assert "***" in masked
    assert f"\0{value}\0" not in masked


@given(json_values)
def test_without_secrets_json_comes_out_as_it_went_in_but_for_keys(value: Any) -> None:
    def has_secret_key(v: Any) -> bool:
        words = ("key", "token", "secret", "password", "authorization")
        return any(word in json.dumps(v).lower() for word in words)

    if not has_secret_key(value):
        assert Masker().json(value) == value


SECRET = "pa/ss wörd+\"q'"


@pytest.mark.parametrize(
    "form",
    [
        quote(SECRET, safe=""),
        quote(SECRET),
        quote_plus(SECRET),
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        repr(SECRET),
        *(
            base64.b64encode(f"{user}:{SECRET}".encode()).decode()
            for user in ("", "a", "ab", "abc")
        ),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
    ],
)
def test_a_value_is_masked_in_every_form_it_takes_on_its_way(form: str) -> None:
    found = Masker([SECRET]).text(f"before {form} behind")
    assert MASK in found
    assert len(found.replace(MASK, "")) <= len("before  behind") + 12, "a name and padding may stay"


def test_the_lines_of_a_key_are_secrets_and_its_first_and_last_are_not() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END PRIVATE KEY-----"
    masker = Masker([key])
    assert masker.text("x kqhkiG9w0BAQEF y") == "x *** y"
    assert masker.text(json.dumps(key)) == '"***"'
    assert masker.text("-----BEGIN PRIVATE KEY-----") == "-----BEGIN PRIVATE KEY-----"


@given(st.binary(min_size=9, max_size=40), st.binary(max_size=5), st.binary(max_size=5))
def test_whatever_stands_around_it_base64_hides_nothing(
    secret: bytes, before: bytes, behind: bytes
) -> None:
    value = secret.hex()
    coded = base64.b64encode(before + value.encode() + behind).decode()
    assert MASK in Masker([value]).text(coded)
