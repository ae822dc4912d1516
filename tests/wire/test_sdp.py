"""Offers as phones write them, and what we answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.errors import RemoteProtocolError
from voxpy.wire.sdp import Crypto, Description, MediaFormat, Stream, answer, parse_sdp

PCMU = MediaFormat(payload_type=0, name="PCMU", clock_hz=8000)
PCMA = MediaFormat(payload_type=8, name="PCMA", clock_hz=8000)

BARESIP = b"""v=0
o=- 3867 1 IN IP4 192.0.2.7
s=-
c=IN IP4 192.0.2.7
t=0 0
m=audio 20204 RTP/AVP 96 8 0 101
a=rtpmap:96 opus/48000/2
a=fmtp:96 stereo=1;sprop-stereo=1
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=sendrecv
a=ptime:20
m=video 20206 RTP/AVP 97
a=rtpmap:97 H264/90000
"""


def answered(offer: bytes, **options: object) -> Description | None:
    return answer(
        parse_sdp(offer),
        address="10.0.0.1",
        port=4000,
        formats=(PCMU, PCMA),
        session_id=1,
        version=1,
        **options,  # type: ignore[arg-type]
    )


def test_the_first_format_that_both_speak_with_its_digits() -> None:
    found = answered(BARESIP)
    assert found is not None
    text = found.to_bytes().decode().split("\r\n")
    assert text[5:] == [
        "m=audio 4000 RTP/AVP 8 101",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=ptime:20",
        "a=sendrecv",
        "m=video 0 RTP/AVP 97",
        "",
    ]
    assert parse_sdp(found.to_bytes()).audio is not None


def test_static_types_need_no_map_and_unknown_ones_are_passed_over() -> None:
    found = parse_sdp(b"v=0\nc=IN IP6 2001:db8::1\nm=audio 9 RTP/AVP 18 0 77 9\n").audio
    assert found is not None
    assert [f.name for f in found.formats] == ["PCMU", "G722"]
    assert found.address == "2001:db8::1"


@pytest.mark.parametrize(
    ("said", "wanted", "answered_with"),
    [
        ("a=sendonly", "sendrecv", "recvonly"),
        ("a=inactive", "sendrecv", "inactive"),
        ("a=recvonly", "sendrecv", "sendonly"),
        ("c=IN IP4 0.0.0.0", "sendrecv", "recvonly"),
        ("", "sendonly", "sendonly"),
        ("a=sendonly", "sendonly", "inactive"),
    ],
)
def test_hold_is_mirrored(said: str, wanted: str, answered_with: str) -> None:
    offer = f"v=0\nc=IN IP4 10.0.0.2\nm=audio 9 RTP/AVP 0\n{said}\n".encode()
    found = answered(offer, direction=wanted)
    assert found is not None
    assert found.streams[0].direction == answered_with


def test_nothing_in_common() -> None:
    assert answered(b"v=0\nc=IN IP4 1.2.3.4\nm=audio 9 RTP/AVP 18\n") is None
    assert answered(b"v=0\nc=IN IP4 1.2.3.4\nm=audio 0 RTP/AVP 0\n") is None
    assert answered(b"v=0\nc=IN IP4 1.2.3.4\n") is None


def test_srtp_only_with_a_key_of_the_same_suite() -> None:
    offer = (
        b"v=0\nc=IN IP4 10.0.0.2\nm=audio 9 RTP/SAVP 0\n"
        b"a=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:" + b"A" * 40 + b"|2^31\n"
    )
    assert answered(offer) is None
    ours = Crypto(tag=1, suite="AES_CM_128_HMAC_SHA1_80", key="B" * 40)
    found = answered(offer, crypto=ours)
    assert found is not None
    (crypto,) = parse_sdp(found.to_bytes()).streams[0].cryptos
    assert (crypto.tag, crypto.key) == (3, "B" * 40)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"v=1\n",
        b"v=0\nm=audio\n",
        b"v=0\nm=audio 99999 RTP/AVP 0\n",
        b"v=0\nc=IN IP4 a b\nm=audio 9 RTP/AVP 0\n",
        b"v=0\n" + b"m=audio 9 RTP/AVP 0\n" * 17,
    ],
)
def test_what_is_no_description(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_sdp(data)


@given(st.lists(st.sampled_from(BARESIP.split(b"\n")) | st.binary(max_size=30), max_size=20))
def test_any_lines_are_read_or_refused(lines: list[bytes]) -> None:
    try:
        found = parse_sdp(b"v=0\n" + b"\n".join(lines))
    except RemoteProtocolError:
        return
    reply = answer(found, address="10.0.0.1", port=1, formats=(PCMU,), session_id=1, version=1)
    for description in filter(None, [reply, Description(address="1.1.1.1", streams=(Stream(),))]):
        parse_sdp(description.to_bytes())
