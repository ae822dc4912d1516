"""Conferences under any sequence of joins, leaves and replacements."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from voxpy.audio.convert import decode, encode
from voxpy.audio.frame import FRAME_S, Samples, pcm16
from voxpy.media.conference import FADE_S, MixMinus
from voxpy.media.graph import MediaGraph
from voxpy.media.unit import MediaPort

FMT = pcm16(8000)
FADE = round(FADE_S * FMT.rate_hz)


class Level:
    """A member that says a constant level: sums of levels tell who was in them."""

    def __init__(self, name: str, level: int) -> None:
        self.name, self.level, self.format = name, level, FMT
        self.heard: Samples | None = None
        self.pushes = 0
        self.port = MediaPort(name=name, source=self, sink=self)

    def pull(self) -> bytes | None:
        return encode(np.full(FMT.frame_samples, self.level, np.int16), FMT)

    def push(self, frame: bytes) -> None:
        self.pushes += 1
        self.heard = decode(frame, FMT)


class Rooms(RuleBasedStateMachine):
    """Two conferences, which may be joined, and twelve members with a bit each for a level."""

    def __init__(self) -> None:
        super().__init__()
        self.graph = MediaGraph()
        self.mixes = [MixMinus(FMT, name=n) for n in ("one", "two")]
        for mix in self.mixes:
            self.graph.add_mixer(mix)
        self.units = [Level(f"u{n}", 1 << n) for n in range(12)]
        self.speaks_in: dict[Level, set[int]] = {u: set() for u in self.units}
        self.hears: dict[Level, int | Level | None] = dict.fromkeys(self.units)
        self.bridged = False
        self.ticks = 0
        self.settled = 0

    member = st.integers(0, 11)
    room = st.integers(0, 1)

    def changed(self) -> None:
        self.settled = 0

    @rule(n=member, room=room)
    def speak(self, n: int, room: int) -> None:
        unit = self.units[n]
        self.graph.connect(unit.port, self.mixes[room].port(unit.name))
        self.speaks_in[unit].add(room)
        self.changed()

    @rule(n=member, room=room)
    def listen(self, n: int, room: int) -> None:
        unit = self.units[n]
        self.graph.connect(self.mixes[room].port(unit.name), unit.port)
        self.hears[unit] = room
        self.changed()

    @rule(n=member, room=room)
    def fall_silent(self, n: int, room: int) -> None:
        unit = self.units[n]
        self.graph.disconnect(unit.port, self.mixes[room].port(unit.name))
        self.speaks_in[unit].discard(room)
        self.changed()

    @rule(n=member, room=room)
    def turn_away(self, n: int, room: int) -> None:
        unit = self.units[n]
        self.graph.disconnect(self.mixes[room].port(unit.name), unit.port)
        if self.hears[unit] == room:
            self.hears[unit] = None
        self.changed()

    @rule(n=member, other=member)
    def hear_another_directly(self, n: int, other: int) -> None:
        self.graph.connect(self.units[other].port, self.units[n].port)
        self.hears[self.units[n]] = self.units[other]
        self.changed()

    @rule(n=member)
    def hang_up(self, n: int) -> None:
        unit = self.units[n]
        self.graph.remove(unit.port)
        self.speaks_in[unit].clear()
        self.hears[unit] = None
        for other in self.units:
            if self.hears[other] is unit:
                self.hears[other] = None
        self.changed()

    @precondition(lambda self: not self.bridged)
    @rule()
    def bridge(self) -> None:
        one, two = self.mixes
        self.graph.connect(one.port("two"), two.port("one"))
        self.graph.connect(two.port("one"), one.port("two"))
        self.bridged = True
        self.changed()

    @rule(n=st.integers(1, 4))
    def pass_time(self, n: int) -> None:
        for _ in range(n):
            for unit in self.units:
                unit.pushes = 0
                unit.heard = None
            self.graph.tick(self.ticks * FRAME_S)
            self.ticks += 1
            self.settled += 1

    @invariant()
    def everybody_hears_one_stream_and_never_themselves(self) -> None:
        if self.settled < 4:  # fades, and two ticks through two conferences
            return
        for unit in self.units:
            assert unit.pushes == (self.hears[unit] is not None)
            if unit.heard is not None:
                assert set(unit.heard) == {self.expected(unit)}

    def expected(self, unit: Level) -> int:
        source = self.hears[unit]
        if isinstance(source, Level):
            return source.level
        assert source is not None
        return sum(
            (u.level if room == source else u.level * self.bridged)
            for u in self.units
            for room in self.speaks_in[u]
            if not (u is unit and room == source)
        )


Rooms.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestRooms = Rooms.TestCase


@given(seed=st.integers(0, 2**32), members=st.integers(2, 50))
@settings(max_examples=25)
def test_random_joins_and_leaves_never_step_further_than_their_ramps(
    seed: int, members: int
) -> None:
    dice = random.Random(seed)
    graph, mix = MediaGraph(), MixMinus(FMT, name="conf")
    graph.add_mixer(mix)
    level = 30_000 // members  # all together fit 16 bits: only the ramps are at work
    units = [Level(f"u{n}", dice.choice((level, -level))) for n in range(members)]
    ear = Level("ear", 0)
    graph.connect(mix.port("ear"), ear.port)
    inside: set[Level] = set()
    before = np.zeros(1, np.int16)
    for tick in range(12):
        moved = dice.sample(units, dice.randint(0, members))
        for unit in moved:
            if unit in inside:
                graph.remove(unit.port)
            else:
                graph.connect(unit.port, mix.port(unit.name))
        inside ^= set(moved)
        graph.tick(tick * FRAME_S)
        assert ear.heard is not None
        heard = np.concatenate([before, ear.heard]).astype(int)
        # Every one that moves adds a step of its level over the ramp, and rounding to it.
        most = len(moved) * (level / FADE + 1)
        assert np.abs(np.diff(heard)).max() <= most
        before = ear.heard[-1:]
        assert int(before[0]) == sum(u.level for u in inside)
