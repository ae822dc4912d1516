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
from voxpy.media.unit import Carrier, MediaPort, Mixer, Source

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
    made: dict[Format, bytes] | None
    due_tick: int


@attrs.define(eq=False)
class _Node:
    """One source with the sinks it feeds."""

    port: MediaPort
    source: Source
    targets: tuple[MediaPort, ...] = ()
    flow: Flow = attrs.field(factory=Flow)
    stages: tuple[Stage, ...] = ()
    converters: dict[tuple[Format, Format], Converter] = attrs.field(factory=dict)
    carriers: tuple[Carrier, ...] = ()
    on_the_way: deque[_Sent] = attrs.field(factory=deque)
    more_waits: bool = True
    """The source may have more than there was room for: worth asking again at the next tick."""
    quiet_ticks: int = 0

    def lead_to(self, *targets: MediaPort) -> None:
        """Feed these and no others."""
        self.targets = targets
        self.carriers = tuple(t.carrier for t in targets if t.carrier is not None)
        self.more_waits = True

    def room_frames(self) -> int:
        """Return how many frames may be sent ahead of time now."""
        if len(self.carriers) == 1:
            return self.carriers[0].room_frames() - len(self.on_the_way)
        rooms = [carrier.room_frames() for carrier in self.carriers]
        return min(rooms, default=0) - len(self.on_the_way)

    def count_quiet(self, quiet: bool) -> None:
        self.quiet_ticks = self.quiet_ticks + 1 if quiet else 0
        if self.quiet_ticks == GAP_TICKS:
            self.converters.clear()

    def converted(
        self, frame: bytes, source: Format, target: Format, made: dict[Format, bytes]
    ) -> bytes:
        """Return a frame in another format; a converter has a memory and must see each once."""
        out = made.get(target)
        if out is not None or source == target:
            return frame if out is None else out
        converter = self.converters.get((source, target))
        if converter is None:
            converter = self.converters[source, target] = Converter(source, target)
        made[target] = out = converter.convert(frame)
        return out


@attrs.frozen(eq=False)
class _Plan:
    """Who is stepped in a tick, in order. Made anew when links change, not for every tick."""

    sources: tuple[tuple[MediaPort, _Node], ...]
    mixed: tuple[_Node, ...]
    ends: tuple[tuple[MediaPort, list[Tap]], ...]


class MediaGraph:
    """The ports of one session and the links between them. Pure: time comes in with ``tick``."""

    def __init__(self) -> None:
        self._nodes: dict[MediaPort, _Node] = {}
        self._feeds: dict[MediaPort, MediaPort] = {}  # sink port -> the port it hears
        self._attached: dict[MediaPort, list[Tap]] = {}
        self._mixers: list[Mixer] = []
        self._kept: set[MediaPort] = set()
        self._stages: dict[MediaPort, list[Stage]] = {}
        self._plan: _Plan | None = None
        self._ticks = 0

    def attach(self, port: MediaPort) -> None:
        """Step ``port`` every tick, linked or not: a leg is always drained and fed silence."""
        self._attached.setdefault(port, [])
        if port.source is not None:
            self._node(port, port.source)
        self._plan = None

    def keep(self, port: MediaPort) -> None:
        """Pull ``port`` every tick although nobody may hear it: a player plays on all the same."""
        assert port.source is not None
        self._kept.add(port)
        self._node(port, port.source)
        self._plan = None

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
        self._tell_stages(port)

        def take_out() -> None:
            if stage in stages:
                stages.remove(stage)
                self._tell_stages(port)

        return take_out

    def _tell_stages(self, port: MediaPort) -> None:
        if (node := self._nodes.get(port)) is not None:
            node.stages = tuple(self._stages.get(port, ()))
            node.more_waits = True

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
        sends = source.source is not None
        if source.source is None or target.sink is None:
            for port in (source, target):
                self._release(port)  # one made for this link would stay for ever
            problem = f"{target.name} receives" if sends else f"{source.name} sends"
            raise ScenarioError(f"{problem} no media")
        previous = self._feeds.get(target)
        if previous is source:
            return None
        if previous is not None:
            self._unlink(previous, target)
        self._feeds[target] = source
        self._plan = None
        node = self._node(source, source.source)
        node.lead_to(*node.targets, target)
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

    def _node(self, port: MediaPort, source: Source) -> _Node:
        node = self._nodes.get(port)
        if node is None:
            node = self._nodes[port] = _Node(port, source)
            node.stages = tuple(self._stages.get(port, ()))
        return node

    def _unlink(self, source: MediaPort, target: MediaPort) -> None:
        self._plan = None
        del self._feeds[target]
        node = self._nodes[source]
        node.lead_to(*(t for t in node.targets if t is not target))
        if node.on_the_way and target.carrier is not None:
            target.carrier.clear()
        if node.on_the_way and not node.targets:
            assert source.ahead is not None
            node.on_the_way.clear()
            node.converters.clear()
            source.ahead.take_back()

    def _release(self, port: MediaPort) -> None:
        """Let a mixer forget a port of its own that nothing is linked to any more."""
        if port.mixer is not None and not (port in self._feeds or self.heard(port)):
            self._plan = None
            self._nodes.pop(port, None)
            port.mixer.leave(port)

    def heard(self, port: MediaPort) -> bool:
        """Return whether any other hears ``port``."""
        node = self._nodes.get(port)
        return node is not None and bool(node.targets)

    def remove(self, port: MediaPort) -> None:
        """Forget a port and all its links."""
        self._plan = None
        for target in self._nodes[port].targets if port in self._nodes else ():
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
        plan = self._plan or self._make_plan()
        heard: dict[MediaPort, bytes] = {}
        said: dict[MediaPort, bytes] = {}
        for port, node in plan.sources:
            said[port] = self._step(node, heard, now)
        for mixer in tuple(self._mixers):
            mixer.mix()
        for node in plan.mixed:
            if node.targets:
                self._step(node, heard, now)
        for port, taps in plan.ends:
            if port.sink is not None and port not in heard:
                heard[port] = port.sink.format.silence
                if port.carrier is None or port.carrier.needs_silence:
                    port.sink.push(heard[port])
            for tap in tuple(taps):
                tap(said.get(port, b""), heard.get(port, b""))

    def _make_plan(self) -> _Plan:
        nodes = self._nodes.items()
        self._plan = plan = _Plan(
            sources=tuple(
                (port, node)
                for port, node in nodes
                if port.mixer is None
                and (node.targets or port in self._attached or port in self._kept)
            ),
            mixed=tuple(node for port, node in nodes if port.mixer is not None),
            ends=tuple(self._attached.items()),
        )
        return plan

    def _step(self, node: _Node, heard: dict[MediaPort, bytes], now: float) -> bytes:
        """Pull a source, or let play what was sent ahead; give it to whoever has not got it."""
        fmt, waiting = node.source.format, node.on_the_way
        sent: _Sent | None = None
        if not waiting:
            pulled, in_time = node.source.pull(), True
        else:  # the carriers have their frame already
            pulled, in_time = None, False
            if waiting[0].due_tick <= self._ticks:
                assert node.port.ahead is not None
                node.port.ahead.advance()
                sent = waiting.popleft()
                pulled = sent.frame
        frame = fmt.silence if pulled is None else pulled
        if pulled is not None:
            flow = node.flow
            flow.frames += 1
            flow.last_frame_at = now
            if self._ticks % AUDIBLE_EVERY_TICKS == 0 and audible(frame, fmt):
                flow.last_audible_at = now
        if node.stages and sent is None:
            for stage in node.stages:
                frame = stage(frame, fmt)
        quiet = pulled is None and frame is fmt.silence
        made = None if sent is None else sent.made
        for target in node.targets:
            sink, carrier = target.sink, target.carrier
            assert sink is not None
            out, wanted = frame, sink.format
            if quiet and carrier is not None and not carrier.needs_silence:
                heard[target] = wanted.silence
                continue
            if wanted is not fmt:
                made = {} if made is None else made
                out = node.converted(frame, fmt, wanted, made)
            heard[target] = out
            if in_time or carrier is None:
                sink.push(out)
        if node.carriers:
            node.count_quiet(quiet)
            if node.more_waits:
                self._pump(node)
        return frame

    # -- ahead of time ---------------------------------------------------------------------------

    def _bring_up(self, node: _Node, target: MediaPort) -> None:
        """Let a new target have what is on its way, and the source send more at once."""
        ahead, sink = node.port.ahead, target.sink
        if ahead is None or sink is None:
            return
        ahead.on_audio = partial(self._pump, node)
        ahead.on_cut = partial(self._cut, node)
        for sent in node.on_the_way:
            out, fmt = sent.frame, node.source.format
            if sink.format is not fmt:
                sent.made = {} if sent.made is None else sent.made
                out = node.converted(out, fmt, sink.format, sent.made)
            if target.carrier is not None:
                sink.push(out)
        self._pump(node)

    def _pump(self, node: _Node) -> None:
        """Send ahead whatever there is room for."""
        ahead = node.port.ahead
        if ahead is None or node.stages or not node.carriers:
            return
        room = node.room_frames()
        node.more_waits = True
        while room > 0:
            frame = ahead.pull_ahead()
            if frame is None:
                node.more_waits = False  # until it says that there is more
                return
            self._send(node, frame, ahead.format)
            room -= 1

    def _send(self, node: _Node, frame: bytes, fmt: Format) -> None:
        made: dict[Format, bytes] | None = None
        for target in node.targets:
            sink, out = target.sink, frame
            assert sink is not None
            if sink.format is not fmt:
                made = {} if made is None else made
                out = node.converted(frame, fmt, sink.format, made)
            if target.carrier is not None:
                sink.push(out)
        behind = 0
        for carrier in node.carriers:
            if carrier.behind_frames > behind:
                behind = carrier.behind_frames
        node.on_the_way.append(_Sent(frame, made, self._ticks + 1 + behind))

    def _cut(self, node: _Node) -> None:
        """Nothing of what was sent ahead shall be heard any more."""
        for carrier in node.carriers:
            carrier.clear()
        node.on_the_way.clear()
        node.converters.clear()
