"""Routing: the first match over the whole destination, and files that are wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from voxpy.channels.mediastream.listener import ProviderListener
from voxpy.channels.sip.settings import SipTrunk, User
from voxpy.engine.settings import Settings, Watchdogs
from voxpy.engine.userfile import load
from voxpy.errors import ConfigError
from voxpy.project.routing import (
    Match,
    NoMatch,
    Routing,
    Rule,
    Tried,
    inspect_routing,
    missing_scenarios,
    parse_routing,
    read_routing,
)

GOOD = r"""
rules:
  - name: support
    pattern: '\+?1\d{3}'
    exclude: '.*9'
    scenarios: [a.py, lib/b.py]
    watchdogs: {dead_air_s: 5}
  - name: echo
    pattern: 'echo'
    scenarios:
      - echo.py
settings:
  on_handler_error: continue
channels: {audiosocket: {port: 9092}}
trunks: {main: {sip: sip.example.com}}
users: {alice: ALICE_PASSWORD}
"""


def complaints(text: str) -> list[str]:
    return [str(p) for p in inspect_routing(load(text, file="routing.yaml"))[1]]


def one_rule(body: str) -> list[str]:
    return complaints(f"rules:\n  - {body}\n")


def taken_by(routing: Routing, destination: str) -> str | None:
    result = routing.match(destination)
    return result.rule.name if isinstance(result, Match) else None


def test_a_good_file() -> None:
    routing = parse_routing(GOOD)
    support, echo = routing.rules
    assert (support.name, support.line, support.scenarios) == ("support", 3, ("a.py", "lib/b.py"))
    assert support.paths(Path("x")) == (Path("x/a.py"), Path("x/lib/b.py"))
    assert support.settings == Settings(
        watchdogs=Watchdogs(dead_air_s=5), on_handler_error="continue"
    )
    assert (echo.line, echo.scenario_lines, echo.exclude) == (8, (11,), None)
    assert echo.settings == routing.settings == Settings(on_handler_error="continue")
    (channel,) = routing.channels
    assert isinstance(channel, ProviderListener)
    assert (channel.name, channel.port) == ("audiosocket", 9092)
    (trunk,) = routing.trunks
    assert isinstance(trunk, SipTrunk)
    assert (trunk.name, str(trunk.uri)) == ("main", "sip:sip.example.com")
    assert routing.users == {"alice": User("alice", "ALICE_PASSWORD")}


@pytest.mark.parametrize(
    ("destination", "rule"),
    [
        ("1234", "support"),
        ("+1234", "support"),
        ("12345", None),  # the whole destination
        ("01234", None),
        ("1234\n", None),
        ("1239", None),  # excluded
        ("echo", "echo"),
        ("Echo", None),
        ("", None),
    ],
)
def test_the_pattern_is_for_the_whole_destination(destination: str, rule: str | None) -> None:
    assert taken_by(parse_routing(GOOD), destination) == rule


def test_what_was_tried_can_be_told() -> None:
    routing = parse_routing(GOOD)
    pattern = r"\+?1\d{3}"
    excluded = Tried(rule="support", pattern=pattern, matched=True, excluded=True)
    no_match = Tried(rule="echo", pattern="echo", matched=False, excluded=False)
    assert routing.match("1239") == NoMatch(tried=(excluded, no_match))
    assert [str(tried) for tried in routing.match("1239").tried] == [
        rf"'support' ({pattern}): excluded",
        "'echo' (echo): no match",
    ]
    matched = routing.match("1234")
    assert [str(tried) for tried in matched.tried] == [rf"'support' ({pattern}): match"]


def literal(name: str, pattern: str, exclude: str | None) -> Rule:
    return Rule(
        name=name,
        pattern=re.compile(pattern),
        exclude=None if exclude is None else re.compile(exclude),
        scenarios=("s.py",),
        scenario_lines=(1,),
        settings=Settings(),
        line=1,
    )


small_patterns = st.lists(st.sampled_from(["a", "b", ".", ".*", "a?", "b+"]), max_size=3).map(
    "".join
)


@given(
    st.lists(st.tuples(small_patterns, st.none() | small_patterns), max_size=5),
    st.text("ab", max_size=4),
)
def test_the_first_rule_that_matches_and_is_not_excluded_wins(
    patterns: list[tuple[str, str | None]], destination: str
) -> None:
    rules = tuple(literal(str(i), p, e) for i, (p, e) in enumerate(patterns))
    takers = [
        i
        for i, (p, e) in enumerate(patterns)
        if re.fullmatch(p, destination) and not (e is not None and re.fullmatch(e, destination))
    ]
    result = Routing(file="r", rules=rules).match(destination)
    if takers:
        assert isinstance(result, Match)
        assert result.rule is rules[takers[0]]
        assert len(result.tried) == takers[0] + 1
    else:
        assert isinstance(result, NoMatch)
        assert len(result.tried) == len(rules)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "routing.yaml:1: error: rules must be a list of at least one rule"),
        ("rules: []", "routing.yaml:1: error: rules must be a list of at least one rule"),
        (
            "users: {}\nrules: {name: a}",
            "routing.yaml:2: error: rules must be a list of at least one rule, not {'name': 'a'}",
        ),
        ("rules:\n- 5", "routing.yaml:2: error: rule 1 must be a mapping (name:, pattern:, "),
        (
            "rules:\n- {name: a, pattern: b, scenarios: [c]}\nruls: 1",
            "routing.yaml:3: error: the file has no 'ruls'; did you mean 'rules'?",
        ),
        (
            "rules:\n- {name: a, pattern: b, scenarios: [c]}\nusers: [x]",
            "routing.yaml:3: error: users must be a mapping (key: value), not ['x']",
        ),
        (
            "rules:\n- {name: a, pattern: b, scenarios: [c]}\nsettings: {limit: {}}",
            "routing.yaml:3: error: settings has no 'limit'; did you mean 'limits'?",
        ),
    ],
)
def test_what_is_wrong_with_the_file(text: str, expected: str) -> None:
    (complaint,) = complaints(text)
    assert complaint.startswith(expected)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            "name: support\n    scenarios: [s]\n    pattern: '+?[1-9]'",
            r"4: error: rule 'support': pattern '+?[1-9]' is not a regular expression: "
            r"nothing to repeat at 0; did you mean '\+?[1-9]'?",
        ),
        (
            "{name: s, pattern: a, scenarios: [s], exclude: '+1('}",
            "2: error: rule 's': exclude '+1(' is not a regular expression: nothing to repeat at 0",
        ),
        (
            "name: s\n    scenarios: [s]\n    pattern: +15550100",
            "4: error: rule 's': pattern must be text, but YAML reads 15550100 here; "
            "put it in single quotes",
        ),
        ("{pattern: a, scenarios: [s]}", "2: error: rule 1: name is missing"),
        ("{name: '', pattern: a, scenarios: [s]}", "2: error: rule 1: name is missing"),
        ("{name: s, scenarios: [s]}", "2: error: rule 's': pattern is missing"),
        (
            "{name: s, pattern: a}",
            "2: error: rule 's': scenarios is missing: list the files the rule runs",
        ),
        (
            "{name: s, pattern: a, scenarios: s.py}",
            "2: error: rule 's': scenarios must be a list of files, not 's.py': write [s.py]",
        ),
        (
            "name: s\n    pattern: a\n    scenarios:\n    - s.py\n    - 5",
            "6: error: rule 's': scenarios: 5 is no path of a scenario file",
        ),
        (
            "{name: s, pattern: a, scenarios: [s], patern: x}",
            "2: error: rule 's' has no 'patern'; did you mean 'pattern'?",
        ),
        (
            "name: s\n    pattern: a\n    scenarios: [s]\n    limits:\n      timers: -1",
            "6: error: rule 's': limits: timers must be above 0, not -1",
        ),
    ],
)
def test_what_is_wrong_with_a_rule(body: str, expected: str) -> None:
    (complaint,) = one_rule(body)
    assert complaint.startswith(f"routing.yaml:{expected}")


def two_rules(first: str, second: str) -> list[str]:
    return complaints(f"rules:\n- {{{first}, scenarios: [s]}}\n- {{{second}, scenarios: [s]}}")


def test_a_name_is_given_once() -> None:
    assert two_rules("name: a, pattern: x", "name: a, pattern: y") == [
        "routing.yaml:3: error: rule 'a': the name is taken by the rule in line 2"
    ]


@pytest.mark.parametrize("pattern", [".*", "^.+$", "y"])
def test_a_rule_below_one_that_takes_all_its_calls_is_never_reached(pattern: str) -> None:
    assert two_rules(f"name: a, pattern: '{pattern}'", "name: b, pattern: y") == [
        "routing.yaml:3: warning: rule 'b' is never reached: 'a' (line 2) takes all its calls"
    ]


def test_a_rule_below_one_with_an_exclude_may_be_reached() -> None:
    assert two_rules("name: a, pattern: '.*', exclude: y", "name: b, pattern: y") == []


def test_all_problems_come_by_line_and_the_first_is_raised() -> None:
    text = "rules:\n- {name: a}\n- {nam: b, pattern: x, scenarios: [s]}\n"
    lines = [p.line for p in inspect_routing(load(text, file="r"))[1]]
    assert lines == [2, 2, 3, 3]
    with pytest.raises(ConfigError) as caught:
        parse_routing(text)
    assert str(caught.value) == (
        "routing.yaml:2: rule 'a': pattern is missing (and 3 more: voxpy check lists them)"
    )
    assert caught.value.line == 2


def test_warnings_alone_do_not_keep_a_file_from_working() -> None:
    rules = "- {name: a, pattern: '.*', scenarios: [s]}\n- {name: b, pattern: x, scenarios: [s]}"
    text = f"rules:\n{rules}"
    assert taken_by(parse_routing(text), "x") == "a"


def test_a_file_is_read_and_its_scenarios_stand_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "routing.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())  # as some editors save it
    routing = read_routing(path)
    (tmp_path / "a.py").touch()
    (tmp_path / "lib/b.py").mkdir(parents=True)  # a folder is no file
    assert [(p.line, p.level, p.message) for p in missing_scenarios(routing, tmp_path)] == [
        (6, "error", f"rule 'support': there is no scenario file {str(tmp_path / 'lib/b.py')!r}"),
        (11, "error", f"rule 'echo': there is no scenario file {str(tmp_path / 'echo.py')!r}"),
    ]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        read_routing(tmp_path / "routing.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_routing(tmp_path)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"# ok\nname: Jos\xe9\n")
    with pytest.raises(ConfigError, match=r"latin\.yaml:2: this line is not UTF-8 text"):
        read_routing(latin)


yaml_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("ab.*+?", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["rules", "name", "pattern", "scenarios", "limits", "timers", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(yaml_values)
def test_whatever_the_yaml_says_the_file_is_read_or_refused(value: object) -> None:
    document = load(yaml.safe_dump(value), file="routing.yaml")
    routing, problems = inspect_routing(document)
    assert routing.rules or any(p.level == "error" for p in problems)
    assert all(p.line is not None and p.line >= 1 for p in problems)
