"""Who hears whom, tick by tick."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from voxpy.audio.convert import Converter, decode, encode
from voxpy.audio.frame import PCMA, PCMU, Format, pcm16
from voxpy.errors import ScenarioError
from voxpy.media.graph import Flow, MediaGraph
from voxpy.media.unit import MediaPort

WIDE, NARROW = pcm16(24000), pcm16(8000)


class Voice:
    """Says what it is given; nothing by default. Remembers what it said."""

    def __init__(self, fmt: Format) -> None:
        self.format = fmt
        self.next: bytes | None = None
        self.pulls = 0

    def pull(self) -> bytes | None:
        self.pulls += 1
        return self.next


class Ear:
    def __init__(self, fmt: Format) -> None:
        self.format = fmt
        self.heard: list[bytes] = []

    def push(self, frame: bytes) -> None:
        self.heard.append(frame)


class Unit:
    """A port with both ends in reach."""

    def __init__(self, fmt: Format, name: str = "unit") -> None:
        self.voice, self.ear = Voice(fmt), Ear(fmt)
        self.port = MediaPort(name=name, source=self.voice, sink=self.ear)


def tone(fmt: Format, hz: float, n: int, amplitude: float = 8000) -> bytes:
    """Return frame ``n`` of a continuous sine."""
    t = (np.arange(fmt.frame_samples) + n * fmt.frame_samples) / fmt.rate_hz
    return encode(np.rint(amplitude * np.sin(2 * np.pi * hz * t)).astype(np.int16), fmt)


def energy(frames: list[bytes], fmt: Format) -> float:
    samples = decode(b"".join(frames), fmt).astype(float)
    return float(np.sqrt(np.mean(samples**2)))


# -- single behaviours -----------------------------------------------------------------------------


def test_equal_formats_pass_the_very_same_object() -> None:
    graph, a, b = MediaGraph(), Unit(PCMU), Unit(PCMU)
    graph.connect(a.port, b.port)
    a.voice.next = bytes(range(160))
    graph.tick(0)
    assert b.ear.heard[0] is a.voice.next


@pytest.mark.parametrize("target", [PCMU, PCMA, NARROW, pcm16(16000), pcm16(48000)], ids=str)
def test_energy_survives_every_conversion(target: Format) -> None:
    graph, a, b = MediaGraph(), Unit(WIDE), Unit(target)
    graph.connect(a.port, b.port)
    for n in range(50):
        a.voice.next = tone(WIDE, 1000, n)
        graph.tick(n * 0.02)
    assert all(len(frame) == target.frame_bytes for frame in b.ear.heard)
    assert energy(b.ear.heard[5:], target) == pytest.approx(8000 / 2**0.5, rel=0.03)


def test_sinks_of_one_format_hear_the_same_as_a_single_one() -> None:
    graph, a = MediaGraph(), Unit(WIDE)
    ears = [Unit(NARROW), Unit(NARROW), Unit(PCMU)]
    for unit in ears:
        graph.connect(a.port, unit.port)
    alone = Converter(WIDE, NARROW)
    expected = []
    for n in range(10):
        a.voice.next = tone(WIDE, 440, n)
        expected.append(alone.convert(a.voice.next))
        graph.tick(n * 0.02)
    assert ears[0].ear.heard == expected
    assert ears[1].ear.heard == expected


def test_a_new_stream_replaces_the_old() -> None:
    graph = MediaGraph()
    a, b, c = Unit(PCMU, "a"), Unit(PCMU, "b"), Unit(PCMU, "c")
    assert graph.connect(a.port, c.port) is None
    assert graph.connect(a.port, c.port) is None
    assert graph.connect(b.port, c.port) is a.port
    assert graph.feed_of(c.port) is b.port
    a.voice.next, b.voice.next = b"a" * 160, b"b" * 160
    graph.tick(0)
    assert c.ear.heard == [b"b" * 160]
    assert a.voice.pulls == 0
    graph.disconnect(a.port, c.port)  # not a link any more: ignored
    assert graph.feed_of(c.port) is b.port


def test_ends_that_are_missing_are_named() -> None:
    graph, both = MediaGraph(), Unit(PCMU, "call")
    recorder, player = MediaPort(name="recorder", sink=both.ear), MediaPort(name="player")
    with pytest.raises(ScenarioError, match="recorder sends no media"):
        graph.connect(recorder, both.port)
    with pytest.raises(ScenarioError, match="player receives no media"):
        graph.connect(both.port, player)
    assert graph.feed_of(player) is None


def test_a_quiet_source_sends_silence_and_an_attached_sink_always_hears() -> None:
    graph, a, b = MediaGraph(), Unit(PCMU), Unit(PCMA)
    graph.attach(b.port)
    graph.tick(0)
    graph.connect(a.port, b.port)
    graph.tick(0.02)
    assert b.ear.heard == [PCMA.silence, PCMA.silence]


def test_taps_see_both_directions_in_the_ports_formats() -> None:
    graph, leg, agent = MediaGraph(), Unit(PCMU), Unit(NARROW)
    seen: list[tuple[bytes, bytes]] = []
    graph.attach(leg.port)
    assert graph.attached == (leg.port,)
    stop = graph.tap(leg.port, lambda said, heard: seen.append((said, heard)))
    graph.connect(agent.port, leg.port)
    leg.voice.next, agent.voice.next = tone(PCMU, 440, 0), tone(NARROW, 880, 0)
    graph.tick(0)
    assert seen == [(leg.voice.next, leg.ear.heard[0])]
    assert decode(seen[0][1], PCMU).any()
    leg.voice.next = None
    graph.remove(agent.port)
    graph.tick(0.02)
    assert seen[1] == (PCMU.silence, PCMU.silence)
    stop()
    stop()
    graph.tick(0.04)
    assert len(seen) == 2


def test_taps_of_ports_with_one_end_get_nothing_for_the_other() -> None:
    graph, ear, voice = MediaGraph(), Ear(PCMU), Voice(PCMU)
    seen: list[tuple[bytes, bytes]] = []
    for port in (MediaPort(name="ear", sink=ear), MediaPort(name="voice", source=voice)):
        graph.attach(port)
        graph.tap(port, lambda said, heard: seen.append((said, heard)))
    graph.tick(0)
    assert seen == [(b"", PCMU.silence), (PCMU.silence, b"")]


def test_flow_tells_when_a_source_last_sent_and_was_last_audible() -> None:
    graph, a = MediaGraph(), Unit(PCMU)
    assert (Flow().frames, graph.flow(a.port).last_frame_at) == (0, None)
    graph.attach(a.port)
    for n in range(30):
        a.voice.next = tone(PCMU, 440, n) if n < 10 else PCMU.silence if n < 20 else None
        graph.tick(n * 0.02)
    flow = graph.flow(a.port)
    assert flow.frames == 20
    assert flow.last_frame_at == pytest.approx(19 * 0.02)
    assert flow.last_audible_at == pytest.approx(9 * 0.02)


def test_a_unit_may_hear_itself() -> None:
    graph, a = MediaGraph(), Unit(PCMU)
    graph.connect(a.port, a.port)
    a.voice.next = b"a" * 160
    graph.tick(0)
    assert a.ear.heard == [b"a" * 160]


def test_a_unit_removed_by_a_tap_is_gone_from_the_next_tick() -> None:
    graph, a, b = MediaGraph(), Unit(PCMU), Unit(PCMU)
    graph.attach(a.port)
    graph.connect(a.port, b.port)
    graph.tap(a.port, lambda said, heard: graph.remove(a.port))
    graph.tick(0)
    graph.tick(0.02)
    assert a.voice.pulls == 1
    assert len(b.ear.heard) == 1
    assert graph.feed_of(b.port) is None


# -- any sequence of links -------------------------------------------------------------------------

UNITS = st.integers(0, 4)
FORMATS = (PCMU, PCMU, PCMA, NARROW, NARROW)  # one rate, so that a constant stays a constant


class Links(RuleBasedStateMachine):
    """Each unit says a constant of its own; who hears it follows from the links alone."""

    def __init__(self) -> None:
        super().__init__()
        self.graph = MediaGraph()
        self.units = [Unit(fmt, f"unit {n}") for n, fmt in enumerate(FORMATS)]
        for n, unit in enumerate(self.units):
            level = np.full(unit.voice.format.frame_samples, 2000 * (n + 1), np.int16)
            unit.voice.next = encode(level, unit.voice.format)
        self.feeds: dict[int, int] = {}
        self.attached: set[int] = set()
        self.taps: list[tuple[int, bytes, bytes]] = []
        self.now = 0.0

    def port(self, n: int) -> MediaPort:
        return self.units[n].port

    @rule(a=UNITS, b=UNITS)
    def connect(self, a: int, b: int) -> None:
        before = self.feeds.get(b)
        replaced = self.graph.connect(self.port(a), self.port(b))
        assert replaced is (None if before in (None, a) else self.port(before or 0))
        self.feeds[b] = a

    @rule(a=UNITS, b=UNITS)
    def disconnect(self, a: int, b: int) -> None:
        self.graph.disconnect(self.port(a), self.port(b))
        if self.feeds.get(b) == a:
            del self.feeds[b]

    @rule(a=UNITS)
    def remove(self, a: int) -> None:
        self.graph.remove(self.port(a))
        self.feeds = {b: of for b, of in self.feeds.items() if a not in (b, of)}
        self.attached.discard(a)

    @rule(a=UNITS)
    def attach(self, a: int) -> None:
        self.graph.attach(self.port(a))
        if a not in self.attached:
            self.graph.tap(self.port(a), self.tap(a))
        self.attached.add(a)

    def tap(self, a: int) -> Callable[[bytes, bytes], None]:
        return lambda said, heard: self.taps.append((a, said, heard))

    @precondition(lambda self: self.feeds or self.attached)
    @rule()
    def tick(self) -> None:
        pulls = [unit.voice.pulls for unit in self.units]
        self.graph.tick(self.now)
        self.now += 0.02
        for n, unit in enumerate(self.units):
            heard = [decode(frame, unit.ear.format) for frame in unit.ear.heard]
            source = self.feeds.get(n)
            if source is not None:
                assert [len(set(h.tolist())) for h in heard] == [1]
                assert heard[0][0] == pytest.approx(2000 * (source + 1), rel=0.05)
            elif n in self.attached:
                assert unit.ear.heard == [unit.ear.format.silence]
            else:
                assert heard == []
            stepped = n in self.attached or n in self.feeds.values()
            assert unit.voice.pulls - pulls[n] == int(stepped)
        assert {a for a, _, _ in self.taps} == self.attached
        for a, said, heard_there in self.taps:
            assert said is self.units[a].voice.next
            assert [heard_there] == self.units[a].ear.heard
        for unit in self.units:
            unit.ear.heard.clear()
        self.taps.clear()

    @invariant()
    def feeds_are_as_told(self) -> None:
        told = {n: self.graph.feed_of(self.port(n)) for n in range(len(self.units))}
        assert told == {n: self.port(self.feeds[n]) if n in self.feeds else None for n in told}
        assert set(self.graph.attached) == {self.port(n) for n in self.attached}


TestLinks: Any = Links.TestCase
TestLinks.settings = settings(max_examples=60, stateful_step_count=30)
