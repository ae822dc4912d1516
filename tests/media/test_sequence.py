"""Which packet is new, which was seen, which belongs to another stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.media.sequence import DROPOUT, MISORDER, Place, SequenceTracker, extended

NEWEST, EARLIER, DUPLICATE = Place.NEWEST, Place.EARLIER, Place.DUPLICATE
FOREIGN, RESTART = Place.FOREIGN, Place.RESTART


@given(st.integers(-(2**40), 2**40), st.integers(-32768, 32767))
def test_the_closest_number_with_those_bits(near: int, away: int) -> None:
    assert extended((near + away) & 0xFFFF, 16, near=near) == near + away


@pytest.mark.parametrize(
    ("numbers", "places"),
    [
        ([7, 8, 10, 9, 9, 7], [RESTART, NEWEST, NEWEST, EARLIER, DUPLICATE, DUPLICATE]),
        ([65535, 0, 1, 65535], [RESTART, NEWEST, NEWEST, DUPLICATE]),
        ([65535, 0, 65534], [RESTART, NEWEST, EARLIER]),
        ([0, DROPOUT, DROPOUT - MISORDER], [RESTART, NEWEST, EARLIER]),
        ([0, DROPOUT + 1, 1], [RESTART, FOREIGN, NEWEST]),  # a stray
        ([0, DROPOUT + 1, DROPOUT + 2, DROPOUT + 3], [RESTART, FOREIGN, RESTART, NEWEST]),
        ([9000, 5, 6, 7, 6, 5], [RESTART, FOREIGN, RESTART, NEWEST, DUPLICATE, DUPLICATE]),
        ([500, 399, 500 - MISORDER], [RESTART, FOREIGN, EARLIER]),
        ([500, 65535, 0], [RESTART, FOREIGN, RESTART]),
    ],
)
def test_places(numbers: list[int], places: list[Place]) -> None:
    tracker = SequenceTracker()
    assert [tracker.place(n) for n in numbers] == places


def test_what_is_missing_can_be_counted() -> None:
    tracker = SequenceTracker()
    for number in (65530, 65531, 65534, 65533, 3, 65533):
        tracker.place(number)
    assert tracker.expected - tracker.unique == 5  # 65532, 65535, 0, 1, 2
    for number in (40000, 40001, 40003):
        tracker.place(number)
    assert tracker.expected - tracker.unique == 6


@given(st.lists(st.integers(0, 65535), max_size=60))
def test_any_numbers_have_a_place_and_the_newest_only_grows(numbers: list[int]) -> None:
    tracker = SequenceTracker()
    highest: list[int] = []
    for number in numbers:
        tracker.place(number)
        assert tracker.highest is not None
        highest.append(tracker.highest)
        assert 0 <= tracker.unique <= tracker.expected
    assert highest == sorted(highest)


@given(st.integers(0, 65535), st.permutations(range(40)), st.data())
def test_in_any_order_every_packet_is_new_once(
    start: int, order: list[int], data: st.DataObject
) -> None:
    tracker = SequenceTracker()
    again = data.draw(st.lists(st.sampled_from(order), max_size=20))
    sent = [*order, *again]
    fresh = [n for n in sent if tracker.place((start + n) & 0xFFFF) is not DUPLICATE]
    assert fresh == order
    assert tracker.unique == len(order)
