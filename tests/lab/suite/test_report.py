"""Reports of runs: per script, as JSON, as JUnit's XML, as a table."""

from __future__ import annotations

import io
import json
from xml.etree import ElementTree as ET

import orjson
from rich.console import Console

from voxpy.lab.evaluation.measures import Interruption, Reply, Span
from voxpy.lab.evaluation.words import WordErrors
from voxpy.lab.suite.report import (
    CallReport,
    Outcome,
    junit_xml,
    show_failure,
    show_summary,
    suite_json,
    summarised,
)
from voxpy.testing import Evaluation, Verdict

MEASURED = Evaluation(
    seconds=20.0,
    replies=(Reply(at_s=3, after_s=0.4), Reply(at_s=9, after_s=0.9)),
    talk_over=(Span(4.0, 4.5),),
    interruptions=(Interruption(at_s=4, silent_after_s=0.12),),
    understood=WordErrors(expected_words=10, deleted=1),
)
DIFFERENCE = "the transcript differs in 1 line:\n-  agent: a\n+  agent: b\x00"
TIMELINE = "    0.10 s  agent     says: b\n    0.20 s  event     X.Y\n                      more"


def report(
    name: str, seed: int = 0, outcome: Outcome = "passed", *problems: str, not_judged: int = 0
) -> CallReport:
    return CallReport(
        name=name,
        file=f"callers/{name}.yaml",
        seed=seed,
        outcome=outcome,
        problems=problems,
        timeline=TIMELINE if problems else "",
        virtual_s=20.0,
        real_s=0.25,
        evaluation=MEASURED,
        verdicts=(Verdict(criterion="polite", passed=seed % 2 == 0, reason="so"),),
        not_judged=not_judged,
    )


REPORTS = [
    *(report("a", seed) for seed in range(17)),
    *(report("a", seed, "failed", DIFFERENCE, "second") for seed in range(17, 20)),
    report("b", not_judged=2),
]


def test_rates_and_percentiles_over_a_set() -> None:
    a, b = summarised(REPORTS)
    assert str(a.passed) == "17/20 = 85 % (64-95 %)"
    assert (a.latency_ms(50), a.latency_ms(95), len(a.reply_ms)) == (400, 900, 40)
    assert a.first_failure is REPORTS[17]
    assert a.first_failure.reason == "the transcript differs in 1 line: (and 1 more)"
    assert (a.judged.count, a.judged.total) == (10, 20)
    assert b.first_failure is None
    assert b.understood == WordErrors(expected_words=10, deleted=1)


def test_json_holds_everything() -> None:
    told = json.loads(orjson.dumps(suite_json(REPORTS)))
    assert (told["v"], told["ok"], told["passed"], told["calls"]) == (1, False, 18, 21)
    first = told["scripts"][0]
    assert (first["passed"], first["calls"], first["rate"]) == (17, 20, 0.85)
    assert 0.63 < first["low"] < 0.65
    assert first["interruptions_ms"] == [120] * 20
    assert first["understood_word_error_rate"] == 0.1
    assert told["reports"][0]["measures"]["latency_p95_ms"] == 900
    assert told["reports"][20]["verdicts"][0]["criterion"] == "polite"


def test_junit_is_xml_whatever_was_said() -> None:
    root = ET.fromstring(junit_xml([*REPORTS, report("c", 0, "error", "no such <file>")]))
    (suite,) = root
    assert suite.attrib["tests"] == "22"
    assert (suite.attrib["failures"], suite.attrib["errors"]) == ("3", "1")
    names = [case.attrib["name"] for case in suite]
    assert names[:2] == ["a[seed 0]", "a[seed 1]"]
    assert names[-2:] == ["b", "c"]
    failure = suite[17].find("failure")
    assert failure is not None
    assert failure.text is not None
    assert "+  agent: b\N{REPLACEMENT CHARACTER}" in failure.text
    assert "says: b" in failure.text
    error = suite[21].find("error")
    assert error is not None
    assert error.attrib["message"] == "no such <file>"


def shown(width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width)
    show_failure(console, REPORTS[17])
    show_failure(console, REPORTS[18], briefly=True)
    show_summary(console, REPORTS)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_people_read_why_and_how_often() -> None:
    told = shown()
    assert "a: failed (callers/a.yaml, seed 17)" in told
    assert "+  agent: b" in told
    assert "says: b" in told
    assert "X.Y" not in told  # of the timeline only what people and the agent did
    assert "more" not in told.split("a: failed (callers/a.yaml, seed 18)")[0].split("the call:")[1]
    assert "17/20 = 85 % (64-95 %)  20.0 s  0.25 s     400 ms  900 ms  seed 17: the trans" in told
    assert "21 calls: 18 passed, 3 failed; 420 s on the phone, run in 5.2 s" in told
    assert "interruptions: 21, the agent silent within 120 ms" in told
    assert "judge: 11 of 21 criteria met (0 from the cache)" in told
    assert "judge: 2 criteria were not judged" in told


def test_a_narrow_screen_loses_reasons_first() -> None:
    rows = shown(80).splitlines()
    (row,) = [row for row in rows if row.startswith("a ")]
    assert "17/20 = 85 % (64-95 %)" in row
    assert "900 ms" in row
