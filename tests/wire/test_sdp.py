"""Offers as phones write them, and what we answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.errors import RemoteProtocolError
from voxpy.wire.sdp import Crypto, Description, MediaFormat, Stream, answer, parse_sdp, without_keys

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


OURS = (
    Crypto(tag=1, suite="AES_CM_128_HMAC_SHA1_80", key="B" * 40),
    Crypto(tag=2, suite="AEAD_AES_128_GCM", key="C" * 40),
)
KEY = "a=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40


def secured(profile: str, *lines: str) -> bytes:
    body = "".join(f"{line}\n" for line in lines)
    return f"v=0\nc=IN IP4 10.0.0.2\nm=audio 9 {profile} 0\n{body}".encode()


def test_srtp_only_with_a_key_of_the_same_suite() -> None:
    offer = secured("RTP/SAVP", KEY + "|2^31")
    assert answered(offer) is None
    found = answered(offer, cryptos=OURS)
    assert found is not None
    (crypto,) = parse_sdp(found.to_bytes()).streams[0].cryptos
    assert (crypto.tag, crypto.key) == (3, "B" * 40)
    assert "B" * 40 not in repr(found)


def test_the_offer_says_which_suite_is_better() -> None:
    better = "a=crypto:7 AEAD_AES_128_GCM inline:" + "D" * 40
    found = answered(secured("RTP/SAVP", better, KEY), cryptos=OURS)
    assert found is not None
    assert [(c.tag, c.suite) for c in found.streams[0].cryptos] == [(7, "AEAD_AES_128_GCM")]


def test_keys_of_a_stream_that_may_be_plain() -> None:
    found = answered(secured("RTP/AVP", KEY), cryptos=OURS)
    assert found is not None
    assert found.streams[0].cryptos
    plain = answered(secured("RTP/AVP", KEY))
    assert plain is not None
    assert not plain.streams[0].cryptos
    assert answered(secured("RTP/AVP"), cryptos=OURS, must_be_secure=True) is None
    assert answered(secured("RTP/AVP", KEY), cryptos=OURS, must_be_secure=True) is not None


@pytest.mark.parametrize(
    "line",
    [KEY + "|2^20|1:4", KEY + "|1:4", KEY + " UNENCRYPTED_SRTCP", KEY + "|2^20;inline:" + "E" * 40],
)
def test_keys_that_ask_for_what_we_cannot_do_are_passed_over(line: str) -> None:
    assert answered(secured("RTP/SAVP", line), cryptos=OURS) is None


def test_dtls_is_not_spoken() -> None:
    assert answered(secured("UDP/TLS/RTP/SAVP", KEY), cryptos=OURS) is None


def test_no_key_is_shown_to_people() -> None:
    shown = without_keys(secured("RTP/SAVP", KEY + "|2^31").decode())
    assert "AAAA" not in shown
    assert "inline:***|2^31" in shown


@pytest.mark.parametrize(
    ("lines", "packet_ms"),
    [
        ([], 20),
        (["a=ptime:30"], 30),
        (["a=ptime:25"], 20),
        (["a=ptime:5"], 10),
        (["a=ptime:120"], 60),
        (["a=ptime:60", "a=maxptime:40"], 40),
        (["a=maxptime:10"], 10),
    ],
)
def test_how_much_is_wanted_in_a_packet(lines: list[str], packet_ms: int) -> None:
    found = answered(secured("RTP/AVP", *lines))
    assert found is not None
    assert found.streams[0].ptime_ms == packet_ms


def test_opus_without_its_second_channel_and_digits_at_another_clock() -> None:
    opus = MediaFormat(payload_type=96, name="OPUS", clock_hz=48000, channels=2)
    offer = secured("RTP/AVP").replace(b" 0\n", b" 107 101\n") + (
        b"a=rtpmap:107 opus/48000\na=fmtp:107 stereo=1\na=rtpmap:101 telephone-event/8000\n"
    )
    found = answer(
        parse_sdp(offer), address="1.1.1.1", port=2, formats=(opus,), session_id=1, version=1
    )
    assert found is not None
    assert [(f.payload_type, f.fmtp) for f in found.streams[0].formats] == [(107, ""), (101, "")]


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
