"""Transcripts of real calls: what they hold, how a difference reads, how they are updated."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxpy.errors import ConfigError
from voxpy.testing import CallKit, CallTool, WorldCall, assert_transcript, transcript_text
from voxpy.testing.transcript.asserting import updated_transcript
from voxpy.testing.transcript.expected import parse_transcript

SCENARIOS = Path(__file__).parents[3] / "scenarios"
LONG = " ".join(["We are open from nine to five"] * 4)
STEPS = """
- wait: answered
- wait: agent_finished
- say: When are you open
- interrupt: {after_s: 2, say: "Stop it now please"}
- wait: agent_finished
- hang_up
"""


@pytest.fixture
def call(voxpy: CallKit) -> WorldCall:
    return voxpy.call(SCENARIOS / "answer.py", STEPS, agent=["Hello there", LONG, "As you wish"])


WANTED = """
agent: Hello there
caller: When are you open
agent: We are open {any} —
caller: Stop it now please
agent: {any} you wish
"""


def test_a_call_as_expected(call: WorldCall) -> None:
    assert_transcript(call, WANTED)
    assert_transcript(call, f"...\n@{call.transcript[-1].at_s:.1f}±0.1 agent: As you wish")
    assert_transcript(call, WANTED + "end: terminated")


def test_a_difference_shows_where_and_what_happened_around(call: WorldCall) -> None:
    with pytest.raises(AssertionError) as raised:
        assert_transcript(call, WANTED.replace("{any} you wish", "Certainly"))
    told = str(raised.value).splitlines()
    assert told[0] == "the transcript differs in 1 line (- expected, + happened):"
    (missing,) = [row for row in told if row.startswith("-")]
    (came,) = [row for row in told if row.startswith("+")]
    assert missing.split() == ["-", "agent:", "Certainly"]
    assert came.split()[2:] == ["agent:", "As", "you", "wish"]
    last = call.transcript[-1].at_s
    assert f"the call from {last - 2:g} to {last + 2:g} s:" in told
    assert any("says: As you wish" in row for row in told)
    assert not any("says: Hello there" in row for row in told)


def test_a_line_that_cannot_be_read_is_no_difference(call: WorldCall) -> None:
    with pytest.raises(ConfigError, match="the expected transcript:2: 'robot: x' is no line"):
        assert_transcript(call, "agent: a\nrobot: x")


def test_a_transcript_written_from_a_call_expects_it(call: WorldCall) -> None:
    text = transcript_text(call)
    assert text.splitlines() == [
        "agent: Hello there",
        "caller: When are you open",
        "agent: We are open{any} —",
        "caller: Stop it now please",
        "agent: As you wish",
    ]
    assert_transcript(call, text)


def test_an_update_keeps_what_fits(call: WorldCall) -> None:
    before = WANTED.replace("agent: Hello there", "# polite\nagent: Hello {name}").replace(
        "{any} you wish", "Certainly"
    )
    text = updated_transcript(call, parse_transcript(before + "# over"))
    assert text == before.replace("Certainly", "As you wish") + "# over"
    groups = "any order:\n  caller: Stop it now please\n  agent: {any} open {any}\n...\nagent: no"
    text = updated_transcript(call, parse_transcript("...\n" + groups))
    assert_transcript(call, text)
    assert "{any}" in text or "any order:" not in text


def test_tools_and_keys(voxpy: CallKit) -> None:
    call = voxpy.call(
        SCENARIOS / "tools.py",
        "- wait: answered\n- wait: agent_finished\n- press: '12'\n- say: How is it\n"
        "- wait: agent_finished\n- hang_up",
        agent=["Hello", CallTool("get_weather", {"city": "Rome"}), "Fine"],
        http={"https://wttr.in/Rome": 500},
    )
    assert_transcript(
        call,
        """
        agent: Hello
        keys: 12
        caller: How is it
        tool: get_weather {"city": "Rome"}
        agent: Fine
        """,
    )


def test_a_callee_speaks_for_itself(voxpy: CallKit) -> None:
    script = (
        "callees:\n  '+15550177': {rings_s: 1, steps: [{say: mary here}, {wait: hung_up}]}\n"
        "steps:\n- wait: answered\n- expect: mary here\n- say: hello mary\n- wait: 1\n- hang_up"
    )
    call = voxpy.call(SCENARIOS / "forward.py", script)
    assert_transcript(call, "callee: mary here\ncaller: hello mary")
