"""Both roles joined: what a provider's phone says, its adapter understands, and the other way."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.audio.frame import PCMA, PCMU, Format, pcm16
from voxpy.channels.providers.carrier import (
    Carrier,
    Clear,
    HangUp,
    HostEvent,
    Ignored,
    Mark,
    PhoneCall,
    Play,
    PlayDigits,
)
from voxpy.channels.providers.carriers import CARRIERS, carrier
from voxpy.channels.providers.events import Audio, Dtmf, MarkPlayed, Start, Stop, StreamEvent
from voxpy.channels.providers.provider import MediaStream, Message
from voxpy.channels.providers.providers import PROVIDERS, media_stream
from voxpy.errors import LocalProtocolError, RemoteProtocolError

ALL = sorted(CARRIERS)
WITHOUT_DIGITS = {"voximplant"}
WITHOUT_STOP = {"vonage", "plivo", "jambonz", "asterisk"}
"""Their sockets close and that is all."""
NAMELESS = {"audiosocket"}


def phone_call(fmt: Format) -> PhoneCall:
    return PhoneCall(
        call_id="c-1", caller="+15550001111", callee="+15550002222", format=fmt,
        parameters={"plan": "gold"},
    )  # fmt: skip


class Pair:
    """A provider's side and ours, joined."""

    def __init__(self, name: str, fmt: Format | None = None) -> None:
        self.carrier: Carrier = carrier(name, phone_call(fmt or CARRIERS[name].formats[0]))
        self.host: MediaStream = media_stream(name, self.carrier.query)
        self.began: list[StreamEvent] = [
            event for message in self.carrier.opening() for event in self.host.receive(message)
        ]
        while self.host.start is None:  # of AudioSocket the first audio is the start
            self.began += self.host_hears(self.fmt.silence)
        answer = self.host.answer()
        self.answered = [] if answer is None else list(self.carrier.receive(answer))

    @property
    def fmt(self) -> Format:
        return self.carrier.call.format

    def host_hears(self, frame: bytes) -> Sequence[StreamEvent]:
        return self.host_gets(self.carrier.audio(frame))

    def host_gets(self, message: Message | None) -> Sequence[StreamEvent]:
        return () if message is None else self.host.receive(message)

    def phone_gets(self, message: Message) -> list[HostEvent]:
        return list(self.carrier.receive(message))


@pytest.fixture(params=ALL)
def pair(request: pytest.FixtureRequest) -> Pair:
    return Pair(request.param)


def test_there_is_a_carrier_for_every_adapter() -> None:
    assert set(CARRIERS) == set(PROVIDERS)


@pytest.mark.parametrize("name", ALL)
def test_the_start_names_the_call_in_every_format(name: str) -> None:
    for fmt in CARRIERS[name].formats:
        pair = Pair(name, fmt)
        start = pair.host.started
        assert start.format == fmt
        assert sum(isinstance(event, Start) for event in pair.began) == 1
        if name in NAMELESS:
            assert len(start.call_id) == 36
            continue
        assert (start.caller, start.callee) == ("+15550001111", "+15550002222")
        assert start.call_id == "c-1"
        assert start.parameters["plan"] == "gold"


@given(name=st.sampled_from(ALL), frames=st.integers(1, 12), filling=st.binary(min_size=1))
def test_what_the_caller_says_arrives_whole(name: str, frames: int, filling: bytes) -> None:
    pair = Pair(name)
    size = pair.fmt.frame_bytes
    said = (filling * size)[:size]
    heard = [e for _ in range(frames) for e in pair.host_hears(said)]
    whole = frames // 5 * 5 if name == "exotel" else frames  # its messages hold five
    assert b"".join(e.data for e in heard if isinstance(e, Audio)) == said * whole


@given(name=st.sampled_from(ALL), frames=st.integers(1, 9), filling=st.binary(min_size=1))
def test_what_the_host_plays_arrives_whole(name: str, frames: int, filling: bytes) -> None:
    pair = Pair(name)
    size = pair.fmt.frame_bytes * frames
    data = (filling * size)[:size]
    assert pair.phone_gets(pair.host.audio(data)) == [Play(data)]


def test_digits(pair: Pair) -> None:
    name = pair.carrier.name
    if name in WITHOUT_DIGITS:
        with pytest.raises(LocalProtocolError, match="has no digits"):
            pair.carrier.digit("1")
        return
    assert [list(pair.host_gets(pair.carrier.digit(d))) for d in "1#"] == [[Dtmf("1")], [Dtmf("#")]]


def test_marks_come_back_with_their_names(pair: Pair) -> None:
    if not pair.host.provider.marks:
        with pytest.raises(LocalProtocolError, match="has no marks"):
            pair.host.mark("25")
        return
    (asked,) = pair.phone_gets(pair.host.mark("25"))
    assert isinstance(asked, Mark)
    assert list(pair.host_gets(pair.carrier.mark_passed(asked.name, played=True))) == [
        MarkPlayed("25")
    ]
    dropped = list(pair.host_gets(pair.carrier.mark_passed(asked.name, played=False)))
    assert dropped in ([], [MarkPlayed("25")])


def test_a_clear_is_understood_and_its_answer_too(pair: Pair) -> None:
    if not pair.host.provider.ahead:
        with pytest.raises(LocalProtocolError, match="has no clear"):
            pair.host.clear()
        return
    assert pair.phone_gets(pair.host.clear()) == [Clear()]
    assert list(pair.host_gets(pair.carrier.cleared())) == []


def test_the_host_hangs_up_by_message_where_it_can(pair: Pair) -> None:
    if pair.host.provider.hang_up == "message":
        assert pair.phone_gets(pair.host.hang_up()) == [HangUp()]


def test_the_host_sends_digits_where_it_can(pair: Pair) -> None:
    if pair.host.provider.sends_dtmf:
        assert pair.phone_gets(pair.host.dtmf("12#")) == [PlayDigits("12#")]


def test_the_caller_hangs_up(pair: Pair) -> None:
    stop = pair.carrier.stop()
    if pair.carrier.name in WITHOUT_STOP:
        assert stop is None
    else:
        (event,) = pair.host_gets(stop)
        assert isinstance(event, Stop)


def test_an_answer_changes_nothing_for_the_caller(pair: Pair) -> None:
    assert all(isinstance(event, Ignored) for event in pair.answered)


# -- what a provider would not take ----------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(ALL) - {"audiosocket"}))
def test_a_message_nobody_knows_is_refused(name: str) -> None:
    with pytest.raises(RemoteProtocolError, match=f"the host sent {name} "):
        Pair(name).phone_gets('{"event":"new","command":"NEW","type":"new","streamSid":"x"}')


@pytest.mark.parametrize("name", sorted(set(ALL) - {"audiosocket"}))
@pytest.mark.parametrize("text", ["{", "[1]", "null", "é"])
def test_no_json_is_refused(name: str, text: str) -> None:
    with pytest.raises(RemoteProtocolError, match="no JSON"):
        Pair(name).phone_gets(text)


@pytest.mark.parametrize(
    ("name", "message", "problem"),
    [
        ("twilio", '{"event":"media","streamSid":"MZ2"}', "for the stream 'MZ2' on the stream"),
        ("plivo", '{"event":"playAudio","media":{"contentType":"audio/x-l16"}}', "audio as"),
        ("voximplant", '{"event":"media","media":{"payload":"%%"}}', "not base64"),
        ("telnyx", '{"event":"media","media":{"payload":"é"}}', "not base64"),
        ("telnyx", '{"event":"mark","mark":{}}', "a message without 'name'"),
        ("vonage", b"\x00", "half a sample"),
        ("twilio", b"\x00\x00", "a binary message of 2 bytes"),
        ("audiosocket", b"\x44\x00\x00", "a packet of type 0x44"),
    ],
)
def test_what_a_provider_would_not_take(name: str, message: Message, problem: str) -> None:
    with pytest.raises(RemoteProtocolError, match=problem):
        Pair(name).phone_gets(message)


def test_audio_before_the_start_of_a_voximplant_stream() -> None:
    side = carrier("voximplant", phone_call(pcm16(8000)))
    with pytest.raises(RemoteProtocolError, match="audio before its start"):
        side.receive('{"event":"media","media":{"payload":"AAA="}}')


@given(cuts=st.lists(st.integers(0, 400)), frames=st.integers(1, 3))
def test_an_audiosocket_stream_may_be_cut_anywhere(cuts: list[int], frames: int) -> None:
    pair = Pair("audiosocket")
    data = b"".join(_bytes(pair.host.audio(bytes([n]) * 320)) for n in range(frames))
    edges = [0, *sorted({c for c in cuts if c < len(data)}), len(data)]
    events = [e for a, b in itertools.pairwise(edges) for e in pair.phone_gets(data[a:b])]
    assert events == [Play(bytes([n]) * 320) for n in range(frames)]


def _bytes(message: Message) -> bytes:
    assert isinstance(message, bytes)
    return message


def test_a_format_the_provider_does_not_carry() -> None:
    with pytest.raises(LocalProtocolError, match="twilio carries pcmu/8000, not pcma/8000"):
        carrier("twilio", phone_call(PCMA))
    with pytest.raises(LocalProtocolError, match="no provider 'twillio'; did you mean 'twilio'"):
        carrier("twillio", phone_call(PCMU))
