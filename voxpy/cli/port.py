"""``voxpy port``: a VoxEngine scenario in JavaScript, written again in Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from voxpy.cli.terminal.printing import PlainConsole, say

if TYPE_CHECKING:
    from voxpy.port import Note


@click.command("port")
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Where to write; '-' prints.  [default: SOURCE with .py]",
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.pass_context
def command(ctx: click.Context, source: Path, *, output: Path | None, force: bool) -> None:
    """Translate SOURCE, a VoxEngine scenario in JavaScript, to a Python scenario.

    Names become snake case, parameter objects keyword arguments, closures and async functions
    Python's. What has no like in Python or in voxpy stands in the result as a comment that begins
    '# PORT:', and in the table that is printed. Exits with 1 if SOURCE is no JavaScript.
    """
    try:
        from voxpy.port import SourceError, port
    except ImportError as error:
        raise click.ClickException(
            f"{error.name} is not installed; voxpy port needs: pip install 'voxpy[port]'"
        ) from None

    try:
        ported = port(source.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise click.BadParameter(f"there is no file {str(source)!r}") from None
    except (SourceError, OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{source}: {error}") from None
    if output == Path("-"):
        say(ported.text.rstrip())
        _tell(ported.notes, source, err=True)
        return
    target = output or _beside(source)
    if target.exists() and not force:
        raise click.ClickException(f"{target} is there already: use --force, or -o ANOTHER.py")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(ported.text, encoding="utf-8")
    _tell(ported.notes, source)
    say(f"wrote {target}; try it: voxpy run {target}")


def _beside(source: Path) -> Path:
    """``reminder.voxengine.js`` -> ``reminder.py``: a name that can be imported."""
    stem = source.name.split(".")[0]
    return source.with_name("".join(c if c.isalnum() else "_" for c in stem) + ".py")


def _tell(notes: Sequence[Note], source: Path, *, err: bool = False) -> None:
    if not notes:
        return
    from rich.table import Table

    table = Table(title=f"{len(notes)} places of {source.name} to look at", title_justify="left")
    table.add_column("line", justify="right")
    table.add_column("what stands there")
    table.add_column("what to do")
    for note in notes:
        table.add_row(str(note.line), note.what, note.todo)
    PlainConsole(stderr=err).print(table)
