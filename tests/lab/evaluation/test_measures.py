"""A whole call, measured: what the caller and the agent did, as it sounded."""

from __future__ import annotations

from pathlib import Path

import pytest
from trio.testing import MockClock

from voxpy.errors import VoxpyError
from voxpy.testing import CallKit, evaluate

SCENARIOS = Path(__file__).parents[3] / "scenarios"
LONG = " ".join(["We are open from nine to five on every day of the week"] * 3)


async def test_a_conversation_with_an_interruption(
    voxpy: CallKit, autojump_clock: MockClock
) -> None:
    agent = ["Hello this is Vera", LONG, "As you wish"]
    async with voxpy.world(SCENARIOS / "answer.py", agent=agent) as world:
        caller = await world.dial()
        await caller.wait_agent_finished()
        await caller.say("When are you open please")
        await caller.interrupt("Stop it now please", after_s=2)
        with pytest.raises(VoxpyError, match="not over"):
            evaluate(world)
        await caller.wait_agent_finished()
        await caller.pause(3)
        caller.hang_up()
        await world.wait_ended()
    measured = evaluate(world)
    assert len(measured.reply_ms) == 2
    traced = [latency.reply_ms for latency in world.latencies]
    assert measured.reply_ms == pytest.approx(traced, abs=60)
    [interruption] = measured.interruptions
    assert interruption.silent_after_s < 0.3
    assert measured.honoured(300) == (interruption,)
    assert measured.honoured(1) == ()
    assert 0 < measured.talk_over_s < 0.3
    quiet = measured.longest_silence
    assert quiet is not None
    assert quiet.seconds == pytest.approx(3.9, abs=0.3)
    assert measured.seconds == pytest.approx(world.record.duration_s, abs=0.2)
    assert measured.understood is not None
    assert measured.understood.rate == 0.0
    assert measured.understood.expected_words == 9
    assert measured.heard is not None
    assert measured.heard.rate < 0.1
    told = measured.to_json()
    assert told["latency_p50_ms"] == min(measured.reply_ms)
    assert told["latency_p95_ms"] == max(measured.reply_ms)
    assert told["interruptions_ms"] == [round(interruption.silent_after_s * 1000)]


def test_a_bad_line_costs_words(voxpy: CallKit) -> None:
    line = "line: {loss: 0.6, seed: 3}\n"
    steps = "- wait: answered\n- wait: agent_finished\n- say: one two three four five six seven\n"
    call = voxpy.call(
        SCENARIOS / "answer.py",
        f"{line}steps:\n{steps}- wait: 3\n- hang_up",
        agent=["Hello", "Yes", "Yes", "Yes"],
    )
    measured = evaluate(call)
    assert measured.understood is not None
    assert measured.understood.rate > 0.1


def test_a_call_that_was_never_up_has_nothing_to_measure(voxpy: CallKit) -> None:
    call = voxpy.call(
        SCENARIOS / "reject.py", "may_be_refused: true\nsteps:\n- wait: answered\n- hang_up"
    )
    measured = evaluate(call)
    assert measured.seconds == 0.0
    assert measured.latency_ms(50) is None
    assert measured.longest_silence is None
    assert measured.understood is None
    assert measured.to_json()["understood_word_error_rate"] is None
