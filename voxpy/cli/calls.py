"""``voxpy calls``: the call history as a table, and how to make it shorter."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from contextlib import closing
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from voxpy.cli.options import history_of, history_options
from voxpy.cli.terminal.printing import PlainConsole, print_json, say
from voxpy.text.plain import plain

if TYPE_CHECKING:
    from voxpy.history.search import SessionRow
    from voxpy.history.store import Store

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
GAP = 2
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
@history_options(" Also how long calls stay, for --prune.")
def command(**options: Any) -> None:
    """List the calls of `voxpy serve` and `voxpy run`, newest first.

    A call whose process died is listed as interrupted; what it left can be read and heard.
    """
    from voxpy.history.search import Filter, find_sessions

    store = history_of(options)
    with closing(store):
        if options["prune"]:
            _prune(store, options)
            return
        wanted = Filter(
            since=_since(options["since"]),
            limit=None if options["every"] else options["limit"],
            **{
                name: options[name]
                for name in ("rule", "caller", "destination", "reason", "custom_data", "errors")
            },
        )
        found = find_sessions(store, wanted)
        if options["as_json"]:
            print_json([row.to_json() for row in found])
        elif found:
            _print(found)
        else:
            say("no such calls" if find_sessions(store, Filter(limit=1)) else "no calls yet")


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


def _prune(store: Store, options: dict[str, Any]) -> None:
    from voxpy.history.history import History
    from voxpy.history.objects import objects_of
    from voxpy.project.keeping import read_keeping
    from voxpy.project.secrets import Secrets

    keep_days, routing = options["keep_days"], options["routing"]
    keeping = read_keeping(routing)
    if keep_days is None:
        keep_days = keeping.history.keep_days
    if keep_days is None:
        raise click.UsageError(
            f"--prune needs --keep-days, or `history: {{keep_days: 30}}` in {routing}"
        )
    history = History(store.base, store)
    objects = None if options["local"] else objects_of(keeping, Secrets(options["secrets"]))
    if objects is not None:
        history.forget = objects.remove
    pruned = history.prune(keep_days)
    told = "call" if pruned.sessions == 1 else "calls"
    say(
        f"deleted {pruned.sessions} {told} older than {keep_days:g} days, {pruned.folders} of "
        "them with recording, trace and log"
    )
    if pruned.problem:
        say(f"others stay until their recordings can be deleted: {pruned.problem}", err=True)


def _print(found: list[SessionRow]) -> None:
    from rich.text import Text

    console = PlainConsole()
    rows = [_cells(row) for row in found]
    shown = _fitting(rows, console.width)
    widths = {name: _width(name, [row[name] for row in rows], cut) for name, cut in shown.items()}
    heads = dict(zip(shown, shown, strict=True))
    console.print(Text(_line(heads, widths), style="bold"), soft_wrap=True)
    for row, cells in zip(found, rows, strict=True):
        style = STYLES.get(row.state, "red" if row.failed else "")
        console.print(Text(_line(cells, widths), style=style), soft_wrap=True)


COLUMNS = ("ID", "STARTED", "LASTED", "CALLER", "DESTINATION", "RULE", "REPLIES", "ENDED")
TO_THE_RIGHT = ("LASTED", "REPLIES")
LEAST_ENDED = 18
SHORT_START = len("11-21 08:30")
GIVEN_UP = ("REPLIES", "RULE", "DESTINATION", "LASTED", "STARTED", "CALLER")
"""What a narrow terminal does without, in this order; the id is what every other command takes."""


def _fitting(rows: list[dict[str, str]], width: int) -> dict[str, int]:
    """Return the columns that fit and the most characters of each; the id is never cut.

    First the reason of the end gives way, then the year and the seconds of the beginning, then
    whole columns.
    """
    shown = dict.fromkeys(COLUMNS, width)

    def needed() -> int:
        cells = [_width(name, [row[name] for row in rows], cut) for name, cut in shown.items()]
        return sum(cells) + GAP * (len(cells) - 1)

    shown["ENDED"] = LEAST_ENDED
    if needed() > width:
        for row in rows:
            row["STARTED"] = row["STARTED"][len("2026-") : len("2026-") + SHORT_START]
    for name in GIVEN_UP:
        if needed() > width:
            del shown[name]
    shown["ENDED"] = max(len("ENDED"), LEAST_ENDED + width - needed())
    return shown


def _width(name: str, cells: list[str], most: int) -> int:
    return min(most, max(map(len, (name, *cells))))


def _line(cells: Mapping[str, str], widths: Mapping[str, int]) -> str:
    told = (
        f"{_cut(cells[n], w):>{w}}" if n in TO_THE_RIGHT else f"{_cut(cells[n], w):<{w}}"
        for n, w in widths.items()
    )
    return (" " * GAP).join(told).rstrip()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _cells(row: SessionRow) -> dict[str, str]:
    began = datetime.datetime.fromisoformat(row.start_date).astimezone()
    more = f" +{len(row.calls) - 1}" if len(row.calls) > 1 else ""
    ended = row.finish_reason or row.state
    cells = (
        row.session_id,
        f"{began:%Y-%m-%d %H:%M:%S}",
        "" if row.duration_s is None else f"{row.duration_s:.1f} s",
        row.callerid,
        row.destination + more,
        row.rule_name,
        f"{median(row.reply_ms):.0f} ms" if row.reply_ms else "",
        f"{ended}: {row.end_detail}" if row.end_detail else ended,
    )
    return {name: plain(cell) for name, cell in zip(COLUMNS, cells, strict=True)}
