"""The one place that prints: whatever others have made is escaped here, whoever hands it over."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from voxpy.text.plain import plain

PIPE_WIDTH = 160
"""Where nobody looks at a terminal the lines may be as long as they are."""


def say(text: str = "", *, err: bool = False) -> None:
    """Print lines of text."""
    click.echo(plain(text, keep="\n\t"), err=err)


def print_json(value: Any) -> None:
    """Print a JSON value for a script; a terminal obeys nothing in it either."""
    import orjson

    text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    if not text.isascii():
        text = "".join(each if plain(each, keep="\n") == each else _unicode(each) for each in text)
    click.echo(text)


def _unicode(each: str) -> str:
    pair = each.encode("utf-16-be")
    return "".join(f"\\u{pair[n : n + 2].hex()}" for n in range(0, len(pair), 2))


class PlainConsole(Console):
    """A console that writes its own control sequences and nobody else's.

    Without a terminal it is PIPE_WIDTH wide unless COLUMNS says otherwise. Its reader may leave
    (``| head``): it goes on, and leaves its files.
    """

    def __init__(self, *, width: int | None = None, **options: Any) -> None:
        super().__init__(highlight=False, width=width, **options)
        if width is None and not self.is_terminal and "COLUMNS" not in os.environ:
            self.width = PIPE_WIDTH

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render, with every segment that is no control of our own made plain."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(plain(segment.text, keep="\n"), segment.style)
