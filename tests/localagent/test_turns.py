from __future__ import annotations

from typing import Any

import pytest

from voxpy.localagent.listening import configure, looks_unfinished, silence_ms_for
from voxpy.media.turns import DEFAULT_SILENCE_MS, TurnDetector


@pytest.mark.parametrize(
    ("turn_detection", "expected"),
    [
        (None, DEFAULT_SILENCE_MS),
        ({"type": "semantic_vad"}, 600),
        ({"type": "semantic_vad", "eagerness": "auto"}, 600),
        ({"type": "semantic_vad", "eagerness": "high"}, 400),
        ({"type": "semantic_vad", "eagerness": "low"}, 900),
        ({"type": "semantic_vad", "eagerness": 7}, 600),
        ({"type": "server_vad"}, 500),
        ({"type": "server_vad", "silence_duration_ms": 250}, 250),
        ({"type": "server_vad", "silence_duration_ms": 250.5}, 250),
        ({"type": "server_vad", "silence_duration_ms": 0}, 100),
        ({"type": "server_vad", "silence_duration_ms": 10**9}, 10_000),
        ({"type": "server_vad", "silence_duration_ms": "soon"}, 500),
        ({"type": "server_vad", "silence_duration_ms": True}, 500),
        ({"type": "server_vad", "silence_duration_ms": float("nan")}, 500),
        ({}, 600),
    ],
)
def test_silence_by_turn_detection(turn_detection: dict[str, Any] | None, expected: int) -> None:
    assert silence_ms_for(turn_detection) == expected


@pytest.mark.parametrize(
    "text",
    [
        "I would like to",
        "It is for the.",
        "So, um",
        "I want to speak with",
        "And then,",
        "My name is-",
        "My number is 55.",
        "My phone number is",
        "Well I was thinking that if",
    ],
)
def test_unfinished(text: str) -> None:
    assert looks_unfinished(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "What are your opening hours?",
        "Who am I talking to?",
        "My number is 5550199.",
        "I think so.",
        "Yes, I am.",
        "That's what it is.",
        "Thank you, goodbye.",
        "Transfer me to sales.",
        "No.",
    ],
)
def test_finished(text: str) -> None:
    assert not looks_unfinished(text)


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
    detector = TurnDetector()
    configure(detector, turn_detection)
    assert detector.threshold == threshold
    assert detector.prefix_padding_ms == padding_ms
