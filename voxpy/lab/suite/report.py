"""How a set of calls went: per call, per script, as JSON, as JUnit's XML and for people."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal
from xml.etree import ElementTree as ET

import attrs
from rich.table import Table
from rich.text import Text

from voxpy.engine.clock import percentile
from voxpy.lab.evaluation.judge import Verdict
from voxpy.lab.evaluation.measures import Evaluation
from voxpy.lab.evaluation.words import WordErrors

if TYPE_CHECKING:
    from rich.console import Console

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
        return int(percentile(self.reply_ms, percent / 100)) if self.reply_ms else None

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


# -- for people ------------------------------------------------------------------------------------

STYLES: dict[Outcome, str] = {"passed": "green", "failed": "red", "error": "bold red"}
MARKS = {"+ ": "green", "- ": "red", "~ ": "yellow", ". ": "dim"}
"""How the lines of a transcript's difference begin."""
OTHER_COLUMNS = 50
RATE_COLUMN = 20
PLOT = frozenset({"caller", "callee", "agent", "tool", "session", "WARNING", "ERROR"})
"""What is shown of a timeline on the screen; its file has all of it."""


def show_failure(console: Console, report: CallReport, *, briefly: bool = False) -> None:
    """Show everything about a call that did not pass: problems, the difference, the timeline.

    ``briefly``: only which call, and why.
    """
    seed = f", seed {report.seed}" if report.seed else ""
    if briefly:
        told = Text(
            f"{report.name}: {report.outcome} ({report.file}{seed}): {report.reason}", "red"
        )
        console.print(told, soft_wrap=True)
        return
    console.rule(Text(f"{report.name}: {report.outcome} ({report.file}{seed})", "bold red"))
    for problem in report.problems:
        console.print(_painted(problem), soft_wrap=True)
    if report.timeline:
        console.print(Text("the call:", "bold"))
        console.print(Text(_plot(report.timeline)), soft_wrap=True)
    if report.folder:
        console.print(Text(f"\nrecording and trace: {report.folder}", "dim"), soft_wrap=True)


def show_summary(console: Console, reports: Sequence[CallReport]) -> None:
    """Show a row per script, and the sums."""
    summaries = summarised(reports)
    repeated = any(s.passed.total > 1 for s in summaries)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("script", no_wrap=True)
    table.add_column("result", no_wrap=True)
    for title in ("call", "took", "reply p50", "p95"):
        table.add_column(title, justify="right", no_wrap=True)
    room = console.width - OTHER_COLUMNS - max(len(s.name) for s in summaries)
    room -= RATE_COLUMN if repeated else 0
    table.add_column("reason", overflow="ellipsis", no_wrap=True, max_width=max(12, room))
    for summary in summaries:
        table.add_row(*_row(summary, repeated=repeated))
    console.print(table)
    console.print(_total(reports))
    for line in _notes(reports, summaries):
        console.print(Text(line, "dim"))


def _row(summary: ScriptSummary, *, repeated: bool) -> list[Text]:
    calls = summary.calls
    failure = summary.first_failure
    outcome: Outcome = failure.outcome if failure else "passed"
    told = str(summary.passed) if repeated else outcome
    reason = failure.reason if failure else ""
    if failure and repeated:
        reason = f"seed {failure.seed}: {reason}"
    virtual_s = sum(c.virtual_s for c in calls) / len(calls)
    real_s = sum(c.real_s for c in calls) / len(calls)
    return [
        Text(summary.name),
        Text(told, STYLES[outcome]),
        Text(f"{virtual_s:.1f} s"),
        Text(f"{real_s:.2f} s"),
        Text(_ms(summary.latency_ms(50))),
        Text(_ms(summary.latency_ms(95))),
        Text(reason),
    ]


def _total(reports: Sequence[CallReport]) -> Text:
    passed = sum(r.outcome == "passed" for r in reports)
    failed = len(reports) - passed
    virtual_s, real_s = sum(r.virtual_s for r in reports), sum(r.real_s for r in reports)
    calls = "1 call" if len(reports) == 1 else f"{len(reports)} calls"
    told = f"{passed} passed" + (f", {failed} failed" if failed else "")
    return Text(
        f"\n{calls}: {told}; {virtual_s:.0f} s on the phone, run in {real_s:.1f} s",
        "bold red" if failed else "bold green",
    )


def _notes(reports: Sequence[CallReport], summaries: Sequence[ScriptSummary]) -> list[str]:
    notes = []
    over_s = sum(r.evaluation.talk_over_s for r in reports if r.evaluation)
    stops = sorted(ms for s in summaries for ms in s.interruptions)
    if stops:
        notes.append(f"interruptions: {len(stops)}, the agent silent within {stops[-1]} ms")
    if over_s:
        notes.append(f"talk-over: {over_s:.1f} s in all calls")
    verdicts = [v for r in reports for v in r.verdicts]
    if verdicts:
        kept = sum(v.cached for v in verdicts)
        good = sum(v.passed for v in verdicts)
        notes.append(f"judge: {good} of {len(verdicts)} criteria met ({kept} from the cache)")
    not_judged = sum(r.not_judged for r in reports)
    if not_judged:
        notes.append(
            f"judge: {not_judged} criteria were not judged; give --judge URL, or VOXPY_JUDGE_URL"
        )
    return notes


def _plot(timeline: str) -> str:
    """Return the rows of a timeline about what people and the agent did."""
    rows: list[str] = []
    shown = False
    for row in timeline.splitlines():
        words = row.split()
        if len(words) > 2 and words[1] == "s" and not row.startswith(" " * 12):
            shown = words[2] in PLOT
        if shown:
            rows.append(row)
    return "\n".join(rows)


def _painted(problem: str) -> Text:
    text = Text()
    for row in problem.splitlines():
        text.append(row + "\n", MARKS.get(row[:2], ""))
    return text


def _ms(value: int | None) -> str:
    return "" if value is None else f"{value} ms"


Z_95 = 1.959964
"""Of the standard normal distribution, 95 % lie within this many deviations."""


@attrs.frozen
class Rate:
    """So many of so many. ``str()`` is ``17/20 = 85 % (64-95 %)``."""

    count: int
    total: int

    @property
    def share(self) -> float:
        """The part, from 0 to 1; 0 of nothing is 0."""
        return self.count / self.total if self.total else 0.0

    def interval(self) -> tuple[float, float]:
        """Return where the true rate lies with 95 % confidence (Wilson's score interval, 1927).

        It is honest for few calls: 3 of 3 still allow a rate of 44 %.
        """
        if not self.total:
            return 0.0, 1.0
        n, p = self.total, self.share
        middle = p + Z_95**2 / (2 * n)
        spread = Z_95 * math.sqrt(p * (1 - p) / n + Z_95**2 / (4 * n * n))
        scale = 1 + Z_95**2 / n
        return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)

    def __str__(self) -> str:
        low, high = self.interval()
        share = f"{self.count}/{self.total} = {self.share:.0%}"
        return f"{share} ({low * 100:.0f}-{high:.0%})".replace("%", " %")
