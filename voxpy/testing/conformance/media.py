"""What the media graph may expect of every source and every sink."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any, cast

import numpy as np

from voxpy.audio.frame import Format
from voxpy.engine import clock
from voxpy.media.unit import AheadSource, Sink, Source
from voxpy.testing.conformance.rules import Check, check_all, rule

MakeSource = Callable[[], Source]
"""Returns a new source that has at least three frames to give within ten seconds of ticks."""
MakeSink = Callable[[], Sink]
"""Returns a new sink, wherever it leads to."""

TICKS = 500
BLOCKS_S = 0.005
"""A quarter of a tick. One unit of one call may not take more, and usually takes a hundredth."""
TIMED = 50


async def check_source(make: MakeSource) -> None:
    """Check every rule of voxpy.media.unit.Source. Raises Nonconforming, which names them."""
    await check_all(_name(make()), SOURCE_CHECKS, make)


async def check_sink(make: MakeSink) -> None:
    """Check every rule of voxpy.media.unit.Sink. Raises Nonconforming, which names them."""
    await check_all(_name(make()), SINK_CHECKS, make)


def _name(subject: object) -> str:
    return type(subject).__name__


# -- sources ---------------------------------------------------------------------------------------


@rule
def _a_frame_is_20_ms(make: MakeSource) -> None:
    """A source gives None or bytes of exactly 20 ms in its format (media.unit.Source.pull)."""
    source = make()
    for tick in range(TICKS):
        frame = source.pull()
        if frame is not None:
            wanted = _format(source).frame_bytes
            assert isinstance(frame, bytes), f"tick {tick} gave {type(frame).__name__}"
            assert len(frame) == wanted, f"tick {tick} gave {len(frame)} of {wanted} bytes"


@rule
def _it_speaks(make: MakeSource) -> None:
    """What has something to say says it within ten seconds of ticks (check_source itself)."""
    source = make()
    given = sum(source.pull() is not None for _ in range(TICKS))
    assert given >= 3, f"{given} frames in {TICKS} ticks"


@rule
def _the_end_is_quiet(make: MakeSource) -> None:
    """A source that ended is pulled on: it gives frames or None, never an error (media.unit)."""
    source = make()
    for tick in range(3 * TICKS):
        try:
            source.pull()
        except Exception as error:  # whatever it is, the media clock of all calls would get it
            raise AssertionError(f"tick {tick} raised {error!r}") from error


@rule
def _the_same_again(make: MakeSource) -> None:
    """Two sources made alike give the same frames: no clock, no dice (pure ring: media)."""
    one, other = make(), make()
    for tick in range(TICKS // 2):
        assert one.pull() == other.pull(), f"tick {tick} differs"


@rule
def _pull_does_not_block(make: MakeSource) -> None:
    """A pull takes far less than a tick, for all calls share one clock (media.unit.Source)."""
    source = make()
    _timed(source.pull)


@rule
def _what_was_taken_back_comes_again(make: MakeSource) -> None:
    """After take_back the frames that were on their way come first again (AheadSource)."""
    ahead = _ahead(make())
    if ahead is None:
        return
    taken = [frame for frame in (ahead.pull_ahead(), ahead.pull_ahead()) if frame is not None]
    assert taken, "pull_ahead gives nothing although there is audio"
    ahead.take_back()
    again = [ahead.pull() for _ in taken]
    assert again == taken, "other frames came, or in another order"


@rule
def _ahead_is_the_same_audio(make: MakeSource) -> None:
    """pull_ahead and advance give what pull would have given, in whole frames (AheadSource)."""
    ahead, plain = _ahead(make()), make()
    if ahead is None:
        return
    for number in range(3):
        frame = ahead.pull_ahead()
        if frame is None:
            return
        ahead.advance()
        assert frame == plain.pull(), f"frame {number} differs"


def _ahead(source: Source) -> AheadSource | None:
    return cast("AheadSource", source) if hasattr(source, "pull_ahead") else None


SOURCE_CHECKS: tuple[Check[MakeSource], ...] = (
    _a_frame_is_20_ms,
    _it_speaks,
    _the_end_is_quiet,
    _the_same_again,
    _pull_does_not_block,
    _what_was_taken_back_comes_again,
    _ahead_is_the_same_audio,
)


# -- sinks -----------------------------------------------------------------------------------------


@rule
def _it_has_a_format(make: MakeSink) -> None:
    """A sink says at any time in which format it wants its frames (media.unit.Sink.format)."""
    _format(make())


@rule
def _it_takes_silence(make: MakeSink) -> None:
    """Silence is sent, never skipped: a sink takes it for as long as it lasts (design: no gaps)."""
    sink = make()
    for tick in range(TICKS):
        _push(sink, sink.format.silence, tick)


@rule
def _it_takes_any_sound(make: MakeSink) -> None:
    """A sink takes any 20 ms in its format: noise, silence, jumps (media.unit.Sink.push)."""
    sink = make()
    dice = np.random.default_rng(0)
    for tick in range(TICKS // 5):
        size = sink.format.frame_bytes
        frame = bytes(size) if tick % 3 else bytes(dice.integers(0, 256, size, dtype=np.uint8))
        _push(sink, frame, tick)


@rule
def _push_returns_nothing(make: MakeSink) -> None:
    """push is an ordinary function; a coroutine would never be awaited (media.unit.Sink.push)."""
    sink = make()
    push: Callable[[bytes], Any] = sink.push
    outcome = push(sink.format.silence)
    if hasattr(outcome, "close"):
        outcome.close()
    assert outcome is None, f"push returned {outcome!r}"


@rule
def _push_does_not_block(make: MakeSink) -> None:
    """A push takes far less than a tick, for all calls share one clock (media.unit.Sink.push)."""
    sink = make()
    _timed(lambda: sink.push(sink.format.silence))


SINK_CHECKS: tuple[Check[MakeSink], ...] = (
    _it_has_a_format,
    _it_takes_silence,
    _it_takes_any_sound,
    _push_returns_nothing,
    _push_does_not_block,
)


def _format(unit: Source | Sink) -> Format:
    fmt = unit.format
    assert isinstance(fmt, Format), f"format is {fmt!r}"
    return fmt


def _push(sink: Sink, frame: bytes, tick: int) -> None:
    try:
        sink.push(frame)
    except Exception as error:  # whatever it is, the media clock of all calls would get it
        raise AssertionError(f"frame {tick} raised {error!r}") from error


def _timed(step: Callable[[], Any]) -> None:
    """The middle one of many counts: a busy machine makes single ones slow."""
    taken = []
    for _ in range(TIMED):
        began = clock.busy_s()
        step()
        taken.append(clock.busy_s() - began)
    middle = median(taken)
    assert middle < BLOCKS_S, f"{middle * 1000:.1f} ms in the middle of {TIMED}"
