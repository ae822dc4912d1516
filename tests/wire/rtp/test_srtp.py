"""SRTP between two ends: what is proven comes through once, what is not does not."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.errors import RemoteProtocolError
from voxpy.wire.rtp.packet import Sender, unpack_rtp
from voxpy.wire.rtp.rtcp import pack_report, unpack_rtcp
from voxpy.wire.rtp.srtp import SUITES, KeyPair, Protection, read_key

pytest.importorskip("pylibsrtp", reason="pylibsrtp is not installed")


def ends(suite: str = "AES_CM_128_HMAC_SHA1_80") -> tuple[Protection, Protection]:
    size = SUITES[suite][1]
    one, two = bytes(range(size)), bytes(range(100, 100 + size))
    return Protection(KeyPair(suite, one, two)), Protection(KeyPair(suite, two, one))


def speaking() -> Sender:
    return Sender(ssrc=0xABCDEF, sequence=65530, timestamp=0)


@pytest.mark.parametrize("suite", SUITES)
def test_both_ends_understand_each_other(suite: str) -> None:
    ours, theirs = ends(suite)
    sender = speaking()
    for n in range(20):  # across the turn of the numbers
        packet = sender.packet(bytes([n]) * 160, payload_type=0)
        protected = ours.protect(packet)
        assert packet[12:] not in protected
        assert theirs.unprotect(protected) == packet
        assert theirs.unprotect(protected) is None, "once is enough"
    report = pack_report(sender, None, cname="x", wall_s=1.0)
    protected = ours.protect_rtcp(report)
    assert theirs.unprotect_rtcp(protected) == report
    assert theirs.unprotect_rtcp(protected) is None
    assert unpack_rtcp(report)


def test_lost_and_overtaken_packets_are_no_trouble() -> None:
    ours, theirs = ends()
    sender = speaking()
    packets = [sender.packet(bytes([n]), payload_type=0) for n in range(100)]
    protected = [ours.protect(packet) for packet in packets]
    order = [n for n in sorted(range(100), key=lambda n: n + 7 * (n % 3)) if n % 5]
    assert [unpack_rtp(theirs.unprotect(protected[n]) or b"").payload[0] for n in order] == order


def test_a_key_that_stays_keeps_its_count() -> None:
    suite = "AES_CM_128_HMAC_SHA1_80"
    ours, theirs = ends()
    sender = speaking()
    before = [ours.protect(sender.packet(b"a" * 160, payload_type=0)) for _ in range(20)]
    assert all(theirs.unprotect(packet) for packet in before), "the numbers have turned"
    again = Protection(KeyPair(suite, ours.keys.ours, b"n" * 30), ours)
    assert theirs.unprotect(again.protect(sender.packet(b"a" * 160, payload_type=0)))
    theirs_too = Protection(KeyPair(suite, b"n" * 30, ours.keys.ours), theirs)
    assert theirs_too.unprotect(before[-1]) is None, "what came before did so under this key"
    answered = theirs_too.protect(speaking().packet(b"b" * 160, payload_type=0))
    assert again.unprotect(answered) is not None
    with pytest.raises(RemoteProtocolError):
        ours.unprotect(answered)


def test_what_another_has_made_is_refused() -> None:
    ours, _ = ends()
    stranger = Protection(KeyPair("AES_CM_128_HMAC_SHA1_80", b"x" * 30, b"y" * 30))
    packet = speaking().packet(b"a" * 160, payload_type=0)
    for made in (packet, stranger.protect(packet)):
        with pytest.raises(RemoteProtocolError, match="SRTP"):
            ours.unprotect(made)


@given(st.binary(max_size=3000), st.integers(0, 200))
def test_junk_is_refused_and_harms_nothing(junk: bytes, at: int) -> None:
    ours, theirs = ends()
    good = ours.protect(speaking().packet(b"a" * 160, payload_type=0))
    spoilt = good[:at] + junk + good[at + len(junk) :]
    for read in (theirs.unprotect, theirs.unprotect_rtcp):
        for data in (junk, spoilt):
            if data != good:
                with pytest.raises(RemoteProtocolError):
                    read(data)
    assert theirs.unprotect(good) is not None


def test_keys_that_are_none() -> None:
    suite = "AES_CM_128_HMAC_SHA1_80"
    assert read_key(suite, base64.b64encode(b"k" * 30).decode()) == b"k" * 30
    for text in ("", "abc", "A" * 41, base64.b64encode(b"k" * 29).decode()):
        with pytest.raises(RemoteProtocolError):
            read_key(suite, text)
    assert "kkk" not in repr(KeyPair(suite, b"kkk", b"kkk"))
