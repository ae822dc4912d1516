"""Calls of scripts, made and checked: what passes, and what every expectation says if it fails."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from voxpy.errors import VoxpyError
from voxpy.lab.suite.report import CallReport
from voxpy.lab.suite.running import RunOptions, run_case, run_cases, update_case
from voxpy.simulation.script import CallerScript
from voxpy.simulation.steps import HangUp, Interrupt, Pause, Say, Wait
from voxpy.testing import Judge

ROOT = Path(__file__).parents[3]
SCENARIO = """
from voxpy import AppEvents, CallEvents, Inworld, Logger, Net, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.answer()
    BODY
"""
BRIDGE = """
    agent = await Inworld.create_realtime_api_client(api_key="k", session_key="s")
    await agent.wait_event(Inworld.RealtimeAPIEvents.SessionCreated)
    VoxEngine.send_media_between(call, agent)
    agent.response_create({})
"""
TWO_TURNS = """
service: {says: [Hello there, Nine to five]}
steps:
- wait: answered
- wait: agent_finished
- say: When are you open please
- wait: agent_finished
- hang_up
"""
SHORT = "steps:\n- wait: answered\n- wait: 1\n- hang_up\n"


class Run:
    """Makes a call of a script that is written for it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(
        self,
        text: str,
        body: str = BRIDGE,
        *,
        seed: int = 0,
        keep: bool = False,
        judge: Judge | None = None,
    ) -> CallReport:
        (self._folder / "s.py").write_text(SCENARIO.replace("    BODY", body))
        path = self._folder / "t.yaml"
        path.write_text("scenario: s.py\n" + text)
        return run_case(path, RunOptions(out=self._folder / "out", keep=keep, judge=judge), seed)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_a_call_as_expected_leaves_nothing(run: Run, tmp_path: Path) -> None:
    report = run(
        TWO_TURNS
        + """
expect:
  transcript: |
    agent: Hello there
    caller: When are you open please
    agent: Nine to five
  events: [CallAlerting, Call.Connected, Disconnected]
  tools: []
  end: terminated
  latency_ms: {p50: 800, p95: 800, max: 800}
  dead_air_s: 2
  talk_over_s: 0
  keywords: [hello, /nine.*five/]
"""
    )
    assert report.problems == ()
    assert report.outcome == "passed"
    assert 3 < report.virtual_s < 10
    assert 0 < report.real_s < report.virtual_s
    assert report.evaluation is not None
    assert len(report.evaluation.reply_ms) == 1
    assert (report.folder, report.timeline) == ("", "")
    assert list(tmp_path.rglob("call.wav")) == []


def test_what_is_kept(run: Run) -> None:
    assert (Path(run(SHORT, "", keep=True).folder) / "call.wav").is_file()
    failed = run(SHORT + "expect: {events: [Nowhere]}", "")
    assert "Call.Connected" in (Path(failed.folder) / "timeline.txt").read_text()


@pytest.mark.parametrize(
    ("expect", "told"),
    [
        ("transcript: '...\n\n  agent: no'", "the transcript differs in"),
        ("events: [Connectd]", "events: Connectd did not come; did you mean 'Connected'?"),
        ("events: [Disconnected, Connected]", "events: Connected came, but not after Call.Discon"),
        ("tools: [hang_up]", "tools: expected 'hang_up', called were none"),
        ("log: [hello]", "log: no line has /hello/ (0 lines)"),
        ("recording_s: [1, 2]", "recording: the scenario recorded nothing"),
        ("end: watchdog", "end: expected 'watchdog', not 'terminated': VoxEngine.terminate"),
        ("latency_ms: {p50: 100}", "latency: p50 is 6"),
        ("dead_air_s: 0.5", "dead air: 0.8 s from "),
        ("interrupted_within_ms: 300", "interruptions: the caller never spoke while the agent"),
        ("keywords: [ten]", "keywords: the agent never said 'ten'"),
        ("keywords: {caller: [five]}", "keywords: the caller never said 'five'"),
    ],
)
def test_every_expectation_can_fail(run: Run, expect: str, told: str) -> None:
    report = run(f"{TWO_TURNS}expect:\n  {expect}\n")
    assert report.outcome == "failed"
    assert report.reason.startswith(told)
    assert "says: Hello there" in report.timeline


def test_an_agent_that_speaks_on_and_one_that_is_slow(run: Run) -> None:
    long = " ".join(["word"] * 40)
    text = f"""
service: {{says: ["{long}", Very well]}}
steps:
- wait: answered
- interrupt: {{after_s: 2, say: Stop it now please do}}
- wait: 4
- hang_up
expect:
  interrupted_within_ms: 20
  talk_over_s: 0.01
"""
    over, stopped = run(text, BRIDGE).problems
    assert stopped.startswith("interruptions: at 2.")
    assert "the agent spoke on for" in stopped
    assert over.startswith("talk-over: ")


def test_a_measure_without_anything_to_measure_fails(run: Run) -> None:
    report = run(SHORT + "expect: {latency_ms: 900, word_error_rate: 0.1}", "")
    assert report.problems == (
        "latency: the agent never replied to anything the caller said",
        "word error rate: nobody wrote down what the caller said",
    )


def test_words_lost_on_the_line(run: Run) -> None:
    text = "line: {loss: 0.6, seed: 3}" + TWO_TURNS + "expect: {word_error_rate: 0.05}"
    assert "% of 5 words, expected 5.0% at most" in run(text).reason


def test_tools_with_arguments_and_results(run: Run) -> None:
    body = BRIDGE.replace(
        "    agent.response_create({})",
        """    tools = Inworld.ToolSet()
    @tools.add
    def add(a: int, b: int) -> int:
        "Return the sum."
        return a + b
    agent.use_tools(tools)
    agent.response_create({})""",
    )
    text = """
service: {says: [{call: add, with: {a: 1, b: 2}}, Three]}
steps:
- wait: answered
- wait: agent_finished
- hang_up
expect:
  tools: [{name: add, arguments: {a: 1%s}, result: '%s'}]
"""
    assert run(text % ("", "^3$"), body).problems == ()
    report = run(text % (", b: 3, c: 4", "rain"), body)
    assert report.problems == (
        "tools: add: expected b 3, it was 2",
        "tools: add: expected c 4, it was not given",
        "tools: add: expected the result /rain/, it was 3",
    )


def test_recordings_of_the_scenario_are_measured(run: Run) -> None:
    text = SHORT + "expect: {recording_s: [%s]}"
    assert run(text % "0.5, 1.5", "    call.record()").problems == ()
    report = run(text % "5, 9", "    call.record()")
    assert "s, expected 5 to 9 s" in report.reason


def test_errors_of_handlers_are_told_with_their_line(run: Run) -> None:
    report = run(SHORT, "    raise KeyError('x')")
    assert report.outcome == "failed"
    assert "a handler failed: s.py:9: KeyError: 'x'" in report.problems


def test_an_unmet_script_names_file_and_line(run: Run) -> None:
    text = "steps:\n- wait: answered\n- expect: {heard: hello, within_s: 1}\n- hang_up\n"
    report = run(text, "")
    assert "t.yaml:4: step 2 (expect: /hello/)" in report.reason


def test_nobody_answers_for_an_address(run: Run) -> None:
    body = "    await Net.http_request_async('https://a.example/b')"
    assert "GET https://a.example/b: nobody answers" in run(SHORT, body).reason
    assert run(SHORT + "http: {'https://a.example/b': 200}", body).outcome == "passed"


def test_what_makes_a_call_impossible_is_an_error(run: Run) -> None:
    report = run("steps: 5", "")
    assert report.outcome == "error"
    assert "t.yaml:2: `steps:` must be a list" in report.reason
    broken = run(SHORT, "    )")
    assert broken.outcome == "error"
    assert "s.py" in broken.reason


def test_a_judge_that_does_not_answer_fails_the_call(run: Run) -> None:
    text = SHORT + "expect: {judge: It is polite.}"
    assert (run(text, "").outcome, run(text, "").not_judged) == ("passed", 1)
    judge = Judge(url="http://127.0.0.1:1", model="m", timeout_s=5)
    report = run(text, "", judge=judge)
    assert report.reason.startswith("judge: the judge at http://127.0.0.1:1/v1/chat/completions")
    assert report.not_judged == 0


def test_the_local_agent_answers_without_a_service(run: Run) -> None:
    report = run(
        "steps:\n- wait: answered\n- wait: agent_finished\n- say: Thank you. Goodbye.\n"
        "- expect: good ?bye\n- hang_up\n"
    )
    assert report.problems == ()


def test_an_update_returns_the_call_even_if_it_is_not_as_expected(tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text(SCENARIO.replace("    BODY", BRIDGE))
    (tmp_path / "t.yaml").write_text("scenario: s.py\n" + TWO_TURNS + "expect: {events: [Nowhere]}")
    call = update_case(tmp_path / "t.yaml", RunOptions(out=tmp_path / "out"))
    assert call.transcript[0].text == "Hello there"
    (tmp_path / "s.py").write_text(")")
    with pytest.raises(VoxpyError, match=r"s\.py"):
        update_case(tmp_path / "t.yaml", RunOptions(out=tmp_path / "out"))


# -- many ------------------------------------------------------------------------------------------


def test_the_same_seed_is_the_same_call(run: Run) -> None:
    def course(seed: int) -> object:
        report = run(TWO_TURNS, seed=seed)
        assert report.outcome == "passed"
        return attrs.evolve(report, real_s=0.0)

    assert course(3) == course(3)
    assert course(3) != attrs.evolve(run(TWO_TURNS, seed=5), real_s=0.0, seed=3)


def test_a_caller_on_another_day_does_the_same_things() -> None:
    steps = (
        Wait(what="answered"),
        Say(text="a", line=3),
        Pause(seconds=2.0),
        Interrupt(after_s=1.0, text="b"),
        HangUp(),
    )
    script = CallerScript(steps=steps)
    assert script.varied(0) is script
    other = script.varied(1)
    assert other == script.varied(1)
    assert other != script.varied(2)
    assert [type(s).__name__ for s in other.steps] == [
        "Wait", "Pause", "Say", "Pause", "Interrupt", "HangUp",
    ]  # fmt: skip
    assert other.line.seed != script.line.seed
    for seed in range(1, 50):
        hesitation, pause, interrupt = (script.varied(seed).steps[n] for n in (1, 3, 4))
        assert isinstance(hesitation, Pause)
        assert 0 <= hesitation.seconds <= 0.6
        assert isinstance(pause, Pause)
        assert 1.6 <= pause.seconds <= 2.6
        assert isinstance(interrupt, Interrupt)
        assert 0.6 <= interrupt.after_s <= 1.4


def test_every_script_with_every_seed(tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text(SCENARIO.replace("    BODY", ""))
    paths = [tmp_path / f"{name}.yaml" for name in ("a", "b")]
    for path in paths:
        path.write_text("scenario: s.py\n" + SHORT)
    options = RunOptions(out=tmp_path / "out")
    reports = list(run_cases(paths, options, repeat=2))
    assert [(r.name, r.seed) for r in reports] == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    paths[0].write_text("scenario: s.py\n" + SHORT + "expect: {log: x}")
    assert [r.name for r in run_cases(paths, options, stop_at_failure=True)] == ["a"]


@pytest.mark.slow
def test_processes_give_the_same_reports(tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text(SCENARIO.replace("    BODY", ""))
    path = tmp_path / "a.yaml"
    path.write_text("scenario: s.py\n" + SHORT)
    options = RunOptions(out=tmp_path / "out")
    alone = [attrs.evolve(r, real_s=0.0) for r in run_cases([path], options, repeat=3)]
    several = list(run_cases([path], options, repeat=3, jobs=2))
    several = sorted((attrs.evolve(r, real_s=0.0) for r in several), key=lambda r: r.seed)
    assert several == alone
