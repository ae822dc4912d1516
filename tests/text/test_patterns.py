"""Patterns: the whole of it or nothing, and what is offered for those that are none."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.text.patterns import compile_pattern, example_of, matches_everything


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("+?[1-9]", "nothing to repeat at 0; did you mean '\\+?[1-9]'?"),
        ("^+1555", "nothing to repeat at 1; did you mean '^\\+1555'?"),
        ("(+1|+44)5", "nothing to repeat at 1"),
        ("*", "nothing to repeat at 0; did you mean '\\*'?"),
        ("+1(", "nothing to repeat at 0"),
        ("1(5", "missing ), unterminated subpattern at 1"),
        ("a{99999999999999999999}", "the repetition number is too large"),
        ("(" * 20000, "nested too deeply"),
    ],
)
def test_what_is_no_regular_expression_says_why(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match="is not a regular expression") as caught:
        compile_pattern(text)
    assert str(caught.value) == f"{text!r} is not a regular expression: {complaint}"


def test_a_pattern_that_may_change_its_meaning_works_in_silence() -> None:
    assert compile_pattern("[[a]").fullmatch("[")  # any warning would fail this test


@given(st.text(alphabet="ab+*?.[](){}|^$\\1-9,"))
def test_any_text_is_a_pattern_or_has_a_reason_and_offers_compile(text: str) -> None:
    try:
        assert compile_pattern(text).pattern == text
    except ValueError as exc:
        why = str(exc)
        _, offered, offer = why.partition("did you mean '")
        if offered:
            assert compile_pattern(offer.removesuffix("'?")).pattern
    else:
        why = ""
    assert why == "" or why.startswith(f"{text!r} is not a regular expression: ")


@pytest.mark.parametrize("text", [".*", "^.*$", ".+", "(.*)", "(?:.*)", "^(.*)$", ".*?"])
def test_catch_alls_are_known(text: str) -> None:
    assert matches_everything(re.compile(text))


@pytest.mark.parametrize("text", ["1.*", ".", "(a)(.*)", r"\.*", ".*1", ""])
def test_other_patterns_are_not_taken_for_catch_alls(text: str) -> None:
    assert not matches_everything(re.compile(text))


@pytest.mark.parametrize(
    ("pattern", "example"),
    [
        (r"\+?[1-9]\d{6,14}", "+1555555"),
        ("echo", "echo"),
        ("(?:help|support)-[a-z]+", "help-a"),
        ("(?P<who>anna|ben)?", "anna"),
        (r"sip:.*@example\.org", "sip:a@example.org"),
        ("^desk$", "desk"),
        ("x{3}y{0}", "xxx"),
        (r"(\d)\1", ""),
        ("[^0-9]+", ""),
        ("(?i)desk", ""),
    ],
)
def test_an_example_of_a_pattern(pattern: str, example: str) -> None:
    assert example_of(re.compile(pattern)) == example


@given(st.from_regex(r"[a-z0-9+\\.*?()|{},\[\]^$-]{0,12}", fullmatch=True))
def test_an_example_matches_or_there_is_none(text: str) -> None:
    try:
        pattern = compile_pattern(text)
    except ValueError:
        return
    found = example_of(pattern)
    assert found == "" or pattern.fullmatch(found)
