"""Speech out of the voice, through a phone line, into the gate, the turns and the recogniser."""

# ruff: noqa: E501  tables and scenario sources read better in whole lines

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from voxpy.audio.frame import PCMU, Format, pcm16
from voxpy.errors import EngineMissing
from voxpy.localagent.ears import Ears
from voxpy.localagent.hearing import MEMORY_S, Hearing
from voxpy.localagent.turns import Pause, SpeechStarted, SpeechStopped, TurnDetector, TurnEvent
from voxpy.localagent.vad import FRAME_SAMPLES, EnergyGate, SileroGate
from voxpy.localagent.voice import Voice

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


# -- the Hearing of one connection, without models --------------------------------------------------


def loud(ms: int, fmt: Format) -> bytes:
    """Return a tone of 400 Hz in ``fmt``, in whole frames."""
    from voxpy.audio.convert import encode

    at = np.arange(fmt.rate_hz * ms // 1000)
    return encode((8000 * np.sin(2 * np.pi * 400 * at / fmt.rate_hz)).astype(np.int16), fmt)


@pytest.mark.parametrize("fmt", [PCMU, pcm16(8000), pcm16(16000), pcm16(24000), pcm16(48000)])
@pytest.mark.parametrize("piece_bytes", [100, 640, 100_000])
def test_turns_do_not_depend_on_the_format_or_the_pieces(fmt: Format, piece_bytes: int) -> None:
    hearing = Hearing(EnergyGate())
    data = fmt.silence * 25 + loud(1000, fmt) + fmt.silence * 50
    events: list[TurnEvent] = []
    for at in range(0, len(data), piece_bytes):
        events += hearing.feed(data[at : at + piece_bytes], fmt)
    kinds = [type(e) for e in events]
    assert kinds == [SpeechStarted, Pause, SpeechStopped]
    started, stopped = events[0], events[-1]
    assert isinstance(started, SpeechStarted)
    assert isinstance(stopped, SpeechStopped)
    assert started.start_ms == pytest.approx(200, abs=70)  # 500 ms less the padding
    assert stopped.end_ms - 600 == pytest.approx(1500, abs=100)
    assert hearing.position_ms == pytest.approx(2500, abs=21)
    part = hearing.segment(600, 1400)
    assert len(part) == 800 * 16
    assert np.abs(part.astype(int)).max() == pytest.approx(8000, rel=0.1)


def test_only_the_last_minute_is_remembered() -> None:
    hearing = Hearing(EnergyGate())
    fmt = pcm16(16000)
    for _ in range(MEMORY_S + 15):
        hearing.feed(bytes(fmt.bytes_for(1.0)), fmt)
    assert hearing.position_ms == (MEMORY_S + 15) * 1000
    assert len(hearing.segment(0, hearing.position_ms)) == MEMORY_S * 16000
    assert len(hearing.segment(hearing.position_ms - 5000, hearing.position_ms)) == 5 * 16000
    assert len(hearing.segment(5000, 4000)) == 0


@pytest.mark.parametrize(
    ("turn_detection", "threshold", "padding_ms"),
    [
        (None, 0.5, 300),
        ({"type": "server_vad"}, 0.5, 300),
        ({"type": "server_vad", "threshold": 0.8, "prefix_padding_ms": 120}, 0.8, 120),
        ({"type": "server_vad", "threshold": 0.0, "prefix_padding_ms": 0}, 0.0, 0),
    ],
)
def test_what_the_session_asks_for_is_taken_over(
    turn_detection: dict[str, Any] | None, threshold: float, padding_ms: int
) -> None:
    hearing = Hearing(EnergyGate())
    hearing.configure(turn_detection)
    assert hearing.detector.threshold == threshold
    assert hearing.detector.prefix_padding_ms == padding_ms
