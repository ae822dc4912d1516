"""What the far end says, between a provider's messages and the tick."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from voxpy.audio.convert import encode
from voxpy.audio.frame import PCMU, pcm16
from voxpy.channels.mediastream.audio import LIMIT_FRAMES, MOST_CHUNKS, Inbound


def frame(letter: str) -> bytes:
    return letter.encode() * 160


def test_frames_come_out_as_they_came_whatever_the_chunks() -> None:
    inbound = Inbound(PCMU)
    inbound.put(frame("a")[:50])
    assert inbound.pull() is None
    inbound.put(frame("a")[50:] + frame("b") + frame("c")[:10])
    assert [inbound.pull() for _ in range(3)] == [frame("a"), frame("b"), None]
    inbound.put(frame("c")[10:])
    assert inbound.pull() == frame("c")
    assert inbound.statistics.received_frames == pytest.approx(3)


def test_of_a_burst_the_newest_200_ms_are_kept() -> None:
    inbound = Inbound(PCMU)
    for letter in "abcdefghijklm":
        inbound.put(frame(letter))
    assert inbound.pull() == frame("d")
    assert inbound.statistics.dropped_frames == 3
    inbound.clear()
    assert inbound.pull() is None


def test_what_is_200_ms_older_than_what_is_still_to_be_read_is_not_played() -> None:
    """The kernel has more than a tick may read: the way in is emptied until that is not so."""
    inbound = Inbound(PCMU)
    for letter in "abcdefghij":
        inbound.put(frame(letter))
    inbound.shed_stale()
    assert inbound.pull() is None
    for letter in "klm":
        inbound.put(frame(letter))
    inbound.shed_stale()
    assert inbound.pull() is None, "between two reads, and more is to come still"
    assert inbound.statistics.dropped_frames == 13
    inbound.put(frame("n"))
    assert inbound.pull() == frame("n")


def test_who_sends_more_at_once_without_a_stall_is_played() -> None:
    inbound = Inbound(PCMU)
    inbound.put(frame("a"))
    inbound.shed_stale()
    assert inbound.pull() == frame("a")


def test_chunks_that_were_swapped_on_the_way_are_put_in_order() -> None:
    inbound = Inbound(PCMU)
    for letter, number in (("a", 1), ("c", 3), ("b", 2), ("d", 4)):
        inbound.put(frame(letter), number)
    assert [inbound.pull() for _ in range(2)] == [frame("a"), frame("b")]
    inbound.put(frame("x"), 2)
    assert [inbound.pull() for _ in range(3)] == [frame("c"), frame("d"), None]
    assert inbound.statistics.late_chunks == 1


def steady(inbound: Inbound, sound: bytes, *, waiting: int, seconds: float) -> int:
    """Let ``waiting`` frames wait, then one come per tick; return how many wait in the end."""
    for _ in range(waiting):
        inbound.put(sound)
    for _ in range(round(seconds * 50)):
        inbound.put(sound)
        assert inbound.pull() == sound
    return inbound.buffered_bytes // PCMU.frame_bytes


LOUD = encode(np.tile(np.array([8000, -8000], np.int16), 80), PCMU)


@pytest.mark.parametrize(
    ("sound", "waiting", "left"),
    [(PCMU.silence, 6, 1), (LOUD, 6, 3), (LOUD, 2, 2), (PCMU.silence, 1, 1)],
    ids=["silence", "much speech", "a little speech", "a spare frame"],
)
def test_a_delay_that_built_up_is_given_back(sound: bytes, waiting: int, left: int) -> None:
    inbound = Inbound(PCMU)
    assert steady(inbound, sound, waiting=waiting, seconds=10) == left
    assert inbound.statistics.trimmed_frames == waiting - left


@pytest.mark.parametrize("sound", [LOUD, PCMU.silence], ids=["speech", "silence"])
def test_after_a_stall_the_delay_is_gone_within_half_a_second(sound: bytes) -> None:
    inbound = Inbound(PCMU)
    steady(inbound, sound, waiting=0, seconds=3.3)
    for _ in range(150):  # three seconds of it, all here at once
        inbound.put(sound)
    assert inbound.buffered_bytes == LIMIT_FRAMES * 160
    assert steady(inbound, sound, waiting=0, seconds=0.5) <= 1
    lost = inbound.statistics.dropped_frames + inbound.statistics.trimmed_frames
    assert lost == pytest.approx(149)


def test_crumbs_and_nothings_are_kept_in_bounds() -> None:
    """One byte a message, numbered backwards: what is kept has a bound, in pieces too."""
    inbound = Inbound(PCMU)
    for number in range(100_000, 0, -1):
        inbound.put(b"", number)
        inbound.put(b"x", number)
    assert len(inbound._chunks) <= MOST_CHUNKS
    assert inbound.buffered_bytes <= MOST_CHUNKS


def test_a_far_clock_that_is_fast_neither_grows_nor_loses_more_than_it_is_fast() -> None:
    inbound = Inbound(PCMU)
    came = 0
    for tick in range(50 * 600):
        while came <= tick * 1.0002:  # 200 ppm: a frame more every 100 s
            inbound.put(PCMU.silence)
            came += 1
        assert inbound.pull() is not None
    assert inbound.buffered_bytes <= 2 * 160
    assert inbound.statistics.trimmed_frames <= 6
    assert inbound.statistics.dropped_frames == 0


class Arrivals(RuleBasedStateMachine):
    """Chunks of any size, numbered as they were spoken; out comes what went in, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.inbound = Inbound(pcm16(8000))
        self.said = bytearray()
        self.counter = 0

    @rule(samples=st.integers(1, 700))
    def put(self, samples: int) -> None:
        data = np.arange(self.counter, self.counter + samples, dtype="<u2").tobytes()
        self.counter = (self.counter + samples) % 65536
        self.said += data
        self.inbound.put(data)
        excess = len(self.said) - LIMIT_FRAMES * 320
        if excess > 0:
            del self.said[: -(-excess // 320) * 320]

    @rule()
    def pull(self) -> None:
        counts = self.inbound.statistics
        before = counts.trimmed_frames
        frame = self.inbound.pull()
        del self.said[: (counts.trimmed_frames - before) * 320]
        if len(self.said) < 320:
            assert frame is None
        else:
            assert frame == bytes(self.said[:320])
            del self.said[:320]

    @invariant()
    def never_more_than_200_ms(self) -> None:
        assert self.inbound.buffered_bytes == len(self.said) <= LIMIT_FRAMES * 320


TestArrivals: Any = Arrivals.TestCase
TestArrivals.settings = settings(max_examples=50, stateful_step_count=40)


CRUMBS = st.tuples(st.integers(0, 3), st.integers(0, 50))


@given(st.lists(st.one_of(CRUMBS, st.none()), max_size=400))
def test_no_sequence_of_chunks_makes_it_hold_more(chunks: list[tuple[int, int] | None]) -> None:
    inbound = Inbound(PCMU)
    for chunk in chunks:
        if chunk is None:
            inbound.pull()
        else:
            inbound.put(bytes(chunk[0]), chunk[1])
        assert len(inbound._chunks) <= MOST_CHUNKS
        assert inbound.buffered_bytes == sum(map(len, inbound._chunks))


@pytest.mark.parametrize("data", [b"", b"\xff", PCMU.silence], ids=["empty", "crumb", "frame"])
def test_numbers_that_fall_cost_what_others_cost(data: bytes) -> None:
    """Counted, not timed: how many lines the interpreter runs for each thousand of messages."""
    inbound, lines = Inbound(PCMU), [0]

    def count(frame: object, event: str, arg: object) -> Any:
        lines[0] += event == "line"
        return count

    thousands, before = [], sys.gettrace()
    for thousand in range(5):
        lines[0] = 0
        sys.settrace(count)
        for n in range(1000):
            inbound.put(data, 10_000 - 1000 * thousand - n)
        sys.settrace(before)
        thousands.append(lines[0])
    assert max(thousands[1:]) <= 2 * thousands[0]
    assert max(thousands) < 1000 * 4 * MOST_CHUNKS
