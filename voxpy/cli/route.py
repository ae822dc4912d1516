"""``voxpy route``: which rule takes a destination, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import click

from voxpy.cli.terminal.printing import print_json, say
from voxpy.project.routing import Match, NoMatch, Routing, read_routing


@click.command("route")
@click.argument("destination")
@click.option(
    "--routing",
    type=click.Path(path_type=Path),
    default=Path("routing.yaml"),
    show_default=True,
    help="The rules.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for a script.")
@click.pass_context
def command(ctx: click.Context, destination: str, *, routing: Path, as_json: bool) -> None:
    """Show which rule takes DESTINATION, and why.

    DESTINATION is what was dialled: a number or a user name. Exits with 1 if no rule takes it.
    """
    rules = read_routing(routing)
    result = rules.match(destination)
    if as_json:
        print_json(_as_json(destination, result, routing.parent))
    else:
        say("\n".join(_as_text(destination, result, rules, routing.parent)))
    ctx.exit(0 if isinstance(result, Match) else 1)


def _as_text(destination: str, result: Match | NoMatch, rules: Routing, base: Path) -> list[str]:
    if isinstance(result, Match):
        rule = result.rule
        lines = [f"{destination}: rule {rule.name!r} ({rules.file}:{rule.line}) runs"]
        lines += [f"  {path}{_absent(path)}" for path in rule.paths(base)]
    else:
        lines = [f"{destination}: no rule matches; the caller would get 404"]
    return [*lines, "tried, in this order:", *(f"  {tried}" for tried in result.tried)]


def _absent(path: Path) -> str:
    return "" if path.is_file() else "  (there is no such file)"


def _as_json(destination: str, result: Match | NoMatch, base: Path) -> dict[str, Any]:
    found = result.rule if isinstance(result, Match) else None
    return {
        "destination": destination,
        "rule": found and found.name,
        "line": found and found.line,
        "scenarios": [str(path) for path in found.paths(base)] if found else [],
        "tried": [attrs.asdict(tried) for tried in result.tried],
    }
