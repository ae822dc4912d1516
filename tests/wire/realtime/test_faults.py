"""Faults on purpose: which frames leave, which do not, and when the line goes dead."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.errors import RemoteProtocolError
from voxpy.wire.realtime.events.codec import parse_server
from voxpy.wire.realtime.server.faults import Close, Deliver, FaultFilter, Faults, Outcome, Stall

FRAMES = [b'{"type":"ping","event_id":"e_%d","timestamp":%d}' % (n, n) for n in range(12)]


def sent(faults: Faults, frames: list[bytes] = FRAMES, *, seed: int = 0) -> list[Outcome]:
    """Every frame in one burst."""
    line = FaultFilter(faults, draw=np.random.default_rng(seed).random)
    outcomes = [outcome for frame in frames for outcome in line.feed(frame)]
    return outcomes + line.flush()


def delivered(outcomes: list[Outcome]) -> list[bytes]:
    return [outcome.frame for outcome in outcomes if isinstance(outcome, Deliver)]


def test_without_faults_nothing_happens() -> None:
    assert sent(Faults()) == [Deliver(frame) for frame in FRAMES]
    assert Faults().refusal() is None


def test_refuse() -> None:
    refusal = Faults(refuse_status=402, refuse_message="no money").refusal()
    assert refusal is not None
    assert refusal.status == 402
    assert orjson.loads(refusal.body)["error"]["message"] == "no money"


@pytest.mark.parametrize(
    ("faults", "passed"),
    [
        (Faults(close_after_frames=3, close_code=1001, close_reason="enough"), 3),
        (Faults(close_at_event="error", close_code=1001, close_reason="enough"), 5),
    ],
)
def test_close(faults: Faults, passed: int) -> None:
    frames = [*FRAMES[:4], b'{"type":"error","event_id":"x"}', *FRAMES[4:], *FRAMES]
    outcomes = sent(faults, frames)
    assert outcomes == [*map(Deliver, frames[:passed]), Close(1001, "enough")]


def test_stall_once_then_go_on() -> None:
    outcomes = sent(Faults(stall_at_event="ping", stall_s=2.5))
    assert outcomes[:2] == [Deliver(FRAMES[0]), Stall(2.5)]
    assert delivered(outcomes) == FRAMES
    assert sent(Faults(stall_after_frames=2))[2] == Stall(math.inf)


@pytest.mark.parametrize("how", ["cut", "untyped", "array"])
def test_malformed_frames_are_no_events(how: Any) -> None:
    frames = delivered(sent(Faults(malformed_every=4, malformed_how=how)))
    assert len(frames) == len(FRAMES)
    for n, frame in enumerate(frames, 1):
        if n % 4:
            assert frame == FRAMES[n - 1]
        else:
            with pytest.raises(RemoteProtocolError):
                parse_server(frame)


def test_delay() -> None:
    assert sent(Faults(delay_ms=250)) == [Deliver(frame, 0.25) for frame in FRAMES]


def test_an_event_is_known_by_its_type_not_by_what_is_said() -> None:
    frame = orjson.dumps({"type": "x", "delta": '"type":"ping"'})
    assert sent(Faults(close_at_event="ping"), [frame]) == [Deliver(frame)]


@given(share=st.floats(0, 1), window=st.integers(0, 8), seed=st.integers(0, 99))
def test_duplicates_and_disorder(share: float, window: int, seed: int) -> None:
    faults = Faults(duplicate_share=share, reorder_window=window)
    outcomes = sent(faults, seed=seed)
    assert outcomes == sent(faults, seed=seed), "the same seed brings the same faults"
    counts = Counter(delivered(outcomes))
    assert set(counts) == set(FRAMES)
    assert all(1 <= count <= 2 for count in counts.values())
    if share == 1:
        assert set(counts.values()) == {2}
    if share == 0:
        assert set(counts.values()) == {1}
    once = list(dict.fromkeys(delivered(outcomes)))
    for position, frame in enumerate(once):
        assert abs(FRAMES.index(frame) - position) < max(window, 1)


def test_a_window_does_change_the_order() -> None:
    orders = {tuple(delivered(sent(Faults(reorder_window=6), seed=seed))) for seed in range(5)}
    assert len(orders) > 3
