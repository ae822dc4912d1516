"""The simulated line."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.audio.convert import decode, encode
from voxpy.audio.frame import FRAME_S, PCMA, PCMU, Format, pcm16
from voxpy.audio.line import Arrival, Line
from voxpy.audio.mix import rms_dbfs

formats = st.sampled_from([PCMU, PCMA, pcm16(16000)])


def numbered(fmt: Format, n: int) -> list[bytes]:
    """Return ``n`` frames, neighbours different, none silent."""
    return [bytes([1 + i % 80]) * fmt.frame_bytes for i in range(n)]


def carried(line: Line, frames: list[bytes], *, then: float = 10.0) -> list[Arrival]:
    """Send a frame a tick, and return all arrivals in the order they came."""
    out: list[Arrival] = []
    for tick, frame in enumerate(frames):
        line.send(frame, tick * FRAME_S)
        arrived = line.arrivals(tick * FRAME_S)
        assert all((tick - 1) * FRAME_S < a.at <= tick * FRAME_S for a in arrived)
        out += arrived
    return out + line.arrivals(then)


@given(formats)
def test_a_perfect_line_hands_over_the_objects_themselves_at_once(fmt: Format) -> None:
    line = Line(fmt=fmt)
    for tick, frame in enumerate(numbered(fmt, 5)):
        line.send(frame, tick * FRAME_S)
        (arrival,) = line.arrivals(tick * FRAME_S)
        assert arrival.frame is frame
        assert (arrival.at, arrival.number) == (tick * FRAME_S, tick)
    assert line.lost == 0


@given(
    formats,
    st.floats(0, 1),
    st.sampled_from([0.0, 5.0, 20.0, 45.0]),
    st.sampled_from([None, -60.0, -20.0]),
    st.integers(0, 2**64),
)
def test_a_seed_decides_everything(
    fmt: Format, loss: float, jitter_ms: float, noise_dbfs: float | None, seed: int
) -> None:
    def run() -> list[tuple[float, int, bytes]]:
        line = Line(loss=loss, jitter_ms=jitter_ms, noise_dbfs=noise_dbfs, seed=seed, fmt=fmt)
        arrivals = carried(line, numbered(fmt, 30))
        assert all(len(a.frame) == fmt.frame_bytes for a in arrivals)
        assert len(arrivals) + line.lost == 30
        return [(a.at, a.number, a.frame) for a in arrivals]

    assert run() == run()


def test_different_seeds_differ() -> None:
    def arrived(seed: int) -> list[int]:
        return [a.number for a in carried(Line(loss=0.3, seed=seed), numbered(PCMU, 100))]

    assert arrived(1) != arrived(2)


def test_loss_is_as_frequent_as_asked() -> None:
    line = Line(loss=0.1, seed=5)
    carried(line, [b"\x00" * 160] * 5000, then=math.inf)
    assert 400 <= line.lost <= 600


def test_delays_are_half_of_a_normal_distribution() -> None:
    line = Line(jitter_ms=20, seed=3)
    arrivals = carried(line, [b"\x00" * 160] * 10_000, then=math.inf)
    delays_ms = np.array([1000 * (a.at - a.number * FRAME_S) for a in arrivals])
    assert len(delays_ms) == 10_000
    assert delays_ms.min() >= 0
    assert np.sqrt(np.mean(delays_ms**2)) == pytest.approx(20, rel=0.03)
    assert np.mean(delays_ms > 60) == pytest.approx(0.0027, abs=0.002)
    numbers = [a.number for a in arrivals]
    assert numbers != sorted(numbers)  # some overtook others


@pytest.mark.parametrize("noise_dbfs", [-20.0, -45.0])
def test_noise_has_the_level_asked_for(noise_dbfs: float) -> None:
    fmt = pcm16(8000)
    arrivals = carried(Line(noise_dbfs=noise_dbfs, fmt=fmt), [fmt.silence] * 100)
    heard = b"".join(a.frame for a in arrivals)
    assert rms_dbfs(decode(heard, fmt)) == pytest.approx(noise_dbfs, abs=0.2)


def test_noise_is_added_to_what_is_said_and_saturates() -> None:
    fmt = pcm16(8000)
    loud = encode(np.full(160, 32767, np.int16), fmt)
    (arrival,) = carried(Line(noise_dbfs=-20, fmt=fmt), [loud])
    heard = decode(arrival.frame, fmt)
    assert heard.max() == 32767
    assert heard.min() > 0
    (arrival,) = carried(Line(noise_dbfs=0.0, fmt=fmt), [fmt.silence])
    assert rms_dbfs(decode(arrival.frame, fmt)) > -3


def test_noise_leaves_the_pattern_of_losses_alone() -> None:
    def pattern(noise_dbfs: float | None) -> list[tuple[float, int]]:
        line = Line(loss=0.3, jitter_ms=10, seed=9, noise_dbfs=noise_dbfs)
        return [(a.at, a.number) for a in carried(line, numbered(PCMU, 200))]

    assert pattern(None) == pattern(-50)
    assert len(pattern(None)) < 200


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"loss": 1.5}, "loss=1.5"),
        ({"loss": math.nan}, "loss=nan"),
        ({"jitter_ms": -1.0}, "jitter_ms=-1.0"),
        ({"jitter_ms": math.inf}, "jitter_ms=inf"),
        ({"noise_dbfs": 3.0}, "noise_dbfs=3.0"),
    ],
)
def test_impossible_lines_are_refused(keywords: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Line(**keywords)  # type: ignore[arg-type]


def test_a_frame_of_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="320 bytes are not one 20 ms frame of pcmu/8000"):
        Line().send(bytes(320), 0.0)
