"""Timelines of speech and silence, and what they are taken for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.amd.decision import BOUNDARIES_S, Decider, Thresholds, Verdict, said_by

FRAME_MS = 32


def play(
    *timeline: float, model: str = "us", thresholds: Thresholds | None = None
) -> tuple[Verdict | None, float]:
    """Feed silence and speech in turn, in seconds; return the verdict and when it came."""
    decider = Decider(boundary_s=BOUNDARIES_S[model], thresholds=thresholds or Thresholds())
    at_ms, until_ms = 0.0, 0.0
    for n, seconds in enumerate(timeline):
        until_ms += seconds * 1000
        while at_ms + FRAME_MS <= until_ms:
            at_ms += FRAME_MS
            verdict = decider.feed(0.9 if n % 2 else 0.05, FRAME_MS)
            if verdict is not None:
                return verdict, at_ms / 1000
    return None, at_ms / 1000


@pytest.mark.parametrize(
    ("timeline", "result_class", "at_s"),
    [
        ((0.5, 0.4, 3.0), "HUMAN", 1.5),  # "Hello?"
        ((0.2, 0.8, 3.0), "HUMAN", 1.65),
        ((0.2, 1.2, 3.0), "HUMAN", 2.3),  # "Hello, John speaking"
        ((0.3, 0.4, 0.2, 0.6, 3.0), "HUMAN", 2.35),  # "Hello, [breath] John here"
        ((0.4, 4.0, 3.0), "VOICEMAIL", 2.65),
        ((0.4, 1.3, 0.5, 2.0, 3.0), "VOICEMAIL", 3.15),  # "You've reached Bob. [pause] Please..."
        ((0.4, 1.0, 0.25, 1.0, 0.25, 1.0), "VOICEMAIL", 2.65),  # breaths count as greeting
        ((2.0, 0.5, 3.0), "HUMAN", 3.1),  # picks up late
        ((0.3, 1.4, 3.0), "HUMAN", 3.9),  # between the two: the likelier after two seconds
        ((0.3, 1.9, 3.0), "VOICEMAIL", 4.2),
    ],
)
def test_who_answered(timeline: tuple[float, ...], result_class: str, at_s: float) -> None:
    verdict, at = play(*timeline)
    assert verdict is not None
    assert verdict.result_class == result_class
    assert at == pytest.approx(at_s, abs=0.2)
    assert 50 <= verdict.confidence <= 100


@pytest.mark.parametrize(
    "timeline",
    [(20.0,), (1.0, 0.06, 19.0), (0.1, *[0.06, 0.5] * 30), (0.5, 1.5)],
    ids=["nobody", "a click", "clicks", "still speaking"],
)
def test_no_verdict(timeline: tuple[float, ...]) -> None:
    assert play(*timeline)[0] is None


def test_a_beep_is_a_machine() -> None:
    verdict = Decider(boundary_s=1.7, thresholds=Thresholds()).beep()
    assert verdict == Verdict("VOICEMAIL", 97.0)


def test_thresholds_trade_time_for_certainty() -> None:
    hasty, early = play(0.3, 6.0, thresholds=Thresholds(voicemail=60))
    sure, late = play(0.3, 6.0, thresholds=Thresholds(voicemail=99))
    assert hasty is not None
    assert sure is not None
    assert hasty.confidence == pytest.approx(60, abs=3)
    assert sure.confidence >= 99
    assert late - early == pytest.approx(1.45, abs=0.1)
    assert play(0.3, 0.4, 5.0, thresholds=Thresholds(human=95))[1] > play(0.3, 0.4, 5.0)[1] + 0.5


def test_models_differ_where_greetings_do() -> None:
    assert play(0.3, 6.0, model="ru")[1] < play(0.3, 6.0, model="us")[1]


timelines = st.lists(st.floats(0.0, 3.0), max_size=8)


@given(timelines)
def test_a_verdict_is_never_less_likely_than_not(timeline: list[float]) -> None:
    verdict, _ = play(*timeline)
    if verdict is not None:
        assert verdict.result_class in ("HUMAN", "VOICEMAIL")
        assert 48 <= verdict.confidence <= 100


@given(timelines, st.floats(0.0, 5.0))
def test_silence_before_the_answer_changes_nothing_but_the_time(
    timeline: list[float], silence_s: float
) -> None:
    early, at = play(0.0, *timeline)
    frames = round(silence_s * 1000 / FRAME_MS)
    decider_late, late = play(frames * FRAME_MS / 1000 + 1e-6, *timeline)
    assert (early is None) == (decider_late is None)
    if early is not None and decider_late is not None:
        assert early.result_class == decider_late.result_class
        assert late - at == pytest.approx(frames * FRAME_MS / 1000, abs=0.04)


@given(st.floats(0.2, 1.2), st.floats(2.3, 8.0))
def test_longer_greetings_are_machines(short_s: float, long_s: float) -> None:
    short, _ = play(0.2, short_s, 3.0)
    long, _ = play(0.2, long_s, 3.0)
    assert short is not None
    assert long is not None
    assert (short.result_class, long.result_class) == ("HUMAN", "VOICEMAIL")


@given(st.lists(st.floats(0.0, 1.0), max_size=400))
def test_any_probabilities_are_taken(probabilities: list[float]) -> None:
    decider = Decider(boundary_s=1.7, thresholds=Thresholds())
    for probability in probabilities:
        if decider.feed(probability, FRAME_MS) is not None:
            break
    assert 0 <= decider.greeting_s <= len(probabilities) * FRAME_MS / 1000 + 0.001


# -- words -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ("Hello?", "HUMAN"),
        ("Yes, hello, this is Martin.", "HUMAN"),
        ("Martin here", "HUMAN"),
        ("Good morning, Miller and Sons, how may I help you?", "HUMAN"),
        ("Who’s this?", "HUMAN"),
        ("Hi, you've reached Martin. I cannot take your call right now.", "VOICEMAIL"),
        ("Hello, you have reached", "VOICEMAIL"),
        ("Please leave a message after the tone.", "VOICEMAIL"),
        ("Please leave us a short message", "VOICEMAIL"),
        ("The person you are calling is not available", "VOICEMAIL"),
        ("The number you have dialled", "VOICEMAIL"),
        ("I can't come to the phone", "VOICEMAIL"),
        ("For sales, press one", "VOICEMAIL"),
        ("Martin Miller", ""),
        ("", ""),
        ("I will be available in a minute", ""),
    ],
)
def test_who_says_such_a_thing(text: str, who: str) -> None:
    assert said_by(text) == who


def listen(
    text: str, *timeline: float, slow_ms: float = 0.0, answers: bool = True
) -> tuple[Verdict, float]:
    """Play a timeline to a decider whose recogniser hears ``text`` and takes ``slow_ms``."""
    decider = Decider(boundary_s=BOUNDARIES_S["us"], thresholds=Thresholds(), hears_words=True)
    at_ms, until_ms, told_at = 0.0, 0.0, None
    for n, seconds in enumerate(timeline):
        until_ms += seconds * 1000
        while at_ms + FRAME_MS <= until_ms:
            at_ms += FRAME_MS
            verdict = decider.feed(0.9 if n % 2 else 0.05, FRAME_MS)
            if verdict is None and decider.words_due():
                told_at = at_ms + slow_ms
            if verdict is None and answers and told_at is not None and at_ms >= told_at:
                told_at = None
                verdict = decider.words(text)
            if verdict is not None:
                return verdict, at_ms / 1000
    raise AssertionError("no verdict")


@pytest.mark.parametrize("slow_ms", [0, 100, 400])
@pytest.mark.parametrize("speed", [0.7, 1.0, 1.4])
def test_a_person_is_a_person_at_any_speed_of_voice_and_machine(
    speed: float, slow_ms: float
) -> None:
    greeting = (0.4, 0.4 / speed, 0.2, 0.4 / speed, 0.2, 0.8 / speed, 4.0)
    verdict, at_s = listen("Yes, hello, this is Martin.", *greeting, slow_ms=slow_ms)
    assert verdict.result_class == "HUMAN"
    assert at_s < sum(greeting[:-1]) + 1.4


@pytest.mark.parametrize("slow_ms", [0, 100, 400])
def test_a_machine_is_known_by_its_words(slow_ms: float) -> None:
    verdict, at_s = listen("Please leave a message.", 0.3, 1.0, 4.0, slow_ms=slow_ms)
    assert verdict == Verdict("VOICEMAIL", 95.0)
    assert at_s == pytest.approx(0.3 + 0.7 + slow_ms / 1000, abs=0.1)


def test_words_like_a_persons_do_not_excuse_a_greeting_that_goes_on() -> None:
    verdict, at_s = listen("Hello, this is Martin", 0.3, 8.0)
    assert verdict.result_class == "VOICEMAIL"
    assert at_s == pytest.approx(0.3 + 1.7 + 2.0 + 0.5, abs=0.1)


def test_a_recogniser_that_never_answers_delays_by_a_second_at_most() -> None:
    verdict, at_s = listen("", 0.3, 0.5, 4.0, answers=False)
    assert verdict.result_class == "HUMAN"
    assert at_s == pytest.approx(0.3 + 0.5 + 0.16 + 1.0, abs=0.1)
    verdict, at_s = listen("", 0.3, 5.0, answers=False)
    assert verdict.result_class == "VOICEMAIL"
    assert at_s == pytest.approx(0.3 + 2.2, abs=0.1)
