"""``voxpy show``: one call as a timeline."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import click

from voxpy.cli.options import bring, history_of, history_options
from voxpy.cli.terminal.printing import PlainConsole, print_json, say

if TYPE_CHECKING:
    from rich.text import Text

    from voxpy.engine.trace import Entry
    from voxpy.history.search import CallRow, SessionRow
    from voxpy.history.timeline import Line

LABEL_WIDTH = 12
PAGE = "call.html"
DETAILS = (
    "Application.",
    "Inworld.RealtimeAPI.Unknown",
    "loading scenario",
    "media clock",
    "VoxEngine.get_secret_value",
)
STYLES = {
    "caller": "bold",
    "agent": "bold green",
    "callee": "bold magenta",
    "tool": "cyan",
    "WARNING": "yellow",
    "ERROR": "bold red",
}


@click.command("show")
@click.argument("session_id", metavar="ID")
@click.option("--verbose", "-v", is_flag=True, help="Show log lines and rare events too.")
@click.option("--full", is_flag=True, help="Show everything, and nothing shortened.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for a script.")
@click.option(
    "--open",
    "opened",
    is_flag=True,
    help="Show it in the browser: lanes on one time axis, transcripts, turns, messages, recording.",
)
@click.option(
    "--html",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the same as one file that needs no host: to keep or to send. It has the numbers, "
    "words and voices of the call.",
)
@history_options()
def command(
    session_id: str,
    *,
    verbose: bool,
    full: bool,
    as_json: bool,
    opened: bool,
    html: Path | None,
    **where: Any,
) -> None:
    """Show a call: who said what, events, tools, latencies, how it ended, and its files.

    ID is a session's id, as `voxpy calls` lists it, or its beginning; or `last`. A call that still
    runs is shown as far as it has come.
    """
    from voxpy.history.search import find_one
    from voxpy.history.tracefile import read_trace

    with closing(history_of(where)) as store:
        row = find_one(store, session_id)
    bring(row, where)
    if opened or html is not None:
        _write_page(row, html, opened=opened)
        return
    entries = read_trace(row.folder / "trace.jsonl")
    if as_json:
        _print_json(row, entries)
    else:
        _print(row, entries, verbose=verbose or full, full=full)


def _write_page(row: SessionRow, html: Path | None, *, opened: bool) -> None:
    """Write the call as one page; without a name beside its trace."""
    from voxpy.errors import ConfigError
    from voxpy.inspector.onefile import one_file

    path = html or row.folder / PAGE
    try:
        path.write_text(one_file(row), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", file=str(path)) from error
    if opened:
        click.launch(path.absolute().as_uri())
    say(f"wrote {_short(path)} ({path.stat().st_size / 1e6:.1f} MB)")


def _print_json(row: SessionRow, entries: Sequence[Entry]) -> None:
    import attrs

    from voxpy.history.timeline import timeline

    lines = timeline(entries, full=True)
    print_json({**row.to_json(), "timeline": [attrs.asdict(line) for line in lines]})


def _print(row: SessionRow, entries: Sequence[Entry], *, verbose: bool, full: bool) -> None:
    console = PlainConsole()
    texts = list(_texts(row, entries, console.width, verbose=verbose, full=full))
    rows = sum(text.plain.count("\n") + 1 for text in texts)
    # What is longer than the screen is paged, by $PAGER; less without -R would show our colours.
    os.environ.setdefault("LESS", "-R")
    paged = console.is_terminal and rows > console.height
    with console.pager(styles=True) if paged else nullcontext():
        for text in texts:
            console.print(text, soft_wrap=True)


def _texts(
    row: SessionRow, entries: Sequence[Entry], width: int, *, verbose: bool, full: bool
) -> Iterator[Text]:
    from rich.text import Text

    from voxpy.history.timeline import render, timeline

    yield from map(Text, _heading(row, entries))
    yield Text()
    lines = timeline(entries, full=full)
    shown = lines if verbose else [line for line in lines if not _is_detail(line)]
    for line in shown:
        yield Text(render([line], width=width), style=STYLES.get(line.who, "dim"))
    if len(shown) < len(lines):
        yield Text(f"({len(lines) - len(shown)} more with --verbose)", style="dim")
    yield Text()
    yield from map(Text, _files(row))


def _is_detail(line: Line) -> bool:
    return line.who == "log" or line.text.startswith(DETAILS)


def _heading(row: SessionRow, entries: Sequence[Entry]) -> Iterator[str]:
    began = datetime.datetime.fromisoformat(row.start_date).astimezone()
    lasted_s = row.duration_s if row.duration_s is not None else _last_s(entries)
    scenarios = ", ".join(Path(path).name for path in row.scenarios)
    called = row.callerid or row.destination
    yield f"{row.callerid} calls {row.destination}" if called else "started without a call"
    yield _labelled("session", f"{row.session_id} · {row.channel} · rule {row.rule_name}")
    if scenarios:
        yield _labelled("scenarios", scenarios)
    yield _labelled("began", f"{began:%Y-%m-%d %H:%M:%S %Z}, lasted {lasted_s:.1f} s")
    yield _labelled("ended", _ending(row))
    for call in row.calls:
        yield _labelled(call.call_id, _leg(call))
    for label, value in (
        ("provider's id", row.transaction_id),
        ("custom data", row.custom_data),
    ):
        if value:
            yield _labelled(label, value)
    if row.reply_ms:
        shown = ", ".join(map(str, row.reply_ms))
        yield _labelled("replies", f"after {shown} ms (from the caller's last sound)")
    if row.barge_in_ms:
        shown = ", ".join(map(str, row.barge_in_ms))
        yield _labelled("barge-ins", f"agent silent {shown} ms after the caller's first sound")


def _ending(row: SessionRow) -> str:
    if row.state == "running":
        return "not yet: it is running"
    return f"{row.finish_reason}: {row.end_detail}" if row.end_detail else row.finish_reason


def _leg(call: CallRow) -> str:
    way = "from" if call.incoming else "to"
    told = [f"{way} {call.remote_number} ({call.remote_number_type})"]
    if call.audio_quality:
        told.append(call.audio_quality)
    if call.duration_s is not None:
        told.append(f"{call.duration_s:.1f} s")
    if call.end_code is not None:
        told.append(f"{call.end_code} {call.end_description}".rstrip())
    return " · ".join(told)


def _files(row: SessionRow) -> Iterator[str]:
    for kind, url in row.files:
        yield _labelled(kind, _readable(url))
    record = row.folder / "record.json"
    if record.is_file():
        yield _labelled("record", _short(record))


def _readable(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "file":
        return url
    path = Path(unquote(parts.path))
    return _short(path) if path.exists() else f"{_short(path)} (it is gone)"


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _last_s(entries: Sequence[Entry]) -> float:
    return entries[-1].t if entries else 0.0


def _labelled(label: str, text: Any) -> str:
    return f"{label:<{LABEL_WIDTH}} {text}"
