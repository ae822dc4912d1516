"""Who hears what in a conference, sample by sample, over the real graph."""

from __future__ import annotations

import numpy as np
import pytest

from voxpy.audio.convert import decode, encode
from voxpy.audio.frame import PCMA, PCMU, Format, Samples, pcm16
from voxpy.errors import ScenarioError
from voxpy.media.conference import FADE_S, MixMinus
from voxpy.media.graph import MediaGraph
from voxpy.media.unit import MediaPort

NARROW = pcm16(8000)
FADE = round(FADE_S * 8000)


class Member:
    """Somebody in a conference: says a level or what it is given, remembers what it hears."""

    def __init__(self, name: str, level: int = 0, fmt: Format = NARROW) -> None:
        self.name = name
        self.format = fmt
        self.level = level
        self.says: list[Samples] = []
        self.heard: list[bytes] = []
        self.port = MediaPort(name=name, source=self, sink=self)

    def pull(self) -> bytes | None:
        if self.says:
            return encode(self.says.pop(0), self.format)
        return encode(np.full(self.format.frame_samples, self.level, np.int16), self.format)

    def push(self, frame: bytes) -> None:
        self.heard.append(frame)

    def last(self) -> Samples:
        return decode(self.heard[-1], self.format)

    def all(self) -> Samples:
        return decode(b"".join(self.heard), self.format)


class Room:
    """A graph with one conference in it."""

    def __init__(self, fmt: Format = NARROW) -> None:
        self.graph = MediaGraph()
        self.left: list[str] = []
        self.mix = MixMinus(fmt, name="conf", on_left=self.left.append)
        self.graph.add_mixer(self.mix)
        self.ticks = 0

    def join(self, *members: Member, speaks: bool = True, hears: bool = True) -> None:
        for member in members:
            seat = self.mix.port(member.name)
            if speaks:
                self.graph.connect(member.port, seat)
            if hears:
                self.graph.connect(seat, member.port)

    def tick(self, n: int = 1) -> None:
        for _ in range(n):
            self.graph.tick(self.ticks * 0.02)
            self.ticks += 1


def test_each_hears_the_exact_sum_of_the_others_in_the_same_tick() -> None:
    room, members = Room(), [Member(f"m{n}", 1 << n) for n in range(12)]
    room.join(*members)
    room.tick(2)
    for member in members:
        assert set(member.last()) == {4095 - member.level}
    members[3].says = [np.arange(160, dtype=np.int16)]
    room.tick()  # no delay: what is said in a tick is heard in it
    assert np.array_equal(members[0].last(), 4095 - 1 - 8 + np.arange(160))
    assert set(members[3].last()) == {4095 - 8}


def test_who_only_listens_hears_all_and_who_only_speaks_hears_nothing() -> None:
    room = Room()
    talkers = [Member("a", 100), Member("b", 20)]
    player, recorder = Member("player", 3), Member("recorder", 7000)
    room.join(*talkers)
    room.join(player, hears=False)
    room.join(recorder, speaks=False)
    room.tick(2)
    assert set(recorder.last()) == {123}
    assert [set(t.last()) for t in talkers] == [{23}, {103}]
    assert player.heard == []


def test_one_alone_hears_silence_and_two_hear_each_other() -> None:
    room, a, b = Room(), Member("a", 500), Member("b", -70)
    room.join(a)
    room.tick(2)
    assert set(a.last()) == {0}
    room.join(b)
    room.tick(2)
    assert (set(a.last()), set(b.last())) == ({-70}, {500})


@pytest.mark.parametrize("fmt", [PCMU, PCMA, pcm16(24000), pcm16(48000)], ids=str)
def test_members_of_any_format_hear_each_other(fmt: Format) -> None:
    room, other, phone = Room(), Member("other", 8000, fmt), Member("phone", -4000)
    room.join(other, phone)
    room.tick(5)
    assert phone.last().mean() == pytest.approx(8000, rel=0.03)
    assert other.last().mean() == pytest.approx(-4000, rel=0.03)
    assert len(other.heard[-1]) == fmt.frame_bytes


def test_joining_and_leaving_take_5_ms_without_a_step() -> None:
    room, ear, talker = Room(), Member("ear"), Member("talker", 20_000)
    room.join(ear)
    room.tick(2)
    room.join(talker)
    room.tick(2)
    room.graph.remove(talker.port)
    room.tick(2)
    heard = ear.all()
    assert np.abs(np.diff(heard.astype(int))).max() <= 20_000 / FADE
    assert set(heard[-160:]) == {0}
    loud = np.flatnonzero(heard)
    assert loud[0] == 320
    assert len(loud) == 2 * 160 + FADE
    assert room.left == ["talker"]


def test_what_fades_out_is_the_mirror_of_what_was_said_last() -> None:
    room, ear, talker = Room(), Member("ear"), Member("talker")
    t = np.arange(160)
    talker.says = [np.rint(9000 * np.sin(t / 3)).astype(np.int16)] * 2
    room.join(ear, talker)
    room.tick(2)
    last = ear.last()
    room.graph.disconnect(talker.port, room.mix.port("talker"))
    room.tick()
    tail = ear.last()[:FADE]
    assert np.abs(tail).max() > 4000
    assert np.array_equal(np.sign(tail), np.sign(last[: -FADE - 1 : -1]))


def test_fifty_talkers_at_full_level_are_limited_without_crackle() -> None:
    room = Room()
    members = [Member(f"m{n}") for n in range(50)]
    phases = np.random.default_rng(1).uniform(0, 2 * np.pi, len(members))
    for n, member in enumerate(members):
        angle = 2 * np.pi * (150 + 7 * n) * np.arange(160 * 60) / 8000 + phases[n]
        tone = 12_000 * np.sin(angle)
        member.says = [np.rint(part).astype(np.int16) for part in tone.reshape(60, 160)]
    room.join(*members)
    room.tick(50)
    heard = members[0].all()[5 * 160 :].astype(int)
    # The steepest a sum limited to 16 bits can be with nothing above 500 Hz in it.
    steepest = 32767 * 2 * np.pi * 500 / 8000
    assert np.abs(np.diff(heard)).max() <= steepest
    assert np.abs(heard).max() > 20_000
    assert (np.abs(heard) >= 32767).mean() < 0.002


def test_the_limiter_lets_go_when_the_noise_is_over() -> None:
    room, ear = Room(), Member("ear")
    loud = [Member(f"loud{n}", 30_000) for n in range(4)]
    quiet = Member("quiet", 1000)
    room.join(ear, quiet, *loud)
    room.tick(5)
    assert ear.last().max() == 32767
    for member in loud:
        room.graph.remove(member.port)
    room.tick(1)
    assert set(ear.last()[FADE:]) == {np.int16(np.rint(1000 * 32767 / 121_000 * 10**0.025))}
    room.tick(40)
    assert set(ear.last()) == {1000}


def test_full_scale_of_one_talker_passes_untouched() -> None:
    room, ear, talker = Room(), Member("ear"), Member("talker")
    said = np.resize(np.array([32767, -32768], np.int16), 160)
    talker.says = [said, said]
    room.join(ear, talker)
    room.tick(2)
    assert np.array_equal(ear.last(), said)


def test_a_conference_in_a_conference_is_one_tick_later_and_not_echoed() -> None:
    graph, one, two = MediaGraph(), MixMinus(NARROW, name="one"), MixMinus(NARROW, name="two")
    a, b = Member("a", 100), Member("b", 7)
    graph.add_mixer(one)
    graph.add_mixer(two)
    for mix, member in ((one, a), (two, b)):
        graph.connect(member.port, mix.port(member.name))
        graph.connect(mix.port(member.name), member.port)
    graph.connect(one.port("two"), two.port("one"))
    graph.connect(two.port("one"), one.port("two"))
    for n in range(6):
        graph.tick(n * 0.02)
    assert (set(a.last()), set(b.last())) == ({7}, {100})
    a.level = 300
    graph.tick(0.12)
    assert set(b.last()) == {100}
    graph.tick(0.14)
    assert set(b.last()) == {300}


def test_a_member_that_cannot_take_part_leaves_no_place_behind() -> None:
    room = Room()
    deaf = MediaPort(name="player", source=Member("x"))
    with pytest.raises(ScenarioError, match="player receives no media"):
        room.graph.connect(room.mix.port("player"), deaf)
    room.graph.disconnect(room.mix.port("stranger"), Member("stranger").port)
    assert room.left == ["player", "stranger"]


def test_a_removed_mixer_takes_its_links_with_it() -> None:
    room, a, b = Room(), Member("a", 5), Member("b", 6)
    room.join(a, b)
    room.tick()
    room.graph.remove_mixer(room.mix)
    room.graph.remove_mixer(room.mix)
    heard = len(a.heard)
    room.tick(3)
    assert len(a.heard) == heard
    assert sorted(room.left) == ["a", "b"]
    assert room.graph.feed_of(a.port) is None


def test_a_new_stream_replaces_what_a_member_heard() -> None:
    room, a, b = Room(), Member("a", 5), Member("b", 6)
    room.join(a, b)
    other = Member("other", 777)
    assert room.graph.connect(other.port, a.port) is room.mix.port("a")
    room.tick(2)
    assert set(a.last()) == {777}
    assert set(b.last()) == {5}  # it still is heard
