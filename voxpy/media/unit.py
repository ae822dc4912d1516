"""What the media graph connects: sources that are pulled and sinks that are pushed, every 20 ms."""

from __future__ import annotations

from typing import Protocol

import attrs

from voxpy.audio.frame import Format

__all__ = ["MediaPort", "Sink", "Source"]


class Source(Protocol):
    """Gives one frame per tick."""

    @property
    def format(self) -> Format:
        """The format of the frames; may change between ticks, never within a frame."""

    def pull(self) -> bytes | None:
        """Return the next 20 ms in ``format``, or None while there is nothing to say.

        Called once per tick; must not block. The graph sends silence in place of None.
        """


class Sink(Protocol):
    """Takes one frame per tick."""

    @property
    def format(self) -> Format:
        """The format this sink wants; may change between ticks."""

    def push(self, frame: bytes) -> None:
        """Take 20 ms in ``format``. Called once per tick while connected; must not block."""


@attrs.define(eq=False, kw_only=True)
class MediaPort:
    """The media side of a unit (a call, a client, a player): either end may be absent."""

    name: str
    source: Source | None = None
    sink: Sink | None = None
