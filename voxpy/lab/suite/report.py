"""How a set of calls went: per call, per script, as JSON and as JUnit's XML. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal
from xml.etree import ElementTree as ET

import attrs

from voxpy.lab.evaluation.judge import Verdict
from voxpy.lab.evaluation.measures import Evaluation
from voxpy.lab.evaluation.rates import Rate, percentile
from voxpy.lab.evaluation.words import WordErrors

__all__ = ["CallReport", "Outcome", "ScriptSummary", "junit_xml", "suite_json", "summarised"]

Outcome = Literal["passed", "failed", "error"]
"""``failed``: not as expected. ``error``: there was no call."""

VERSION = 1
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@attrs.frozen(kw_only=True)
class CallReport:
    """One call of one script. ``problems`` are texts whose first lines are summaries.

    ``virtual_s`` is how long the call was, ``real_s`` how long it took to run. ``folder`` holds its
    recording and trace, where they were kept.
    """

    name: str
    file: str
    seed: int
    outcome: Outcome
    problems: tuple[str, ...] = ()
    not_judged: int = 0
    timeline: str = ""
    virtual_s: float = 0.0
    real_s: float = 0.0
    evaluation: Evaluation | None = None
    verdicts: tuple[Verdict, ...] = ()
    folder: str = ""

    @property
    def reason(self) -> str:
        """Why it did not pass, in one line."""
        first = self.problems[0].splitlines()[0] if self.problems else ""
        more = len(self.problems) - 1
        return f"{first} (and {more} more)" if more > 0 else first

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "name": self.name,
            "file": self.file,
            "seed": self.seed,
            "outcome": self.outcome,
            "problems": list(self.problems),
            "virtual_s": round(self.virtual_s, 2),
            "real_s": round(self.real_s, 3),
            "measures": self.evaluation.to_json() if self.evaluation else None,
            "verdicts": [attrs.asdict(v) for v in self.verdicts],
            "not_judged": self.not_judged,
            "folder": self.folder,
        }


@attrs.frozen(kw_only=True)
class ScriptSummary:
    """All calls of one script."""

    name: str
    calls: tuple[CallReport, ...]

    @property
    def passed(self) -> Rate:
        """How many were as expected."""
        return Rate(sum(c.outcome == "passed" for c in self.calls), len(self.calls))

    @property
    def first_failure(self) -> CallReport | None:
        """The first that was not."""
        return next((c for c in self.calls if c.outcome != "passed"), None)

    @property
    def reply_ms(self) -> list[int]:
        """The replies of all calls."""
        return [ms for c in self.calls if c.evaluation for ms in c.evaluation.reply_ms]

    def latency_ms(self, percent: float) -> int | None:
        """Return a percentile over all replies; None without any."""
        return int(percentile(self.reply_ms, percent)) if self.reply_ms else None

    @property
    def judged(self) -> Rate:
        """How many of the judge's verdicts were good."""
        verdicts = [v for c in self.calls for v in c.verdicts]
        return Rate(sum(v.passed for v in verdicts), len(verdicts))

    @property
    def interruptions(self) -> list[int]:
        """How soon the agent was silent when it was interrupted, in milliseconds."""
        measured = [c.evaluation for c in self.calls if c.evaluation]
        return [round(i.silent_after_s * 1000) for e in measured for i in e.interruptions]

    @property
    def understood(self) -> WordErrors | None:
        """The caller's words as the agent's recogniser understood them, in all calls."""
        errors = [c.evaluation.understood for c in self.calls if c.evaluation]
        known = [e for e in errors if e is not None]
        return sum(known, start=WordErrors(expected_words=0)) if known else None

    def to_json(self) -> dict[str, Any]:
        """Return the summary as JSON values; ``low`` and ``high`` are bounds of 95 % confidence."""
        low, high = self.passed.interval()
        understood = self.understood
        return {
            "name": self.name,
            "passed": self.passed.count,
            "calls": self.passed.total,
            "rate": round(self.passed.share, 4),
            "low": round(low, 4),
            "high": round(high, 4),
            "latency_p50_ms": self.latency_ms(50),
            "latency_p95_ms": self.latency_ms(95),
            "replies": len(self.reply_ms),
            "talk_over_s": round(sum(c.evaluation.talk_over_s for c in self._measured()), 2),
            "interruptions_ms": self.interruptions,
            "understood_word_error_rate": round(understood.rate, 4) if understood else None,
            "judged": self.judged.total,
            "judged_good": self.judged.count,
        }

    def _measured(self) -> list[Any]:
        return [c for c in self.calls if c.evaluation]


def summarised(reports: Sequence[CallReport]) -> list[ScriptSummary]:
    """Return a summary per script, in the order in which they first come."""
    by_file: dict[str, list[CallReport]] = {}
    for report in reports:
        by_file.setdefault(report.file, []).append(report)
    return [
        ScriptSummary(name=calls[0].name, calls=tuple(sorted(calls, key=lambda c: c.seed)))
        for calls in by_file.values()
    ]


def suite_json(reports: Sequence[CallReport]) -> dict[str, Any]:
    """Return everything as JSON values."""
    passed = sum(r.outcome == "passed" for r in reports)
    return {
        "v": VERSION,
        "ok": passed == len(reports),
        "passed": passed,
        "calls": len(reports),
        "scripts": [summary.to_json() for summary in summarised(reports)],
        "reports": [report.to_json() for report in reports],
    }


def junit_xml(reports: Sequence[CallReport]) -> str:
    """Return the reports as JUnit's XML, as CI systems read it; seconds are real ones."""
    outcomes = [r.outcome for r in reports]
    counts = {
        "tests": str(len(reports)),
        "failures": str(outcomes.count("failed")),
        "errors": str(outcomes.count("error")),
        "time": f"{sum(r.real_s for r in reports):.3f}",
    }
    root = ET.Element("testsuites", counts)
    suite = ET.SubElement(root, "testsuite", {"name": "voxpy test", **counts})
    repeated = {r.file for r in reports if r.seed} | {
        r.file for r in reports if [o.file for o in reports].count(r.file) > 1
    }
    for report in reports:
        name = f"{report.name}[seed {report.seed}]" if report.file in repeated else report.name
        told = {"classname": "voxpy", "name": name, "file": report.file}
        case = ET.SubElement(suite, "testcase", {**told, "time": f"{report.real_s:.3f}"})
        if report.outcome != "passed":
            kind = "failure" if report.outcome == "failed" else "error"
            problem = ET.SubElement(case, kind, {"message": _xml(report.reason)})
            problem.text = _xml("\n\n".join([*report.problems, report.timeline]).strip())
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _xml(text: str) -> str:
    """Leave out what XML 1.0 cannot hold, not even escaped."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
