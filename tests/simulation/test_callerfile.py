"""A caller's script: every step, every error with its line."""

# ruff: noqa: E501  tables and scenario sources read better in whole lines

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.errors import ConfigError
from voxpy.simulation.callerfile import (
    ANYBODY,
    default_script,
    parse_script,
    read_callee,
    read_script,
    wav_script,
)
from voxpy.simulation.script import CalleeScript, CallerScript, LineOptions
from voxpy.simulation.steps import (
    STEPS,
    Beep,
    Expect,
    HangUp,
    Info,
    Interrupt,
    Message,
    Pause,
    Play,
    Press,
    Say,
    Step,
    Wait,
)

HERE = Path(__file__).parent
ALONE = " or ".join(f"`{name}`" for name, step in STEPS.items() if step.can_stand_alone())


def parse(text: str) -> CallerScript:
    return parse_script(text, file="me.yaml", folder=HERE)


def one(step: str) -> Step:
    (made,) = parse(f"steps:\n- {step}").steps
    return made


def test_the_top() -> None:
    script = parse(
        "from: '+1555'\nto: sales\ndisplay_name: Ada\nvoice: tenor\nmay_be_refused: yes\n"
        "line: {loss: 0.05, jitter_ms: 20, noise_dbfs: -50, seed: 9}\nsteps: [hang_up]"
    )
    assert (script.callerid, script.destination) == ("+1555", "sales")
    assert (script.display_name, script.voice) == ("Ada", "tenor")
    assert script.may_be_refused
    assert script.line == LineOptions(loss=0.05, jitter_ms=20.0, noise_dbfs=-50.0, seed=9)
    assert script.source == "me.yaml"


def test_the_defaults() -> None:
    script = parse("steps: [hang_up]")
    assert script.line == LineOptions()
    assert not script.may_be_refused
    assert script.callerid == "+15550100"
    assert script.destination == "+15550199"


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("wait: answered", Wait(line=2, what="answered", within_s=30.0)),
        ("wait: {for: agent_speaking, within_s: 4}", Wait(line=2, what="agent_speaking", within_s=4.0)),
        ("wait: agent_finished", Wait(line=2, what="agent_finished", within_s=30.0)),
        ("wait: 2.5", Pause(line=2, seconds=2.5)),
        ("wait: {seconds: 3}", Pause(line=2, seconds=3.0)),
        ("silence: 4", Pause(line=2, seconds=4.0)),
        ("say: hello there", Say(line=2, text="hello there")),
        ("play: test_callerfile.py", Play(line=2, path=HERE / "test_callerfile.py")),
        ("interrupt: {after_s: 2, say: stop}", Interrupt(line=2, after_s=2.0, text="stop", within_s=30.0)),
        ("interrupt: {say: stop, within_s: 9}", Interrupt(line=2, after_s=1.0, text="stop", within_s=9.0)),
        ("press: '0123*#'", Press(line=2, digits="0123*#")),
        ("press: 5", Press(line=2, digits="5")),
        ("press: {digits: '1#', how: inband}", Press(line=2, digits="1#", how="inband")),
        ("press: {digits: 5, how: info}", Press(line=2, digits="5", how="info")),
        ("press: {digits: 5}", Press(line=2, digits="5")),
        ("hang_up", HangUp(line=2)),
        ("beep", Beep(line=2, hz=1000.0, seconds=0.5)),
        ("beep: {hz: 1400, seconds: 1}", Beep(line=2, hz=1400.0, seconds=1.0)),
        ("message: hello there", Message(line=2, text="hello there")),
        ("info: {body: x}", Info(line=2, mime_type="text/plain", body="x")),
        ("info: {mime_type: a/b, body: x}", Info(line=2, mime_type="a/b", body="x")),
    ],
)  # fmt: skip
def test_every_step(text: str, step: Step) -> None:
    assert one(text) == step


@pytest.mark.parametrize(
    ("text", "within_s"),
    [("expect: nine|ten", 15.0), ("expect: {heard: nine|ten, within_s: 3}", 3.0)],
)
def test_expect(text: str, within_s: float) -> None:
    step = one(text)
    assert isinstance(step, Expect)
    assert step.within_s == within_s
    assert step.heard == re.compile("nine|ten", re.IGNORECASE)


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("", "me.yaml:1", "expected a mapping with `steps:`"),
        ("- wait: answered", "me.yaml:1", "expected a mapping with `steps:`"),
        ("from: '1'", "me.yaml:1", "`steps:` must be a list of at least one step"),
        ("from: '1'\nsteps: []", "me.yaml:2", "`steps:` must be a list of at least one step"),
        ("steps: wait", "me.yaml:1", "`steps:` must be a list"),
        ("steps: [hang_up]\nvioce: alto", "me.yaml:2", "has no 'vioce'; did you mean 'voice'?"),
        ("steps: [hang_up]\nfrom: 15550100", "me.yaml:2", "from must be text, but YAML reads 15550100 here; put it in single quotes"),
        ("steps: [hang_up]\nmay_be_refused: perhaps", "me.yaml:2", "may_be_refused must be true or false, not 'perhaps'"),
        ("steps: [hang_up]\nline: bad", "me.yaml:2", "line must be a mapping (key: value), not 'bad'"),
        ("steps: [hang_up]\nline:\n  los: 1", "me.yaml:3", "line has no 'los'; did you mean 'loss'?"),
        ("steps: [hang_up]\nline:\n  seed: 2\n  loss: 2", "me.yaml:4", "line: loss must be a number from 0 to 1, not 2"),
        ("steps: [hang_up]\nline:\n  loss: -0.5", "me.yaml:3", "line: loss must be a number from 0 to 1, not -0.5"),
        ("steps: [hang_up]\nline:\n  jitter_ms: -5", "me.yaml:3", "line: jitter_ms must be a number from 0 up, not -5"),
        ("steps: [hang_up]\nline:\n  noise_dbfs: 3", "me.yaml:3", "noise_dbfs must be a number from -120 to 0, not 3"),
        ("steps:\n- hang_up\n- jump: 3", "me.yaml:3", "unknown step 'jump'"),
        ("steps:\n- hangup: 1", "me.yaml:2", "unknown step 'hangup'; did you mean 'hang_up'?"),
        ("steps:\n- hangup", "me.yaml:2", f"a step is {ALONE}, or one of wait, say, "),
        ("steps:\n- {say: a, wait: 1}", "me.yaml:2", f"a step is {ALONE}, or one of wait, say, "),
        ("steps:\n- wait: answerd", "me.yaml:2", "did you mean 'answered'?"),
        ("steps:\n- wait: -1", "me.yaml:2", "item 1: wait must be a number from 0 up, not -1"),
        ("steps:\n- wait: .inf", "me.yaml:2", "wait must be a number from 0 up, not inf"),
        ("steps:\n- wait: yes", "me.yaml:2", "wait is for a number of seconds or one of"),
        ("steps:\n- wait: {for: answered, whithin_s: 2}", "me.yaml:2", "did you mean 'within_s'?"),
        ("steps:\n- wait: {for: answered, within_s: soon}", "me.yaml:2", "wait: within_s must be a number from 0 up, not 'soon'"),
        ("steps:\n- say:", "me.yaml:2", "item 1: say is missing"),
        ("steps:\n- say: '  '", "me.yaml:2", "say is missing"),
        ("steps:\n- say: 5", "me.yaml:2", "say must be text, but YAML reads 5 here; put it in single quotes"),
        ("steps:\n- play: no.wav", "me.yaml:2", "there is no file"),
        ("steps:\n- interrupt: stop", "me.yaml:2", "interrupt takes {say: TEXT, after_s: NUMBER, within_s: NUMBER}"),
        ("steps:\n- interrupt: {after_s: 1}", "me.yaml:2", "interrupt: say is missing"),
        ("steps:\n- press: 12A", "me.yaml:2", "press takes digits 0-9, * and # in quotes"),
        ("steps:\n- press: 0123", "me.yaml:2", "in quotes, not 83"),  # YAML's octal
        ("steps:\n- press: ''", "me.yaml:2", "press takes digits"),
        ("steps:\n- press: true", "me.yaml:2", "press takes digits"),
        ("steps:\n- press: {how: info}", "me.yaml:2", "press takes digits 0-9, * and # in quotes, not None"),
        ("steps:\n- press: {digits: 1, how: rfc473}", "me.yaml:2", "press: how must be inband, rfc4733 or info, not 'rfc473'; did you mean 'rfc4733'?"),
        ("steps:\n- press: {digits: 1, way: info}", "me.yaml:2", "press has no 'way'; known are digits, how"),
        ("steps:\n- expect: '+1('", "me.yaml:2", "'+1(' is not a regular expression: nothing to repeat"),
        ("steps:\n- expect: {herd: x}", "me.yaml:2", "did you mean 'heard'?"),
        ("steps:\n- expect: 3", "me.yaml:2", "expect must be text, but YAML reads 3 here"),
        ("steps: [hang_up]\nsteps: [hang_up]", "me.yaml:2", "steps"),
        ("steps:\n- say: 'unclosed", "me.yaml:", "me.yaml"),
        ("steps:\n- beep: 3", "me.yaml:2", "beep takes nothing or {hz: NUMBER, seconds: NUMBER}"),
        ("steps:\n- beep: {hz: 9000}", "me.yaml:2", "beep: hz must be a number from 0 to 3400"),
        ("steps:\n- info: x", "me.yaml:2", "info takes {mime_type: TEXT, body: TEXT}"),
        ("steps:\n- info: {mime_type: a/b}", "me.yaml:2", "info: body is missing"),
        ("callees: [busy]\nsteps: [hang_up]", "me.yaml:1", "callees must be a mapping"),
        ("steps: [hang_up]\ncallees:\n  '1(': busy", "me.yaml:3", "callee '1(' is not a regular expression"),
        ("steps: [hang_up]\ncallees:\n  a: asleep", "me.yaml:3", "has no 'asleep'; known are rings_s"),
        ("steps: [hang_up]\ncallees:\n  a: 486", "me.yaml:3", "a callee is answer, busy, no_answer, or a mapping"),
        ("steps: [hang_up]\ncallees:\n  a:\n    busy:\n    reject: 486", "me.yaml:5", "choose one of busy and reject"),
        ("steps: [hang_up]\ncallees:\n  a:\n    busy: 3", "me.yaml:4", "`busy` takes no value"),
        ("steps: [hang_up]\ncallees:\n  a:\n    reject: 200", "me.yaml:4", "a SIP status from 300 to 699, not 200"),
        ("steps: [hang_up]\ncallees:\n  a: reject", "me.yaml:3", "a SIP status from 300 to 699, not None"),
        ("steps: [hang_up]\ncallees:\n  a:\n    busy:\n    steps: [hang_up]", "me.yaml:5", "a callee with `busy` never gets to its steps"),
        ("steps: [hang_up]\ncallees:\n  a:\n    steps: []", "me.yaml:4", "`steps:` must be a list of at least one step"),
        ("steps: [hang_up]\ncallees:\n  a:\n    before_answer: hi", "me.yaml:4", "`before_answer:` must be a list"),
        ("steps: [hang_up]\ncallees:\n  a:\n    rings_s: -1", "me.yaml:4", "callees: a: rings_s must be a number from 0 up"),
        ("steps: [hang_up]\ncallees:\n  a:\n    line: {loss: 2}", "me.yaml:4", "line: loss must be a number from 0 to 1, not 2"),
    ],
)  # fmt: skip
def test_every_error_names_its_line(text: str, where: str, words: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        parse(text)
    assert str(wrong.value).startswith(where)
    assert words in str(wrong.value)


@given(st.text(max_size=200))
def test_any_text_is_a_script_or_a_config_error(text: str) -> None:
    problem = ""
    try:
        script = parse(text)
    except ConfigError as error:
        problem = str(error)
    assert problem.startswith("me.yaml") or script.steps


def test_reading_files(tmp_path: Path) -> None:
    yaml = tmp_path / "a.yaml"
    yaml.write_text("steps:\n- play: b.wav\n")
    with pytest.raises(ConfigError, match=r"a\.yaml:2: there is no file .*b\.wav"):
        read_script(yaml)
    (tmp_path / "b.wav").write_bytes(b"RIFF")
    assert read_script(yaml).steps == (Play(line=2, path=tmp_path / "b.wav"),)
    assert read_script(tmp_path / "b.wav") == wav_script(tmp_path / "b.wav")
    assert [type(s) for s in wav_script(tmp_path / "b.wav").steps] == [Wait, Play, Pause, HangUp]
    with pytest.raises(ConfigError, match=r"c\.yaml: there is no such caller script or WAV file"):
        read_script(tmp_path / "c.yaml")
    yaml.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"a\.yaml: cannot be read"):
        read_script(yaml)


def test_a_scenario_has_its_own_caller_or_a_polite_one(tmp_path: Path) -> None:
    scenario = tmp_path / "mine.py"
    polite = default_script(scenario)
    assert polite.may_be_refused
    assert isinstance(polite.steps[-1], HangUp)
    (tmp_path / "callers").mkdir()
    (tmp_path / "callers" / "mine.yaml").write_text("steps: [hang_up]")
    assert default_script(scenario).steps == (HangUp(line=1),)


def callees(text: str) -> tuple[CalleeScript, ...]:
    return parse(f"steps: [hang_up]\ncallees:\n{text}").callees


def test_callees_in_words_and_in_full() -> None:
    busy, silent, refuses, machine = callees(
        "  a: busy\n  b: {no_answer: true, rings_s: 3}\n  c: {reject: 603}\n"
        "  d: {rings_s: 4, voice: bass, line: {loss: 0.1}, before_answer: [beep], steps: [{say: hi}, beep]}\n"
    )
    assert (busy.refuses_with, busy.rings_s) == (486, 1.0)
    assert (silent.never_answers, silent.refuses_with, silent.rings_s) == (True, None, 3.0)
    assert refuses.refuses_with == 603
    assert (machine.rings_s, machine.voice, machine.line.loss) == (4.0, "bass", 0.1)
    assert [type(s) for s in machine.before_answer] == [Beep]
    assert [type(s) for s in machine.steps] == [Say, Beep]
    (friendly,) = callees("  a: answer")
    assert friendly.steps == ANYBODY.steps
    assert {c.source for c in (busy, silent, refuses, machine)} == {"me.yaml"}


@pytest.mark.parametrize(
    ("pattern", "called", "not_called"),
    [
        ("+15550177", ["+15550177", "15550177"], ["+155501771", "5550177"]),
        ("15550177", ["+15550177", "15550177"], ["155501770"]),
        ("+1555.*", ["+15550177", "1555"], ["25550177"]),
        ("sip:.*@b\\.test", ["sip:ada@b.test"], ["sip:ada@b.test;transport=tls", "sip:a@bxtest"]),
        ("ada|bob", ["ada", "bob"], ["adam"]),
    ],
)
def test_whose_call_it_is(pattern: str, called: list[str], not_called: list[str]) -> None:
    callee = read_callee(pattern, "answer")
    assert all(callee.is_called(d) for d in called)
    assert not any(callee.is_called(d) for d in not_called)
    assert all(ANYBODY.is_called(d) for d in ("", "+1\n2", *called))


def test_callees_of_the_command_line(tmp_path: Path) -> None:
    assert read_callee("1", "busy").refuses_with == 486
    assert read_callee("1", "no_answer").never_answers
    (tmp_path / "desk.yaml").write_text("rings_s: 2\nsteps: [{play: b.wav}, hang_up]\n")
    (tmp_path / "b.wav").write_bytes(b"RIFF")
    desk = read_callee("1", str(tmp_path / "desk.yaml"))
    assert desk.steps == (Play(line=2, path=tmp_path / "b.wav"), HangUp(line=2))
    assert [type(s) for s in read_callee("1", str(tmp_path / "b.wav")).steps] == [Play, HangUp]
    with pytest.raises(ConfigError, match="there is no such callee script or WAV file"):
        read_callee("1", str(tmp_path / "none.yaml"))
    with pytest.raises(ConfigError, match=r"--callee: '1\(' is not a regular expression"):
        read_callee("1(", "busy")
