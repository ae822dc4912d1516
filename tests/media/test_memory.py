from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.audio.frame import pcm16
from voxpy.media.memory import SpeechMemory, quietest_cut
from voxpy.media.vad import FRAME_SAMPLES, GateFraming

RATE_HZ = 1000


@given(st.lists(st.integers(0, 9000), max_size=12), st.integers(0, 30_000), st.integers(0, 9000))
def test_a_segment_is_what_was_added_there(sizes: list[int], start_ms: int, length_ms: int) -> None:
    memory = SpeechMemory(memory_s=5, rate_hz=RATE_HZ)
    whole = (np.arange(sum(sizes)) % 30_000).astype(np.int16)
    at = 0
    for size in sizes:
        memory.add(whole[at : at + size])
        at += size
    assert memory.position_ms == at
    oldest = max(0, at - 5000)
    expected = whole[max(start_ms, oldest) : start_ms + length_ms]
    part = memory.segment(start_ms, start_ms + length_ms)
    assert part.tolist() == expected.tolist()


def test_a_segment_does_not_change_afterwards() -> None:
    memory = SpeechMemory(memory_s=1, rate_hz=RATE_HZ)
    memory.add(np.ones(500, np.int16))
    part = memory.segment(0, 500)
    memory.add(np.zeros(100_000, np.int16))
    assert part.tolist() == [1] * 500


def test_the_cut_is_in_the_middle_of_the_pause_and_not_in_a_stop() -> None:
    rate_hz = 16_000
    speech = np.random.default_rng(1).normal(0, 4000, 10 * rate_hz).astype(np.int16)
    speech[round(7.0 * rate_hz) : round(7.06 * rate_hz)] = 0  # the silence of a "p"
    speech[round(5.5 * rate_hz) : round(5.8 * rate_hz)] //= 100  # between two words, with noise
    cut = quietest_cut(speech, search_s=6.0, rate_hz=rate_hz)
    assert 5.55 < cut / rate_hz < 5.75
    late = quietest_cut(speech, search_s=3.5, rate_hz=rate_hz)
    assert 6.9 < late / rate_hz < 7.2


def test_too_little_to_cut() -> None:
    with pytest.raises(ValueError, match="too few"):
        quietest_cut(np.zeros(100, np.int16), search_s=1, rate_hz=16_000)


@given(st.lists(st.integers(0, 2000), max_size=30))
def test_gate_frames_are_the_audio_in_order(sizes: list[int]) -> None:
    framing = GateFraming()
    whole = (np.arange(sum(sizes)) % 30_000).astype(np.int16)
    frames, at = [], 0
    for size in sizes:
        frames += framing.cut(whole[at : at + size])
        at += size
    assert all(f.shape == (FRAME_SAMPLES,) for f in frames)
    n = len(frames) * FRAME_SAMPLES
    assert at - n < FRAME_SAMPLES
    assert np.concatenate([np.zeros(0, np.int16), *frames]).tolist() == whole[:n].tolist()


def test_a_new_format_begins_anew() -> None:
    framing = GateFraming()
    assert len(framing.convert(bytes(100), pcm16(8000))) == 0
    assert len(framing.convert(bytes(320), pcm16(8000))) == 320
    assert len(framing.convert(bytes(639), pcm16(16000))) == 0
    assert len(framing.convert(bytes(1), pcm16(16000))) == 320
