"""Who offers what, who answers how, and what never may change once it was agreed upon."""

from __future__ import annotations

from contextlib import suppress

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given as given_any
from hypothesis import strategies as st

from tests.channels.sip.conftest import NO_OPUS
from tests.channels.sip.lines import Ether, Talker, agree, pass_time, two
from voxpy.channels.sip.codecs import CODECS, named_codecs
from voxpy.channels.sip.listener import SipListener
from voxpy.channels.sip.negotiation import Speech, agreed_codec
from voxpy.channels.sip.settings import read_users
from voxpy.engine.userfile import Given, load
from voxpy.errors import ConfigError, RemoteProtocolError
from voxpy.wire.sdp import parse_sdp

if NO_OPUS:
    pytest.skip(NO_OPUS, allow_module_level=True)

ALL = Speech(codecs=named_codecs(["opus", "g722", "pcmu", "pcma"]), srtp="off")


def speech(*names: str, srtp: str = "off") -> Speech:
    return Speech(codecs=tuple(CODECS[name] for name in names), srtp=srtp)


def formats(sdp: bytes) -> list[str]:
    (stream,) = parse_sdp(sdp).streams
    return [f"{f.name}/{f.clock_hz}" for f in stream.formats]


async def test_an_offer_has_our_order_and_digits_at_every_clock(autojump_clock: object) -> None:
    talker = Talker(Ether(), "10.0.0.1", ALL, ssrc=1)
    assert formats(talker.talk.offer()) == [
        "OPUS/48000", "G722/8000", "PCMU/8000", "PCMA/8000",
        "TELEPHONE-EVENT/8000", "TELEPHONE-EVENT/48000",
    ]  # fmt: skip


async def test_the_caller_says_what_is_best_of_what_we_speak(autojump_clock: object) -> None:
    caller = Talker(Ether(), "10.0.0.1", speech("PCMA", "G722", "PCMU"), ssrc=1)
    offer = caller.talk.offer()
    for ours, chosen in ((ALL, "PCMA"), (speech("PCMU", "G722"), "G722")):
        found = agreed_codec(offer, ours)
        assert found is not None
        assert found.name == chosen
    assert agreed_codec(offer, speech("OPUS")) is None
    assert agreed_codec(b"", ALL) is CODECS["OPUS"], "no offer: ours is the first"


async def test_what_is_spoken_stays_unless_it_is_not_offered_any_more(
    autojump_clock: object,
) -> None:
    alice, bob = two("PCMU", theirs=ALL)
    others = speech("OPUS", "PCMA", "PCMU")
    carol = Talker(alice.ether, "10.0.0.3", others, ssrc=3)
    agree(carol, bob)
    assert bob.media.codec.name == "PCMU"
    dora = Talker(alice.ether, "10.0.0.4", speech("G722"), ssrc=4)
    agree(dora, bob)
    assert bob.media.codec.name == "G722"
    await pass_time(1, dora, bob)
    assert bob.heard[-1] is not None
    assert dora.heard[-1] is not None
    erin = Talker(alice.ether, "10.0.0.5", speech("G722"), ssrc=5)
    assert Talker(alice.ether, "10.0.0.6", speech("PCMU"), ssrc=6).talk.answer(
        erin.talk.offer()
    ) is None  # fmt: skip


async def test_versions_go_up_with_every_change_and_only_then(autojump_clock: object) -> None:
    alice, _ = two()

    def version(sdp: bytes) -> int:
        return parse_sdp(sdp).version

    first = version(alice.talk.offer())
    assert version(alice.talk.offer()) == first
    alice.talk.direction = "sendonly"
    assert version(alice.talk.offer()) == first + 1
    assert version(alice.talk.offer()) == first + 1


async def test_numbers_that_the_other_end_gives_may_be_other_ones(autojump_clock: object) -> None:
    alice, bob = two("OPUS")
    answered = bob.talk.answer(alice.talk.offer().replace(b"96", b"111").replace(b"102", b"126"))
    assert answered is not None
    assert bob.media.agreed is not None
    assert (bob.media.agreed.payload_type, bob.media.agreed.digit_type) == (111, 126)
    alice.talk.take(answered)
    assert alice.media.agreed is not None
    assert alice.media.agreed.accepts == {96, 111}
    await pass_time(0.5, alice, bob)
    assert not bob.troubles


@pytest.mark.parametrize("address", ["pbx.example.com", "0.0.0.0"])
async def test_a_name_in_place_of_an_address_waits_for_the_first_packet(
    autojump_clock: object, address: str
) -> None:
    alice, bob = two()
    carol = Talker(alice.ether, "10.0.0.3", speech("PCMU"), ssrc=3)
    offer = carol.talk.offer().replace(b"10.0.0.3", address.encode())
    answered = bob.talk.answer(offer)
    assert answered is not None
    carol.talk.take(answered)
    assert bob.media.agreed is not None
    assert bob.media.agreed.target is None
    await pass_time(0.5, carol, bob)
    assert carol.heard[-1] is not None or address == "0.0.0.0"


# -- SRTP ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs", "secure"),
    [
        ("offer", "offer", True),
        ("offer", "off", False),
        ("off", "offer", False),
        ("require", "offer", True),
        ("offer", "require", True),
        ("require", "require", True),
        ("off", "off", False),
        ("require", "off", None),
        ("off", "require", None),
    ],
)
async def test_who_wants_srtp_and_who_gets_it(
    autojump_clock: object, ours: str, theirs: str, secure: bool | None
) -> None:
    ether = Ether()
    alice = Talker(ether, "10.0.0.1", speech("PCMU", srtp=ours), ssrc=1)
    bob = Talker(ether, "10.0.0.2", speech("PCMU", srtp=theirs), ssrc=2)
    offer = alice.talk.offer()
    assert (b"RTP/SAVP" in offer) == (ours == "require")
    assert (b"a=crypto" in offer) == (ours != "off")
    answered = bob.talk.answer(offer)
    if secure is None:
        assert answered is None
        return
    assert answered is not None
    alice.talk.take(answered)
    assert alice.media.is_secure == bob.media.is_secure == secure
    await pass_time(0.2, alice, bob)
    assert bob.heard[-1] is not None


async def test_what_is_encrypted_stays_so(autojump_clock: object) -> None:
    alice, bob = two(srtp="offer")
    plain = alice.talk.offer().replace(b"RTP/SAVP", b"RTP/AVP")
    plain = b"\r\n".join(line for line in plain.split(b"\r\n") if not line.startswith(b"a=crypto"))
    assert bob.talk.answer(plain) is None
    assert bob.media.is_secure
    bob.talk.offer()
    with pytest.raises(RemoteProtocolError, match="no SRTP key"):
        bob.talk.take(plain)


async def test_keys_that_change_in_a_call_are_used(autojump_clock: object) -> None:
    alice, bob = two(srtp="require")
    await pass_time(0.5, alice, bob)
    before = bob.media.agreed
    carol = Talker(alice.ether, "10.0.0.3", speech("PCMU", srtp="require"), ssrc=3)
    agree(carol, bob)
    assert before is not None
    assert bob.media.agreed is not None
    assert before.keys is not None
    assert bob.media.agreed.keys is not None
    assert bob.media.agreed.keys.theirs != before.keys.theirs
    assert bob.media.agreed.keys.ours == before.keys.ours
    await pass_time(0.5, carol, bob)
    assert bob.heard[-1] is not None
    assert not bob.troubles


async def test_a_key_that_is_none_refuses_the_offer(autojump_clock: object) -> None:
    alice, bob = two(srtp="require")
    offer = alice.talk.offer()
    with pytest.raises(RemoteProtocolError, match="SRTP key"):
        bob.talk.answer(offer.replace(b"inline:", b"inline:AAAA"))


LINES = [
    "m=audio 4000 RTP/SAVP 0 8 9 96 101", "m=audio 4000 RTP/AVP 0 101", "m=audio 0 RTP/AVP 0",
    "m=video 9 RTP/AVP 97", "c=IN IP4 10.0.0.9", "c=IN IP6 ::1", "a=rtpmap:96 opus/48000/2",
    "a=rtpmap:101 telephone-event/8000", "a=rtpmap:101 telephone-event/48000", "a=ptime:30",
    "a=maxptime:10", "a=inactive", "a=sendonly", "a=rtcp-mux", "a=rtcp:5001", "a=rtcp:x",
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40, "a=crypto:1 X inline:AA",
    "a=crypto:2 AEAD_AES_128_GCM inline:" + "A" * 38, "a=crypto:9 aes_cm_128_hmac_sha1_80 inline:=",
]  # fmt: skip


@given_any(
    st.lists(st.sampled_from(LINES) | st.text(max_size=20), max_size=14),
    st.sampled_from(["off", "offer", "require"]),
)
def test_any_description_is_agreed_upon_or_refused(lines: list[str], srtp: str) -> None:
    said = "\r\n".join(["v=0", *lines]).encode()

    async def negotiate() -> None:
        speech = attrs.evolve(ALL, srtp=srtp)
        bob = Talker(Ether(), "10.0.0.2", speech, ssrc=2)
        for take in (bob.talk.answer, bob.talk.take, bob.talk.answer):
            bob.talk.offer()
            with suppress(RemoteProtocolError):
                take(said)
            await pass_time(0.06, bob)
        if bob.media.is_secure:
            assert srtp != "off"

    trio.run(negotiate, clock=trio.testing.MockClock(autojump_threshold=0))


# -- settings --------------------------------------------------------------------------------------


def given(text: str) -> Given:
    return load(text, file="routing.yaml").root


def test_settings_of_channel_trunk_and_user() -> None:
    listener = SipListener.read("sip", given("{srtp: off, codecs: [pcma, opus]}"))
    assert [codec.name for codec in listener.speech.codecs] == ["PCMA", "OPUS"]
    assert listener.speech.srtp == "off", "a bare off is no in YAML"
    assert SipListener.read("sip", given("{}")).speech.srtp == "offer"
    users = read_users(given("{anna: ANNA, bert: {secret: BERT, srtp: require}}"))
    assert [(u.secret, u.srtp) for u in users.values()] == [("ANNA", None), ("BERT", "require")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{codecs: [g729]}", "g729"),
        ("{codecs: []}", "as in"),
        ("{srtp: maybe}", "off, offer or require"),
    ],
)
def test_settings_that_are_none(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        SipListener.read("sip", given(text))
