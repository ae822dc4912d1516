"""Word error rate and keyword recall, against examples counted by hand and a plain distance."""

from __future__ import annotations

import re
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.lab.evaluation.words import (
    WordErrors,
    keyword_recall,
    normalised_words,
    word_errors,
)

SENTENCES = st.lists(st.sampled_from("one two three four".split()), max_size=7)


def test_words_are_compared_as_they_sound() -> None:
    assert normalised_words("It's 5 o'clock, ﬁne!") == ["its", "5", "oclock", "fine"]
    assert normalised_words("Grüße — 10%") == ["grüsse", "10"]
    assert normalised_words("...") == []


@pytest.mark.parametrize(
    ("expected", "actual", "errors", "rate"),
    [
        ("Hello there.", "hello THERE", (0, 0, 0), 0.0),
        ("we open at nine", "we open at night", (1, 0, 0), 0.25),
        ("we open at nine", "we open nine", (0, 0, 1), 0.25),
        ("we open", "well we open", (0, 1, 0), 0.5),
        ("yes", "", (0, 0, 1), 1.0),
        ("", "yes yes", (0, 2, 0), 2.0),
        ("", "", (0, 0, 0), 0.0),
    ],
)
def test_errors_by_hand(
    expected: str, actual: str, errors: tuple[int, int, int], rate: float
) -> None:
    found = word_errors(expected, actual)
    assert (found.substituted, found.inserted, found.deleted) == errors
    assert found.rate == rate


@given(SENTENCES, SENTENCES)
def test_the_errors_are_the_edit_distance(one: list[str], other: list[str]) -> None:
    @cache
    def distance(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        same = distance(i - 1, j - 1) + (one[i - 1] != other[j - 1])
        return min(same, distance(i - 1, j) + 1, distance(i, j - 1) + 1)

    found = word_errors(" ".join(one), " ".join(other))
    assert found.substituted + found.inserted + found.deleted == distance(len(one), len(other))
    assert len(one) - found.deleted + found.inserted == len(other)


def test_errors_add_up() -> None:
    both = word_errors("a b", "a c") + word_errors("d", "")
    assert both == WordErrors(expected_words=3, substituted=1, deleted=1)
    assert both.rate == pytest.approx(2 / 3)


def test_recall_looks_for_whole_words_and_phrases() -> None:
    said = "We're open nine-to-five, WhatsApp included. Order 1234."
    found = keyword_recall(["nine to five", "whatsapp", "what", r"/order \d{4}/"], said)
    assert found.found == ("nine to five", "whatsapp", r"/order \d{4}/")
    assert found.missing == ("what",)
    assert found.share == 0.75
    assert keyword_recall([], said).share == 1.0


def test_a_malformed_expression_is_raised() -> None:
    with pytest.raises(re.error):
        keyword_recall(["/(/"], "text")
