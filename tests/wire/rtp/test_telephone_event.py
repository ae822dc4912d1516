"""Telephone events: the bytes of RFC 4733, and what any damage to a sender's packets leaves."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxpy.errors import LocalProtocolError, RemoteProtocolError
from voxpy.wire.rtp.telephone_event import (
    DIGITS,
    EventBegan,
    EventEnded,
    EventPacket,
    EventReceiver,
    EventSender,
    TelephoneEvent,
    pack,
    unpack,
)

TICK = 160  # 20 ms at 8000 Hz


def press(
    sender: EventSender, digit: str, *, at: int, lasts: int, rest_ticks: int = 4
) -> list[EventPacket]:
    """Press one key for ``lasts`` units and return everything sent, repetitions included."""
    sender.begin(digit, timestamp=at % 2**32)
    packets = []
    for elapsed in range(TICK, lasts, TICK):
        packets += sender.update((at + elapsed) % 2**32)
    packets += sender.end((at + lasts) % 2**32)
    for tick in range(1, rest_ticks):
        packets += sender.update((at + lasts + tick * TICK) % 2**32)
    return packets


def receive(packets: list[EventPacket]) -> list[EventBegan | EventEnded]:
    receiver = EventReceiver()
    return [
        event
        for packet in packets
        for event in receiver.receive(packet.timestamp, packet.payload, marker=packet.marker)
    ]


def began(events: list[EventBegan | EventEnded]) -> list[str]:
    return [e.digit for e in events if isinstance(e, EventBegan)]


# -- the payload -----------------------------------------------------------------------------------


def test_the_bytes_of_the_rfc() -> None:
    # RFC 4733 section 5: "911" is dialled; the 9 with 7 dBm0, the last 1 ends after 1600 units.
    assert pack(TelephoneEvent(9, end=False, volume_dbm0=-7, duration=1600)) == b"\x09\x07\x06\x40"
    assert pack(TelephoneEvent(1, end=True, volume_dbm0=-20, duration=1600)) == b"\x01\x94\x06\x40"
    assert unpack(b"\x0b\x8a\xff\xff") == [TelephoneEvent(11, True, -10, 0xFFFF)]
    assert unpack(b"\x0b\x8a\xff\xff")[0].digit == "#"


@given(
    st.integers(0, 255), st.booleans(), st.integers(-63, 0), st.integers(0, 0xFFFF), st.booleans()
)
def test_packing_loses_nothing_and_ignores_the_reserved_bit(
    code: int, end: bool, volume_dbm0: int, duration: int, reserved: bool
) -> None:
    event = TelephoneEvent(code, end, volume_dbm0, duration)
    data = bytearray(pack(event))
    data[1] |= 0x40 * reserved
    assert unpack(bytes(data)) == [event]


@given(st.binary(max_size=20))
def test_any_bytes_are_reports_or_refused(payload: bytes) -> None:
    if payload and len(payload) % 4 == 0:
        assert b"".join(map(pack, unpack(payload))) == bytes(
            b & 0xBF if n % 4 == 1 else b for n, b in enumerate(payload)
        )
    else:
        with pytest.raises(RemoteProtocolError, match=f"{len(payload)} bytes: expected a multiple"):
            unpack(payload)


@pytest.mark.parametrize(
    "wrong", [{"event": 256}, {"event": -1}, {"volume_dbm0": 1}, {"volume_dbm0": -64},
              {"duration": 65536}, {"duration": -1}]
)  # fmt: skip
def test_what_does_not_fit_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError, match="does not fit"):
        pack(attrs.evolve(TelephoneEvent(1, False, 0, 0), **wrong))


# -- the sender ------------------------------------------------------------------------------------


def test_a_press_of_100_ms() -> None:
    packets = press(EventSender(volume_dbm0=-10), "5", at=1000, lasts=800)
    assert [(p.timestamp, p.marker) for p in packets] == [(1000, True)] + [(1000, False)] * 6
    reports = [unpack(p.payload)[0] for p in packets]
    assert [r.duration for r in reports] == [160, 320, 480, 640, 800, 800, 800]
    assert [r.end for r in reports] == [False] * 4 + [True] * 3
    assert {r.digit for r in reports} == {"5"}


def test_after_three_ends_there_is_nothing_more_to_send() -> None:
    sender = EventSender()
    sender.begin("1", timestamp=0)
    assert sender.busy
    sender.end(TICK)
    assert [len(sender.update(n * TICK)) for n in (2, 3, 4)] == [1, 1, 0]
    assert not sender.busy


def test_a_press_too_short_for_an_update_is_one_packet_with_the_marker() -> None:
    sender = EventSender()
    sender.begin("1", timestamp=7)
    assert sender.update(7) == []  # a duration of 0 would be a state, not a press
    (packet,) = sender.end(7)
    assert packet == EventPacket(7, True, pack(TelephoneEvent(1, True, -10, 1)))
    (again,) = sender.update(7 + TICK)
    assert again == attrs.evolve(packet, marker=False)


def test_a_long_press_is_cut_into_segments() -> None:
    lasts = 2 * 0xFFFF + 500
    packets = press(EventSender(), "0", at=100, lasts=lasts)
    starts = list(dict.fromkeys(p.timestamp for p in packets))
    assert starts == [100, 100 + 0xFFFF, 100 + 2 * 0xFFFF]
    assert [p.marker for p in packets].count(True) == 1
    final = {start: [unpack(p.payload)[0] for p in packets if p.timestamp == start][-1]
             for start in starts}  # fmt: skip
    assert [(r.duration, r.end) for r in final.values()] == [
        (0xFFFF, False), (0xFFFF, False), (500, True)]  # fmt: skip
    assert receive(packets) == [EventBegan("0", 100), EventEnded("0", 100, lasts)]


def test_misuse_is_named() -> None:
    sender = EventSender()
    with pytest.raises(LocalProtocolError, match="no key is down"):
        sender.end(0)
    for wrong in ("", "x", "12"):
        with pytest.raises(LocalProtocolError, match="is no digit"):
            sender.begin(wrong, timestamp=0)
    sender.begin("1", timestamp=0)
    with pytest.raises(LocalProtocolError, match="'2' cannot begin: '1' is down"):
        sender.begin("2", timestamp=0)


# -- the receiver ----------------------------------------------------------------------------------


def test_a_press_is_told_at_its_first_packet_and_at_its_end() -> None:
    packets = press(EventSender(), "#", at=4_294_967_000, lasts=800)  # wraps around in between
    receiver = EventReceiver()
    told = [receiver.receive(p.timestamp, p.payload, marker=p.marker) for p in packets]
    assert told[0] == [EventBegan("#", 4_294_967_000)]
    assert told[4] == [EventEnded("#", 4_294_967_000, 800)]
    assert told[1:4] == [[], [], []]
    assert told[5:] == [[], []]


def test_a_press_without_an_end_is_over_when_nothing_comes_or_when_the_next_begins() -> None:
    receiver = EventReceiver()
    report = pack(TelephoneEvent(5, False, -10, 320))
    receiver.receive(1000, report)
    assert receiver.expire(1000 + 320 + 1600) == []
    assert receiver.expire(1000 + 320 + 1601) == [EventEnded("5", 1000, 320)]
    assert receiver.expire(9000) == []
    receiver.receive(20_000, report)
    assert receiver.receive(22_000, report) == [
        EventEnded("5", 20_000, 320),
        EventBegan("5", 22_000),
    ]


def test_several_reports_in_one_packet_follow_each_other() -> None:
    payload = pack(TelephoneEvent(1, True, -10, 400)) + pack(TelephoneEvent(2, True, -10, 480))
    assert EventReceiver().receive(1000, payload, marker=True) == [
        EventBegan("1", 1000), EventEnded("1", 1000, 400),
        EventBegan("2", 1400), EventEnded("2", 1400, 480),
    ]  # fmt: skip


def test_a_sender_that_moves_its_timestamp_presses_once() -> None:
    packets = [
        EventPacket(1000 + n * TICK, n == 0, pack(TelephoneEvent(8, n == 4, -10, (n + 1) * TICK)))
        for n in range(5)
    ]
    events = receive(packets + packets[-1:] * 2)
    assert began(events) == ["8"]
    assert len(events) == 2


def test_flashes_and_packets_of_long_ago_are_counted_and_ignored() -> None:
    receiver = EventReceiver()
    assert receiver.receive(0, pack(TelephoneEvent(16, True, 0, 100))) == []
    receiver.receive(1_000_000, pack(TelephoneEvent(1, True, 0, 100)))
    assert receiver.receive(900_000, pack(TelephoneEvent(2, True, 0, 100))) == []
    assert receiver.ignored == 2


@attrs.frozen
class Damage:
    """What a network does: which packets arrive, how often, how late."""

    arrived: list[EventPacket]
    digits: str
    over_at: int


@st.composite
def damaged(draw: st.DrawFn, *, most_late: int, longest: int) -> Damage:
    """Some presses, of whose packets at least one each arrives; 10,000 late is a press late."""
    digits = draw(st.text(DIGITS, min_size=1, max_size=6))
    at = draw(st.integers(0, 2**32 - 1))
    sender = EventSender()
    of_presses = []
    for digit in digits:
        lasts = draw(st.integers(1, 2000) | st.just(longest))
        of_presses.append(press(sender, digit, at=at, lasts=lasts, rest_ticks=3))
        at += lasts + draw(st.integers(1, 1000))
    arrivals: list[tuple[int, int, EventPacket]] = []
    for number, packets in enumerate(of_presses):
        kept = draw(st.sets(st.integers(0, len(packets) - 1), min_size=1, max_size=8))
        for index in sorted(kept):
            for _ in range(draw(st.integers(1, 3))):
                late = draw(st.integers(0, most_late))
                arrivals.append((number * 10_000 + index + late, index, packets[index]))
    arrivals.sort(key=lambda a: a[0])
    return Damage([a[2] for a in arrivals], digits, at)


@settings(max_examples=150)
@given(damaged(most_late=30, longest=0xFFFF + 300))
def test_one_packet_of_a_press_is_enough_and_many_are_not_too_many(damage: Damage) -> None:
    events = receive(damage.arrived)
    assert "".join(began(events)) == damage.digits


@settings(max_examples=150)
@given(damaged(most_late=15_000, longest=8000))
def test_even_presses_that_overtake_each_other_are_told_once(damage: Damage) -> None:
    receiver = EventReceiver()
    events: list[EventBegan | EventEnded] = []
    for packet in damage.arrived:
        events += receiver.receive(packet.timestamp, packet.payload, marker=packet.marker)
    events += receiver.expire(damage.over_at + 100_000)
    assert sorted(began(events)) == sorted(damage.digits)
    ended = [e.digit for e in events if isinstance(e, EventEnded)]
    assert sorted(ended) == sorted(damage.digits)


@settings(max_examples=50)
@given(st.text(DIGITS, min_size=1, max_size=5), st.integers(0, 2**32 - 1))
def test_undamaged_presses_have_their_durations(digits: str, at: int) -> None:
    sender, packets, expected = EventSender(), [], []
    for n, digit in enumerate(digits):
        lasts = 800 + 37 * n
        packets += press(sender, digit, at=at, lasts=lasts)
        expected += [EventBegan(digit, at % 2**32), EventEnded(digit, at % 2**32, lasts)]
        at += lasts + 800
    assert receive(packets) == expected
