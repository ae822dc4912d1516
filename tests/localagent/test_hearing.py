"""Speech out of the voice, through a phone line, into the gate, the turns and the recogniser."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from voxpy.errors import EngineMissing
from voxpy.localagent.ears import Ears
from voxpy.localagent.vad import SileroGate
from voxpy.localagent.voice import Voice
from voxpy.media.turns import Pause, SpeechStarted, SpeechStopped, TurnDetector, TurnEvent
from voxpy.media.vad import FRAME_SAMPLES

Audio = npt.NDArray[np.int16]

PHRASES = [
    "What are your opening hours?",
    "Please transfer me to sales.",
    "My number is 555-0199.",
    "Can I speak to a human, please?",
    "I would like to cancel my appointment for tomorrow.",
    "Yes, that is right.",
    "How much does it cost?",
    "Thank you, goodbye.",
    "Could you repeat that, please?",
    "Where is my order?",
    "What can you do?",
    "Tell me more about the weather in Paris.",
]


def words(text: str) -> list[str]:
    text = re.sub(r"(?<=\d)[-, ]+(?=\d)", "", text.lower())
    return re.sub(r"[^a-z0-9' ]", "", text.replace("good-bye", "goodbye")).split()


def errors(expected: list[str], heard: list[str]) -> int:
    """Return the edit distance in words."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(expected, 1):
        last, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (word != other))
    return row[-1]


def test_errors_counts_words() -> None:
    assert errors(words("one two three"), words("one three")) == 1
    assert errors(words("one two"), words("One, too!")) == 1
    assert errors(words("555-0199"), words("5550199.")) == 0
    assert errors([], words("you")) == 1


def listen(line: Audio) -> list[TurnEvent]:
    try:
        gate = SileroGate()
    except EngineMissing as exc:
        pytest.skip(str(exc))
    turns = TurnDetector(silence_ms=600)
    events = []
    for at in range(0, len(line) - FRAME_SAMPLES + 1, FRAME_SAMPLES):
        events += turns.feed(gate.probability(line[at : at + FRAME_SAMPLES]))
    return events


@pytest.mark.parametrize("speaker", ["Ashley", "Dennis", "bass", "bright"])
def test_what_is_said_over_the_phone_is_understood(
    voice: Voice, ears: Ears, phone_line: Any, speaker: str
) -> None:
    wrong, total, heard = 0, 0, []
    for phrase in PHRASES:
        speech = np.concatenate(list(voice.speak(phrase, speaker=speaker)))
        line = phone_line.carry(speech)
        events = listen(line)
        started, stopped = events[0], events[-1]
        assert isinstance(started, SpeechStarted)
        assert isinstance(stopped, SpeechStopped), (phrase, events)
        assert sum(isinstance(event, SpeechStarted) for event in events) == 1, (phrase, events)
        assert any(isinstance(event, Pause) for event in events)
        ended_ms = 400 + len(speech) / 24
        assert abs(stopped.speech_end_ms - ended_ms) < 300, (phrase, events, ended_ms)
        text = ears.transcribe(line[16 * started.start_ms : 16 * stopped.end_ms])
        heard.append(text)
        wrong += errors(words(phrase), words(text))
        total += len(words(phrase))
    assert wrong / total <= 0.10, heard


def test_the_early_transcript_is_already_the_words(
    voice: Voice, ears: Ears, phone_line: Any
) -> None:
    line = phone_line.carry(np.concatenate(list(voice.speak(PHRASES[0], speaker="tenor"))))
    events = listen(line)
    started, pause = events[0], next(event for event in events if isinstance(event, Pause))
    assert isinstance(started, SpeechStarted)
    text = ears.transcribe(line[16 * started.start_ms : 16 * pause.at_ms])
    assert words(text) == words(PHRASES[0])


def test_a_long_utterance_is_heard_to_its_end(voice: Voice, ears: Ears, phone_line: Any) -> None:
    text = "I am calling about the parcel that you sent to my sister. " * 10 + "It never arrived."
    line = phone_line.carry(np.concatenate(list(voice.speak(text, speaker="alto"))))
    assert len(line) > 27 * 16_000
    heard = words(ears.transcribe(line))
    assert heard[-2:] == ["never", "arrived"]
    assert errors(words(text), heard) / len(words(text)) <= 0.10
