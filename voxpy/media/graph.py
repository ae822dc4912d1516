"""Who hears whom: the graph of media units, stepped by ``tick(now)``.

A port sends to any number of others and receives exactly one stream; a new one replaces the old
(VoxEngine: "a call receives only one audio stream"). Frames reach a sink in the sink's own format;
equal formats pass through untouched, others are converted once per source and target format.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from voxpy.audio.convert import Converter
from voxpy.audio.frame import Format
from voxpy.audio.mix import audible
from voxpy.errors import ScenarioError
from voxpy.media.unit import MediaPort

__all__ = ["Flow", "MediaGraph", "Tap"]

Tap = Callable[[bytes, bytes], None]
"""Called each tick with the frame from a port and the frame to it, in the port's formats."""

AUDIBLE_EVERY_TICKS = 5
"""Loudness is looked at every 100 ms: enough for watchdogs that count in seconds."""


@attrs.define(eq=False)
class Flow:
    """What has come out of one source."""

    frames: int = 0
    last_frame_at: float | None = None
    last_audible_at: float | None = None


@attrs.define(eq=False)
class _Node:
    """One source with the sinks it feeds."""

    port: MediaPort
    targets: list[MediaPort] = attrs.field(factory=list)
    flow: Flow = attrs.field(factory=Flow)
    converters: dict[tuple[Format, Format], Converter] = attrs.field(factory=dict)

    def converted(self, frame: bytes, source: Format, target: Format) -> bytes:
        if source == target:
            return frame
        converter = self.converters.get((source, target))
        if converter is None:
            converter = self.converters[source, target] = Converter(source, target)
        return converter.convert(frame)


class MediaGraph:
    """The ports of one session and the links between them. Pure: time comes in with ``tick``."""

    def __init__(self) -> None:
        self._nodes: dict[MediaPort, _Node] = {}
        self._feeds: dict[MediaPort, MediaPort] = {}  # sink port -> the port it hears
        self._attached: dict[MediaPort, list[Tap]] = {}
        self._ticks = 0

    def attach(self, port: MediaPort) -> None:
        """Step ``port`` every tick, linked or not: a leg is always drained and fed silence."""
        self._attached.setdefault(port, [])

    @property
    def attached(self) -> tuple[MediaPort, ...]:
        """The ports that are stepped whether linked or not: the session's legs."""
        return tuple(self._attached)

    def tap(self, port: MediaPort, tap: Tap) -> Callable[[], None]:
        """Show both directions of an attached port to ``tap``; return what stops it."""
        taps = self._attached[port]
        taps.append(tap)
        return lambda: taps.remove(tap) if tap in taps else None

    def connect(self, source: MediaPort, target: MediaPort) -> MediaPort | None:
        """Send ``source`` to ``target``; return the port whose stream this replaced, if any.

        Raises ScenarioError if the one cannot send or the other cannot receive.
        """
        if source.source is None:
            raise ScenarioError(f"{source.name} sends no media")
        if target.sink is None:
            raise ScenarioError(f"{target.name} receives no media")
        previous = self._feeds.get(target)
        if previous is source:
            return None
        if previous is not None:
            self.disconnect(previous, target)
        self._feeds[target] = source
        self._nodes.setdefault(source, _Node(source)).targets.append(target)
        return previous

    def disconnect(self, source: MediaPort, target: MediaPort) -> None:
        """Undo ``connect``; links that do not exist are ignored."""
        if self._feeds.get(target) is not source:
            return
        del self._feeds[target]
        self._nodes[source].targets.remove(target)

    def remove(self, port: MediaPort) -> None:
        """Forget a port and all its links."""
        for target in list(self._nodes[port].targets) if port in self._nodes else ():
            self.disconnect(port, target)
        if port in self._feeds:
            self.disconnect(self._feeds[port], port)
        self._nodes.pop(port, None)
        self._attached.pop(port, None)

    def feed_of(self, port: MediaPort) -> MediaPort | None:
        """Return the port that ``port`` hears, or None."""
        return self._feeds.get(port)

    def flow(self, port: MediaPort) -> Flow:
        """Return what has come out of ``port`` so far."""
        node = self._nodes.get(port)
        return node.flow if node is not None else Flow()

    def tick(self, now: float) -> None:
        """Move 20 ms of audio through every link."""
        self._ticks += 1
        for port in self._attached:
            if port.source is not None and port not in self._nodes:
                self._nodes[port] = _Node(port)
        heard: dict[MediaPort, bytes] = {}
        said: dict[MediaPort, bytes] = {}
        for port, node in list(self._nodes.items()):
            if node.targets or port in self._attached:
                said[port] = self._step(node, heard, now)
        for port, taps in list(self._attached.items()):
            if port.sink is not None and port not in heard:
                heard[port] = port.sink.format.silence
                port.sink.push(heard[port])
            for tap in tuple(taps):
                tap(said.get(port, b""), heard.get(port, b""))

    def _step(self, node: _Node, heard: dict[MediaPort, bytes], now: float) -> bytes:
        source = node.port.source
        assert source is not None  # connect() and tick() only make nodes for ports that send
        frame = source.pull()
        fmt = source.format
        if frame is None:
            frame = fmt.silence
        else:
            node.flow.frames += 1
            node.flow.last_frame_at = now
            if self._ticks % AUDIBLE_EVERY_TICKS == 0 and audible(frame, fmt):
                node.flow.last_audible_at = now
        made: dict[Format, bytes] = {}  # a converter has a memory: it must see each frame once
        for target in tuple(node.targets):
            assert target.sink is not None
            wanted = target.sink.format
            out = made.get(wanted)
            if out is None:
                out = made[wanted] = node.converted(frame, fmt, wanted)
            heard[target] = out
            target.sink.push(out)
        return frame
