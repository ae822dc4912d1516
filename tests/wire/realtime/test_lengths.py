"""Audio is counted to the sample: at every rate, across rates, and whatever the pieces are."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.testing.joined import Talk
from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.formats import (
    BYTES_PER_SAMPLE,
    PCM_RATES_HZ,
    TICKS_PER_S,
    AudioLength,
    WholeSamples,
    audio_format,
)

FORMATS: list[Any] = [
    *({"type": "audio/pcm", "rate": rate_hz} for rate_hz in PCM_RATES_HZ),
    "g711_ulaw",
    "g711_alaw",
    *({"type": "audio/float32", "rate": rate_hz} for rate_hz in (16000, 24000, 44100)),
]
rates = st.sampled_from(PCM_RATES_HZ)


def test_every_rate_divides_the_unit() -> None:
    assert all(TICKS_PER_S % rate_hz == 0 for rate_hz in PCM_RATES_HZ)


@given(st.lists(st.tuples(st.integers(0, 10**6), rates), max_size=30), rates)
def test_lengths_add_up_exactly(pieces: list[tuple[int, int]], rate_hz: int) -> None:
    length = AudioLength()
    for n_samples, piece_hz in pieces:
        length.add(n_samples, piece_hz)
    there = AudioLength()
    for n_samples, piece_hz in reversed(pieces):
        there.add(n_samples, piece_hz)
    assert length == there
    alone = AudioLength()
    alone.add(12345, rate_hz)
    assert alone.samples(rate_hz) == 12345
    assert length.ms == pytest.approx(sum(n / r for n, r in pieces) * 1000)


@given(st.lists(st.binary(max_size=9), max_size=12), st.sampled_from(list(BYTES_PER_SAMPLE)))
def test_whole_samples_lose_nothing_but_a_last_part(pieces: list[bytes], encoding: str) -> None:
    samples, size = WholeSamples(), BYTES_PER_SAMPLE[encoding]
    taken = [samples.take(piece, encoding) for piece in pieces]
    assert all(len(data) % size == 0 for data in taken)
    whole = b"".join(pieces)
    assert b"".join(taken) == whole[: len(whole) // size * size]


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
@pytest.mark.parametrize("cut", [7, 160, 999, 4096])
def test_output_is_counted_alike_on_both_sides(fmt: Any, cut: int) -> None:
    talk = Talk(session={"audio": {"output": {"format": fmt}}})
    encoding, rate_hz = audio_format(talk.server.session, "output")
    n_samples = rate_hz // 3 + 1
    data = bytes(n_samples * BYTES_PER_SAMPLE[encoding])
    talk.send("response.create")
    for start in range(0, len(data), cut):
        talk.server.audio("resp_1", data[start : start + cut], talk.now)
    talk.server.finish("resp_1", talk.now)
    talk.settle()
    assert b"".join(each.data for each in talk.heard) == data
    assert talk.client.produced_ms("item_1") == pytest.approx(n_samples * 1000 / rate_hz, abs=1e-6)
    assert talk.server.playing_until == n_samples / rate_hz


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_input_is_counted_to_the_sample(fmt: Any) -> None:
    """The commit that is one sample short of 100 ms is refused, the next one is not."""
    manual = {"turn_detection": None, "format": fmt}
    talk = Talk(session={"audio": {"input": manual}})
    encoding, rate_hz = audio_format(talk.server.session, "input")
    size = BYTES_PER_SAMPLE[encoding]
    data = bytes((rate_hz // 10 - 1) * size)
    for start in range(0, len(data), 333):
        talk.append(data[start : start + 333])
    talk.append(b"\0" * (size - 1))
    talk.send("input_audio_buffer.commit")
    assert isinstance(talk.events[-1], se.ErrorEvent)
    assert talk.events[-1].error.code == "input_audio_buffer_commit_empty"
    talk.append(b"\0")
    talk.send("input_audio_buffer.commit")
    committed = [e for e in talk.events if isinstance(e, se.InputAudioBufferCommitted)]
    assert len(committed) == 1


def test_the_timeline_goes_on_across_formats() -> None:
    detection = {"type": "server_vad", "idle_timeout_ms": 1000}
    talk = Talk(session={"audio": {"input": {"turn_detection": detection}}})
    talk.send("response.create")
    talk.answer("Yes?")
    talk.append(bytes(24000 * 2))
    talk.send("session.update", session={"audio": {"input": {"format": "g711_ulaw"}}})
    frame = base64.b64encode(bytes(4000)).decode()
    talk.send("input_audio_buffer.append", audio=frame)
    talk.wait(1)
    (timeout,) = [e for e in talk.events if isinstance(e, se.InputAudioBufferTimeoutTriggered)]
    assert (timeout.audio_start_ms, timeout.audio_end_ms) == (500, 1500)
