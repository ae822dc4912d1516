"""``voxpy test``: callers' scripts with expectations, against scenarios."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from voxpy.cli.options import secrets_option
from voxpy.cli.terminal.printing import print_json, say

EXIT_FAILED = 1
DEFAULT_FOLDER = Path("scenarios/callers")

EPILOG = """\b
Exit codes:
  0    every call was as expected
  1    a call was not
  2    a wrong script or wrong usage, or no script was found; nothing was run
  130  interrupted
"""


@click.command("test", epilog=EPILOG)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[FOLDER|FILE]...")
@click.option("-k", "wanted", metavar="TEXT", help="Only scripts whose name contains this.")
@click.option("-x", "stop", is_flag=True, help="Stop at the first call that does not pass.")
@click.option(
    "--repeat",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Make each call N times with seeds 0 to N-1: callers hesitate, break in and pause "
    "differently. Gives rates, with 95 % confidence.",
)
@click.option(
    "--jobs",
    "-j",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Processes to run on.",
)
@click.option("--speech", is_flag=True, help="Really speak and hear, on virtual time.")
@click.option("--real", is_flag=True, help="Really speak and hear, in real time.")
@click.option("--update", is_flag=True, help="Write what was said and done into the scripts.")
@click.option("--junit", type=click.Path(path_type=Path), help="Write JUnit's XML to a file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for a script.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path(".voxpy/tests"),
    show_default=True,
    help="Where the recordings and traces of failed calls go.",
)
@click.option("--keep", is_flag=True, help="Keep those of calls that passed, too.")
@click.option(
    "--judge",
    "judge_url",
    metavar="URL",
    help="An OpenAI-compatible chat endpoint that judges what scripts ask it to. "
    "Default: VOXPY_JUDGE_URL.",
)
@click.option("--judge-model", metavar="NAME", help="Its model. Default: VOXPY_JUDGE_MODEL.")
@secrets_option(
    "secrets_path", "Where VOXPY_JUDGE_URL, VOXPY_JUDGE_MODEL and VOXPY_JUDGE_KEY may stand."
)
@click.pass_context
def command(ctx: click.Context, /, *, paths: tuple[Path, ...], **options: Any) -> None:
    """Run callers' scripts with their `expect:` sections against the scenarios they call.

    Without FOLDER or FILE: scenarios/callers. Calls are made on virtual time, with a tone for each
    text in place of speech: a minute on the phone takes a fraction of a second.
    """
    from rich.console import Console

    from voxpy.history.store import make_base

    if options["real"] and options["speech"]:
        raise click.UsageError("--real already speaks; --speech is for virtual time")
    console = Console(stderr=options["as_json"])
    cases = _cases(ctx, paths or (DEFAULT_FOLDER,), options["wanted"])
    run = _run_options(options)
    make_base(options["out"])
    if options["update"]:
        _update(console, cases, run)
    reports = _run(console, cases, run, options)
    if options["junit"] is not None:
        from voxpy.lab.suite.report import junit_xml

        options["junit"].parent.mkdir(parents=True, exist_ok=True)
        options["junit"].write_text(junit_xml(reports), encoding="utf-8")
    if options["as_json"]:
        from voxpy.lab.suite.report import suite_json

        print_json(suite_json(reports))
    else:
        from voxpy.lab.suite.report import show_summary

        show_summary(console, reports)
    ctx.exit(EXIT_FAILED if any(r.outcome != "passed" for r in reports) else 0)


def _cases(ctx: click.Context, paths: Iterable[Path], wanted: str | None) -> list[Path]:
    """Return the scripts to run, all of them readable. Names every bad one before anything runs."""
    from voxpy.errors import ConfigError
    from voxpy.lab.suite.casefile import find_cases, read_case

    found = find_cases(paths)
    cases = [path for path in found if wanted is None or wanted.lower() in path.stem.lower()]
    if not cases:
        looked = ", ".join(str(path) for path in paths)
        among = f" whose name contains {wanted!r}, among {len(found)}" if wanted else ""
        raise click.UsageError(f"no caller's script in {looked}{among}")
    wrong = 0
    for path in cases:
        try:
            read_case(path)
        except ConfigError as error:
            say(f"error: {error}", err=True)
            wrong += 1
    if wrong:
        ctx.exit(2)
    return cases


def _run_options(options: dict[str, Any]) -> Any:
    from voxpy.lab.evaluation.judge import Judge
    from voxpy.lab.suite.running import RunOptions
    from voxpy.project.secrets import Secrets

    known = Secrets(options["secrets_path"])
    url = options["judge_url"] or known.get("VOXPY_JUDGE_URL")
    model = options["judge_model"] or known.get("VOXPY_JUDGE_MODEL")
    if url and not model:
        raise click.UsageError("which model is to judge? give --judge-model or VOXPY_JUDGE_MODEL")
    judge = None
    if url and model:
        key = known.get("VOXPY_JUDGE_KEY")
        judge = Judge(url=url, model=model, api_key=key, cache=options["out"] / "judge")
    return RunOptions(
        out=options["out"],
        real_time=options["real"],
        real_speech=options["speech"],
        keep=options["keep"],
        judge=judge,
    )


def _update(console: Any, cases: list[Path], run: Any) -> None:
    from voxpy.lab.suite.casefile import update_script
    from voxpy.lab.suite.running import update_case

    for path in cases:
        changed = update_script(path, update_case(path, run))
        console.print(f"{path}: {'transcript written' if changed else 'unchanged'}", markup=False)


def _run(console: Any, cases: list[Path], run: Any, options: dict[str, Any]) -> list[Any]:
    from voxpy.lab.suite.report import show_failure
    from voxpy.lab.suite.running import run_cases

    total = len(cases) * options["repeat"]
    reports: list[Any] = []
    shown: set[str] = set()
    with console.status(f"0 of {total} calls") as status:
        for report in run_cases(
            cases,
            run,
            repeat=options["repeat"],
            jobs=options["jobs"],
            stop_at_failure=options["stop"],
        ):
            reports.append(report)
            status.update(f"{len(reports)} of {total} calls")
            if report.outcome != "passed" and not options["as_json"]:
                show_failure(console, report, briefly=report.file in shown)
                shown.add(report.file)
    order = {str(path): n for n, path in enumerate(cases)}
    return sorted(reports, key=lambda r: (order[r.file], r.seed))
