"""What a person sees of a call: two columns, events in between, the end and where everything is."""

# ruff: noqa: E501  tables and scenario sources read better in whole lines

from __future__ import annotations

from pathlib import Path

import pytest

from voxpy.cli.terminal.screen import Screen
from voxpy.engine.trace import Entry
from voxpy.testing import CallKit, WorldCall

ANSWER = Path(__file__).parents[3] / "scenarios" / "answer.py"
STEPS = """
- wait: answered
- wait: agent_finished
- say: What can you do please
- interrupt: {after_s: 1, say: Stop it now please}
- wait: agent_finished
- hang_up
"""


def shown(call: WorldCall, capsys: pytest.CaptureFixture[str], *, verbose: bool = False) -> str:
    capsys.readouterr()
    screen = Screen(verbose=verbose)
    screen.session_began(call.hosted)
    for entry in call.entries:
        screen.entry(entry)
    screen.finish(call.result)
    return capsys.readouterr().out


@pytest.fixture
def talk(voxpy: CallKit) -> WorldCall:
    long = "I can tell you about many things " * 3
    return voxpy.call(ANSWER, STEPS, agent=["Hello there", long, "Very well"])


def test_a_whole_call(talk: WorldCall, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(talk, capsys)
    lines = text.splitlines()
    assert "+15550100 calls +15550199 · answer.py · ws://local-agent" in text
    agent_column = next(line for line in lines if "CALLER" in line).index("AGENT")
    said = next(line for line in lines if "Hello there" in line)
    assert said.index("Hello there") == agent_column
    asked = next(line for line in lines if "What can you do please" in line)
    assert asked.index("What can you do") < agent_column
    for words in (
        "call comes in",
        "answered",
        "agent is ready",
        "understood: 'What can you do please'",
        "barge-in: silent after",
        "reply after",
        "disconnected: Hung up by the caller",
        "Normal termination after",
        "replies after",
        "barge-ins",
        "call.wav (left: caller, right: agent)",
        "trace.jsonl",
        "session.log",
        "record.json",
    ):
        assert words in text, words
    assert "===" not in text  # the scenario's log is for -v


def test_verbose_shows_events_and_log(talk: WorldCall, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(talk, capsys, verbose=True)
    assert "log: ===Inworld.SessionCreated===" in text
    assert "Inworld.RealtimeAPI.ResponseCreated" in text


def test_quiet_prints_nothing(talk: WorldCall, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    screen = Screen(quiet=True)
    screen.session_began(talk.hosted)
    for entry in talk.entries:
        screen.entry(entry)
    screen.finish(talk.result)
    screen.progress("x")
    screen.stopped()
    assert capsys.readouterr().out == ""


def test_long_lines_stay_in_their_column(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    text = "word " * 60
    screen.entry(Entry(t=1.0, kind="step", name="caller speaks", personal={"text": text}))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 4
    assert max(len(line) for line in lines) < 60
    assert lines[0].startswith("  1.00s word")


def test_markup_in_what_is_said_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    screen.entry(Entry(t=1.0, kind="step", name="caller speaks", personal={"text": "[laugh] [/b]"}))
    assert "[laugh] [/b]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (Entry(t=1, kind="warning", name="odd", data={"n": 3}), "warning: odd: n 3"),
        (Entry(t=1, kind="error", name="x", data={"message": "ouch"}), "error: ouch"),
        (Entry(t=1, kind="step", name="caller presses", personal={"digits": "12"}), "presses 12"),
        (Entry(t=1, kind="step", name="caller receives message", personal={"text": "hey"}), "message: hey"),
        (Entry(t=1, kind="event", name="Call.ToneReceived", personal={"tone": "5"}), "digit: 5"),
        (
            Entry(t=1, kind="event", name="Inworld.RealtimeAPI.Error", personal={"payload": {"error": {"message": "no"}}}),
            "agent reports an error: no",
        ),
        (
            Entry(t=1, kind="event", name="Inworld.RealtimeAPI.HTTPResponse", personal={"payload": {"status": 401}}),
            "agent refused the connection: 401",
        ),
    ],
)  # fmt: skip
def test_single_entries(entry: Entry, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    Screen().entry(entry)
    assert words in capsys.readouterr().out


def test_a_call_that_was_cut_off(talk: WorldCall, capsys: pytest.CaptureFixture[str]) -> None:
    Screen().stopped()
    assert "stopped before the call began" in capsys.readouterr().out
    screen = Screen()
    screen.session_began(talk.hosted)
    screen.stopped()
    assert str(talk.result.folder) in capsys.readouterr().out


def test_what_listens_is_shown(voxpy: CallKit, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = """
from voxpy import AMD, AppEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    event.call.answer()
    event.call.send_media_to(VoxEngine.create_asr(profile="en"))
    AMD.create(model="us", call=event.call)
"""
    steps = "- wait: answered\n- wait: 1\n- say: hello there\n- wait: 2\n- hang_up"
    text = shown(voxpy.call(scenario, steps), capsys)
    assert "understood: 'hello there'" in text
    assert "answered by: HUMAN, 7" in text


FORWARD = """
from voxpy import AppEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    VoxEngine.easy_process(event.call, VoxEngine.call_pstn("+15550177", event.callerid))
"""


def test_a_forwarded_call_shows_who_is_who(
    voxpy: CallKit, capsys: pytest.CaptureFixture[str]
) -> None:
    call = voxpy.call(
        FORWARD,
        """
        callees:
          "+15550177":
            steps: [{say: mary here}, {expect: it is broken}, {press: "7"}, {wait: hung_up}]
        steps:
        - wait: answered
        - expect: mary here
        - say: it is broken
        - wait: 1
        - hang_up
        """,
    )
    lines = shown(call, capsys).splitlines()
    agent_column = next(line for line in lines if "CALLER" in line).index("AGENT")
    for words in (
        "— scenario calls +15550177",
        "— +15550177 rings",
        "— +15550177 answered",
        "— answered",
    ):
        assert any(line[8:].strip() == words for line in lines), words
    assert not any("audio before the answer" in line for line in lines)
    left = {line[8:agent_column].strip() for line in lines}
    right = {line[agent_column:].strip() for line in lines}
    assert {"it is broken", "+15550177 heard: 'it is broken'"} <= left
    assert {"[+15550177] mary here", "[+15550177] presses 7", "heard: 'mary here'"} <= right


def test_a_callee_who_is_not_met_is_said_at_the_end(
    voxpy: CallKit, capsys: pytest.CaptureFixture[str]
) -> None:
    call = voxpy.call(
        FORWARD,
        """
        callees:
          "+15550177": {steps: [{expect: {heard: never said, within_s: 2}}]}
        steps:
        - wait: answered
        - wait: hung_up
        """,
    )
    text = shown(call, capsys)
    assert "error: the callee's script was not met: callee +15550177: caller.yaml:3: step 1" in text
    assert "callee +15550177" in text.splitlines()[-1]
