"""``voxpy check``: every problem with its file and line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs
import click

from voxpy.channels.providers.http import public_address
from voxpy.cli.options import secrets_option
from voxpy.cli.terminal.printing import print_json, say
from voxpy.project.problem import Problem
from voxpy.project.project import load_project


@click.command("check")
@click.option(
    "--routing",
    type=click.Path(path_type=Path),
    default=Path("routing.yaml"),
    show_default=True,
    help="The rules; the scenarios they name are checked too.",
)
@secrets_option("secrets", "The secrets; the file may be absent.")
@click.option(
    "--addresses",
    is_flag=True,
    help="Print what to paste at each provider, with the tokens that the secrets make.",
)
@click.option(
    "--public-url",
    default="https://HOST",
    show_default=True,
    help="How providers reach the host, for --addresses.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for a script.")
@click.pass_context
def command(
    ctx: click.Context,
    *,
    routing: Path,
    secrets: Path,
    addresses: bool,
    public_url: str,
    as_json: bool,
) -> None:
    """Find what is wrong with routing, secrets and scenarios.

    Nothing is run. Exits with 1 if there is an error; warnings alone are fine.
    """
    loaded = load_project(routing, secrets)
    problems, project = loaded.problems, loaded.project
    errors = sum(problem.level == "error" for problem in problems)
    if addresses and project is not None and not as_json:
        base = public_address(public_url)
        for listener in project.routing.channels:
            say(listener.serves(base, (), project.secrets))
    if as_json:
        answer = {"ok": not errors, "problems": [attrs.asdict(p) for p in problems]}
        print_json(answer)
    else:
        for problem in problems:
            say(str(problem))
        say(_summary(problems, errors))
    ctx.exit(1 if errors else 0)


def _summary(problems: Sequence[Problem], errors: int) -> str:
    if not problems:
        return "no problems found"
    return f"{_count(errors, 'error')}, {_count(len(problems) - errors, 'warning')}"


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
