"""What the media graph connects: sources that are pulled and sinks that are pushed, every 20 ms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import attrs

from voxpy.audio.frame import Format


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


class AheadSource(Source, Protocol):
    """A source whose audio comes faster than it plays, and can be had before its tick.

    What ``pull_ahead`` gave counts as waiting until ``advance`` says that it has played. ``pull``
    is called only while nothing is on its way.
    """

    on_audio: Callable[[], None]
    """Set by the graph, to be called after more audio has come."""
    on_cut: Callable[[], None]
    """Set by the graph, to be called after audio that was on its way has been dropped."""

    def pull_ahead(self) -> bytes | None:
        """Return the next whole frame, or None while there is none."""

    def advance(self) -> None:
        """The oldest frame that is on its way is being played."""

    def take_back(self) -> None:
        """Nothing that is on its way will be played: it waits again, before everything else."""


class Carrier(Protocol):
    """A far side that buffers behind a sink: a phone provider's media stream."""

    @property
    def needs_silence(self) -> bool:
        """Whether every tick needs a frame; if not, nothing is sent while nothing sounds."""

    @property
    def behind_frames(self) -> int:
        """How many frames later than we reckon the carrier plays, from what it confirmed."""

    def room_frames(self) -> int:
        """Return how many frames may be on their way at once, behind the one that plays.

        0: none now, frames are taken at their tick only.
        """

    def clear(self) -> None:
        """Drop what has not been played."""


class Mixer(Protocol):
    """Hears many and tells each something of all of them: it has one port per peer."""

    def mix(self) -> None:
        """Add up what was pushed since the last time.

        Called once per tick, after every ordinary source was pulled and before its own ports are.
        """

    def leave(self, port: MediaPort) -> None:
        """Forget ``port``, one of its own, whose last link is gone."""


@attrs.frozen(kw_only=True)
class StreamFigures:
    """How one direction has done since it began. ``id`` names the stream (SIP: its SSRC).

    ``lost`` and ``jitter_s`` are what the receiving end counts (RFC 3550 section 6.4.1).
    """

    id: str = ""
    packets: int = 0
    lost: int = 0
    jitter_s: float = 0.0


@attrs.define(eq=False, kw_only=True)
class MediaPort:
    """The media side of a unit (a call, a client, a player): either end may be absent."""

    name: str
    source: Source | None = None
    sink: Sink | None = None
    mixer: Mixer | None = None
    """Whose port for one peer this is, if it is such a port."""
    ahead: AheadSource | None = None
    """The source again, if its audio can be had before its tick."""
    carrier: Carrier | None = None
    """What buffers behind the sink, if anything does: the port can be sent to ahead of time."""
    figures: Callable[[], tuple[StreamFigures, StreamFigures]] | None = None
    """How what comes and what goes has done so far; None where nobody counts."""
