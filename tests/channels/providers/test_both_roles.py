"""Every provider of the table, both roles joined: what its phone says, we understand, and back.

A new provider is tried here without a line more. What its pages say of single messages belongs into
``test_providers.py``.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Sequence
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import unescape

import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from voxpy.audio.frame import PCMA, Format, pcm16
from voxpy.channels.providers.events import (
    Audio,
    Clear,
    Dtmf,
    HangUp,
    HostEvent,
    Ignored,
    Mark,
    MarkPlayed,
    Play,
    PlayDigits,
    Start,
    Stop,
    StreamEvent,
)
from voxpy.channels.providers.http import Asked, Outcome, RestContext, public_address
from voxpy.channels.providers.jsonstream import JsonCarrier
from voxpy.channels.providers.provider import Message, PhoneCall
from voxpy.channels.providers.table import PROVIDERS, find_provider
from voxpy.errors import ConfigError, LocalProtocolError, RemoteProtocolError, ScenarioError

ALL = sorted(PROVIDERS)
ON_WEBSOCKETS = sorted(n for n, p in PROVIDERS.items() if p.transport == "websocket")
WITHOUT_DIGITS = {"voximplant"}
"""They are heard as sound."""
WITHOUT_STOP = {"vonage", "plivo", "jambonz", "asterisk"}
"""Their sockets close and that is all."""

KEY = (
    rsa.generate_private_key(public_exponent=65537, key_size=2048)
    .private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    .decode()
)
"""A secret that will do for any API."""


def phone_call(fmt: Format) -> PhoneCall:
    return PhoneCall(
        call_id="c-1", caller="+15550001111", callee="+15550002222", format=fmt,
        parameters={"plan": "gold"},
    )  # fmt: skip


class Pair:
    """A provider's side and ours, joined."""

    def __init__(self, name: str, fmt: Format | None = None) -> None:
        self.provider = PROVIDERS[name]
        self.carrier = self.provider.place(phone_call(fmt or self.provider.formats[0]))
        self.host = self.provider.open_stream(self.carrier.query)
        self.began: list[StreamEvent] = [
            event for message in self.carrier.opening() for event in self.host.receive(message)
        ]
        while self.host.start is None:  # of AudioSocket the first audio is the start
            self.began += self.host_hears(self.fmt.silence)
        answer = self.host.answer()
        self.answered = [] if answer is None else list(self.carrier.receive(answer))

    @property
    def fmt(self) -> Format:
        return self.carrier.inbound

    def host_hears(self, frame: bytes) -> Sequence[StreamEvent]:
        return self.host_gets(self.carrier.audio(frame))

    def host_gets(self, message: Message | None) -> Sequence[StreamEvent]:
        return () if message is None else self.host.receive(message)

    def phone_gets(self, message: Message) -> list[HostEvent]:
        return list(self.carrier.receive(message))


@pytest.fixture(params=ALL)
def pair(request: pytest.FixtureRequest) -> Pair:
    return Pair(request.param)


@pytest.mark.parametrize("name", ALL)
def test_the_start_names_the_call_in_every_format(name: str) -> None:
    for fmt in PROVIDERS[name].formats:
        pair = Pair(name, fmt)
        start = pair.host.started
        assert (start.inbound, start.outbound) == (fmt, pair.carrier.outbound)
        assert sum(isinstance(event, Start) for event in pair.began) == 1
        if name not in ON_WEBSOCKETS and not start.caller:  # a byte stream may bear no more
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
    whole = frames - frames % PROVIDERS[name].chunk_frames
    assert b"".join(e.data for e in heard if isinstance(e, Audio)) == said * whole


@given(name=st.sampled_from(ALL), frames=st.integers(1, 9), filling=st.binary(min_size=1))
def test_what_the_host_plays_arrives_whole(name: str, frames: int, filling: bytes) -> None:
    pair = Pair(name)
    size = pair.carrier.outbound.frame_bytes * frames
    data = (filling * size)[:size]
    assert pair.phone_gets(pair.host.audio(data)) == [Play(data)]


def test_digits(pair: Pair) -> None:
    if pair.provider.name in WITHOUT_DIGITS:
        with pytest.raises(LocalProtocolError, match="has no digits"):
            pair.carrier.digit("1")
        return
    assert [list(pair.host_gets(pair.carrier.digit(d))) for d in "1#"] == [[Dtmf("1")], [Dtmf("#")]]


def test_marks_come_back_with_their_names(pair: Pair) -> None:
    if not pair.provider.marks:
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
    if not pair.provider.ahead:
        with pytest.raises(LocalProtocolError, match="has no clear"):
            pair.host.clear()
        return
    assert pair.phone_gets(pair.host.clear()) == [Clear()]
    assert list(pair.host_gets(pair.carrier.cleared())) == []


def test_the_host_hangs_up_by_message_where_it_can(pair: Pair) -> None:
    if pair.provider.hang_up == "message":
        assert pair.phone_gets(pair.host.hang_up()) == [HangUp()]


def test_the_host_sends_digits_where_it_can(pair: Pair) -> None:
    if pair.provider.sends_dtmf:
        assert pair.phone_gets(pair.host.dtmf("12#")) == [PlayDigits("12#")]


def test_the_caller_hangs_up(pair: Pair) -> None:
    stop = pair.carrier.stop()
    if pair.provider.name in WITHOUT_STOP:
        assert stop is None
    else:
        (event,) = pair.host_gets(stop)
        assert isinstance(event, Stop)


def test_an_answer_changes_nothing_for_the_caller(pair: Pair) -> None:
    assert all(isinstance(event, Ignored) for event in pair.answered)


# -- what a provider would not take ----------------------------------------------------------------


@pytest.mark.parametrize("name", ON_WEBSOCKETS)
def test_a_message_nobody_knows_is_refused(name: str) -> None:
    with pytest.raises(RemoteProtocolError, match=f"the host sent {name} "):
        Pair(name).phone_gets('{"event":"new","command":"NEW","type":"new","streamSid":"x"}')


@pytest.mark.parametrize("name", ON_WEBSOCKETS)
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
    side = PROVIDERS["voximplant"].place(phone_call(pcm16(8000)))
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
        PROVIDERS["twilio"].place(phone_call(PCMA))


def test_an_unknown_provider_is_named_with_the_nearest() -> None:
    with pytest.raises(ScenarioError, match="no provider 'twillio'; did you mean 'twilio'"):
        find_provider("twillio")


# -- beside the stream -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_every_provider_says_where_its_protocol_stands_and_can_do_what_it_says(name: str) -> None:
    pair, provider = Pair(name), PROVIDERS[name]
    assert provider.name == name
    assert provider.source.startswith("https://")
    for able, command in (
        (provider.ahead, pair.host.clear),
        (provider.marks, lambda: pair.host.mark("1")),
        (provider.hang_up == "message", pair.host.hang_up),
        (provider.sends_dtmf, lambda: pair.host.dtmf("1")),
    ):
        if able:
            assert command()
        else:
            with pytest.raises(LocalProtocolError, match=name):
                command()


ASKS = [name for name, p in PROVIDERS.items() if p.answer_call is not None]


@pytest.mark.parametrize("name", ASKS)
@given(
    outcome=st.sampled_from(["connect", "busy", "not found"]),
    caller=st.one_of(st.just('"/><Hangup/>&'), st.text(alphabet=st.characters(codec=None))),
    callee=st.one_of(st.just("</Stream>"), st.text(alphabet=st.characters(codec=None))),
)
def test_markup_cannot_be_broken_out_of_whatever_a_number_is(
    name: str, outcome: Outcome, caller: str, callee: str
) -> None:
    answer_call = PROVIDERS[name].answer_call
    assert answer_call is not None
    told = answer_call(outcome, 'wss://h/m?a="<&', Asked(caller=caller, callee=callee))
    text = told.body.decode()
    assert not [c for c in text if unicodedata.category(c) in ("Cc", "Cs") or c in "\u202e\u2066"]
    if told.content_type == "text/xml":
        root = ElementTree.fromstring(text)
        assert root.tag == "Response"
        assert (root.find(".//Stream") is not None) == (outcome == "connect")
        assert len(list(root)) == 1
    else:
        assert ("wss://h/m" in text) == (outcome == "connect")
        orjson.loads(text)


@pytest.mark.parametrize("name", ASKS)
def test_the_address_in_the_markup_keeps_its_token(name: str) -> None:
    answer_call = PROVIDERS[name].answer_call
    assert answer_call is not None
    call = Asked(caller="+1 5", callee="+2")
    told = answer_call("connect", "wss://h/media/x?token=open", call).body.decode()
    (url,) = re.findall(r"wss://[^\s\"<]+", told)
    query = parse_qs(urlsplit(unescape(url)).query)
    assert query.pop("token") == ["open"]
    assert query in ({}, {"from": ["+1 5"], "to": ["+2"]})


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("", ""),
        ("https://calls.example", "https://calls.example"),
        ("https://calls.example:8443/voxpy/", "https://calls.example:8443/voxpy"),
        ("http://10.0.0.1", "http://10.0.0.1"),
    ],
)
def test_a_public_address(text: str, base: str) -> None:
    assert public_address(text) == base


@pytest.mark.parametrize(
    "text",
    [*"calls.example calls.example:443 wss://calls.example https:// //h https://[ /".split(),
     "https://h:99999", "https://h?x=1"],
)  # fmt: skip
def test_what_is_no_public_address_says_how_one_looks(text: str) -> None:
    with pytest.raises(ConfigError, match=r"such as https://calls\.example\.org, not"):
        public_address(text)


@pytest.mark.parametrize("name", [n for n, p in PROVIDERS.items() if p.rest is not None])
def test_the_api_is_asked_below_its_address_with_what_it_needs(name: str) -> None:
    pair, api = Pair(name), PROVIDERS[name].rest
    assert api is not None
    assert api.source.startswith("https://")
    assert api.address.startswith("https://")
    assert api.secrets
    given = dict.fromkeys(api.secrets, KEY)
    context = RestContext(secrets=given, base=api.address, now=1_800_000_000, unique="7")
    asked = api.hang_up(context, pair.host.started)
    assert asked.url.startswith(f"{api.address}/")
    assert pair.host.started.call_id in asked.url
    assert "Authorization" in asked.headers


def test_a_provider_in_the_manner_of_twilio_names_its_fields() -> None:
    with pytest.raises(TypeError, match=r"^Nameless needs a number_key: the name of that field"):

        class Nameless(JsonCarrier):
            stream_key = "stream"
