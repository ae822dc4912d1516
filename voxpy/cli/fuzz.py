"""``voxpy fuzz``: random callers, lines and services, until a call breaks a rule."""

from __future__ import annotations

import math
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from voxpy.cli.terminal.printing import print_json, say

if TYPE_CHECKING:
    from voxpy.lab.fuzz.hunt import Hunted
    from voxpy.lab.fuzz.invariants import Violation
    from voxpy.lab.fuzz.perform import Conditions

EXIT_FAILED = 1
CASES = Path(".voxpy") / "fuzz"


class _Fuzz(click.Command):
    """A command whose help also lists the rules; importing them is left to ``--help``."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the rules by name."""
        from voxpy.lab.fuzz.invariants import RULES

        with formatter.section("Rules"):
            formatter.write_text(", ".join(RULES))


@click.command(cls=_Fuzz)
@click.argument("scenarios", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--calls", type=click.IntRange(1), default=500, show_default=True, help="How many.")
@click.option("--seconds", type=click.FloatRange(0), help="Stop after so long, whatever is left.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Which calls.")
@click.option(
    "--jobs", type=click.IntRange(1), default=2, show_default=True, help="How many processes."
)
@click.option(
    "--ignore", "ignored", multiple=True, metavar="RULE", help="Leave a rule out; repeatable."
)
@click.option(
    "--alone-s",
    type=click.FloatRange(1),
    default=10.0,
    show_default=True,
    help="How long a caller may hear nothing once its agent is gone.",
)
@click.option(
    "--replay",
    type=click.Path(path_type=Path),
    help="Make only the call of this caller's script, and judge it.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help=f"Where a failing call goes, YAML. Default: {CASES}/<scenario>.yaml",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(**options: Any) -> None:
    """Call SCENARIO(s) over and over, each time with another caller, line and service.

    The calls run on virtual time and are judged by rules that hold for every scenario. The first
    that breaks one is made small, shown, and written as a caller's script.
    """
    from importlib.util import find_spec

    from voxpy.errors import EngineMissing, install_command
    from voxpy.lab.fuzz.perform import Conditions

    if find_spec("hypothesis") is None:
        told = f"random callers are invented by hypothesis: {install_command('test')}"
        raise EngineMissing(told)
    conditions = Conditions(
        scenario=tuple(options["scenarios"]),
        ignore=frozenset(_known(options["ignored"])),
        alone_s=options["alone_s"],
    )
    if options["replay"] is not None:
        _replay(options, conditions)
    else:
        _hunt(options, conditions)


def _known(rules: tuple[str, ...]) -> tuple[str, ...]:
    from voxpy.errors import nearest
    from voxpy.lab.fuzz.invariants import RULES

    for rule in rules:
        if rule not in RULES:
            raise click.BadParameter(
                f"no rule {rule!r}{nearest(rule, RULES)} (known: {', '.join(RULES)})",
                param_hint="--ignore",
            )
    return rules


def _hunt(options: dict[str, Any], conditions: Conditions) -> None:
    from voxpy.engine import clock
    from voxpy.lab.fuzz.hunt import hunt

    began_s = clock.busy_s()
    live = sys.stderr.isatty() and not options["as_json"]

    def progress(calls: int) -> None:
        if live:
            rate = calls / max(clock.busy_s() - began_s, 1e-6)
            click.echo(f"\r{calls} calls, {rate:.0f} a second ", nl=False, err=True)

    hunted = hunt(
        conditions,
        calls=options["calls"],
        seconds=math.inf if options["seconds"] is None else options["seconds"],
        first_seed=options["seed"],
        jobs=options["jobs"],
        progress=progress,
    )
    if live:
        click.echo("\r" + " " * 40 + "\r", nl=False, err=True)
    case = None
    if hunted.failure is not None:
        case = options["out"] or CASES / f"{options['scenarios'][0].stem}.yaml"
        from voxpy.history.store import make_base

        make_base(case.parent)
        case.write_text(hunted.failure.yaml, encoding="utf-8")
    if options["as_json"]:
        _print_json(hunted, case)
    else:
        _tell(hunted, case, options["scenarios"])
    raise SystemExit(EXIT_FAILED if hunted.failure else 0)


def _tell(hunted: Hunted, case: Path | None, scenarios: tuple[Path, ...]) -> None:
    rate = hunted.calls / max(hunted.elapsed_s, 1e-6)
    made = f"{hunted.calls} calls in {hunted.elapsed_s:.1f} s ({rate:.0f} a second)"
    made += f", seed {hunted.seed}"
    failure = hunted.failure
    if failure is None:
        say(f"{made}: every rule was kept")
        return
    paths = shlex.join(str(path) for path in scenarios)
    file = shlex.quote(str(case))
    say(f"{made}: a call broke a rule\n")
    for violation in failure.violations:
        say(f"{violation}\n")
    say(failure.timeline)
    say(f"\nThe call as a caller's script, {file}:\n")
    say("\n".join("  " + line for line in failure.yaml.splitlines()))
    say(f"\nJudge it again:  voxpy fuzz {paths} --replay {file}")
    say(f"See and hear it: voxpy run {paths} --caller {file} --fast --verbose")


def _print_json(hunted: Hunted, case: Path | None) -> None:
    failure = hunted.failure
    _echo_json(
        {
            "calls": hunted.calls,
            "elapsed_s": round(hunted.elapsed_s, 2),
            "seed": hunted.seed,
            "violations": _violations(failure.violations if failure is not None else []),
            "case": None if case is None else str(case),
        }
    )


def _violations(violations: list[Violation]) -> list[dict[str, Any]]:
    return [{"rule": v.rule, "told": v.told, "at_s": v.at_s} for v in violations]


def _echo_json(value: Any) -> None:
    print_json(value)


def _replay(options: dict[str, Any], conditions: Conditions) -> None:
    from voxpy.lab.fuzz.perform import perform
    from voxpy.simulation.callerfile import read_script

    outcome = perform(read_script(options["replay"]), conditions)
    if options["as_json"]:
        _echo_json({"violations": _violations(outcome.violations)})
    else:
        say(outcome.call.timeline() + "\n")
        for violation in outcome.violations:
            say(str(violation))
        if not outcome.violations:
            say("every rule was kept")
    raise SystemExit(EXIT_FAILED if outcome.violations else 0)
