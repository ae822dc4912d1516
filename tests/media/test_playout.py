"""The buffer between a fast sender and a listener in real time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from voxpy.audio.frame import PCMU, pcm16
from voxpy.media.playout import Cleared, Playout


def test_frames_come_out_as_they_went_in() -> None:
    playout = Playout(PCMU, limit_s=10)
    audio = bytes(range(1, 161)) + bytes(range(2, 162))
    playout.write(audio[:7])
    playout.write(audio[7:])
    assert playout.buffered_s == pytest.approx(0.04)
    assert (playout.pull(), playout.pull(), playout.pull()) == (audio[:160], audio[160:], None)


def test_less_than_a_frame_is_held_for_one_tick() -> None:
    playout = Playout(PCMU, limit_s=10)
    playout.write(b"a" * 100)
    assert playout.pull() is None
    playout.write(b"b" * 60)
    assert playout.pull() == b"a" * 100 + b"b" * 60
    playout.write(b"c" * 100)
    assert playout.pull() is None
    assert playout.pull() == b"c" * 100 + PCMU.silence[:60]
    assert playout.pull() is None


def test_a_sender_may_cut_within_a_sample() -> None:
    playout = Playout(pcm16(8000), limit_s=10)
    audio = b"".join(n.to_bytes(2, "little") for n in range(1, 241))
    playout.write(audio[:161])
    assert playout.pull() is None
    first = playout.pull()
    playout.write(audio[161:])
    second = playout.pull()
    assert first == audio[:160] + bytes(160)
    assert second == audio[160:480], "half a sample early would shift everything after it"


def test_beyond_the_limit_it_drops_counts_and_tells_once() -> None:
    told: list[float] = []
    playout = Playout(PCMU, limit_s=10, on_overflow=told.append)
    playout.write(b"a" * 79_999)
    assert told == []
    playout.write(b"b" * 3)
    playout.write(b"c" * 5)
    assert (playout.buffered_bytes, playout.dropped_bytes) == (80_000, 7)
    assert told == [10]
    playout.pull()
    playout.write(b"d" * 200)
    assert (playout.buffered_bytes, playout.dropped_bytes) == (80_000, 47)
    assert told == [10]


def test_without_anybody_to_tell_it_drops_all_the_same() -> None:
    playout = Playout(PCMU, limit_s=0.02)
    playout.write(b"a" * 161)
    assert playout.dropped_bytes == 1


def test_clear_takes_effect_at_once_and_says_what_was_heard() -> None:
    fmt = pcm16(24000)
    playout = Playout(fmt, limit_s=10)
    playout.write(bytes(fmt.bytes_for(0.1)), item_id="first")
    playout.write(bytes(fmt.bytes_for(1)), item_id="second")
    playout.write(bytes(fmt.bytes_for(0.5)), item_id="third")
    playout.write(bytes(fmt.bytes_for(0.5)), item_id="second")
    for _ in range(10):
        playout.pull()
    assert playout.clear() == [Cleared("second", 100, 1400), Cleared("third", 0, 500)]
    assert playout.pull() is None
    assert playout.played_ms("first") == 100
    assert playout.played_ms("unknown") == 0
    assert playout.clear() == []


def test_a_clear_forgets_that_something_was_held_back() -> None:
    playout = Playout(PCMU, limit_s=10)
    playout.write(b"a" * 10)
    assert playout.pull() is None
    playout.clear()
    playout.write(b"b" * 10)
    assert playout.pull() is None
    assert playout.pull() == b"b" * 10 + PCMU.silence[10:]


def test_another_format_starts_afresh() -> None:
    playout = Playout(PCMU, limit_s=10)
    playout.write(b"a" * 400, item_id="x")
    playout.pull()
    playout.adopt(PCMU)
    assert playout.buffered_bytes == 240
    playout.adopt(pcm16(24000))
    assert (playout.buffered_bytes, playout.cleared_bytes) == (0, 240)
    assert playout.played_ms("x") == 0
    assert playout.format == pcm16(24000)


def test_what_is_under_way_has_not_been_played_and_can_be_taken_back() -> None:
    playout = Playout(PCMU, limit_s=10)
    playout.write(b"a" * 100 + b"b" * 60, item_id="x")
    playout.write(b"c" * 170, item_id="y")
    first, second = playout.pull_ahead(), playout.pull_ahead()
    assert (first, second) == (b"a" * 100 + b"b" * 60, b"c" * 160)
    assert playout.pull_ahead() is None, "less than a frame waits for its rest"
    assert (playout.buffered_bytes, playout.played_ms("x")) == (330, 0)
    playout.advance()
    assert (playout.buffered_bytes, playout.played_ms("x")) == (170, 20)
    playout.take_back()
    assert playout.pull_ahead() == b"c" * 160
    assert playout.clear() == [Cleared("y", 0, 170 / 8)]
    assert playout.pull() is None


class Buffered(RuleBasedStateMachine):
    """Against a model: one string of bytes, each tagged with the item it belongs to."""

    LIMIT_S = 0.1

    def __init__(self) -> None:
        super().__init__()
        self.told: list[float] = []
        self.playout = Playout(PCMU, limit_s=self.LIMIT_S, on_overflow=self.told.append)
        self.waiting: list[tuple[str, int]] = []
        self.played: dict[str, int] = {}
        self.written = self.cleared = self.dropped = 0
        self.held = False
        self.under_way = 0  # frames that were pulled ahead and have not played: they still wait
        self.cuts: list[int] = []
        self.playout.on_cut = lambda: self.cuts.append(self.playout.buffered_bytes)

    @rule(item=st.sampled_from("ab"), n=st.integers(0, 500), value=st.integers(1, 200))
    def write(self, item: str, n: int, value: int) -> None:
        self.playout.write(bytes([value]) * n, item_id=item)
        room = PCMU.bytes_for(self.LIMIT_S) - len(self.waiting)
        kept = min(n, room)
        self.waiting += [(item, value)] * kept
        self.written += n
        self.dropped += n - kept

    @precondition(lambda self: not self.under_way)
    @rule()
    def pull(self) -> None:
        frame = self.playout.pull()
        if not self.waiting or (len(self.waiting) < 160 and not self.held):
            self.held = bool(self.waiting)
            assert frame is None
            return
        self.held = False
        taken, self.waiting = self.waiting[:160], self.waiting[160:]
        assert frame == bytes(v for _, v in taken) + PCMU.silence[len(taken) :]
        self.play(taken)

    @rule()
    def pull_ahead(self) -> None:
        at = 160 * self.under_way
        frame = self.playout.pull_ahead()
        if len(self.waiting) - at < 160:
            assert frame is None
            return
        assert frame == bytes(v for _, v in self.waiting[at : at + 160])
        self.under_way += 1
        self.held = False

    @precondition(lambda self: self.under_way)
    @rule()
    def advance(self) -> None:
        self.playout.advance()
        taken, self.waiting = self.waiting[:160], self.waiting[160:]
        self.under_way -= 1
        self.play(taken)

    @rule()
    def take_back(self) -> None:
        self.playout.take_back()
        self.under_way = 0

    def play(self, taken: list[tuple[str, int]]) -> None:
        for item, _ in taken:
            self.played[item] = self.played.get(item, 0) + 1

    @rule()
    def clear(self) -> None:
        cuts = len(self.cuts)
        lost = self.playout.clear()
        assert len(self.cuts) == cuts + 1
        model: dict[str, int] = {}
        for item, _ in self.waiting:
            model[item] = model.get(item, 0) + 1
        assert [(c.item_id, round(c.dropped_ms * 8)) for c in lost] == list(model.items())
        assert all(round(c.played_ms * 8) == self.played.get(c.item_id, 0) for c in lost)
        self.cleared += len(self.waiting)
        self.waiting, self.held, self.under_way = [], False, 0

    @invariant()
    def the_books_balance(self) -> None:
        p = self.playout
        assert p.buffered_bytes == len(self.waiting) <= PCMU.bytes_for(self.LIMIT_S)
        assert (p.cleared_bytes, p.dropped_bytes) == (self.cleared, self.dropped)
        assert self.written == p.played_bytes + p.cleared_bytes + p.dropped_bytes + p.buffered_bytes
        assert {i: round(p.played_ms(i) * 8) for i in self.played} == self.played
        assert self.told == [self.LIMIT_S] * bool(self.dropped)


TestBuffered: Any = Buffered.TestCase
TestBuffered.settings = settings(max_examples=80, stateful_step_count=30)
