"""Expected transcripts as authors write them, and every mistake with its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.errors import ConfigError
from voxpy.testing.transcript.expected import (
    Anything,
    ExpectedGroup,
    ExpectedLine,
    parse_transcript,
)
from voxpy.testing.transcript.lines import WHO, TranscriptLine, canonical, source_of


def line(text: str) -> ExpectedLine:
    (item,) = parse_transcript(text).items
    assert isinstance(item, ExpectedLine)
    return item


def happened(who: str, what: str, at_s: float = 0.0) -> TranscriptLine:
    return TranscriptLine(who=who, what=canonical(who, what), at_s=at_s)


@pytest.mark.parametrize(
    ("expected", "what", "fits"),
    [
        ("agent: Hello there", "hello  THERE", True),
        ("agent: Hello there", "hello there you", False),
        ("agent: Hello {any}", "hello", False),
        ("agent: Hello{any}", "hello", True),
        ("agent: {any} sunny {any}", "it is sunny today", True),
        ("agent: {n:\\d{2}} degrees", "18 degrees", True),
        ("agent: {n:\\d{2}} degrees", "8 degrees", False),
        ("agent: {x} and {x}", "this and this", True),
        ("agent: {x} and {x}", "this and that", False),
        ("agent: /sun+y/", "rather sunnny, I hear", True),
        ("agent: /^sunny/", "rather sunny", False),
        ("agent: a.c (really?)", "a.c (really?)", True),
        ("agent: a.c", "abc", False),
        ("agent: \\{name} \\\\", "{name} \\", True),
        ("agent: {any} --", "well —", True),
        ("agent: {any} —", "well", False),
        ("event: Call.Connected", "Call.Connected", True),
        ("event: Connected", "Call.Connected", True),
        ("event: Connected", "Call.Disconnected", False),
        ('tool: f {"b": 1, "a": "x"}', 'f {"a":"x","b":1}', True),
        ('tool: f {"a": "{any}"}', 'f {"a":"x y"}', True),
        ("tool: f {any}", 'f {"a":"x y"}', True),
    ],
)
def test_lines_and_placeholders(expected: str, what: str, fits: bool) -> None:
    wanted = line(expected)
    assert (wanted.fit(happened(wanted.who, what)) is not None) is fits


@pytest.mark.parametrize(
    ("time", "at_s", "on_time"),
    [
        ("@3.2", 3.4, True),
        ("@3.2", 3.5, False),
        ("@3±1", 4.0, True),
        ("@3+-1", 1.9, False),
        ("", 99.0, True),
    ],
)
def test_times(time: str, at_s: float, on_time: bool) -> None:
    wanted = line(f"{time} agent: hi".strip())
    assert wanted.is_on_time(happened("agent", "hi", at_s)) is on_time


def test_groups_rests_and_comments() -> None:
    text = """\
# the beginning
agent: hello
any order:
  # either may be first
  tool: a {any}
  event: Call.ToneReceived
...
end: terminated
# the end"""
    expected = parse_transcript(text)
    first, group, rest, last = expected.items
    assert isinstance(first, ExpectedLine)
    assert first.source == ("# the beginning", "agent: hello")
    assert isinstance(group, ExpectedGroup)
    assert [one.who for one in group.lines] == ["tool", "event"]
    assert isinstance(rest, Anything)
    assert isinstance(last, ExpectedLine)
    assert expected.remains == ("# the end",)
    rows = [row for item in expected.items for row in item.source]
    assert "\n".join([*rows, *expected.remains]) == text
    assert expected.concerns(happened("event", "Call.ToneReceived"))
    assert not expected.concerns(happened("event", "Call.Connected"))
    assert not expected.concerns(happened("log", "x"))
    assert expected.concerns(happened("caller", "x"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("agent: a\nagnet: b", r"t\.yaml:8: 'agnet: b' is no line .*; did you mean 'agent'"),
        ("hello", r"t\.yaml:7: .*write `agent: Hello`"),
        ("agent: /(/", r"t\.yaml:7: '/\(/' holds no regular expression: missing \)"),
        ("agent: {x:(} a", r"t\.yaml:7: .*no regular expression"),
        ("any order:\nagent: a", r"t\.yaml:7: `any order:` has no lines"),
        ("agent: a\nany order:", r"t\.yaml:8: `any order:` has no lines"),
    ],
)
def test_mistakes_name_their_line(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse_transcript(text, file="t.yaml", first_line=7)


@given(st.sampled_from(WHO), st.text(max_size=40))
def test_a_line_written_down_expects_itself(who: str, what: str) -> None:
    actual = happened(who, what)
    expected = parse_transcript(source_of(actual))
    if "\n" not in actual.what and len(source_of(actual).splitlines()) == 1:
        (item,) = expected.items
        assert isinstance(item, ExpectedLine)
        assert item.fit(actual)
