"""Opus there and back, and what is no Opus."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.audio import opus
from voxpy.audio.opus import OpusDecoder, OpusEncoder, packet_ms

pytestmark = pytest.mark.skipif(not opus.is_installed(), reason="opuslib-next or libopus is absent")

HZ = 24000


def voice(seconds: float) -> bytes:
    """A tone that swells and rests, as syllables do."""
    t = np.arange(round(seconds * HZ)) / HZ
    loud = 9000 * np.maximum(0, np.sin(2 * np.pi * 2.5 * t))
    return (loud * np.sin(2 * np.pi * 330 * t)).astype("<i2").tobytes()


def test_a_voice_comes_back() -> None:
    said, encoder, decoder = voice(2), OpusEncoder(HZ), OpusDecoder(HZ)
    size = HZ // 50 * 2
    packets = [encoder.encode(said[n : n + size]) for n in range(0, len(said), size)]
    assert {packet_ms(packet) for packet in packets} == {20}
    heard = b"".join(decoder.decode(packet) or b"" for packet in packets)
    a, b = (np.frombuffer(x, "<i2").astype(float) for x in (said, heard))
    assert len(a) == len(b)
    best = max(np.corrcoef(a[: len(a) - n], b[n:])[0, 1] for n in range(120, 180))
    assert best > 0.99


@pytest.mark.parametrize("ms", [10, 20, 40, 60])
def test_packets_of_any_length(ms: int) -> None:
    size = HZ * ms // 1000 * 2
    packet = OpusEncoder(HZ).encode(voice(0.06)[:size])
    assert packet_ms(packet) == ms
    assert len(OpusDecoder(HZ).decode(packet) or b"") == size


def test_a_length_that_is_none() -> None:
    with pytest.raises(ValueError, match="no packet of Opus"):
        OpusEncoder(HZ).encode(b"123456")


def test_a_lost_packet_is_covered_up() -> None:
    encoder, decoder = OpusEncoder(HZ), OpusDecoder(HZ)
    said, size = voice(0.4), HZ // 50 * 2
    for n in range(0, 8 * size, size):
        decoder.decode(encoder.encode(said[n : n + size]))
    made = decoder.conceal()
    assert made is not None
    assert len(made) == size
    assert np.frombuffer(made, "<i2").any()


@given(st.binary(max_size=200))
def test_any_bytes_are_audio_or_nothing(packet: bytes) -> None:
    heard = OpusDecoder(HZ).decode(packet)
    assert heard is None or len(heard) == packet_ms(packet) * HZ // 1000 * 2
