"""Every reader of outside bytes: its own error or none, and as long as the input, not its square.

``benchmarks/readers.py`` tries a million inputs; here are some of each reader's, other ones each
time, and for every failure the number that makes it again.
"""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.readers.mutating import MOST_BYTES, PARTS, TOKENS, mutated
from tests.readers.table import READERS, Reader

NAMES = sorted(READERS)


@pytest.mark.parametrize("name", NAMES)
def test_the_seeds_are_understood(name: str) -> None:
    reader = READERS[name]
    for seed in reader.seeds:
        try:
            reader.read(seed)
        except reader.errors:
            assert name.startswith("phone of"), "what we said was on a stream of another name"


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40)
@given(number=st.integers(0, 10**9))
def test_nothing_but_its_own_error(name: str, number: int) -> None:
    reader = READERS[name]
    data = mutated(reader.seeds, number)
    assert len(data) <= MOST_BYTES
    with suppress(*reader.errors):
        reader.read(data)


@pytest.mark.parametrize("name", [name for name in NAMES if not READERS[name].users])
def test_a_message_that_is_full_of_one_thing_takes_no_square_of_time(name: str) -> None:
    """Eight times as much takes no more than thirty times as long, where a square takes 64."""
    reader = READERS[name]
    for seed in reader.seeds[:3]:
        for at in (0, len(seed) // 3, len(seed) - 1):
            for token in TOKENS[::3]:
                short, long = (
                    seed[:at] + token * (size // len(token)) + seed[at:] for size in (2_000, 16_000)
                )
                if _took_s(reader, long) > 0.05:
                    least_s = min(_took_s(reader, short) for _ in range(3))
                    assert min(_took_s(reader, long) for _ in range(3)) < 30 * least_s, token


@pytest.mark.parametrize(
    "name", [name for name in NAMES if len(READERS[name].seeds[0].split(PARTS)) > 2]
)
def test_the_hundredth_message_takes_no_longer_than_the_first(name: str) -> None:
    """A sequence four times as long takes no more than ten times as long."""
    reader = READERS[name]
    seed = reader.seeds[0]
    few = len(seed.split(PARTS))
    short, long = (PARTS.join([seed] * max(1, count // few)) for count in (45, 180))
    if _took_s(reader, long) > 0.02:
        least_s = min(_took_s(reader, short) for _ in range(3))
        assert min(_took_s(reader, long) for _ in range(3)) < 10 * least_s


def _took_s(reader: Reader, data: bytes) -> float:
    began = time.process_time()
    with suppress(*reader.errors):
        reader.read(data)
    return time.process_time() - began
