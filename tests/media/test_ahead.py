"""Audio that is sent before its time, to carriers that play it from a buffer of their own."""

from __future__ import annotations

import struct
from collections import deque
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from voxpy.audio.convert import decode, encode
from voxpy.audio.frame import PCMU, Format, pcm16
from voxpy.media.graph import MediaGraph, Tap
from voxpy.media.playout import Playout
from voxpy.media.unit import MediaPort
from voxpy.realtime.media import Voice, VoiceReports

WIDE = pcm16(24000)


class FarBuffer:
    """A carrier: plays one frame per tick from what came, and silence else."""

    def __init__(self, fmt: Format = PCMU, *, room: int = 9, behind: int = 0) -> None:
        self.format = fmt
        self.room = room
        self.behind_frames = behind
        self.needs_silence = False
        self.buffer: deque[bytes] = deque()
        self.pushed = 0
        self.clears = 0

    def room_frames(self) -> int:
        return self.room

    def push(self, frame: bytes) -> None:
        self.pushed += 1
        self.buffer.append(frame)

    def clear(self) -> None:
        self.clears += 1
        self.buffer.clear()

    def play(self) -> bytes:
        return self.buffer.popleft() if self.buffer else self.format.silence


class Ear:
    def __init__(self, fmt: Format = PCMU) -> None:
        self.format = fmt
        self.heard: list[bytes] = []

    def push(self, frame: bytes) -> None:
        self.heard.append(frame)


class Line:
    """A graph with one leg at a carrier and one source that is ahead of time."""

    def __init__(self, source: Any = None, **options: Any) -> None:
        self.graph = MediaGraph()
        self.carrier = FarBuffer(**options)
        self.leg = MediaPort(name="leg", sink=self.carrier, carrier=self.carrier)
        self.playout = Playout(PCMU, limit_s=10) if source is None else source
        self.agent = MediaPort(name="agent", source=self.playout, ahead=self.playout)
        self.tapped: list[bytes] = []
        self.played: list[bytes] = []
        self.graph.attach(self.leg)
        self.graph.tap(self.leg, lambda said, heard: self.tapped.append(heard))
        self.graph.connect(self.agent, self.leg)

    def ticks(self, n: int) -> None:
        for _ in range(n):
            self.graph.tick(0.0)
            self.played.append(self.carrier.play())


def frames(*letters: str) -> bytes:
    return b"".join(letter.encode() * 160 for letter in letters)


# -- single behaviours -----------------------------------------------------------------------------


def test_what_is_written_is_sent_at_once_as_far_as_there_is_room() -> None:
    line = Line()
    line.playout.write(frames(*"abcdefghijkl"))
    assert len(line.carrier.buffer) == 9
    line.ticks(1)
    assert len(line.carrier.buffer) == 9, "one played and one was sent"
    line.ticks(12)
    assert b"".join(line.played) == frames(*"abcdefghijkl") + PCMU.silence
    assert line.tapped == line.played


def test_less_than_a_frame_waits_for_its_rest() -> None:
    line = Line()
    line.playout.write(b"a" * 100)
    assert not line.carrier.buffer
    line.playout.write(b"a" * 100)
    assert list(line.carrier.buffer) == [frames("a")]
    line.ticks(3)
    assert line.played == [frames("a"), PCMU.silence, b"a" * 40 + PCMU.silence[40:]]
    assert line.tapped == line.played


def test_nothing_is_sent_while_nothing_sounds() -> None:
    line = Line()
    line.ticks(5)
    assert line.carrier.pushed == 0
    line.carrier.needs_silence = True
    line.ticks(1)
    assert line.carrier.pushed == 1
    line.graph.disconnect(line.agent, line.leg)
    line.ticks(1)
    line.carrier.needs_silence = False
    line.ticks(1)
    assert line.carrier.pushed == 2
    assert line.tapped == [PCMU.silence] * 8


def test_a_clear_takes_back_what_has_not_played() -> None:
    line = Line()
    line.playout.write(frames(*"abcdefghijkl"), item_id="x")
    line.ticks(3)
    (cleared,) = line.playout.clear()
    assert (cleared.played_ms, cleared.dropped_ms) == (60, 180)
    assert (line.carrier.clears, len(line.carrier.buffer)) == (1, 0)
    line.playout.write(frames("z"))
    line.ticks(2)
    assert line.played == [frames(c) for c in "abcz"] + [PCMU.silence]
    assert line.tapped == line.played


def test_without_room_frames_go_at_their_tick() -> None:
    line = Line(room=0)
    line.playout.write(frames(*"abc"))
    assert not line.carrier.buffer
    line.ticks(4)
    assert line.played == [frames(c) for c in "abc"] + [PCMU.silence]
    assert line.tapped == line.played


def test_what_waited_is_sent_when_the_link_is_made() -> None:
    line = Line()
    line.graph.disconnect(line.agent, line.leg)
    line.playout.write(frames(*"ab"))
    assert not line.carrier.buffer
    line.graph.connect(line.agent, line.leg)
    assert len(line.carrier.buffer) == 2


def test_who_stops_listening_and_comes_back_misses_nothing_but_the_time() -> None:
    line = Line()
    line.playout.write(frames(*"abcd"), item_id="x")
    line.ticks(1)
    line.graph.disconnect(line.agent, line.leg)
    assert (line.carrier.clears, len(line.carrier.buffer)) == (1, 0)
    line.ticks(1)
    assert line.playout.played_ms("x") == 20
    line.graph.connect(line.agent, line.leg)
    line.ticks(3)
    assert line.played == [frames("a"), PCMU.silence, *(frames(c) for c in "bcd")]
    assert line.tapped == line.played


def test_another_stream_in_its_place_is_heard_at_once() -> None:
    line, other = Line(), Playout(PCMU, limit_s=10)
    line.playout.write(frames(*"abcd"))
    line.ticks(1)
    other.write(frames("z"))
    line.graph.connect(MediaPort(name="other", source=other, ahead=other), line.leg)
    line.ticks(2)
    assert line.played == [frames("a"), frames("z"), PCMU.silence]


def test_a_second_listener_hears_each_frame_when_it_plays() -> None:
    line, ear = Line(), Ear()
    line.playout.write(frames(*"abcd"))
    line.ticks(1)
    line.graph.connect(line.agent, MediaPort(name="ear", sink=ear))
    line.ticks(3)
    assert ear.heard == [frames(c) for c in "bcd"]


def test_a_carrier_that_is_behind_has_played_less() -> None:
    line = Line(behind=2)
    line.playout.write(frames(*"abcde"), item_id="x")
    line.ticks(3)
    assert line.playout.played_ms("x") == 20
    assert line.tapped == [PCMU.silence, PCMU.silence, frames("a")]
    line.ticks(4)
    assert line.tapped[2:] == [frames(c) for c in "abcde"]


def test_a_stage_on_the_source_keeps_it_at_its_tick() -> None:
    line = Line()
    line.graph.insert(line.agent, lambda frame, fmt: frame.replace(b"a", b"b"))
    line.playout.write(frames(*"aa"))
    assert not line.carrier.buffer
    line.ticks(2)
    assert line.played == [frames("b"), frames("b")]


def test_another_format_is_converted_in_order_and_afresh_after_a_cut() -> None:
    t = np.arange(4 * 480)
    sound = np.rint(8000 * np.sin(2 * np.pi * 440 * t / 24000)).astype(np.int16)
    playout = Playout(WIDE, limit_s=10)
    line, ear = Line(playout), Ear(pcm16(8000))
    playout.write(encode(sound, WIDE))
    line.graph.connect(line.agent, MediaPort(name="ear", sink=ear))
    line.ticks(4)
    heard = decode(b"".join(line.played), PCMU).astype(int)
    assert np.abs(np.diff(heard)).max() < 8000 * 2 * np.pi * 440 / 8000 * 1.1, "no click"
    late = decode(b"".join(ear.heard), pcm16(8000)).astype(int)
    assert np.abs(late - heard).max() < 400, "only what mu-law rounds off"
    playout.write(encode(sound, WIDE))
    playout.clear()
    playout.write(bytes(WIDE.frame_bytes))
    line.ticks(1)
    assert line.played[-1] == PCMU.silence, "nothing of the old sound inside the resampler"


def test_a_long_silence_begins_anew() -> None:
    loud = np.full(480, 8000, np.int16)
    playout = Playout(WIDE, limit_s=10)
    line = Line(playout)
    playout.write(encode(loud, WIDE))
    line.ticks(4)
    playout.write(bytes(WIDE.frame_bytes))
    line.ticks(1)
    assert line.played[-1] == PCMU.silence


# -- the agent's voice: two tracks -----------------------------------------------------------------


def voice() -> tuple[Voice, list[str]]:
    told: list[str] = []
    made = Voice(
        PCMU,
        limit_s=10,
        reports=VoiceReports(
            started=lambda: told.append("started"),
            ended=lambda seconds: told.append(f"ended {seconds:.2f}"),
            overflowed=lambda limit_s: told.append("overflowed"),
            drained=lambda: told.append("drained"),
        ),
    )
    return made, told


def test_a_murmur_goes_on_when_the_speech_under_it_is_cut() -> None:
    agent, told = voice()
    line = Line(agent)
    agent.write(frames(*"sss"), item_id="speech", backchannel=False)
    agent.write(frames(*"mmmm"), item_id="", backchannel=True)
    line.ticks(1)
    agent.clear_speech()
    line.ticks(4)
    assert line.played[0] == frames("s"), "it was sent before the murmur came"
    assert line.played[1:] == [frames("m")] * 4
    assert line.tapped == line.played
    assert agent.speech.played_ms("speech") == 20
    assert "drained" not in told


def test_both_tracks_are_mixed_where_both_are_there() -> None:
    agent, _ = voice()
    line = Line(agent, room=1)
    agent.write(frames("s"), item_id="a", backchannel=False)
    agent.write(frames("s"), item_id="b", backchannel=False)
    agent.write(frames("m"), item_id="", backchannel=True)
    line.ticks(2)
    assert line.played[0] == frames("s")
    assert line.played[1] not in (frames("s"), frames("m"))
    assert not agent.sounding


def test_speech_is_drained_when_it_has_played_and_not_when_it_is_sent() -> None:
    agent, told = voice()
    line = Line(agent)
    agent.write(frames(*"ab"), item_id="x", backchannel=False)
    line.ticks(1)
    assert told == ["started"]
    assert agent.sounding
    line.ticks(1)
    assert told == ["started", "drained"]
    line.ticks(50)
    assert told == ["started", "drained", "ended 0.04"]


def test_another_format_drops_what_is_under_way() -> None:
    agent, _ = voice()
    line = Line(agent)
    agent.write(frames(*"abc"), item_id="x", backchannel=False)
    agent.adopt(WIDE)
    agent.adopt(WIDE)
    assert (line.carrier.clears, len(line.carrier.buffer)) == (1, 0)
    line.ticks(1)
    assert line.played == [PCMU.silence]


# -- any sequence ----------------------------------------------------------------------------------

WORDS = PCMU.frame_bytes // 4
SILENT = 0xFFFFFFFF  # four bytes of mu-law silence
CARRIERS = st.integers(0, 1)
TARGETS = st.integers(0, 2)


def words(frame: bytes) -> list[int]:
    return list(struct.unpack(f"<{WORDS}I", frame))


class Ahead(RuleBasedStateMachine):
    """One source that counts, two carriers and a slow listener; links, room and cuts at any time.

    What is heard at a tick must be the next of what waits, the same for all who listen, and at a
    carrier exactly what its buffer plays.
    """

    def __init__(self) -> None:
        super().__init__()
        self.graph = MediaGraph()
        self.playout = Playout(PCMU, limit_s=60)
        self.agent = MediaPort(name="agent", source=self.playout, ahead=self.playout)
        self.carriers = [FarBuffer(), FarBuffer()]
        self.ear = Ear()
        self.targets = [MediaPort(name=f"leg {n}", sink=c, carrier=c)
                        for n, c in enumerate(self.carriers)]  # fmt: skip
        self.targets.append(MediaPort(name="ear", sink=self.ear))
        self.taps: dict[int, bytes] = {}
        for n in (0, 1):
            self.graph.attach(self.targets[n])
            self.graph.tap(self.targets[n], self.tap(n))
        self.linked: set[int] = set()
        self.waiting: deque[int] = deque()
        self.counter = self.played = self.cleared = 0

    def tap(self, n: int) -> Tap:
        return lambda _, heard: self.taps.update({n: heard})

    @rule(n=st.one_of(st.integers(1, 3 * WORDS), st.integers(WORDS, 20 * WORDS)))
    def write(self, n: int) -> None:
        new = range(self.counter, self.counter + n)
        self.counter += n
        self.waiting.extend(new)
        self.playout.write(struct.pack(f"<{n}I", *new), item_id="x")

    @rule()
    def clear(self) -> None:
        lost = self.playout.clear()
        assert sum(round(c.dropped_ms * 2) for c in lost) == len(self.waiting)
        self.cleared += len(self.waiting)
        self.waiting.clear()
        for n in self.linked & {0, 1}:
            assert not self.carriers[n].buffer

    @rule(n=TARGETS)
    def connect(self, n: int) -> None:
        self.graph.connect(self.agent, self.targets[n])
        self.linked.add(n)

    @rule(n=TARGETS)
    def disconnect(self, n: int) -> None:
        self.graph.disconnect(self.agent, self.targets[n])
        self.linked.discard(n)
        if n in (0, 1):
            assert not self.carriers[n].buffer

    @rule(n=CARRIERS, room=st.sampled_from([0, 1, 9]))
    def has_room(self, n: int, room: int) -> None:
        self.carriers[n].room = room

    @precondition(lambda self: self.linked)
    @rule()
    def tick(self) -> None:
        self.ear.heard.clear()
        self.graph.tick(0.0)
        heard = {n: self.taps[n] for n in self.linked & {0, 1}}
        if 2 in self.linked:
            (heard[2],) = self.ear.heard
        for n in (0, 1):
            assert self.taps[n] == self.carriers[n].play()
        (frame,) = set(heard.values())
        sounding = [w for w in words(frame) if w != SILENT]
        expected = [self.waiting[i] for i in range(min(WORDS, len(self.waiting)))]
        if len(expected) == WORDS:
            assert sounding == expected
        else:
            assert sounding in ([], expected), "a rest may be held back"
        for _ in sounding:
            self.waiting.popleft()
        self.played += len(sounding)

    @invariant()
    def never_more_than_200_ms_ahead(self) -> None:
        for carrier in self.carriers:
            assert len(carrier.buffer) <= 9

    @invariant()
    def the_books_balance(self) -> None:
        p = self.playout
        assert p.buffered_bytes == 4 * len(self.waiting)
        assert (p.played_bytes, p.cleared_bytes) == (4 * self.played, 4 * self.cleared)
        assert p.played_ms("x") == pytest.approx(self.played / 2)


TestAhead: Any = Ahead.TestCase
TestAhead.settings = settings(max_examples=100, stateful_step_count=40)
