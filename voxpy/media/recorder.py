"""What is recorded: a tape that costs the media tick an append, and how it becomes one PCM stream.

The two halves meet where a block of the tape is handed over, so that converting, mixing, encoding
and writing can be done elsewhere than on the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from voxpy.audio.convert import Converter, decode
from voxpy.audio.frame import FRAME_S, Format, Samples, pcm16
from voxpy.audio.mix import mix
from voxpy.media.unit import MediaPort

BLOCK_S = 0.5
"""How much is handed over at a time: what a killed process loses of its recording."""
LONGEST_TAPE_S = 60.0
"""How long a disk may stall before a recording has a gap rather than the process no memory."""

_BLOCK_FRAMES = round(BLOCK_S / FRAME_S)
_LONGEST_FRAMES = round(LONGEST_TAPE_S / FRAME_S)


Frame: TypeAlias = tuple[Format, bytes]
"""20 ms of one track; no bytes are silence."""

Block: TypeAlias = Sequence[tuple[Frame, ...]]
"""Moments of 20 ms, each with a frame of every track."""


class Tape:
    """Frames of one or more tracks that wait to be written. Pure; belongs to the media tick."""

    def __init__(self, *, on_block: Callable[[], None]) -> None:
        self._moments: list[tuple[Frame, ...]] = []
        self._on_block = on_block
        self.recorded_frames = 0
        self.lost_frames = 0

    @property
    def duration_s(self) -> float:
        """Seconds that were put on the tape, taken or not."""
        return self.recorded_frames * FRAME_S

    def add(self, *frames: Frame) -> None:
        """Take 20 ms of every track.

        ``on_block`` is called when half a second waits, and every half second after until it is
        taken. Beyond a minute the newest are lost and counted.
        """
        waiting = len(self._moments)
        if waiting >= _LONGEST_FRAMES:
            self.lost_frames += 1
            return
        self._moments.append(frames)
        self.recorded_frames += 1
        if (waiting + 1) % _BLOCK_FRAMES == 0:
            self._on_block()

    def take(self) -> Block:
        """Return what waits and forget it."""
        taken, self._moments = self._moments, []
        return taken


def both_sides(port: MediaPort, tape: Tape) -> Callable[[bytes, bytes], None]:
    """Return a tap that records what ``port`` says on the first track, what it hears on the second.

    ``port`` must have both ends.
    """
    source, sink = port.source, port.sink
    assert source is not None
    assert sink is not None

    def tap(said: bytes, heard: bytes) -> None:
        tape.add((source.format, said), (sink.format, heard))

    return tap


class TapeTrack:
    """The sink of one track, for a tape that is fed by links; the last track completes the tick."""

    def __init__(self, fmt: Format, *, then: Callable[[], None]) -> None:
        self.format = fmt
        self.frame = b""
        self._then = then

    def push(self, frame: bytes) -> None:
        """Take 20 ms."""
        self.frame = frame
        self._then()


class Tracks:
    """Turns the blocks of one tape, in order, into PCM at ``rate_hz``. Not for the media tick.

    Stereo: the first track left, the second right, interleaved. Mono: their saturated sum.
    """

    def __init__(self, rate_hz: int, *, stereo: bool) -> None:
        self.format = pcm16(rate_hz)
        self.channels = 2 if stereo else 1
        self._converters: dict[tuple[int, Format], Converter] = {}

    def pcm(self, block: Block) -> Samples:
        """Return the samples of a block, interleaved if there are two channels."""
        tracks = [self._samples(n, frames) for n, frames in enumerate(zip(*block, strict=True))]
        if not tracks:
            return np.empty(0, np.int16)
        if self.channels == 1:
            return mix(*tracks)
        both = np.empty(2 * len(tracks[0]), dtype=np.int16)
        both[0::2], both[1::2] = tracks[0], tracks[-1]
        return both

    def _samples(self, track: int, frames: Sequence[Frame]) -> Samples:
        """Return the samples of one track: each run of one format is converted at once."""
        runs: list[tuple[Format, list[bytes]]] = []
        for fmt, frame in frames:
            if not runs or runs[-1][0] is not fmt:
                runs.append((fmt, []))
            runs[-1][1].append(frame or fmt.silence)
        parts = [self._converter(track, fmt).convert(b"".join(run)) for fmt, run in runs]
        return decode(b"".join(parts), self.format)

    def _converter(self, track: int, fmt: Format) -> Converter:
        converter = self._converters.get((track, fmt))
        if converter is None:
            converter = self._converters[track, fmt] = Converter(fmt, self.format)
        return converter
