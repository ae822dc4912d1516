"""Who was audible when: on sounds made for it, and on any times at all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.lab.evaluation.measures import (
    Interruption,
    Reply,
    Samples,
    Span,
    audible_spans,
    dead_air,
    interruptions,
    joined,
    overlaps,
    replies,
)

RATE_HZ = 8000


def sound(seconds: float, *spans: tuple[float, float], noise_dbfs: float = -70.0) -> Samples:
    """Return a line with a tone of -12 dBFS in some places."""
    n = round(seconds * RATE_HZ)
    line = np.random.default_rng(1).normal(0, 32768 * 10 ** (noise_dbfs / 20), n)
    tone = 8192 * np.sin(2 * np.pi * 440 * np.arange(n) / RATE_HZ)
    for start_s, end_s in spans:
        where = slice(round(start_s * RATE_HZ), round(end_s * RATE_HZ))
        line[where] += tone[where]
    return line.clip(-32768, 32767).astype(np.int16)


def spans(*times: tuple[float, float]) -> list[Span]:
    return [Span(*t) for t in times]


@pytest.mark.parametrize("noise_dbfs", [-70.0, -40.0])
def test_speech_is_found_under_noise(noise_dbfs: float) -> None:
    found = audible_spans(sound(4, (1.0, 2.0), (3.0, 3.5), noise_dbfs=noise_dbfs), RATE_HZ)
    assert found == spans((1.0, 2.0), (3.0, 3.5))


def test_gaps_between_words_and_clicks_do_not_count() -> None:
    line = sound(4, (1.0, 1.5), (1.6, 2.0), (3.0, 3.01))
    assert audible_spans(line, RATE_HZ) == spans((1.0, 2.0))
    assert audible_spans(line, RATE_HZ, gap_s=0.05) == spans((1.0, 1.5), (1.6, 2.0))


def test_silence_and_a_call_without_pause() -> None:
    assert audible_spans(np.zeros(0, np.int16), RATE_HZ) == []
    assert audible_spans(np.zeros(8000, np.int16), RATE_HZ) == []
    assert audible_spans(sound(2, (0.0, 2.0)), RATE_HZ) == spans((0.0, 2.0))


def test_a_reply_is_the_first_sound_after_the_caller() -> None:
    caller = spans((2.0, 3.0), (3.4, 4.0), (9.0, 9.5))
    agent = spans((0.1, 1.5), (4.5, 5.0), (5.8, 7.0), (10.0, 11.0))
    assert replies(caller, agent) == [
        Reply(at_s=4.5, after_s=0.5),
        Reply(at_s=10.0, after_s=0.5),
    ]


def test_murmurs_and_what_is_said_over_the_caller_are_no_replies() -> None:
    caller = spans((1.0, 5.0))
    assert replies(caller, spans((2.0, 2.3), (4.5, 6.0))) == []
    assert replies(caller, spans((2.0, 2.3), (5.6, 6.0))) == [Reply(at_s=5.6, after_s=0.6)]


def test_talk_over_is_when_both_are_audible() -> None:
    assert overlaps(spans((0.0, 2.0), (5.0, 6.0)), spans((1.5, 5.5))) == spans(
        (1.5, 2.0), (5.0, 5.5)
    )
    assert overlaps(spans((0.0, 1.0)), spans((1.0, 2.0))) == []


def test_dead_air_is_between_two_times_and_long() -> None:
    caller, agent = spans((1.0, 2.0)), spans((3.5, 4.0))
    assert dead_air(caller, agent, from_s=0.5, until_s=10.0, longer_than_s=1.0) == spans(
        (2.0, 3.5), (4.0, 10.0)
    )
    assert dead_air([], [], from_s=2.0, until_s=4.0, longer_than_s=1.0) == spans((2.0, 4.0))
    assert dead_air(caller, agent, from_s=2.5, until_s=3.0, longer_than_s=0.1) == spans((2.5, 3.0))


def test_an_interruption_ends_with_the_agents_turn_not_with_its_next_breath() -> None:
    agent = spans((1.0, 3.0), (3.3, 5.0), (8.0, 9.0))
    assert interruptions(spans((2.8, 4.0)), agent) == [Interruption(at_s=2.8, silent_after_s=2.2)]
    assert interruptions(spans((1.1, 4.0)), agent) == []  # both began at once
    assert interruptions(spans((6.0, 8.5)), agent) == []  # the agent came in later


TIMES = st.lists(st.tuples(st.floats(0, 50), st.floats(0.05, 5)), max_size=8).map(
    lambda pairs: joined([Span(a, a + n) for a, n in pairs], gap_s=0.0)
)


@given(TIMES, TIMES)
def test_times_add_up(caller: list[Span], agent: list[Span]) -> None:
    both = sum(s.seconds for s in overlaps(caller, agent))
    either = sum(s.seconds for s in joined([*caller, *agent], gap_s=0.0))
    silent = dead_air(caller, agent, from_s=0.0, until_s=60.0, longer_than_s=0.0)
    each = sum(s.seconds for s in caller) + sum(s.seconds for s in agent)
    assert either + both == pytest.approx(each, abs=1e-6)
    assert either + sum(s.seconds for s in silent) == pytest.approx(60.0, abs=1e-6)
    assert len(replies(caller, agent)) <= len(caller)
    assert all(reply.after_s >= 0 for reply in replies(caller, agent))
