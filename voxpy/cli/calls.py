"""``voxpy calls``: the call history as a table, and how to make it shorter."""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from voxpy.history.search import SessionRow

__all__ = ["command", "parse_since"]

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
PIPE_WIDTH = 160
"""Where nobody looks at a terminal the lines may be as long as they are."""
STYLES = {"running": "green", "interrupted": "red"}


@click.command("calls")
@click.option(
    "--since",
    metavar="WHEN",
    help="Only calls from then on: a date or time (2026-11-21, 2026-11-21T08:00, local unless it "
    "says otherwise), today, or 30m, 12h, 7d, 2w ago.",
)
@click.option("--rule", help="Only calls of this routing rule.")
@click.option("--caller", metavar="NUMBER", help="Only from this number; a part of it is enough.")
@click.option("--to", "destination", metavar="NUMBER", help="Only to this number, or part of it.")
@click.option("--reason", metavar="WORDS", help="Only if these words are in why it ended.")
@click.option("--custom-data", metavar="WORDS", help="Only if these words are in the custom data.")
@click.option("--errors", is_flag=True, help="Only calls that failed or had errors.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="At most so many, the newest.",
)
@click.option("--all", "every", is_flag=True, help="All of them, however many.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list for a script.")
@click.option(
    "--prune",
    is_flag=True,
    help="Instead delete old calls, their recordings, traces and logs included.",
)
@click.option(
    "--keep-days",
    type=click.FloatRange(min=0),
    help="For --prune: keep this many days. Default: `history: keep_days:` of the routing file.",
)
@click.option(
    "--routing",
    type=click.Path(path_type=Path),
    default=Path("routing.yaml"),
    show_default=True,
    help="For --prune: where the default stands.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path(".voxpy"),
    show_default=True,
    help="Where the calls were kept.",
)
def command(**options: Any) -> None:
    """List the calls of `voxpy serve` and `voxpy run`, newest first.

    A call whose process died is listed as interrupted; what it left can be read and heard.
    """
    from voxpy.history.history import History
    from voxpy.history.search import Filter, find_sessions

    base: Path = options["out"]
    if options["prune"]:
        _prune(base, options)
        return
    wanted = Filter(
        since=_since(options["since"]),
        limit=None if options["every"] else options["limit"],
        **{
            name: options[name]
            for name in ("rule", "caller", "destination", "reason", "custom_data", "errors")
        },
    )
    History.settle_now(base)
    found = find_sessions(base, wanted)
    if options["as_json"]:
        import orjson

        rows = [row.to_json() for row in found]
        click.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
    elif found:
        _print(found)
    else:
        click.echo("no such calls" if find_sessions(base, Filter(limit=1)) else "no calls yet")


def parse_since(text: str, *, now: datetime.datetime) -> datetime.datetime:
    """Return the moment that ``text`` means; ``now`` has a time zone, which is the default.

    Raises ValueError for what is no moment.
    """
    ago = re.fullmatch(r"(\d+)\s*([smhdw])", text.strip())
    if ago is not None:
        return now - datetime.timedelta(seconds=int(ago[1]) * SECONDS[ago[2]])
    if text.strip() == "today":
        return now.replace(hour=0, minute=0, second=0, microsecond=0)
    moment = datetime.datetime.fromisoformat(text.strip())
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=now.tzinfo)


def _since(text: str | None) -> datetime.datetime | None:
    from voxpy.engine import clock

    if text is None:
        return None
    try:
        return parse_since(text, now=clock.calendar().astimezone())
    except ValueError:
        problem = f"{text!r} is no moment: write 2026-11-21, 2026-11-21T08:00, today, or 12h"
        raise click.BadParameter(problem, param_hint="--since") from None


def _prune(base: Path, options: dict[str, Any]) -> None:
    from voxpy.history.history import History
    from voxpy.project.routing import read_routing

    keep_days, routing = options["keep_days"], options["routing"]
    if keep_days is None and routing.is_file():
        keep_days = read_routing(routing).keep_days
    if keep_days is None:
        raise click.UsageError(
            f"--prune needs --keep-days, or `history: {{keep_days: 30}}` in {routing}"
        )
    history = History(base)
    try:
        history.settle()
        pruned = history.prune(keep_days)
    finally:
        history.close()
    told = "call" if pruned.sessions == 1 else "calls"
    click.echo(
        f"deleted {pruned.sessions} {told} older than {keep_days:g} days, {pruned.folders} of "
        "them with recording, trace and log"
    )


def _print(found: list[SessionRow]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PIPE_WIDTH)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, options in _COLUMNS.items():
        table.add_column(name, **options)
    for row in found:
        style = STYLES.get(row.state, "red" if row.failed else "")
        table.add_row(*(Text(cell, style=style) for cell in _cells(row)))
    console.print(table)


_COLUMNS: dict[str, dict[str, Any]] = {
    "ID": {"no_wrap": True},
    "STARTED": {"no_wrap": True},
    "LASTED": {"justify": "right", "no_wrap": True},
    "CALLER": {"no_wrap": True},
    "DESTINATION": {"no_wrap": True},
    "RULE": {"overflow": "ellipsis", "no_wrap": True},
    "REPLIES": {"justify": "right", "no_wrap": True},
    "ENDED": {"overflow": "ellipsis", "no_wrap": True},
}


def _cells(row: SessionRow) -> list[str]:
    began = datetime.datetime.fromisoformat(row.start_date).astimezone()
    more = f" +{len(row.calls) - 1}" if len(row.calls) > 1 else ""
    ended = row.finish_reason or row.state
    return [
        row.session_id,
        f"{began:%Y-%m-%d %H:%M:%S}",
        "" if row.duration_s is None else f"{row.duration_s:.1f} s",
        row.callerid,
        row.destination + more,
        row.rule_name,
        f"{median(row.reply_ms):.0f} ms" if row.reply_ms else "",
        f"{ended}: {row.end_detail}" if row.end_detail else ended,
    ]
