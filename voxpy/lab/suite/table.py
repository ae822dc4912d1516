"""How a run went, for people to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from voxpy.lab.suite.report import CallReport, Outcome, ScriptSummary, summarised

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["show_failure", "show_summary"]

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
