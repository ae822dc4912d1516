"""RTP and RTCP: what is packed is read again, whose a packet is, and the figures of RFC 3550."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.errors import RemoteProtocolError
from voxpy.wire.rtp.packet import (
    FREE_S,
    RELOCK_S,
    RtpPacket,
    Sender,
    Source,
    is_rtcp,
    pack_rtp,
    unpack_rtp,
)
from voxpy.wire.rtp.rtcp import Goodbye, PeerReport, ntp_middle, pack_report, unpack_rtcp

HOME, ELSEWHERE = ("10.0.0.2", 4000), ("10.6.6.6", 4000)


def packet(sequence: int, *, ssrc: int = 1, timestamp: int | None = None) -> RtpPacket:
    stamp = 160 * sequence if timestamp is None else timestamp
    return RtpPacket(
        payload_type=0, sequence=sequence & 0xFFFF, timestamp=stamp, ssrc=ssrc, payload=b"x"
    )


@given(
    st.binary(max_size=400), st.integers(0, 127), st.integers(0, 65535), st.integers(0, 2**32 - 1),
    st.booleans(),
)  # fmt: skip
def test_round_trip(payload: bytes, kind: int, sequence: int, timestamp: int, marker: bool) -> None:
    data = pack_rtp(
        payload,
        payload_type=kind,
        sequence=sequence,
        timestamp=timestamp,
        ssrc=7,
        marker=marker,
    )
    assert unpack_rtp(data) == RtpPacket(
        payload_type=kind,
        sequence=sequence,
        timestamp=timestamp,
        ssrc=7,
        payload=payload,
        marker=marker,
    )


def test_extensions_sources_and_padding_are_left_out() -> None:
    head = bytes([0xB1, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3])
    data = head + b"CSRC" + b"\xbe\xde\x00\x01" + b"ext!" + b"audio" + b"\x00\x00\x03"
    assert unpack_rtp(data).payload == b"audio"


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read in (unpack_rtp, unpack_rtcp):
        try:
            read(data)
        except RemoteProtocolError:
            continue


def test_a_sender_counts_and_its_clock_goes_on_without_it() -> None:
    sender = Sender(ssrc=9, sequence=65535, timestamp=2**32 - 160)
    first = unpack_rtp(sender.packet(b"a" * 160, payload_type=0, marker=True))
    sender.advance(160)
    sender.advance(160)
    second = unpack_rtp(sender.packet(b"b" * 160, payload_type=0))
    assert (first.sequence, second.sequence) == (65535, 0)
    assert (second.timestamp - first.timestamp) % 2**32 == 320
    assert sender.payload_bytes == 320


def test_the_first_to_speak_is_the_other_end_and_nobody_else() -> None:
    source = Source()
    assert source.takes(packet(1), HOME, 0.0)
    assert not source.takes(packet(2), ELSEWHERE, 0.1)
    assert source.takes(packet(2), HOME, 0.1)
    assert source.address == HOME
    assert source.strangers == 1
    assert not source.takes(packet(9, ssrc=77), ELSEWHERE, 9.0), "not even in a long silence"


def test_a_stream_that_goes_on_from_another_port_after_a_silence_is_the_same_phone() -> None:
    source = Source()
    source.takes(packet(1), HOME, 0.0)
    assert not source.takes(packet(2), ELSEWHERE, 0.9 * RELOCK_S)
    assert not source.takes(packet(1), ELSEWHERE, RELOCK_S), "what was heard is no proof"
    assert source.takes(packet(2), ELSEWHERE, RELOCK_S)
    assert source.address == ELSEWHERE


def test_a_new_description_lets_another_in_for_a_while() -> None:
    source = Source()
    source.takes(packet(1), HOME, 0.0)
    source.expect(("10.0.0.9", 1), 10.0)
    assert source.takes(packet(2), HOME, 10.02), "what is still on its way from the old place"
    assert source.takes(packet(1, ssrc=8), ELSEWHERE, 10.5)
    assert not source.takes(packet(3), HOME, 10.6)
    source.expect(HOME, 20.0)
    assert not source.takes(packet(3), ("10.0.0.9", 1), 20.0 + FREE_S)
    assert source.takes(packet(3), HOME, 60.0), "the place that was named, whenever it speaks"


def test_whoever_has_the_key_may_send_from_anywhere() -> None:
    source = Source()
    source.takes(packet(1), HOME, 0.0)
    assert source.takes(packet(2), ELSEWHERE, 0.02, proven=True)
    assert source.address == ELSEWHERE


def test_of_two_streams_from_one_place_the_first_is_heard_and_then_the_next() -> None:
    source = Source()
    taken = [source.takes(packet(n, ssrc=n % 2), HOME, n * 0.01) for n in range(20)]
    assert taken == [n % 2 == 0 for n in range(20)]
    assert source.takes(packet(7, ssrc=1), HOME, 0.21)
    assert source.ssrc == 1


def test_losses_and_jitter_are_reported() -> None:
    source, random = Source(), Random(1)
    now = 0.0
    for n in range(65500, 66500):  # across the turn of the 16 bits
        now = n * 0.02 + random.uniform(0, 0.01)
        if n % 10:
            source.takes(packet(n), HOME, now)
    report = source.report()
    assert report is not None
    assert report.lost == 99
    assert report.fraction_lost == int(256 * 99 / 999)
    assert 0.002 < source.jitter_s < 0.005  # 3.3 ms is the mean difference of two such delays
    assert source.report().fraction_lost == 0  # type: ignore[union-attr]


def test_packets_that_come_twice_are_no_negative_loss_to_speak_of() -> None:
    source = Source()
    for n in range(10):
        source.takes(packet(n), HOME, n * 0.02)
        source.takes(packet(n), HOME, n * 0.02)
    report = source.report()
    assert report is not None
    assert (report.lost, report.fraction_lost) == (-10, 0)


def test_reports_and_the_round_trip() -> None:
    ours, theirs = (Sender(ssrc=n, sequence=0, timestamp=0) for n in (1, 2))
    ours.packet(b"x" * 160, payload_type=0)
    theirs.packet(b"y" * 160, payload_type=0)
    hearing = Source()
    hearing.takes(packet(5, ssrc=1), HOME, 0.0)
    wall_s = 1_700_000_000.25
    (told,) = unpack_rtcp(pack_report(ours, None, cname="voxpy", wall_s=wall_s))
    assert isinstance(told, PeerReport)
    assert told.sent_middle == ntp_middle(wall_s)
    back = pack_report(
        theirs,
        hearing.report(),
        cname="phone",
        wall_s=wall_s + 1,
        heard_middle=told.sent_middle,
        heard_ago_s=0.5,
        goodbye=True,
    )
    assert is_rtcp(back)
    report, bye = unpack_rtcp(back)
    assert isinstance(report, PeerReport)
    assert report.about == 1
    assert report.round_trip_s(ntp_middle(wall_s + 0.62)) == pytest.approx(0.12, abs=1e-4)
    assert bye == Goodbye((2,))


def test_who_only_listens_sends_a_receiver_report() -> None:
    silent = Sender(ssrc=3, sequence=0, timestamp=0)
    (told,) = unpack_rtcp(pack_report(silent, None, cname="x", wall_s=0.0))
    assert told == PeerReport(ssrc=3)
    assert told.round_trip_s(5) is None
