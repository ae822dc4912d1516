"""How a list is worked through, and the files it comes from and ends in."""

from __future__ import annotations

import datetime

import pytest

from voxpy.calllists.terms import Terms, Window, parse_seconds, read_rows, write_results
from voxpy.errors import ConfigError


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("window", "moment", "is_open"),
    [
        ("09:00-18:00 UTC", "2026-11-30T09:00+00:00", True),
        ("09:00-18:00 UTC", "2026-11-30T18:00+00:00", False),
        ("09:00-18:00 UTC", "2026-11-30T08:59+00:00", False),
        ("09:00-18:00 Europe/Berlin", "2026-11-30T08:30+00:00", True),
        ("09:00-18:00 America/New_York", "2026-11-30T08:30+00:00", False),
        ("22:00-6:30 UTC", "2026-11-30T23:00+00:00", True),
        ("22:00-6:30 UTC", "2026-11-30T06:29+00:00", True),
        ("22:00-6:30 UTC", "2026-11-30T12:00+00:00", False),
    ],
)
def test_windows(window: str, moment: str, is_open: bool) -> None:
    assert Window.parse(window).is_open(at(moment)) is is_open


@pytest.mark.parametrize("text", ["", "9-18", "09:00", "25:00-26:00", "09:00-18:00 Moon/Base"])
def test_what_is_no_window(text: str) -> None:
    with pytest.raises(ConfigError, match=r"write 09:00-18:00 or"):
        Window.parse(text)


def test_terms_survive_json() -> None:
    terms = Terms(at_once=3, per_minute=7.5, window=Window.parse("22:00-06:00 UTC"), retry=2)
    assert Terms.from_json(terms.to_json()) == terms
    assert Terms.from_json(Terms().to_json()) == Terms()


@pytest.mark.parametrize("wrong", [{"at_once": 0}, {"per_minute": 0.0}, {"retry": -1}], ids=str)
def test_terms_that_make_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Terms(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("15m", 900), ("2 h", 7200), ("1d", 86400)]
)
def test_times(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


def test_rows_of_a_file() -> None:
    text = '\ufeffto;name\n+15550100;"Ann; of Green"\n\n+15550101; Bob\n'
    assert read_rows(text, file="p.csv", most_bytes=200) == [
        {"to": "+15550100", "name": "Ann; of Green"},
        {"to": "+15550101", "name": "Bob"},
    ]
    assert read_rows("to,name\n1,A\n", file="p.csv", most_bytes=200) == [{"to": "1", "name": "A"}]
    assert read_rows("to\tname\n1\tA\n", file="p.csv", most_bytes=200) == [{"to": "1", "name": "A"}]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r"p\.csv: has no rows"),
        ("to,name\n", r"p\.csv: has no rows"),
        ("to,name\n1\n", r"p\.csv:2: has 1 cells, but there are 2 columns"),
        ("to,to\n1,2\n", r"p\.csv:1: the column 'to' is there twice"),
        ("to,\n1,2\n", r"p\.csv:1: a column has no name"),
        ("+15550100,+15550101\n1,2\n", r"p\.csv:1: the first line must name the columns"),
        ("to\n" + "x" * 300 + "\n", r"p\.csv:2: as custom data this row has 309 bytes"),
        ('to\n"x\n', r"p\.csv:.* no CSV"),
    ],
)
def test_a_file_that_is_wrong_says_where(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        read_rows(text, file="p.csv", most_bytes=200)


def test_results_are_no_formulas() -> None:
    row = {
        "data": {"to": "+1555", "name": "=cmd()", "more": "+SUM(A1)"},
        "state": "done", "attempts": 1, "result": '{"a":1}', "error": "@x", "session_id": "",
        "began": "", "ended": "", "call_code": None,
    }  # fmt: skip
    text = write_results([row], ["to", "name", "more"])
    assert text.splitlines()[1] == '+1555,\'=cmd(),\'+SUM(A1),done,1,"{""a"":1}",\'@x,,,,'
