"""The source inside a player: positions, markers, passes, and a state machine over all of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from voxpy.audio.frame import pcm16
from voxpy.media.player import PlayerReports, PlayerSource, PlayerState

FMT = pcm16(8000)
FRAME = FMT.frame_bytes


class Told:
    """A source, and what it reported: each with the milliseconds pulled at that time."""

    def __init__(self, *, paused: bool = False) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.hungry = 0
        self.pulled_ms = 0.0
        self.source = PlayerSource(
            PlayerReports(
                started=lambda: self.events.append(("started",)),
                finished=lambda: self.events.append(("finished",)),
                marker=lambda offset, segment: self.events.append(("marker", offset, segment)),
                starving=lambda: self.events.append(("starving",)),
                hungry=self._more,
                low_s=0.2,
            ),
            paused=paused,
        )

    def _more(self) -> None:
        self.hungry += 1

    def pull(self, frames: int = 1) -> list[bytes | None]:
        return [self.source.pull() for _ in range(frames)]

    def play(self) -> bytes:
        """Return all there is, until it is over or dry."""
        heard = b""
        while (frame := self.source.pull()) is not None:
            heard += frame
        return heard


def audio(ms: float, first: int = 1) -> bytes:
    n = round(ms * 8)
    return (np.arange(first, first + n) % 30000).astype("<i2").tobytes()


def opened(*lengths_ms: float, complete: bool = True, **options: Any) -> Told:
    told = Told(**options)
    told.source.open(FMT)
    for segment, ms in enumerate(lengths_ms):
        told.source.begin(segment, ms)
        told.source.write(audio(ms))
    if complete:
        told.source.complete()
    return told


def test_plays_what_was_written_and_two_milliseconds_of_silence() -> None:
    told = opened(100)
    heard = told.play()
    # 2 ms for a change of rate on the way; here they need a frame of their own.
    assert heard == audio(100) + FMT.silence
    assert told.events == [("started",), ("finished",)]
    assert told.source.position_ms == 100


def test_a_last_frame_with_room_needs_no_frame_of_silence() -> None:
    assert len(opened(90).play()) == 5 * FRAME
    assert len(opened(99).play()) == 6 * FRAME


def test_nothing_is_heard_before_it_is_open() -> None:
    told = Told()
    assert told.source.state is PlayerState.LOADING
    assert told.pull(3) == [None, None, None]
    assert told.events == []


def test_on_pause_holds_back_the_start() -> None:
    told = opened(100, paused=True)
    assert told.pull(5) == [None] * 5
    assert told.events == []
    told.source.resume()
    told.pull()
    assert told.events == [("started",)]


def test_pause_keeps_the_position() -> None:
    told = opened(200)
    before = told.pull(3)
    told.source.pause()
    assert told.pull(10) == [None] * 10
    assert told.source.position_ms == 60
    told.source.resume()
    assert b"".join(f or b"" for f in before) + told.play() == audio(200) + FMT.silence


def test_segments_join_inside_a_frame() -> None:
    told = opened(30, 25)
    assert told.play()[: 2 * 8 * 55] == audio(30) + audio(25)


def test_runs_dry_once_and_goes_on() -> None:
    told = opened(40, complete=False)
    told.pull(5)
    assert told.events == [("started",), ("starving",)]
    assert told.hungry > 0
    told.source.write(audio(40))
    told.source.complete()
    told.play()
    assert told.events == [("started",), ("starving",), ("finished",)]


def test_half_a_frame_waits_for_its_rest() -> None:
    told = opened(30, complete=False)
    assert [f is not None for f in told.pull(3)] == [True, False, False]
    told.source.write(audio(10, first=241))
    assert told.pull()[0] == audio(40)[FRAME:]


@pytest.mark.parametrize(
    ("offset_ms", "frames"),
    [
        (0, 1),
        (1, 1),
        (19.9, 1),
        (20, 2),
        (50, 3),
        (99, 5),
        (100, 5),
        (-100, 1),
        (-40, 4),
        (-0.5, 5),
    ],
)
def test_a_marker_is_reached_in_the_frame_it_stands_in(offset_ms: float, frames: int) -> None:
    told = opened(100)
    told.source.add_marker(offset_ms)
    for n in range(1, 7):
        told.pull()
        if ("marker", offset_ms, 0) in told.events:
            assert n == frames
            return
    pytest.fail("never reached")


def test_markers_that_cannot_be_reached() -> None:
    told = opened(100)
    told.source.add_marker(101)
    told.pull(3)
    told.source.add_marker(10)  # passed already
    told.play()
    assert told.events == [("started",), ("finished",)]


def test_a_marker_before_the_beginning_is_at_the_beginning() -> None:
    told = opened(100)
    told.source.add_marker(-5000)
    told.pull()
    assert ("marker", -5000, 0) in told.events


def test_markers_come_in_the_order_of_their_places() -> None:
    told = opened(100)
    for offset in (15.0, 5.0, -90.0, 5.0):
        told.source.add_marker(offset)
    told.pull()
    assert [e[1] for e in told.events if e[0] == "marker"] == [5.0, 5.0, -90.0, 15.0]


def test_a_marker_from_an_end_that_is_found_late_comes_late() -> None:
    told = Told()
    told.source.open(FMT)
    told.source.begin(0, None)
    told.source.write(audio(100))
    told.source.add_marker(-90)
    told.pull(3)
    assert ("marker", -90, 0) not in told.events
    told.source.complete()
    told.pull()
    assert ("marker", -90, 0) in told.events


def test_in_a_loop_markers_are_reached_in_every_pass() -> None:
    told = opened(50, complete=False)
    told.source.add_marker(30)
    for _ in range(2):
        told.source.begin(0, 50)
        told.source.write(audio(50))
    told.source.complete()
    assert told.play()[: 3 * 800] == audio(50) * 3
    assert [e for e in told.events if e[0] == "marker"] == [("marker", 30, 0)] * 3


def test_a_marker_belongs_to_its_segment() -> None:
    told = opened(40, 40)
    told.source.add_marker(10, 1)
    told.pull(2)
    assert ("marker", 10, 1) not in told.events
    told.pull()
    assert ("marker", 10, 1) in told.events


def test_stopped_is_the_end() -> None:
    told = opened(100)
    told.pull()
    assert told.source.stop()
    assert not told.source.stop()
    told.source.write(audio(20))
    told.source.resume()
    assert told.pull(10) == [None] * 10
    assert told.events == [("started",)]
    assert told.source.buffered_s == 0


# -- everything in any order -----------------------------------------------------------------------


class PlayerMachine(RuleBasedStateMachine):
    """Commands, writes and ticks in any order, against what must always hold."""

    @initialize(paused=st.booleans())
    def begin(self, paused: bool) -> None:
        self.told = Told(paused=paused)
        self.source = self.told.source
        self.written = 0
        self.heard = b""
        self.wrote = b""
        self.completed = False
        self.stopped_at: int | None = None
        self.last_ms = 0.0
        self.source.open(FMT)
        self.source.begin(0, None)

    @precondition(lambda self: not self.completed)
    @rule(ms=st.integers(1, 70))
    def write(self, ms: int) -> None:
        data = audio(ms, first=1 + self.written)
        self.source.write(data)
        if not self.source.state.is_over:
            self.wrote += data
            self.written += len(data) // 2

    @precondition(lambda self: not self.completed)
    @rule()
    def next_pass(self) -> None:
        self.source.begin(0, None)

    @precondition(lambda self: not self.completed)
    @rule()
    def complete(self) -> None:
        self.source.complete()
        self.completed = True

    @rule()
    def pause(self) -> None:
        self.source.pause()

    @rule()
    def resume(self) -> None:
        self.source.resume()

    @rule()
    def stop(self) -> None:
        if self.source.stop():
            self.stopped_at = len(self.told.events)

    @rule(offset=st.integers(-150, 150))
    def add_marker(self, offset: int) -> None:
        self.source.add_marker(offset)

    @rule(ticks=st.integers(1, 12))
    def tick(self, ticks: int) -> None:
        for _ in range(ticks):
            state = self.source.state
            frame = self.source.pull()
            if state is not PlayerState.PLAYING:
                assert frame is None
            if frame is not None:
                assert len(frame) == FRAME
                self.heard += frame

    @invariant()
    def holds(self) -> None:
        names = [event[0] for event in self.told.events]
        assert names.count("started") <= 1
        assert names.count("finished") <= 1
        if names:
            assert names[0] in ("started", "finished")  # an empty sound finishes without starting
        if "finished" in names:
            assert names[-1] == "finished"
            assert self.source.state is PlayerState.FINISHED
            assert self.heard[: len(self.wrote)] == self.wrote
        if self.stopped_at is not None:
            assert len(names) == self.stopped_at
        assert self.source.position_ms >= self.last_ms
        self.last_ms = self.source.position_ms
        played = round(self.last_ms * 8) * 2
        assert self.heard[:played] == self.wrote[:played]


PlayerMachine.TestCase.settings = settings(max_examples=120, stateful_step_count=30)
TestPlayerMachine = PlayerMachine.TestCase
