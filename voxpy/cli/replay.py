"""``voxpy replay``: a recorded session again, to the first difference."""

from __future__ import annotations

import functools
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from voxpy.cli.terminal.printing import say

EXIT_DIFFERS = 1


@click.command()
@click.argument("session", metavar="SESSION", type=click.Path(path_type=Path))
@click.option(
    "--scenario",
    "scenarios",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Run this file in place of the recorded ones; may be repeated, in the order of the rule.",
)
@click.option(
    "--tolerance",
    "tolerance_s",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How far apart two times may be and still count as equal. Default: 0.25.",
)
@click.option(
    "--base",
    type=click.Path(path_type=Path),
    default=Path(".voxpy"),
    show_default=True,
    help="Where sessions are looked up by id.",
)
@click.option("--json", "as_json", is_flag=True, help="Print only the outcome, as JSON.")
def command(
    *,
    session: Path,
    scenarios: tuple[Path, ...],
    tolerance_s: float | None,
    base: Path,
    as_json: bool,
) -> None:
    """Run SESSION again: its id, as `voxpy calls` lists it, or its beginning; `last`; a folder.

    Its scenario gets what the session got, on virtual time: the caller's sound, digits and
    messages, the far ends of its calls, the provider's events and audio, the answers of HTTP. The
    first event, command, log line or error that is not as recorded is shown where it happened.

    \b
    Exit codes:
      0  the replay was like the recording
      1  it went another way
      2  it cannot be replayed: the recording or a scenario is missing or wrong
    """
    # Imported here: `voxpy --help` must not wait for the media engine.
    from voxpy.engine.loader import compile_scenarios
    from voxpy.lab.replay import read_recording, replay
    from voxpy.lab.replay.running import TOLERANCE_S
    from voxpy.simulation.virtual import run_virtual

    recording = read_recording(_folder(session, base))
    program = compile_scenarios(scenarios or recording.scenarios)
    run = functools.partial(
        replay,
        recording,
        program,
        tolerance_s=TOLERANCE_S if tolerance_s is None else tolerance_s,
        speech=_engines,
    )
    outcome = run_virtual(run)
    if as_json:
        say(_json(outcome))
    else:
        _show(outcome)
    raise SystemExit(0 if outcome.difference is None else EXIT_DIFFERS)


def _folder(session: Path, base: Path) -> Path:
    """Return the folder of a session: of its path, or as `voxpy show` finds it."""
    named = base / "sessions" / session
    if session.is_dir() or named.is_dir() or len(session.parts) > 1:
        return named if named.is_dir() else session
    from voxpy.history.history import History
    from voxpy.history.search import find_one
    from voxpy.history.store import SqliteStore

    with closing(SqliteStore(base)) as store:
        History.settle_now(store)
        return find_one(store, str(session)).folder


def _engines() -> Any:
    from voxpy.localagent.engines import local_engines
    from voxpy.localagent.rules import RuleResponder
    from voxpy.localagent.topics import load_topics

    return local_engines(RuleResponder(load_topics(None)))


def _show(outcome: Any) -> None:
    from voxpy.lab.replay.comparing import compared, excerpt

    recording, difference = outcome.recording, outcome.difference
    for gap in recording.gaps:
        say(f"note: {gap}", err=True)
    if not recording.complete:
        say(f"note: the recording breaks off at {recording.until_s:.2f} s", err=True)
    if difference is None:
        count = sum(map(compared, recording.entries))
        say(f"the same for {recording.until_s:.1f} s: {count} events, commands, log lines")
        return
    say(f"first difference at {difference.at_s:.2f} s: {difference.text}")
    say()
    for row in excerpt(recording.entries, outcome.entries, difference):
        say(row)
    say()
    say("- in the recording only   + in the replay only")


def _json(outcome: Any) -> str:
    import orjson

    difference = outcome.difference
    told: dict[str, Any] = {
        "same": difference is None,
        "complete": outcome.recording.complete,
        "until_s": round(outcome.recording.until_s, 3),
        "gaps": outcome.recording.gaps,
    }
    if difference is not None:
        told["difference"] = {"at_s": round(difference.at_s, 3), "text": difference.text}
    return orjson.dumps(told, option=orjson.OPT_INDENT_2).decode()
