from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.localagent.voice import (
    RATE_HZ,
    SPEAKERS,
    Voice,
    clauses,
    pitch_factor,
    sentences,
    without_tags,
)

Audio = npt.NDArray[np.int16]

prose = st.text(alphabet="aB .,!?;:\n—…'\"()1", max_size=400)


def spoken(voice: Voice, text: str, *, speaker: str = "Ashley", speed: float = 1.0) -> Audio:
    return np.concatenate(list(voice.speak(text, speaker=speaker, speed=speed)))


def pitch_hz(audio: Audio) -> float:
    """Return the median pitch of the voiced parts, by autocorrelation."""
    found = []
    for start in range(0, len(audio) - 1200, 1200):
        frame = audio[start : start + 1200].astype(np.float64)
        if np.abs(frame).max() < 3000:
            continue
        frame -= frame.mean()
        correlation = np.correlate(frame, frame, "full")[1199:]
        lag = 60 + int(correlation[60:300].argmax())  # 80 to 400 Hz
        if correlation[lag] > 0.5 * correlation[0]:
            found.append(RATE_HZ / lag)
    return float(np.median(found))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hi. How are you?", ["Hi.", "How are you?"]),
        ("Dr. Smith is in. Wait!", ["Dr. Smith is in.", "Wait!"]),
        ("J. K. Rowling wrote it.", ["J. K. Rowling wrote it."]),
        ("At 5 p.m. we close.", ["At 5 p.m. we close."]),
        ('He said "no." Then he left.', ['He said "no."', "Then he left."]),
        ("It costs 3.50 dollars", ["It costs 3.50 dollars"]),
        ("one\ntwo\n\n three", ["one", "two", "three"]),
        ("Well... maybe… Yes?! Sure.", ["Well... maybe…", "Yes?!", "Sure."]),
        ("  ", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@given(prose)
def test_sentences_lose_no_word(text: str) -> None:
    assert " ".join(sentences(text)).split() == text.split()
    assert all(sentence.strip() == sentence != "" for sentence in sentences(text))


@given(prose, prose)
def test_more_text_never_moves_an_earlier_cut(text: str, more: str) -> None:
    complete = sentences(text)[:-1]
    assert sentences(text + more)[: len(complete)] == complete


@given(prose, st.booleans())
def test_clauses_are_short_and_lose_no_word(text: str, first: bool) -> None:
    pieces = clauses(text, first=first)
    assert " ".join(pieces).split() == text.split()
    assert all(len(piece) <= 160 or " " not in piece for piece in pieces)


def test_the_first_clause_of_a_long_sentence_is_cut_early() -> None:
    sentence = "Well, as you asked, we are open from nine to six, and on Saturdays until noon, too."
    assert clauses(sentence) == [sentence]
    assert clauses(sentence, first=True)[0] == "Well, as you asked,"


def test_tags_are_not_read_out() -> None:
    assert without_tags("[speak calmly] Well [laugh], yes. [breathe]") == "Well, yes."
    assert without_tags("Take [5] of them") == "Take [5] of them"


def test_unknown_speakers_have_a_stable_pitch_of_their_own() -> None:
    assert pitch_factor("zoe") == pitch_factor(" ZOE ") == 0.97  # the same in every run
    assert len({pitch_factor(f"caller {n}") for n in range(40)}) > 8
    assert all(0.8 <= pitch_factor(f"caller {n}") <= 1.15 for n in range(40))
    assert pitch_factor("dennis") == SPEAKERS["Dennis"]


def test_the_same_call_gives_the_same_samples(voice: Voice) -> None:
    text = "Thank you. Your order, number 20311, is on its way."
    once = spoken(voice, text, speaker="bass", speed=1.1)
    assert np.array_equal(spoken(voice, text, speaker="BASS", speed=1.1), once)
    assert once.dtype == np.int16


def test_threads_share_one_voice(voice: Voice) -> None:
    texts = ["Hello there.", "How can I help you?", "Nine to six.", "Goodbye, zyxomat!"]
    alone = [spoken(voice, text) for text in texts]
    together: dict[int, Audio] = {}

    def speak(n: int) -> None:
        together[n] = spoken(voice, texts[n])

    threads = [threading.Thread(target=speak, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(together[n], alone[n]) for n in range(4))


def test_each_sentence_comes_by_itself_with_a_pause_between(voice: Voice) -> None:
    first, second = voice.speak("Hello there. How can I help you?", speaker="Sarah")
    assert 0.3 < len(first) / RATE_HZ < 1.2
    quiet = int(np.argmax(np.abs(second) > 300)) / RATE_HZ
    assert 0.2 < quiet < 0.4
    assert int(np.argmax(np.abs(first) > 300)) / RATE_HZ < 0.1  # the first word is not kept waiting
    for audio in (first, second):
        assert np.abs(audio[-24:]).max() < 100  # it fades, it does not click
        assert 0.3 < np.abs(audio).max() / 32768 < 0.71  # at most 3 dB below full scale


def test_speakers_differ_in_pitch_and_not_in_pace(voice: Voice) -> None:
    text = "We are open from nine to six, Monday to Friday."
    pitches = {name: pitch_hz(spoken(voice, text, speaker=name)) for name in SPEAKERS}
    base = pitches["Ashley"]
    for name, factor in SPEAKERS.items():
        assert pitches[name] / base == pytest.approx(factor, abs=0.07)
    assert pitches["Hades"] < 0.85 * pitches["Deborah"] < pitches["Olivia"] < pitches["Priya"]
    lengths = [len(spoken(voice, text, speaker=name)) for name in ("Ashley", "bass", "bright")]
    assert max(lengths) < 1.2 * min(lengths)


def test_speed_changes_the_length_within_bounds(voice: Voice) -> None:
    lengths = [
        len(spoken(voice, "How can I help you today?", speed=speed))
        for speed in (0.01, 0.25, 0.5, 1.0, 1.5, 9.0)
    ]
    assert lengths[0] == lengths[1] > 1.5 * lengths[2] > 2 * lengths[3] > 2.2 * lengths[4]
    assert lengths[4] == lengths[5]


@pytest.mark.parametrize("text", ["", "   ", "[laugh]", "...", "—", "\n\n"])
def test_nothing_to_say_yields_nothing(voice: Voice, text: str) -> None:
    assert list(voice.speak(text)) == []


@pytest.mark.parametrize("text", ["你好", "a" * 500, "!!! 😀 hello", "x, " * 60])
def test_odd_text_is_survived(voice: Voice, text: str) -> None:
    for audio in voice.speak(text):
        assert audio.dtype == np.int16
