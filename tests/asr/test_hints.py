from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.asr.hints import apply_hints, without_profanity

words = st.lists(st.text("abcdeilnorst", min_size=1, max_size=8), max_size=8).map(" ".join)


@pytest.mark.parametrize(
    ("heard", "hint", "corrected"),
    [
        ("Please call vox pie today.", "Voxpy", "Please call Voxpy today."),
        ("My name is Jon Smyth.", "John Smith", "My name is John Smith."),
        ("I want to talk to Voxie, please", "Voxi", "I want to talk to Voxi, please"),
        ("Transfer me to sails!", "sales", "Transfer me to sales!"),
        ("Doctor Shevchenkow, about it", "Shevchenko", "Doctor Shevchenko, about it"),
        ("in world real time", "Inworld Realtime", "Inworld Realtime"),
        ("calling in world today", "Inworld", "calling Inworld today"),
        ("this is SALES", "sales", "this is sales"),
    ],
)
def test_near_misses_become_the_hint(heard: str, hint: str, corrected: str) -> None:
    assert apply_hints(heard, [hint]) == corrected


@pytest.mark.parametrize(
    ("heard", "hint"),
    [
        ("the other day", "mother"),
        ("I would like to cancel", "Wood Lake"),
        ("I want a later appointment", "letter"),
        ("hello there", "yellow"),
        ("can you repeat that", "repeal"),
        ("no thanks", "yes thanks"),
        ("tea for two", "tee"),  # too short to be near anything
        ("", "anything"),
    ],
)
def test_other_words_stay(heard: str, hint: str) -> None:
    assert apply_hints(heard, [hint]) == heard


def test_the_nearest_of_several_hints_wins_and_no_word_is_used_twice() -> None:
    hints = ["Smithson", "John Smith", "Jane Smythe"]
    assert apply_hints("Jon Smyth and Jane Smith", hints) == "John Smith and Jane Smythe"


@given(words, st.lists(words.filter(bool), max_size=3))
def test_without_a_near_miss_nothing_changes_and_twice_is_once(text: str, hints: list[str]) -> None:
    once = apply_hints(text, hints)
    assert apply_hints(text, []) == text
    for word in once.split():
        assert word in text.split() or any(word in h.split() for h in hints)


def test_profanity() -> None:
    assert without_profanity("What the Fuck, shitty parcel") == "What the F***, s***** parcel"
    clean = "Scunthorpe, the assistant of Mrs Hitchcock, has class"
    assert without_profanity(clean) == clean
