"""Expected and actual, laid over each other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voxpy.testing.transcript.asserting import Matched, match
from voxpy.testing.transcript.expected import parse_transcript
from voxpy.testing.transcript.lines import TranscriptLine

MARKS = {"same": "=", "changed": "~", "missing": "-", "unexpected": "+", "passed over": "."}


def lines(text: str) -> list[TranscriptLine]:
    """``agent hello`` per line, a second apart."""
    rows = [row.split(maxsplit=1) for row in text.strip().splitlines()]
    return [TranscriptLine(who=w, what=t, at_s=float(n)) for n, (w, t) in enumerate(rows)]


def rows(expected: str, actual: str) -> list[Matched]:
    return match(parse_transcript(expected), lines(actual))


def marks(expected: str, actual: str) -> str:
    return "".join(MARKS[row.mark] for row in rows(expected, actual))


def test_the_same() -> None:
    assert marks("agent: a\ncaller: b", "agent a\ncaller b") == "=="
    assert marks("", "") == ""


def test_differences_stay_where_they_arose() -> None:
    assert marks("agent: a\nagent: b\nagent: c", "agent a\nagent c") == "=-="
    assert marks("agent: a\nagent: c", "agent a\nagent b\nagent c") == "=+="
    assert marks("agent: a\nagent: b\nagent: c", "agent a\nagent x\nagent c") == "=~="
    assert sorted(marks("agent: a\nagent: c", "agent a\ncaller c")) == ["+", "-", "="]


def test_any_lines() -> None:
    assert marks("agent: a\n...\nagent: z", "agent a\ncaller b\nagent c\nagent z") == "=...="
    assert marks("...", "") == "."
    assert marks("agent: a\n...\nagent: z", "agent a\nagent y") in ("=.-.", "=..-", "=.~")
    assert not any(r.differs for r in rows("...\nagent: c\n...", "agent a\nagent c\nagent d"))


def test_any_order() -> None:
    group = "any order:\n  agent: a\n  tool: {any}\n  agent: b\nend: x"
    assert marks(group, "agent b\ntool f\nagent a\nend x") == "===="
    assert "-" in marks(group, "agent b\ntool f\nend x")
    assert marks(group, "agent b\ntool f\nagent a\nagent c\nend x").count("+") == 1


def test_of_several_that_fit_each_has_its_own() -> None:
    group = "any order:\n  agent: {any}\n  agent: a"
    assert marks(group, "agent a\nagent b") == "=="
    assert marks(group, "agent b\nagent a") == "=="
    assert marks(group, "agent b\nagent c").count("=") == 1


def test_the_right_words_at_the_wrong_time() -> None:
    (first, second) = rows("agent: a\n@3 agent: b", "agent a\nagent b")
    assert first.mark == "same"
    assert (second.mark, second.note) == ("changed", "came at 1 s, not 3±0.25 s")


def test_a_name_stands_for_one_text() -> None:
    expected = "agent: Your number is {number}\nagent: I repeat, {number}"
    assert marks(expected, "agent Your number is 17\nagent I repeat, 17") == "=="
    (_, second) = rows(expected, "agent Your number is 17\nagent I repeat, 18")
    assert (second.mark, second.note) == ("changed", "{number} was '17' before, and is '18' here")


def test_events_count_only_if_they_are_expected_but_then_all_of_them() -> None:
    actual = "event Call.Connected\nagent a\nevent Call.Connected\nlog x"
    assert marks("agent: a", actual) == "="
    assert marks("event: Call.Connected\nagent: a", actual) == "==+"


WORDS = st.lists(st.sampled_from(["agent a", "agent b", "caller a", "tool f"]), max_size=6)


@given(WORDS, WORDS)
def test_every_line_has_its_row(wanted: list[str], actual: list[str]) -> None:
    expected = "\n".join(row.replace(" ", ": ") for row in wanted)
    found = rows(expected, "\n".join(actual))
    assert [r.actual.what for r in found if r.actual] == [row.split()[1] for row in actual]
    assert sum(r.expected is not None for r in found) == len(wanted)
    assert any(r.differs for r in found) == (wanted != actual)


@given(WORDS, st.data())
def test_a_shuffled_group_is_the_same(wanted: list[str], data: st.DataObject) -> None:
    if wanted:
        expected = "any order:\n" + "\n".join("  " + r.replace(" ", ": ") for r in wanted)
        actual = data.draw(st.permutations(wanted))
        assert marks(expected, "\n".join(actual)) == "=" * len(wanted)
