"""A tape that takes both sides of a port, and the PCM that is made of its blocks."""

from __future__ import annotations

import numpy as np
import pytest

from voxpy.audio.convert import encode
from voxpy.audio.frame import PCMU, Format, Samples, pcm16
from voxpy.media.graph import MediaGraph
from voxpy.media.recorder import Tape, TapeTrack, Tracks, both_sides
from voxpy.media.unit import MediaPort

NARROW = pcm16(8000)


class End:
    """Either end of a port."""

    def __init__(self, fmt: Format, frame: bytes | None = None) -> None:
        self.format = fmt
        self.frame = frame

    def pull(self) -> bytes | None:
        return self.frame

    def push(self, frame: bytes) -> None:
        pass


def level(value: int, fmt: Format = NARROW) -> bytes:
    return encode(np.full(fmt.frame_samples, value, np.int16), fmt)


class Recorded:
    """A tape beside the tracks that take every block of it."""

    def __init__(self, *, stereo: bool, rate_hz: int = 8000) -> None:
        self.tracks = Tracks(rate_hz, stereo=stereo)
        self.blocks: list[Samples] = []
        self.tape = Tape(on_block=self.block)

    def block(self) -> None:
        self.blocks.append(self.tracks.pcm(self.tape.take()))

    @property
    def samples(self) -> Samples:
        self.block()
        return np.concatenate(self.blocks).reshape(-1, self.tracks.channels)


def test_left_is_what_came_from_the_port_and_right_what_went_to_it() -> None:
    recorded = Recorded(stereo=True)
    port = MediaPort(name="leg", source=End(NARROW), sink=End(NARROW))
    tap = both_sides(port, recorded.tape)
    tap(level(1000), level(-2000))
    tap(b"", level(5))
    tap(level(7), b"")
    assert recorded.tape.duration_s == pytest.approx(0.06)
    samples = recorded.samples
    assert samples.shape == (480, 2)
    assert [tuple(samples[n * 160]) for n in range(3)] == [(1000, -2000), (0, 5), (7, 0)]


def test_mono_is_the_sum_without_wrapping_round() -> None:
    recorded = Recorded(stereo=False)
    for said, heard in [(1000, -300), (30_000, 30_000), (-30_000, -30_000)]:
        recorded.tape.add((NARROW, level(said)), (NARROW, level(heard)))
    assert list(recorded.samples[::160, 0]) == [700, 32767, -32768]


def test_a_block_is_handed_over_every_half_second() -> None:
    recorded = Recorded(stereo=True)
    for n in range(60):
        recorded.tape.add((NARROW, level(n)), (NARROW, level(-n)))
    assert [len(b) for b in recorded.blocks] == [2 * 25 * 160] * 2
    assert list(recorded.samples[::160, 0]) == list(range(60))


def test_formats_differ_and_change_without_a_seam() -> None:
    recorded = Recorded(stereo=True, rate_hz=16000)
    wide = pcm16(24000)
    for n in range(60):
        said = PCMU if n < 33 else wide
        recorded.tape.add((said, level(4000, said)), (wide, level(-4000, wide)))
    samples = recorded.samples
    assert len(samples) == 60 * 320
    right = samples[320:, 1]
    assert np.abs(right + 4000).max() < 40  # one stream through all blocks
    for n in (5, 30, 36, 50):
        assert samples[n * 320 + 100] == pytest.approx([4000, -4000], rel=0.05)


def test_blocks_make_the_same_sound_as_the_whole() -> None:
    rng = np.random.default_rng(3)
    frames = [encode(rng.normal(0, 5000, 160).astype(np.int16), PCMU) for _ in range(80)]
    cut, whole = Recorded(stereo=False, rate_hz=48000), Tape(on_block=lambda: None)
    for frame in frames:
        for tape in (cut.tape, whole):
            tape.add((PCMU, frame), (NARROW, b""))
    assert np.array_equal(cut.samples[:, 0], Tracks(48000, stereo=False).pcm(whole.take()))


def test_a_tape_that_nobody_takes_loses_the_newest_and_counts_them() -> None:
    called: list[None] = []
    tape = Tape(on_block=lambda: called.append(None))
    for n in range(3100):
        tape.add((NARROW, level(n)))
    assert (tape.recorded_frames, tape.lost_frames) == (3000, 100)
    assert len(called) == 120
    assert Tracks(8000, stereo=False).pcm(tape.take())[-1] == 2999
    tape.add((NARROW, level(1)))
    assert tape.recorded_frames == 3001


def test_tracks_fed_by_links_meet_on_one_tape() -> None:
    recorded = Recorded(stereo=True)
    pushed: list[int] = []

    def tick() -> None:
        pushed.append(1)
        if len(pushed) % 2 == 0:
            recorded.tape.add(*((t.format, t.frame) for t in tracks))

    tracks = [TapeTrack(NARROW, then=tick) for _ in range(2)]
    graph = MediaGraph()
    for n, track in enumerate(tracks):
        talker = MediaPort(name=f"t{n}", source=End(NARROW, level(10 * n + 1)))
        graph.connect(talker, MediaPort(name=f"track{n}", sink=track))
    for n in range(3):
        graph.tick(n * 0.02)
    assert [tuple(s) for s in recorded.samples[::160]] == [(1, 11)] * 3
