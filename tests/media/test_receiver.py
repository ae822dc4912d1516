"""From packets to frames: jitter buffer, concealment and comfort noise together."""

from __future__ import annotations

import numpy as np
import pytest

from voxpy.audio.comfort import silence_descriptor
from voxpy.audio.convert import decode, encode
from voxpy.audio.frame import FRAME_S, PCMU, Samples, pcm16
from voxpy.audio.mix import rms_dbfs
from voxpy.media.jitter import Packet
from voxpy.media.receiver import Receiver, frame_settings


def tone(number: int) -> bytes:
    t = (np.arange(160) + 160 * number) / 8000
    return encode(np.rint(9000 * np.sin(2 * np.pi * 200 * t)).astype(np.int16), PCMU)


def packet(number: int, payload: bytes | None = None, **fields: bool) -> Packet:
    data = tone(number) if payload is None else payload
    return Packet(sequence=number, timestamp=160 * number, payload=data, **fields)


def heard(receiver: Receiver, ticks: range) -> list[Samples | None]:
    frames = [receiver.pull(n * FRAME_S) for n in ticks]
    return [None if frame is None else decode(frame, PCMU) for frame in frames]


def test_what_arrives_in_time_passes_untouched() -> None:
    receiver = Receiver(PCMU)
    for n in range(50):
        sent = packet(n)
        receiver.put(sent, n * FRAME_S)
        assert receiver.pull(n * FRAME_S) is sent.payload


def test_a_hole_is_filled_and_a_long_one_ends_in_silence() -> None:
    receiver = Receiver(PCMU)
    for n in range(3):
        receiver.put(packet(n), n * FRAME_S)
        receiver.pull(n * FRAME_S)
    filled = heard(receiver, range(3, 8))
    levels = [None if f is None else rms_dbfs(f) for f in filled]
    assert levels[0] is not None
    assert levels[0] > rms_dbfs(decode(tone(0), PCMU)) - 2
    assert levels[3:] == [None, None]
    receiver.put(packet(8), 8 * FRAME_S)
    (after,) = heard(receiver, range(8, 9))
    assert after is not None
    # Out of silence it swells instead of starting with a click.
    assert np.abs(after[:5]).max() < np.abs(after).max() / 2
    assert receiver.statistics.concealed == 3


def test_a_sender_that_says_it_is_silent_is_heard_as_its_room() -> None:
    receiver = Receiver(PCMU)
    for n in range(3):
        receiver.put(packet(n), n * FRAME_S)
        receiver.pull(n * FRAME_S)
    receiver.put(packet(3, silence_descriptor(-40), comfort_noise=True), 3 * FRAME_S)
    room = heard(receiver, range(3, 100))
    assert all(f is not None and rms_dbfs(f) == pytest.approx(-40, abs=1.5) for f in room)
    spoken = Packet(sequence=4, timestamp=16000, payload=tone(0), marker=True)
    receiver.put(spoken, 100 * FRAME_S)
    assert receiver.pull(100 * FRAME_S) is not None
    assert receiver.pull(101 * FRAME_S) != PCMU.silence  # concealed: the noise is over
    assert receiver.statistics.concealed == 1


def test_its_noise_is_the_same_every_time() -> None:
    def noise(seed: int) -> list[bytes | None]:
        receiver = Receiver(PCMU, seed=seed)
        receiver.put(packet(0, silence_descriptor(-40), comfort_noise=True), 0.0)
        return [receiver.pull(n * FRAME_S) for n in range(5)]

    assert noise(1) == noise(1)
    assert noise(1) != noise(2)


def test_the_settings_of_a_format() -> None:
    wide = frame_settings(pcm16(16000), min_delay_s=0.02)
    assert (wide.frame_bytes, wide.frame_units, wide.min_delay_s) == (640, 320, 0.02)
    receiver = Receiver(pcm16(16000), wide)
    payload = b"\x01" * 640
    for n in range(20):
        receiver.put(Packet(sequence=n, timestamp=320 * n, payload=payload), n * FRAME_S)
        assert receiver.pull(n * FRAME_S) == (payload if n else None)
