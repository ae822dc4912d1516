"""Who hears whom: the graph of media units, stepped by ``tick(now)``.

A port sends to any number of others and receives exactly one stream; a new one replaces the old
(VoxEngine: "a call receives only one audio stream"). Frames reach a sink in the sink's own format;
equal formats pass through untouched, others are converted once per source and target format.

A tick goes in three steps: ordinary sources, then the mixers add up what they heard, then what the
mixers say. So a mixer adds no delay, except one tick where one mixer hears another.

Between ticks a source that is ahead of time (`AheadSource`) is pulled as soon as it has more and
there is room at the carriers that hear it. What was sent ahead waits here as well: everybody else,
the taps too, gets each frame at the tick when it plays, and a cut takes back what has not played.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

import attrs

from voxpy.audio.convert import Converter
from voxpy.audio.frame import Format
from voxpy.audio.mix import audible
from voxpy.errors import ScenarioError
from voxpy.media.unit import Carrier, MediaPort, Mixer

__all__ = ["Flow", "MediaGraph", "Stage", "Tap"]

Tap = Callable[[bytes, bytes], None]
"""Called each tick with the frame from a port and the frame to it, in the port's formats."""

Stage = Callable[[bytes, Format], bytes]
"""Changes what comes out of a port: gets 20 ms in the given format and returns as much of it."""

AUDIBLE_EVERY_TICKS = 5
"""Loudness is looked at every 100 ms: enough for watchdogs that count in seconds."""

GAP_TICKS = 3
"""So long a silence begins anew: the last 2 ms inside a resampler are not played behind it."""


@attrs.define(eq=False)
class Flow:
    """What has come out of one source."""

    frames: int = 0
    last_frame_at: float | None = None
    last_audible_at: float | None = None


@attrs.define(eq=False)
class _Sent:
    """A frame on its way to carriers: as it was pulled and converted, and when it plays."""

    frame: bytes
    made: dict[Format, bytes]
    due_tick: int


@attrs.define(eq=False)
class _Node:
    """One source with the sinks it feeds."""

    port: MediaPort
    targets: list[MediaPort] = attrs.field(factory=list)
    flow: Flow = attrs.field(factory=Flow)
    converters: dict[tuple[Format, Format], Converter] = attrs.field(factory=dict)
    carriers: list[Carrier] = attrs.field(factory=list)
    on_the_way: deque[_Sent] = attrs.field(factory=deque)
    quiet_ticks: int = 0

    def add(self, target: MediaPort) -> None:
        self.targets.append(target)
        if target.carrier is not None:
            self.carriers.append(target.carrier)

    def drop(self, target: MediaPort) -> None:
        self.targets.remove(target)
        if target.carrier is not None:
            self.carriers.remove(target.carrier)

    def room_frames(self) -> int:
        """Return how many frames may be sent ahead of time now."""
        room = 0
        for n, carrier in enumerate(self.carriers):
            its_room = carrier.room_frames()
            room = its_room if n == 0 else min(room, its_room)
        return room - len(self.on_the_way)

    def count_quiet(self, quiet: bool) -> None:
        self.quiet_ticks = self.quiet_ticks + 1 if quiet else 0
        if self.quiet_ticks == GAP_TICKS:
            self.converters.clear()

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
        self._mixers: list[Mixer] = []
        self._kept: set[MediaPort] = set()
        self._stages: dict[MediaPort, list[Stage]] = {}
        self._ticks = 0

    def attach(self, port: MediaPort) -> None:
        """Step ``port`` every tick, linked or not: a leg is always drained and fed silence."""
        self._attached.setdefault(port, [])

    def keep(self, port: MediaPort) -> None:
        """Pull ``port`` every tick although nobody may hear it: a player plays on all the same."""
        self._kept.add(port)
        self._nodes.setdefault(port, _Node(port))

    @property
    def attached(self) -> tuple[MediaPort, ...]:
        """The ports that are stepped whether linked or not: the session's legs."""
        return tuple(self._attached)

    def tap(self, port: MediaPort, tap: Tap) -> Callable[[], None]:
        """Show both directions of an attached port to ``tap``; return what stops it."""
        taps = self._attached[port]
        taps.append(tap)
        return lambda: taps.remove(tap) if tap in taps else None

    def insert(self, port: MediaPort, stage: Stage) -> Callable[[], None]:
        """Let all that hear ``port``, taps too, hear what ``stage`` makes of it.

        ``stage`` sees every frame while the port is stepped, silence where nothing came. Returns
        what takes it out again, more than once without harm.
        """
        stages = self._stages.setdefault(port, [])
        stages.append(stage)
        return lambda: stages.remove(stage) if stage in stages else None

    def add_mixer(self, mixer: Mixer) -> None:
        """Let ``mixer`` add up what it hears, every tick; its ports are linked as any others."""
        self._mixers.append(mixer)

    def remove_mixer(self, mixer: Mixer) -> None:
        """Forget a mixer, its ports and all their links; again does nothing."""
        if mixer in self._mixers:
            self._mixers.remove(mixer)
            for port in {*self._nodes, *self._feeds}:
                if port.mixer is mixer:
                    self.remove(port)

    def connect(self, source: MediaPort, target: MediaPort) -> MediaPort | None:
        """Send ``source`` to ``target``; return the port whose stream this replaced, if any.

        Raises ScenarioError if the one cannot send or the other cannot receive.
        """
        if source.source is None or target.sink is None:
            for port in (source, target):
                self._release(port)  # one made for this link would stay for ever
            sends = source.source is not None
            problem = f"{target.name} receives" if sends else f"{source.name} sends"
            raise ScenarioError(f"{problem} no media")
        previous = self._feeds.get(target)
        if previous is source:
            return None
        if previous is not None:
            self._unlink(previous, target)
        self._feeds[target] = source
        node = self._nodes.setdefault(source, _Node(source))
        node.add(target)
        self._bring_up(node, target)
        if previous is not None:
            self._release(previous)
        return previous

    def disconnect(self, source: MediaPort, target: MediaPort) -> None:
        """Undo ``connect``; links that do not exist are ignored."""
        if self._feeds.get(target) is source:
            self._unlink(source, target)
        self._release(source)
        self._release(target)

    def _unlink(self, source: MediaPort, target: MediaPort) -> None:
        del self._feeds[target]
        node = self._nodes[source]
        node.drop(target)
        if node.on_the_way and target.carrier is not None:
            target.carrier.clear()
        if node.on_the_way and not node.targets:
            assert source.ahead is not None
            node.on_the_way.clear()
            node.converters.clear()
            source.ahead.take_back()

    def _release(self, port: MediaPort) -> None:
        """Let a mixer forget a port of its own that nothing is linked to any more."""
        if port.mixer is not None and not self.linked(port):
            self._nodes.pop(port, None)
            port.mixer.leave(port)

    def linked(self, port: MediaPort) -> bool:
        """Return whether ``port`` hears or is heard by any other."""
        node = self._nodes.get(port)
        return port in self._feeds or (node is not None and bool(node.targets))

    def remove(self, port: MediaPort) -> None:
        """Forget a port and all its links."""
        for target in list(self._nodes[port].targets) if port in self._nodes else ():
            self.disconnect(port, target)
        if port in self._feeds:
            self.disconnect(self._feeds[port], port)
        self._nodes.pop(port, None)
        self._attached.pop(port, None)
        self._kept.discard(port)
        self._stages.pop(port, None)

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
        mixed: list[_Node] = []
        for port, node in list(self._nodes.items()):
            if port.mixer is not None:
                mixed.append(node)
            elif node.targets or port in self._attached or port in self._kept:
                said[port] = self._step(node, heard, now)
        for mixer in tuple(self._mixers):
            mixer.mix()
        for node in mixed:
            if node.targets:
                self._step(node, heard, now)
        for port, taps in list(self._attached.items()):
            if port.sink is not None and port not in heard:
                heard[port] = port.sink.format.silence
                if port.carrier is None or port.carrier.needs_silence:
                    port.sink.push(heard[port])
            for tap in tuple(taps):
                tap(said.get(port, b""), heard.get(port, b""))

    def _step(self, node: _Node, heard: dict[MediaPort, bytes], now: float) -> bytes:
        source = node.port.source
        assert source is not None  # connect() and tick() only make nodes for ports that send
        sent = self._due(node)
        pulled = sent.frame if sent is not None else None
        waiting = bool(node.on_the_way)
        if sent is None and not waiting:
            pulled = source.pull()
        fmt = source.format
        frame = fmt.silence if pulled is None else pulled
        if pulled is not None:
            node.flow.frames += 1
            node.flow.last_frame_at = now
            if self._ticks % AUDIBLE_EVERY_TICKS == 0 and audible(frame, fmt):
                node.flow.last_audible_at = now
        if sent is None:
            for stage in tuple(self._stages.get(node.port, ())):
                frame = stage(frame, fmt)
        quiet = pulled is None and frame is fmt.silence
        made = {} if sent is None else sent.made
        for target in tuple(node.targets):
            assert target.sink is not None
            wanted = target.sink.format
            if quiet and target.carrier is not None and not target.carrier.needs_silence:
                heard[target] = wanted.silence
                continue
            heard[target] = self._made(node, frame, fmt, wanted, made)
            if target.carrier is None or not (sent is not None or waiting):
                target.sink.push(heard[target])
        if node.carriers:
            node.count_quiet(quiet)
            self._pump(node)
        return frame

    def _made(
        self, node: _Node, frame: bytes, fmt: Format, wanted: Format, made: dict[Format, bytes]
    ) -> bytes:
        """Return the frame as ``wanted``; a converter has a memory and must see each frame once."""
        if wanted is fmt:
            return frame
        out = made.get(wanted)
        if out is None:
            out = made[wanted] = node.converted(frame, fmt, wanted)
        return out

    # -- ahead of time ---------------------------------------------------------------------------

    def _due(self, node: _Node) -> _Sent | None:
        """Return the frame that was sent ahead and plays in this tick, if there is one."""
        if not node.on_the_way or node.on_the_way[0].due_tick > self._ticks:
            return None
        assert node.port.ahead is not None
        node.port.ahead.advance()
        return node.on_the_way.popleft()

    def _bring_up(self, node: _Node, target: MediaPort) -> None:
        """Let a new target have what is on its way, and the source send more at once."""
        source, ahead = node.port.source, node.port.ahead
        if source is None or ahead is None or target.sink is None:
            return
        ahead.on_audio = partial(self._pump, node)
        ahead.on_cut = partial(self._cut, node)
        for sent in node.on_the_way:
            out = self._made(node, sent.frame, source.format, target.sink.format, sent.made)
            if target.carrier is not None:
                target.sink.push(out)
        self._pump(node)

    def _pump(self, node: _Node) -> None:
        """Send ahead whatever there is room for."""
        ahead = node.port.ahead
        if ahead is None or self._stages.get(node.port):
            return
        room = node.room_frames()
        while room > 0 and (frame := ahead.pull_ahead()) is not None:
            self._send(node, frame, ahead.format)
            room -= 1

    def _send(self, node: _Node, frame: bytes, fmt: Format) -> None:
        made: dict[Format, bytes] = {}
        for target in node.targets:
            assert target.sink is not None
            out = self._made(node, frame, fmt, target.sink.format, made)
            if target.carrier is not None:
                target.sink.push(out)
        due = self._ticks + 1 + max(carrier.behind_frames for carrier in node.carriers)
        node.on_the_way.append(_Sent(frame, made, due))

    def _cut(self, node: _Node) -> None:
        """Nothing of what was sent ahead shall be heard any more."""
        for carrier in node.carriers:
            carrier.clear()
        node.on_the_way.clear()
        node.converters.clear()
