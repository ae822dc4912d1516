"""Tests as their authors write them, and every mistake with file, line and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxpy.engine.ending import EndReason
from voxpy.errors import ConfigError
from voxpy.lab.suite.casefile import CallCase, find_cases, parse_case, read_case
from voxpy.testing import Reply

CALLERS = Path(__file__).parents[3] / "scenarios" / "callers"
STEPS = "steps:\n- wait: answered\n- hang_up\n"


def case(tmp_path: Path, text: str) -> CallCase:
    (tmp_path / "s.py").write_text("")
    return parse_case(f"scenario: s.py\n{STEPS}{text}", tmp_path / "t.yaml")


def test_everything_that_can_be_expected(tmp_path: Path) -> None:
    found = case(
        tmp_path,
        """
secrets: {KEY: abc}
http:
  "https://a.example/x": {status: 503, after_s: 2}
  "https://b.example/y": {temperature: 18}
  "https://c.example/z": 404
expect:
  transcript: |
    agent: hello
  events: Connected
  tools: [hang_up, {name: get, arguments: {city: Rome}, result: rain}]
  log: [one, two]
  recording_s: [1, 2.5]
  end: no calls
  latency_ms: {p50: 500, p95: 900}
  dead_air_s: 3
  talk_over_s: 0.5
  interrupted_within_ms: 300
  keywords: {agent: [hello], caller: "/bye/"}
  word_error_rate: 0.1
  judge: It is polite.
""",
    )
    assert found.name == "t"
    assert found.scenarios == (tmp_path / "s.py",)
    assert found.secrets == {"KEY": "abc"}
    assert "abc" not in repr(found)
    assert found.http["https://a.example/x"] == Reply(status=503, after_s=2.0)
    assert found.http["https://b.example/y"] == Reply(body={"temperature": 18})
    assert found.http["https://c.example/z"] == 404
    expect = found.expect
    assert expect.transcript is not None
    assert expect.events == ("Connected",)
    assert expect.tools is not None
    assert [t.name for t in expect.tools] == ["hang_up", "get"]
    assert [p.pattern for p in expect.log] == ["one", "two"]
    assert expect.recording_s == (1.0, 2.5)
    assert expect.end is EndReason.NO_CALLS
    assert expect.latency_ms == {"p50": 500.0, "p95": 900.0}
    assert expect.keywords == {"agent": ("hello",), "caller": ("/bye/",)}
    assert expect.judge == ("It is polite.",)


def test_a_number_is_the_slowest_reply_that_may_be(tmp_path: Path) -> None:
    assert case(tmp_path, "expect: {latency_ms: 800}").expect.latency_ms == {"max": 800.0}


def test_a_caller_beside_its_scenario_needs_not_name_it() -> None:
    assert read_case(CALLERS / "menu.yaml").scenarios == (CALLERS.parent / "menu.py",)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("expect: {transcrpt: x}", r"t\.yaml:5: expect has no 'transcrpt'; did you mean 'transcri"),
        ("expect:", r"t\.yaml:5: `expect:` must be a mapping of transcript, events"),
        ("expect: {end: finished}", r"t\.yaml:5: expect: end must be .*not 'finished'"),
        ("expect:\n  latency_ms: {p99: 3}", r"t\.yaml:6: expect: latency_ms has no 'p99'; did you"),
        ("expect:\n  latency_ms: fast", r"t\.yaml:6: .*latency_ms must be a number"),
        ("expect:\n  transcript: [a]", r"t\.yaml:6: transcript takes lines: `transcript: \|`"),
        ("expect:\n  end: limit exceeded\n  transcript: |\n    agent: a\n    agnt: b",
         r"t\.yaml:9: 'agnt: b' is no line of a transcript.*did you mean 'agent'"),
        ("expect:\n  tools: hang_up", r"t\.yaml:6: tools takes a list"),
        ("expect:\n  tools: [{nam: x}]", r"t\.yaml:6: .*item 1 has no 'nam'"),
        ("expect:\n  tools: [{name: x, arguments: [1]}]", r"t\.yaml:6: arguments is a mapping"),
        ("expect:\n  log: ['(']", r"t\.yaml:6: '\(' is not a regular expression"),
        ("expect:\n  keywords: ['/(/']", r"t\.yaml:6: '\(' is not a regular expression"),
        ("expect:\n  keywords: {robot: x}", r"t\.yaml:6: .*keywords has no 'robot'"),
        ("expect:\n  recording_s: 5", r"t\.yaml:6: recording_s takes the shortest and the longes"),
        ("expect:\n  recording_s: [5, 1]", r"t\.yaml:6: the longest is less than the shortest"),
        ("secrets: [a]", r"t\.yaml:5: secrets must be a mapping"),
        ("secrets: {A: 1}", r"t\.yaml:5: secrets: A must be text, but YAML reads 1"),
        ("http: x", r"t\.yaml:5: http must be a mapping"),
        ("http:\n  'https://x': {status: ok}", r"t\.yaml:6: .*status must be a whole number"),
        ("http:\n  'https://x': {status: 1, bdy: x}", r"t\.yaml:6: .*has no 'bdy'; did you"),
    ],
)  # fmt: skip
def test_mistakes(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        case(tmp_path, text)


@pytest.mark.parametrize(
    ("scenario", "told"),
    [
        ("", r"t\.yaml:1: which scenario is called\? Add `scenario: FILE\.py`"),
        ("scenario: x.py\n", r"t\.yaml:1: there is no scenario .*x\.py"),
        ("scenario: []\n", r"t\.yaml:1: scenario takes a file"),
        ("scenario:\n- 5\n", r"t\.yaml:2: .*must be text, but YAML reads 5"),
    ],
)
def test_scenarios_that_are_not_there(tmp_path: Path, scenario: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse_case(scenario + STEPS, tmp_path / "t.yaml")


def test_scripts_are_found_in_folders(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "x.wav", "deep/c.yaml", ".hidden/d.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    names = [p.relative_to(tmp_path).as_posix() for p in find_cases([tmp_path])]
    assert names == ["a.yml", "b.yaml", "deep/c.yaml"]
    assert find_cases([tmp_path / "b.yaml", tmp_path])[0] == tmp_path / "b.yaml"
    assert len(find_cases([tmp_path / "b.yaml", tmp_path])) == 3
    with pytest.raises(ConfigError, match=r"nowhere: there is no such"):
        find_cases([tmp_path / "nowhere"])
