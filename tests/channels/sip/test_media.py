"""The audio of SIP calls over a simulated network: what is heard, whatever comes."""

from __future__ import annotations

import itertools
from random import Random

import attrs
import numpy as np
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.channels.sip.lines import Ether, Talker, agree, pass_time, saying, two
from voxpy.audio.comfort import silence_descriptor
from voxpy.audio.convert import decode, encode
from voxpy.audio.frame import FRAME_S, PCMU
from voxpy.audio.mix import rms_dbfs
from voxpy.channels.sip.media import SILENT_AFTER_NOISE_S, SILENT_AFTER_S
from voxpy.wire.rtp.packet import Sender, is_rtcp, unpack_rtp
from voxpy.wire.rtp.rtcp import INTERVAL_S
from voxpy.wire.rtp.telephone_event import unpack

STRANGER = ("10.6.6.6", 4000)


def noise(seconds: float, talker: Talker, *, seed: int = 1) -> bytes:
    """Sound that is like itself at one delay only, never silent."""
    fmt = talker.media.format
    made = np.random.default_rng(seed).normal(0, 3000, round(seconds * fmt.rate_hz))
    smooth = np.convolve(made, np.hanning(8) / 3, "same")
    return encode(smooth.astype(np.int16), fmt)


def likeness(said: bytes, heard: bytes, talker: Talker) -> float:
    """Return how much two sounds are alike at their best delay."""
    a, b = (decode(data, talker.media.format).astype(float) for data in (said, heard))
    size = 1 << (len(a) + len(b)).bit_length()
    cross = np.fft.irfft(np.conj(np.fft.rfft(a, size)) * np.fft.rfft(b, size), size)
    b = b[int(np.argmax(cross[: len(b)])) :][: len(a)]
    a = a[: len(b)]
    return float(a @ b / np.sqrt((a @ a) * (b @ b) or 1))


# -- what is said is heard -------------------------------------------------------------------------


@pytest.mark.parametrize("srtp", ["off", "require"])
@pytest.mark.parametrize(
    ("codec", "fmt"), [("PCMU", "pcmu/8000"), ("PCMA", "pcma/8000"), ("G722", "pcm16/16000")]
)
async def test_every_codec_plain_and_encrypted(
    codec: str, fmt: str, srtp: str, autojump_clock: object
) -> None:
    alice, bob = two(codec, srtp=srtp)
    assert str(bob.media.media.source.format) == fmt  # type: ignore[union-attr]
    said = noise(1, alice)
    saying(said, alice)
    await pass_time(1.2, alice, bob)
    assert likeness(said, bob.sound, bob) > 0.99
    if codec != "G722":
        assert said in bob.sound, "G.711 passes as it is"
    assert alice.media.is_secure == (srtp == "require")


async def test_opus_brings_a_voice_at_24_khz(autojump_clock: object) -> None:
    alice, bob = two("OPUS")
    fmt = bob.media.format
    assert fmt.rate_hz == 24000
    t = np.arange(24000) / 24000
    said = encode((8000 * np.sin(2 * np.pi * (200 + 50 * t) * t)).astype(np.int16), fmt)
    saying(said, alice)
    await pass_time(1.2, alice, bob)
    assert likeness(said, bob.sound, bob) > 0.98


@pytest.mark.parametrize("codec", ["PCMU", "G722", "OPUS"])
@pytest.mark.parametrize("packet_ms", [10, 30, 40, 60])
async def test_packets_as_long_as_the_other_end_wants(
    packet_ms: int, codec: str, autojump_clock: object
) -> None:
    alice, bob = two(codec)
    wish = f"a=ptime:{packet_ms}".encode()
    answered = bob.talk.answer(alice.talk.offer())
    assert answered is not None
    alice.talk.take(answered.replace(b"a=ptime:20", wish))
    said = noise(1, alice)
    saying(said, alice)
    await pass_time(1.3, alice, bob)
    packets = [unpack_rtp(data) for source, _, data in alice.ether.sent if source == alice.address]
    steps = {b.timestamp - a.timestamp for a, b in itertools.pairwise(packets)}
    wanted_ms = 20 if (codec, packet_ms) == ("OPUS", 30) else packet_ms
    assert steps == {alice.media.codec.frame_units * wanted_ms // 20}
    if codec == "PCMU":
        assert said in bob.sound
    assert likeness(said, bob.sound, bob) > (0.9 if codec == "OPUS" else 0.99)


async def test_a_sender_may_change_the_length_of_its_packets(autojump_clock: object) -> None:
    alice, bob = two()
    sender = Sender(ssrc=5, sequence=1, timestamp=0)
    said = noise(2, alice)
    at = 0
    for _ in range(100):
        await trio.sleep(FRAME_S)
        while at < len(said) and sender.timestamp <= len(bob.heard) * 160:
            size = (160, 240, 80, 320)[at // 4000 % 4]
            alice.ether.carry(
                sender.packet(said[at : at + size], payload_type=0), alice.address, bob.address
            )
            sender.advance(size)
            at += size
        bob.tick()
    assert likeness(said[4000:12000], bob.sound, bob) > 0.95
    assert not bob.troubles


# -- networks --------------------------------------------------------------------------------------


async def test_packets_that_come_twice_or_overtake_each_other_change_nothing(
    autojump_clock: object,
) -> None:
    ether = Ether(seed=3)
    alice, bob = two(ether=ether)
    ether.twice, ether.delay_s = 0.3, (0.0, 0.015)
    said = noise(3, alice)
    saying(said, alice)
    await pass_time(3.3, alice, bob)
    assert said in bob.sound


async def test_losses_are_covered_up_and_counted_by_both_ends(autojump_clock: object) -> None:
    ether = Ether(seed=4)
    alice, bob = two(ether=ether)
    ether.loss = 0.05
    said = noise(12, alice)
    saying(said, alice)
    await pass_time(12, alice, bob)
    assert 0.5 < likeness(said[8000:40000], bob.sound, bob) < 1
    coming, _ = bob.media.figures()
    _, going = alice.media.figures()
    assert coming.id == going.id == "00001111"
    assert 0.02 < coming.lost / (coming.packets + coming.lost) < 0.09
    assert going.lost > 0, "the other end has reported them"
    assert going.packets == alice.media.counts.sent_packets


async def test_ticks_that_run_late_are_no_jitter_of_the_sender(autojump_clock: object) -> None:
    alice, bob = two()
    said = noise(0.6, alice) + alice.media.format.silence * 30 + noise(0.6, alice, seed=2)
    said = said * 2
    saying(said, alice)
    late, began = Random(5), trio.current_time()
    for n in range(200):
        await trio.sleep_until(began + n * FRAME_S)
        alice.tick()
        await trio.sleep(late.choice([0.0, 0.0185]))
        bob.tick()
    assert said in bob.sound, "nothing was left out or put in, in the pauses either"


async def test_a_sender_whose_clock_jumps_goes_on(autojump_clock: object) -> None:
    alice, bob = two()
    sender = Sender(ssrc=5, sequence=1, timestamp=1000)
    said = noise(2, alice)
    for n in range(100):
        await trio.sleep(FRAME_S)
        if n == 50:
            sender.advance(10**9)
        data = sender.packet(said[n * 160 : n * 160 + 160], payload_type=0)
        alice.ether.carry(data, alice.address, bob.address)
        sender.advance(160)
        bob.tick()
    assert said[:7000] in bob.sound
    assert said[8500:15000] in bob.sound


async def test_comfort_noise_is_heard_and_is_no_loss(autojump_clock: object) -> None:
    alice, bob = two()
    sender = Sender(ssrc=5, sequence=1, timestamp=0)
    said = noise(0.4, alice)

    async def send(payload: bytes | None, payload_type: int = 0, *, marker: bool = False) -> None:
        await trio.sleep(FRAME_S)
        if payload is not None:
            data = sender.packet(payload, payload_type=payload_type, marker=marker)
            alice.ether.carry(data, alice.address, bob.address)
        sender.advance(160)
        bob.tick()

    for n in range(20):
        await send(said[n * 160 : n * 160 + 160])
    await send(silence_descriptor(-50), 13)
    for _ in range(int(SILENT_AFTER_S / FRAME_S) + 50):
        await send(None)
    quiet = bob.heard[-20:]
    assert all(frame is not None for frame in quiet)
    assert -56 < rms_dbfs(decode(b"".join(quiet), PCMU)) < -44  # type: ignore[arg-type]
    assert bob.silences == [], "who sent a descriptor said that nothing would follow"
    for n in range(20):
        await send(said[n * 160 : n * 160 + 160], marker=n == 0)
    await send(None)
    await send(None)
    assert bob.sound.count(said) == 2
    assert bob.media.figures()[0].lost == 0


async def test_packets_that_stop_are_told_and_that_they_come_again(autojump_clock: object) -> None:
    alice, bob = two()
    await pass_time(1, alice, bob)
    await pass_time(SILENT_AFTER_S - 0.1, bob)
    assert bob.silences == []
    await pass_time(0.3, bob)
    assert bob.silences == [True]
    await pass_time(0.1, alice, bob)
    assert bob.silences == [True, False]


async def test_a_goodbye_is_believed_at_once(autojump_clock: object) -> None:
    alice, bob = two()
    await pass_time(1, alice, bob)
    alice.media.close()
    await pass_time(0.1, bob)
    assert bob.silences == [True]
    assert SILENT_AFTER_NOISE_S > SILENT_AFTER_S


# -- whose it is -----------------------------------------------------------------------------------


async def test_a_stranger_is_not_heard_and_hears_nothing(autojump_clock: object) -> None:
    alice, bob = two()
    said = noise(1, alice)
    saying(said, alice)
    attack = Sender(ssrc=666, sequence=9, timestamp=9)
    for n in range(60):
        await trio.sleep(FRAME_S)
        data = attack.packet(bytes(160), payload_type=0)
        if n > 5:
            bob.ether.carry(data, STRANGER, bob.address)
        attack.advance(160)
        alice.tick()
        bob.tick()
    await pass_time(10, bob)
    bob.ether.carry(attack.packet(bytes(160), payload_type=0), STRANGER, bob.address)
    await pass_time(0.2, bob)
    assert said in bob.sound
    assert bob.media.counts.strangers == 55
    assert [t.kind for t in bob.troubles] == ["RTP of a stranger"], "said once"
    assert not [1 for _, to, _ in bob.ether.sent if to == STRANGER]


async def test_a_phone_behind_a_nat_is_answered_where_it_is(autojump_clock: object) -> None:
    _, bob = two()
    outside = ("198.51.100.7", 61000)
    phone = Sender(ssrc=7, sequence=1, timestamp=0)
    bob.ether.carry(phone.packet(b"\x7f" * 160, payload_type=0), outside, bob.address)
    await pass_time(0.1, bob)
    assert [to for source, to, _ in bob.ether.sent if source == bob.address][-1] == outside


async def test_a_new_description_moves_the_stream(autojump_clock: object) -> None:
    alice, bob = two()
    await pass_time(0.5, alice, bob)
    carol = Talker(alice.ether, "10.0.0.3", alice.talk._speech, ssrc=0x3333)
    agree(carol, bob)
    said = noise(1, carol)
    saying(said, carol)
    await pass_time(1.2, carol, bob)
    assert said in bob.sound
    assert {to for _, to, _ in bob.ether.sent[-10:]} >= {carol.address}
    assert not bob.troubles


# -- SRTP ------------------------------------------------------------------------------------------


async def test_what_is_not_proven_is_dropped_counted_and_said_once(autojump_clock: object) -> None:
    alice, bob = two(srtp="require")
    said = noise(1, alice)
    saying(said, alice)
    attack = Sender(ssrc=0x1111, sequence=0x1111, timestamp=0)
    for _ in range(60):
        await trio.sleep(FRAME_S)
        data = attack.packet(bytes(160), payload_type=0)
        bob.ether.carry(data, alice.address, bob.address)
        alice.tick()
        bob.tick()
    assert said in bob.sound
    assert bob.media.counts.unproven == 60
    assert [t.kind for t in bob.troubles] == ["SRTP that is not proven"]


async def test_nothing_on_the_wire_is_readable_and_repeats_are_ignored(
    autojump_clock: object,
) -> None:
    ether = Ether()
    alice, bob = two(ether=ether, srtp="require")
    ether.twice = 1.0
    said = noise(1, alice)
    saying(said, alice)
    await pass_time(INTERVAL_S + 1, alice, bob)
    wire = b"".join(data for _, _, data in ether.sent)
    assert said[:100] not in wire
    assert said in bob.sound
    assert not bob.troubles
    assert alice.media.figures()[1].jitter_s >= 0
    assert alice.media._reports.theirs is not None, "reports come through as well"


async def test_one_side_may_change_its_key_and_the_other_goes_on_counting(
    autojump_clock: object,
) -> None:
    alice, bob = two(srtp="require")
    alice.media._sender.sequence = 65530
    await pass_time(0.5, alice, bob)
    bob.talk._keys = tuple(
        attrs.evolve(crypto, key=crypto.key.swapcase()) for crypto in bob.talk._keys
    )
    before = alice.media._protection
    agree(bob, alice)
    assert before is not None
    assert alice.media._protection is not None
    assert alice.media._protection._out is before._out
    said = noise(0.5, alice)
    saying(said, alice)
    alice.heard.clear()
    await pass_time(0.7, alice, bob)
    assert said in bob.sound
    assert alice.heard[-1] is not None
    assert not bob.troubles


async def test_whoever_has_the_key_may_move(autojump_clock: object) -> None:
    alice, bob = two(srtp="require")
    await pass_time(0.5, alice, bob)
    line = alice.ether.lines.pop(alice.address)
    line.address = ("198.51.100.7", 61000)
    alice.ether.lines[line.address] = line
    await pass_time(0.1, alice, bob)
    assert [to for source, to, _ in bob.ether.sent if source == bob.address][-1] == line.address


# -- reports ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mux", [True, False])
async def test_reports_go_to_their_own_port_or_along_with_the_audio(
    mux: bool, autojump_clock: object
) -> None:
    alice, bob = two()
    offer = alice.talk.offer()
    if mux:
        offer = offer.replace(b"a=sendrecv", b"a=sendrecv\r\na=rtcp-mux")
    answered = bob.talk.answer(offer)
    assert answered is not None
    assert (b"rtcp-mux" in answered) == mux
    await pass_time(INTERVAL_S + 0.1, alice, bob)
    reports = [(source, to) for source, to, data in bob.ether.sent if is_rtcp(data)]
    port = 4000 if mux else 4001
    assert ((bob.host, port), (alice.host, port)) in reports


# -- digits ----------------------------------------------------------------------------------------


async def test_a_digit_on_the_wire_is_as_rfc_4733_says(autojump_clock: object) -> None:
    alice, bob = two()
    await pass_time(0.1, alice, bob)
    began = len(alice.ether.sent)
    alice.media.type_digits("5")
    await pass_time(0.4, alice, bob)
    sent = [
        unpack_rtp(data) for source, _, data in alice.ether.sent[began:] if source == alice.address
    ]
    events = [packet for packet in sent if packet.payload_type == 101]
    reports = [unpack(packet.payload)[0] for packet in events]
    assert [(r.digit, r.duration, r.end) for r in reports] == [
        ("5", 160, False), ("5", 320, False), ("5", 480, False), ("5", 640, False),
        ("5", 800, True), ("5", 800, True), ("5", 800, True),
    ]  # fmt: skip
    assert len({packet.timestamp for packet in events}) == 1
    assert [packet.marker for packet in events] == [True] + [False] * 6
    numbers = [packet.sequence for packet in sent]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    after = sent[sent.index(events[-1]) + 1]
    assert after.marker
    assert after.timestamp - events[0].timestamp == 8 * 160, "the clock went on meanwhile"
    assert bob.digits == "5"


async def test_digits_are_told_once_over_a_bad_network(autojump_clock: object) -> None:
    ether = Ether(seed=9)
    alice, bob = two(ether=ether)
    await pass_time(0.1, alice, bob)
    ether.loss, ether.twice, ether.delay_s = 0.2, 0.3, (0, 0.05)
    alice.media.type_digits("1123p4*#99")
    await pass_time(3.5, alice, bob)
    assert bob.digits == "1123" + "4*#99"


@pytest.mark.parametrize(("codec", "hz"), [("G722", 8000), ("OPUS", 48000)])
async def test_digits_beside_other_codecs_have_their_clock(
    codec: str, hz: int, autojump_clock: object
) -> None:
    alice, bob = two(codec)
    assert alice.media.agreed is not None
    assert alice.media.agreed.digit_hz == hz
    alice.media.type_digits("7#")
    await pass_time(0.8, alice, bob)
    kind = alice.media.agreed.digit_type
    packets = [unpack_rtp(data) for s, _, data in alice.ether.sent if s == alice.address]
    last = [p for p in packets if p.payload_type == kind][-1]
    assert unpack(last.payload)[0].duration == hz // 10
    assert bob.digits == "7#"


async def test_who_has_no_events_gets_tones(autojump_clock: object) -> None:
    alice, bob = two()
    answered = bob.talk.answer(alice.talk.offer())
    assert answered is not None
    lines = [line for line in answered.split(b"\r\n") if b"101" not in line or line[:2] == b"m="]
    alice.talk.take(b"\r\n".join(lines).replace(b"RTP/AVP 0 101", b"RTP/AVP 0"))
    assert not alice.media.types_digits
    alice.media.type_digits("5")
    await pass_time(0.3, alice, bob)
    assert rms_dbfs(decode(bob.sound[-160 * 10 :], PCMU)) > -30


# -- hold ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "they_hear", "we_hear"),
    [
        (b"a=sendonly", False, True),
        (b"a=inactive", False, False),
        (b"a=recvonly", True, False),
        (b"c=IN IP4 0.0.0.0", False, True),
    ],
)
async def test_hold_stops_what_it_says(
    said: bytes, they_hear: bool, we_hear: bool, autojump_clock: object
) -> None:
    alice, bob = two()
    await pass_time(0.2, alice, bob)
    offer = alice.talk.offer()
    old = b"c=IN IP4 10.0.0.1" if said.startswith(b"c=") else b"a=sendrecv"
    assert bob.talk.answer(offer.replace(old, said)) is not None
    assert bob.talk.they_hold == (not they_hear)
    alice.heard.clear()
    bob.heard.clear()
    await pass_time(1, alice, bob)
    assert any(alice.heard[10:]) == they_hear
    assert any(bob.heard[10:]) == we_hear
    await pass_time(10, alice, bob)
    assert bob.silences == [], "a call on hold is no dead line"
    agree(alice, bob)
    assert not bob.talk.they_hold
    await pass_time(0.2, alice, bob)
    assert alice.heard[-1] is not None
    assert bob.heard[-1] is not None


async def test_an_answer_may_hold_too(autojump_clock: object) -> None:
    alice, bob = two()
    answered = bob.talk.answer(alice.talk.offer())
    assert answered is not None
    alice.talk.take(answered.replace(b"a=sendrecv", b"a=sendonly"))
    assert alice.talk.they_hold
    assert (alice.media.speaks, alice.media.hears) == (False, True)


# -- junk ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("srtp", ["off", "require"])
@pytest.mark.parametrize("codec", ["PCMU", "G722", "OPUS"])
def test_whatever_comes_harms_nothing(codec: str, srtp: str) -> None:
    heads = st.sampled_from([b"\x80\x00", b"\x80\x60", b"\x80\x65", b"\x80\x0d", b"\x80\xc8", b""])
    junk = st.lists(
        st.tuples(st.booleans(), heads, st.binary(max_size=300)), min_size=1, max_size=30
    )

    @given(junk)
    def throw(packets: list[tuple[bool, bytes, bytes]]) -> None:
        trio.run(catch, packets, clock=trio.testing.MockClock(autojump_threshold=0))

    async def catch(packets: list[tuple[bool, bytes, bytes]]) -> None:
        alice, bob = two(codec, srtp=srtp)
        host, port = bob.address
        for is_report, head, tail in packets:
            bob.ether.carry(head + tail, alice.address, (host, port + is_report))
            await pass_time(FRAME_S, bob)
        before = len(bob.heard)
        await pass_time(1, alice, bob)
        assert len(bob.heard) == before + 50
        kinds = [t.kind for t in bob.troubles]
        assert len(kinds) == len(set(kinds))

    throw()
