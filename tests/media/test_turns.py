from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from voxpy.media.turns import (
    PAUSE_MS,
    Pause,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
    TurnDetector,
    TurnEvent,
)

SPEECH, UNSURE, SILENCE = 0.9, 0.4, 0.05

probabilities = st.one_of(
    st.floats(0.0, 1.0),
    st.sampled_from([SPEECH, UNSURE, SILENCE, 0.5, 0.35]),
)
scripts = st.lists(st.tuples(probabilities, st.integers(1, 40)), max_size=40)


def play(detector: TurnDetector, *script: tuple[float, int]) -> list[TurnEvent]:
    """Feed ``(probability, duration in ms)`` in one frame each."""
    return [event for probability, ms in script for event in detector.feed(probability, ms)]


def position(event: TurnEvent) -> int:
    match event:
        case SpeechStarted(start_ms):
            return start_ms
        case SpeechStopped(end_ms, _):
            return end_ms
        case Pause(at_ms) | SpeechResumed(at_ms):
            return at_ms


def test_one_turn_from_start_to_end() -> None:
    detector = TurnDetector(silence_ms=600)
    assert play(detector, (SILENCE, 1000)) == []
    assert play(detector, (SPEECH, 32)) == []
    assert play(detector, (SPEECH, 32)) == [SpeechStarted(start_ms=700)]
    assert detector.in_turn
    assert play(detector, (SPEECH, 936), (SILENCE, 190)) == []
    assert play(detector, (SILENCE, 32)) == [Pause(at_ms=2200)]
    assert play(detector, (SILENCE, 320)) == []
    assert play(detector, (SILENCE, 64)) == [SpeechStopped(end_ms=2600, speech_end_ms=2000)]
    assert not detector.in_turn
    assert detector.position_ms == 2606


def test_a_click_is_no_turn() -> None:
    assert play(TurnDetector(), *[(SPEECH, 32), (SILENCE, 32)] * 20) == []


def test_the_threshold_itself_is_not_above_it() -> None:
    assert play(TurnDetector(threshold=0.5), (0.5, 500)) == []


def test_padding_reaches_neither_before_the_call_nor_into_the_last_turn() -> None:
    detector = TurnDetector(silence_ms=300, prefix_padding_ms=300)
    assert play(detector, (SPEECH, 100)) == [SpeechStarted(0)]
    assert play(detector, (SILENCE, 350)) == [Pause(300), SpeechStopped(400, 100)]
    assert play(detector, (SPEECH, 100)) == [SpeechStarted(400)]


def test_wavering_between_the_thresholds_changes_nothing() -> None:
    detector = TurnDetector(silence_ms=300)
    play(detector, (SPEECH, 100))
    assert play(detector, (UNSURE, 2000)) == []  # still the same word, fading
    assert play(detector, (SILENCE, 100), (UNSURE, 150)) == [Pause(2300)]  # no new speech either
    assert play(detector, (UNSURE, 100)) == [SpeechStopped(2400, 2100)]


def test_speech_after_a_pause_resumes_the_turn() -> None:
    detector = TurnDetector(silence_ms=600)
    play(detector, (SPEECH, 100), (SILENCE, 250))
    assert play(detector, (SPEECH, 32)) == [SpeechResumed(350)]
    assert play(detector, (SILENCE, 599)) == [Pause(582)]
    assert play(detector, (SILENCE, 1)) == [SpeechStopped(982, 382)]


def test_a_short_gap_is_not_worth_an_event() -> None:
    detector = TurnDetector()
    play(detector, (SPEECH, 100))
    assert play(detector, (SILENCE, PAUSE_MS - 1), (SPEECH, 32)) == []


def test_no_pause_when_the_turn_ends_sooner() -> None:
    detector = TurnDetector(silence_ms=150)
    play(detector, (SPEECH, 100))
    assert play(detector, (SILENCE, 400)) == [SpeechStopped(250, 100)]


def test_extending_waits_longer_for_this_silence_only() -> None:
    detector = TurnDetector(silence_ms=400)
    play(detector, (SPEECH, 100), (SILENCE, 250))
    detector.extend(600)
    detector.extend(200)  # the longest holds, they do not add up
    assert play(detector, (SILENCE, 700)) == []
    assert play(detector, (SPEECH, 50)) == [SpeechResumed(1050)]
    assert play(detector, (SILENCE, 400)) == [Pause(1300), SpeechStopped(1500, 1100)]
    detector.extend(5000)  # outside a turn: nothing to extend
    play(detector, (SPEECH, 100))
    assert play(detector, (SILENCE, 400))[-1] == SpeechStopped(2000, 1600)


def test_reset_drops_the_turn_and_keeps_the_position() -> None:
    detector = TurnDetector()
    play(detector, (SPEECH, 100), (SILENCE, 250))
    detector.reset()
    assert not detector.in_turn
    assert play(detector, (SILENCE, 1000)) == []
    assert detector.position_ms == 1350
    assert play(detector, (SPEECH, 100)) == [SpeechStarted(1050)]


def test_a_turn_ends_however_low_the_threshold() -> None:
    detector = TurnDetector(threshold=0.1)
    play(detector, (SPEECH, 100))
    assert play(detector, (0.0, 1000))[-1] == SpeechStopped(700, 100)


@given(script=scripts, silence_ms=st.integers(0, 900), padding_ms=st.integers(0, 500))
def test_turns_alternate_and_positions_grow(
    script: list[tuple[float, int]], silence_ms: int, padding_ms: int
) -> None:
    detector = TurnDetector(silence_ms=silence_ms, prefix_padding_ms=padding_ms)
    events = play(detector, *((p, 10 * ms) for p, ms in script))
    allowed: dict[Any, tuple[Any, ...]] = {
        None: (SpeechStarted,),
        SpeechStarted: (Pause, SpeechStopped),
        Pause: (SpeechResumed, SpeechStopped),
        SpeechResumed: (Pause, SpeechStopped),
        SpeechStopped: (SpeechStarted,),
    }
    last, kind = -1, None
    for event in events:
        assert isinstance(event, allowed[kind])
        # A turn may begin, padding included, where the last one ended, and end there when asked to
        # wait for nothing.
        assert position(event) >= last
        assert position(event) <= detector.position_ms
        last, kind = position(event), type(event)
    assert detector.in_turn == (kind not in (None, SpeechStopped))


@given(script=scripts, silence_ms=st.integers(0, 900))
def test_how_the_audio_is_cut_into_frames_does_not_matter(
    script: list[tuple[float, int]], silence_ms: int
) -> None:
    whole, pieces = TurnDetector(silence_ms=silence_ms), TurnDetector(silence_ms=silence_ms)
    expected = play(whole, *((p, 10 * ms) for p, ms in script))
    assert play(pieces, *((p, 10) for p, ms in script for _ in range(ms))) == expected
