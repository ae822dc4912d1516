from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.localagent.spelling import normalise_digits, speakable


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("Call 555-0199.", "Call five five five, zero one nine nine."),
        (
            "Call 1-800-555-0199 now",
            "Call one, eight zero zero, five five five, zero one nine nine now",
        ),
        (
            "on +1 (415) 555-0199.",
            "on plus one, four one five, five five five, zero one nine nine.",
        ),
        ("+49301234567", "plus four nine three, zero one two, three four five, six seven"),
        ("order 20311, please", "order two zero three, one one, please"),
        ("Your code is 4815.", "Your code is four eight one five."),
        ("extension 204", "extension two zero four"),
        ("ext. 204", "extension two zero four"),
        ("e.g. now, 24/7", "for example now, twenty four seven"),
        ("see https://www.example.com", "see example.com"),
    ],
)
def test_spelled(written: str, spoken: str) -> None:
    assert speakable(written) == spoken


@pytest.mark.parametrize(
    "text",
    [
        "It costs $49.99, or 5% less.",
        "At 10:30 on 2026-11-21, until 21-11-2026.",
        "In 2024 there were 12000 calls, 1,250,000 minutes.",
        "12 people, 3.14 and 100 km",
        "from 9 to 6",
        "version 3.11.2",
        "A100, 10.0.0.12",
    ],
)
def test_what_the_voice_reads_well_is_left_alone(text: str) -> None:
    assert speakable(text) == text


@pytest.mark.parametrize(
    ("heard", "digits"),
    [
        ("My number is 5550-123.", "My number is 5550123."),
        ("555, 0123", "5550123"),
        ("555 01 23.", "5550123."),
        ("five five five oh one two three", "5550123"),
        ("Five double five, oh one two three.", "5550123."),
        ("triple five zero", "5550"),
        ("It's 4 8 1 5, thanks", "It's 4815, thanks"),
        ("Two zero three, 11.", "20311."),
    ],
)
def test_joined(heard: str, digits: str) -> None:
    assert normalise_digits(heard) == digits


@pytest.mark.parametrize(
    "text",
    [
        "One moment, please.",
        "one or two",
        "from 9-5",
        "two, three",
        "1,250,000 minutes",
        "on 2026-11-21",
        "It is 10:30, 4 people.",
        "$49.99",
        "oh, one",
        "",
    ],
)
def test_not_spelled_numbers_stay(text: str) -> None:
    assert normalise_digits(text) == text


@given(st.text(alphabet="0123456789", min_size=5, max_size=15))
def test_a_spelled_code_comes_back_whole(code: str) -> None:
    spoken = speakable(f"code {code}")
    assert normalise_digits(spoken) == f"code {code}"


@given(st.text())
def test_any_text_survives(text: str) -> None:
    speakable(text)
    once = normalise_digits(text)
    assert normalise_digits(once) == once
