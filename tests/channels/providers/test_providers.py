"""Every provider's stream, message by message, as its own documentation shows them.

The messages are the examples of the pages named in ``Provider.source``, shortened. What a provider
really sends beyond its documentation these tests cannot know.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxpy.audio.frame import PCMA, PCMU, Format, pcm16
from voxpy.channels.providers.events import (
    Audio,
    Dtmf,
    Flow,
    MarkPlayed,
    Odd,
    Problem,
    Start,
    Stop,
    StreamEvent,
    Unknown,
)
from voxpy.channels.providers.provider import MediaStream, Message, PhoneCall
from voxpy.channels.providers.table import PROVIDERS
from voxpy.errors import LocalProtocolError, RemoteProtocolError

AUDIO = bytes(range(160))
B64 = b64encode(AUDIO).decode()


def js(**fields: Any) -> str:
    return orjson.dumps(fields).decode()


def packet(kind: int, body: bytes = b"") -> bytes:
    return bytes([kind]) + len(body).to_bytes(2, "big") + body


ON_WEBSOCKETS = sorted(n for n, p in PROVIDERS.items() if p.transport == "websocket")


def started(name: str, **query: str) -> MediaStream:
    stream = PROVIDERS[name].open_stream(query)
    for message in OPENING[name]:
        stream.receive(message)
    return stream


TWILIO_START = {
    "event": "start",
    "sequenceNumber": "1",
    "start": {
        "accountSid": "ACXX",
        "streamSid": "MZ18ad",
        "callSid": "CA0b",
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"from": "+15551", "To": "+15552", "RemoteParty": "Bob"},
    },
    "streamSid": "MZ18ad",
}
TELNYX_START = {
    "event": "start",
    "sequence_number": "1",
    "stream_id": "32DE0DEA",
    "start": {
        "user_id": "3E6F",
        "call_control_id": "v2:T02l",
        "call_session_id": "ff55",
        "from": "+13122010094",
        "to": "+13122123456",
        "client_state": "aGF2ZQ==",
        "custom_parameters": {"customer_id": "customer_123"},
        "media_format": {"encoding": "PCMA", "sample_rate": 8000, "channels": 1},
    },
}
PLIVO_START = {
    "event": "start",
    "sequenceNumber": 1,
    "start": {
        "callId": "1234",
        "streamId": "8765",
        "accountId": "MAXX",
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-l16", "sampleRate": 16000},
    },
    "extra_headers": "{from=+91;to=+92;sessionId=abc-xyz}",
}
VONAGE_START = {
    "event": "websocket:connected",
    "content-type": "audio/l16;rate=16000",
    "uuid": "aaaa-bbbb",
    "caller": "447700",
    "did": "447701",
}
EXOTEL_START = {
    "event": "start",
    "sequence_number": 1,
    "stream_sid": "st1",
    "start": {
        "stream_sid": "st1",
        "call_sid": "ca1",
        "account_sid": "ac1",
        "from": "XXXX",
        "to": "YYYY",
        "custom_parameters": {"FirstName": "Jane"},
        "media_format": {"encoding": "base64", "sample_rate": "8000", "bit_rate": "128kbps"},
    },
}
JAMBONZ_START = {
    "callSid": "cs1",
    "from": "+1",
    "to": "+2",
    "direction": "inbound",
    "sampleRate": 8000,
    "mixType": "mono",
    "plan": "gold",
}
VOXIMPLANT_START = {
    "event": "start",
    "sequenceNumber": 0,
    "start": {
        "tag": "t",
        "mediaFormat": {"encoding": "PCM16", "sampleRate": 16000, "channels": 1},
        "customParameters": '{"from":"+7","call_id":"c7"}',
    },
}
ASTERISK_START = {
    "event": "MEDIA_START",
    "connection_id": "media_connection1",
    "channel": "WebSocket/media_connection1/0x5140001a0040",
    "channel_id": "1761245643.1",
    "format": "ulaw",
    "optimal_frame_size": 160,
    "ptime": 20,
    "channel_variables": {"DIALEDPEERNUMBER": "media_connection1/c(ulaw)", "from": "100"},
}
UUID_BYTES = bytes(range(16))

OPENING: dict[str, list[Message]] = {
    "twilio": [js(event="connected", protocol="Call", version="1.0.0"), js(**TWILIO_START)],
    "telnyx": [js(event="connected", version="1.0.0"), js(**TELNYX_START)],
    "plivo": [js(**PLIVO_START)],
    "vonage": [js(**VONAGE_START)],
    "exotel": [js(event="connected"), js(**EXOTEL_START)],
    "jambonz": [js(**JAMBONZ_START)],
    "voximplant": [js(**VOXIMPLANT_START)],
    "asterisk": [js(**ASTERISK_START)],
    "audiosocket": [packet(1, UUID_BYTES), packet(0x10, AUDIO)],
}


def test_every_provider_has_an_opening() -> None:
    """``tests/readers`` takes them from here too."""
    assert sorted(OPENING) == sorted(PROVIDERS)


# -- the start -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "call_id", "stream_id", "caller", "callee", "fmt"),
    [
        ("twilio", "CA0b", "MZ18ad", "+15551", "+15552", PCMU),
        ("telnyx", "v2:T02l", "32DE0DEA", "+13122010094", "+13122123456", PCMA),
        ("plivo", "1234", "8765", "+91", "+92", pcm16(16000)),
        ("vonage", "aaaa-bbbb", "aaaa-bbbb", "447700", "447701", pcm16(16000)),
        ("exotel", "ca1", "st1", "XXXX", "YYYY", pcm16(8000)),
        ("jambonz", "cs1", "cs1", "+1", "+2", pcm16(8000)),
        ("voximplant", "c7", "t", "+7", "", pcm16(16000)),
        ("asterisk", "1761245643.1", "media_connection1", "100", "", PCMU),
        ("audiosocket", *["00010203-0405-0607-0809-0a0b0c0d0e0f"] * 2, "", "", pcm16(8000)),
    ],
)
def test_the_start_says_who_calls_whom_in_which_format(
    name: str, call_id: str, stream_id: str, caller: str, callee: str, fmt: Format
) -> None:
    start = started(name).started
    assert (start.call_id, start.stream_id) == (call_id, stream_id)
    assert (start.caller, start.callee) == (caller, callee)
    assert start.inbound == fmt


def test_parameters_of_the_start_come_before_those_of_the_address() -> None:
    stream = started("twilio", RemoteParty="Al", region="eu")
    assert stream.started.parameters == {
        "RemoteParty": "Bob",
        "region": "eu",
        "from": "+15551",
        "To": "+15552",
    }
    assert started("audiosocket", caller="7").started.caller == "7"


# -- in --------------------------------------------------------------------------------------------

NOTHING: list[StreamEvent] = []


@pytest.mark.parametrize(
    ("name", "message", "events"),
    [
        ("twilio", js(event="media", media={"track": "inbound", "payload": B64}), [Audio(AUDIO)]),
        ("twilio", js(event="media", media={"track": "outbound", "payload": B64}), NOTHING),
        ("twilio", js(event="dtmf", dtmf={"track": "inbound_track", "digit": "1"}), [Dtmf("1")]),
        ("twilio", js(event="mark", mark={"name": "m"}), [MarkPlayed("m")]),
        ("twilio", js(event="stop", stop={"callSid": "CA0b"}), [Stop()]),
        (
            "telnyx",
            js(event="media", media={"track": "inbound", "chunk": "7", "payload": B64}),
            [Audio(AUDIO, 7)],
        ),
        ("telnyx", js(event="dtmf", dtmf={"digit": "#"}), [Dtmf("#")]),
        ("telnyx", js(event="mark", mark={"name": "m"}), [MarkPlayed("m")]),
        (
            "telnyx",
            js(event="error", payload={"code": 100002, "title": "unknown_error"}),
            [Problem("100002 unknown_error")],
        ),
        ("telnyx", js(event="stop", stop={"reason": "hangup"}), [Stop("hangup")]),
        ("plivo", js(event="media", media={"track": "inbound", "payload": B64}), [Audio(AUDIO)]),
        ("plivo", js(event="dtmf", dtmf={"digit": "5"}), [Dtmf("5")]),
        ("plivo", js(event="playedStream", streamId="8765", name="m"), [MarkPlayed("m")]),
        ("plivo", js(event="clearedAudio", streamId="8765"), NOTHING),
        ("vonage", AUDIO, [Audio(AUDIO)]),
        ("vonage", js(event="websocket:dtmf", digit="5", duration=260), [Dtmf("5")]),
        ("vonage", js(event="websocket:dtmf", dtmf={"digit": "5"}), [Dtmf("5")]),
        ("vonage", js(event="websocket:notify", payload={"mark": "m"}), [MarkPlayed("m")]),
        ("vonage", js(event="websocket:cleared"), NOTHING),
        ("exotel", js(event="media", media={"chunk": 2, "payload": B64}), [Audio(AUDIO)]),
        ("exotel", js(event="dtmf", dtmf={"duration": 1, "digit": "0"}), [Dtmf("0")]),
        ("exotel", js(event="mark", mark={"name": "m"}), [MarkPlayed("m")]),
        ("exotel", js(event="stop", stop={"reason": "callended"}), [Stop("callended")]),
        ("jambonz", AUDIO, [Audio(AUDIO)]),
        ("jambonz", js(event="dtmf", dtmf="2", duration="1600"), [Dtmf("2")]),
        (
            "jambonz",
            js(type="mark", data={"name": "m", "event": "playout"}),
            [MarkPlayed("m")],
        ),
        (
            "voximplant",
            js(event="media", media={"chunk": 1, "timestamp": 160, "payload": B64}),
            [Audio(AUDIO)],
        ),
        ("voximplant", js(event="stop", stop={"mediaInfo": {"duration": 1}}), [Stop()]),
        ("asterisk", AUDIO, [Audio(AUDIO)]),
        ("asterisk", js(event="DTMF_END", digit="a"), [Dtmf("A")]),
        ("asterisk", js(event="MEDIA_MARK_PROCESSED", correlation_id="m"), [MarkPlayed("m")]),
        ("asterisk", js(event="MEDIA_XOFF"), [Flow(may_send=False)]),
        ("asterisk", js(event="MEDIA_XON"), [Flow(may_send=True)]),
        ("asterisk", js(event="ERROR", error_text="bad"), [Problem("bad")]),
        ("asterisk", js(event="HANGUP"), [Stop()]),
        ("asterisk", js(event="STATUS", queue_length=0), NOTHING),
        ("audiosocket", packet(0x10, AUDIO), [Audio(AUDIO)]),
        ("audiosocket", packet(3, b"9"), [Dtmf("9")]),
        ("audiosocket", packet(0xFF, b"\x01"), [Problem("error 01")]),
        ("audiosocket", packet(0), [Stop()]),
    ],
)
def test_what_comes(name: str, message: Message, events: list[StreamEvent]) -> None:
    assert list(started(name).receive(message)) == events


@pytest.mark.parametrize("name", ON_WEBSOCKETS)
def test_a_message_nobody_knows_survives(name: str) -> None:
    (event,) = started(name).receive(js(event="new.thing", type="new.thing", x=1))
    assert isinstance(event, Unknown)
    assert (event.kind, event.raw["x"]) == ("new.thing", 1)


def test_plain_text_of_an_older_asterisk() -> None:
    stream = PROVIDERS["asterisk"].open_stream({"to": "200"})
    (start,) = stream.receive(
        "MEDIA_START connection_id:e226 channel:WebSocket/c channel_id:pbx1-1.9 "
        "format:slin16 optimal_frame_size:640 ptime:20"
    )
    assert isinstance(start, Start)
    assert (start.inbound, start.callee, start.call_id) == (pcm16(16000), "200", "pbx1-1.9")
    assert list(stream.receive("DTMF_END digit:4 duration_ms:100")) == [Dtmf("4")]
    assert list(stream.receive("MEDIA_MARK_PROCESSED m")) == [MarkPlayed("m")]
    assert (stream.answer(), stream.mark("m")) == ("ANSWER", "MARK_MEDIA m")
    assert (stream.clear(), stream.hang_up()) == ("FLUSH_MEDIA", "HANGUP")


# -- out -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "command", "sent"),
    [
        (
            "twilio",
            lambda s: s.audio(AUDIO),
            {"event": "media", "streamSid": "MZ18ad", "media": {"payload": B64}},
        ),
        ("twilio", lambda s: s.clear(), {"event": "clear", "streamSid": "MZ18ad"}),
        (
            "twilio",
            lambda s: s.mark("m"),
            {"event": "mark", "streamSid": "MZ18ad", "mark": {"name": "m"}},
        ),
        ("telnyx", lambda s: s.audio(AUDIO), {"event": "media", "media": {"payload": B64}}),
        ("telnyx", lambda s: s.clear(), {"event": "clear"}),
        ("telnyx", lambda s: s.mark("m"), {"event": "mark", "mark": {"name": "m"}}),
        (
            "plivo",
            lambda s: s.audio(AUDIO),
            {
                "event": "playAudio",
                "media": {"contentType": "audio/x-l16", "sampleRate": 16000, "payload": B64},
            },
        ),
        ("plivo", lambda s: s.clear(), {"event": "clearAudio", "streamId": "8765"}),
        (
            "plivo",
            lambda s: s.mark("m"),
            {"event": "checkpoint", "streamId": "8765", "name": "m"},
        ),
        ("plivo", lambda s: s.dtmf("12#"), {"event": "sendDTMF", "dtmf": "12#"}),
        ("vonage", lambda s: s.audio(AUDIO), AUDIO),
        ("vonage", lambda s: s.clear(), {"action": "clear"}),
        ("vonage", lambda s: s.mark("m"), {"action": "notify", "payload": {"mark": "m"}}),
        (
            "exotel",
            lambda s: s.audio(AUDIO),
            {"event": "media", "stream_sid": "st1", "media": {"payload": B64}},
        ),
        ("exotel", lambda s: s.clear(), {"event": "clear", "stream_sid": "st1"}),
        (
            "exotel",
            lambda s: s.mark("m"),
            {"event": "mark", "stream_sid": "st1", "mark": {"name": "m"}},
        ),
        ("jambonz", lambda s: s.audio(AUDIO), AUDIO),
        ("jambonz", lambda s: s.clear(), {"type": "killAudio"}),
        ("jambonz", lambda s: s.mark("m"), {"type": "mark", "data": {"name": "m"}}),
        ("jambonz", lambda s: s.hang_up(), {"type": "disconnect"}),
        ("asterisk", lambda s: s.answer(), {"command": "ANSWER"}),
        ("asterisk", lambda s: s.audio(AUDIO), AUDIO),
        ("asterisk", lambda s: s.clear(), {"command": "FLUSH_MEDIA"}),
        (
            "asterisk",
            lambda s: s.mark("m"),
            {"command": "MARK_MEDIA", "correlation_id": "m"},
        ),
        ("asterisk", lambda s: s.hang_up(), {"command": "HANGUP"}),
        ("audiosocket", lambda s: s.audio(AUDIO), packet(0x10, AUDIO)),
        ("audiosocket", lambda s: s.hang_up(), packet(0)),
    ],
)
def test_what_is_sent(name: str, command: Callable[[MediaStream], Message], sent: Any) -> None:
    message = command(started(name))
    assert (orjson.loads(message) if isinstance(message, str) else message) == sent


def test_telnyx_takes_what_its_bidirectional_codec_is_whatever_the_call_is() -> None:
    def formats(encoding: str, rate_hz: int, **query: str) -> tuple[Format, Format]:
        form = {"encoding": encoding, "sample_rate": rate_hz, "channels": 1}
        stream = PROVIDERS["telnyx"].open_stream(query)
        start = {**TELNYX_START, "start": {**TELNYX_START["start"], "media_format": form}}  # type: ignore[dict-item]
        stream.receive(js(**start))
        return stream.started.inbound, stream.started.outbound

    assert formats("PCMA", 8000) == (PCMA, PCMU)
    assert formats("PCMU", 8000, codec="PCMA") == (PCMU, PCMA)
    assert formats("L16", 16000) == (pcm16(16000), PCMU)
    assert formats("PCMA", 8000, codec="L16", rate="16000") == (PCMA, pcm16(16000))
    with pytest.raises(RemoteProtocolError, match="audio as 'G729'"):
        formats("PCMU", 8000, codec="G729")


def test_jambonz_may_take_another_rate_than_it_sends() -> None:
    start = started("jambonz", rate="16000").started
    assert (start.inbound, start.outbound) == (pcm16(8000), pcm16(16000))
    assert started("jambonz").started.outbound == pcm16(8000)


def test_linear_audio_of_telnyx_is_in_network_byte_order() -> None:
    stream = PROVIDERS["telnyx"].open_stream({"codec": "L16", "rate": "16000"})
    form = {"encoding": "L16", "sample_rate": 16000, "channels": 1}
    start = {**TELNYX_START, "start": {**TELNYX_START["start"], "media_format": form}}  # type: ignore[dict-item]
    stream.receive(js(**start))
    on_the_wire = b64encode(b"\x01\x02\x03\x04").decode()
    media = js(event="media", media={"chunk": "1", "payload": on_the_wire})
    assert list(stream.receive(media)) == [Audio(b"\x02\x01\x04\x03", 1)]
    sent = stream.audio(b"\x02\x01\x04\x03")
    assert orjson.loads(sent)["media"]["payload"] == on_the_wire


def test_voximplant_counts_messages_chunks_and_samples() -> None:
    stream = started("voximplant")
    begin, first, second = stream.answer(), stream.audio(bytes(640)), stream.audio(bytes(640))
    assert begin is not None
    assert orjson.loads(begin)["start"]["mediaFormat"] == {
        "encoding": "PCM16",
        "sampleRate": 16000,
        "channels": 1,
    }
    media = [orjson.loads(m) for m in (first, second)]
    assert [m["sequenceNumber"] for m in media] == [1, 2]
    assert [(m["media"]["chunk"], m["media"]["timestamp"]) for m in media] == [(0, 0), (1, 320)]


# -- what is wrong ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message", "problem"),
    [
        ("twilio", "{", "twilio: no JSON: '{'"),
        ("twilio", "[1]", "twilio: no JSON object: '[1]'"),
        ("twilio", b"\x00\x01", "twilio: a binary message of 2 bytes"),
        ("twilio", js(event="media"), "twilio: a message without 'media'"),
        ("twilio", js(event="media", media={"payload": "é"}), "payload that is not base64"),
        ("twilio", js(event="media", media={}), "payload that is not base64: None"),
        ("twilio", js(event="dtmf", dtmf={"digit": "12"}), "a digit that no phone has: '12'"),
        ("twilio", js(event="mark", mark={"name": None}), "a message without 'name'"),
        ("twilio", js(**TWILIO_START), "twilio: a second start of the stream"),
        ("telnyx", js(event="media", media={"chunk": "x", "payload": B64}), "without a number"),
        ("telnyx", js(event="media", media={"chunk": "1" * 5000, "payload": B64}), "chunk without"),
        ("twilio", js(event="dtmf", dtmf={"digit": "w"}), "a digit that no phone has: 'w'"),
        ("vonage", js(event="websocket:dtmf", digit="w"), "a digit that no phone has: 'w'"),
        ("asterisk", "NOT JSON", "no JSON: 'NOT JSON'"),
        ("vonage", AUDIO[:159], "159 bytes of audio, half a sample"),
        ("audiosocket", packet(0x02), "a packet of type 0x02"),
        ("audiosocket", packet(0x04, b"?"), "a packet of type 0x04"),
        ("audiosocket", packet(0x11, AUDIO), "a packet of type 0x11"),
        ("audiosocket", packet(0x17, AUDIO), "a packet of type 0x17"),
        ("audiosocket", packet(3, b"f"), "a digit that no phone has: 'f'"),
        ("audiosocket", packet(0x12, AUDIO), "another sample rate within the stream"),
        ("audiosocket", packet(0x44), "a packet of type 0x44"),
        ("audiosocket", packet(1, UUID_BYTES), "an identifier of 16 bytes, or a second one"),
        ("audiosocket", "text", "text on a byte stream"),
    ],
)
def test_a_message_that_cannot_be_is_dropped_and_counted(
    name: str, message: Message, problem: str
) -> None:
    stream = started(name)
    (event,) = stream.receive(message)
    assert isinstance(event, Odd)
    assert problem in event.problem
    assert stream.odd_messages == 1


@pytest.mark.parametrize("name", sorted(OPENING))
def test_audio_and_digits_before_the_start_are_dropped(name: str) -> None:
    provider = PROVIDERS[name]
    call = PhoneCall(call_id="c", caller="1", callee="2", format=provider.formats[0])
    carrier, stream = provider.place(call), provider.open_stream()
    frames = (carrier.audio(carrier.inbound.silence) for _ in range(provider.chunk_frames))
    (event,) = (event for frame in frames if frame is not None for event in stream.receive(frame))
    assert isinstance(event, Odd)
    with pytest.raises(LocalProtocolError, match="has not started"):
        _ = stream.started
    for message in OPENING[name]:
        stream.receive(message)
    assert stream.started.call_id == started(name).started.call_id


def test_one_odd_packet_does_not_take_those_around_it() -> None:
    wire = packet(0x10, AUDIO) + packet(0x02) + packet(3, b"f") + packet(3, b"5")
    events = started("audiosocket").receive(wire)
    assert [type(event) for event in events] == [Audio, Odd, Odd, Dtmf]


@pytest.mark.parametrize(
    ("encoding", "rate"), [("OPUS", 48000), ("audio/x-mulaw", 16000), ("slin", 11025), (None, None)]
)
def test_a_format_that_is_not_carried_says_which_are(encoding: Any, rate: Any) -> None:
    form = {"encoding": encoding, "sampleRate": rate}
    start = {**TWILIO_START, "start": {**TWILIO_START["start"], "mediaFormat": form}}  # type: ignore[dict-item]
    with pytest.raises(RemoteProtocolError, match="configure mu-law or A-law at 8000 Hz"):
        PROVIDERS["twilio"].open_stream().receive(js(**start))


def test_jambonz_must_not_mix_both_sides() -> None:
    with pytest.raises(RemoteProtocolError, match="mixType is 'stereo'; it must be 'mono'"):
        PROVIDERS["jambonz"].open_stream().receive(js(**{**JAMBONZ_START, "mixType": "stereo"}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["event", "media", "payload", "start", "name", "dtmf"]),
                      inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
EVENTS = st.sampled_from(
    "start media dtmf mark stop connected error playedStream clearedAudio websocket:connected "
    "websocket:dtmf websocket:notify MEDIA_START DTMF_END customEvent".split()
)
MESSAGES = st.one_of(
    st.text(max_size=40),
    st.binary(max_size=40),
    st.builds(
        lambda event, rest: js(**{**rest, "event": event}),
        EVENTS,
        st.dictionaries(
            st.sampled_from(
                "start media dtmf mark stop payload callSid content-type format".split()
            ),
            JSON,
            max_size=3,
        ),
    ),
)


@given(
    name=st.sampled_from(sorted(OPENING)),
    opened=st.booleans(),
    messages=st.lists(MESSAGES, max_size=4),
)
def test_whatever_comes_gives_events_or_the_one_error(
    name: str, opened: bool, messages: list[Message]
) -> None:
    stream = started(name) if opened else PROVIDERS[name].open_stream()
    for message in messages:
        try:
            events = stream.receive(message)
        except RemoteProtocolError:
            return
        assert all(isinstance(event, StreamEvent) for event in events)


def places(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return where every value stands in a message."""
    if not isinstance(value, dict):
        return [path]
    return [path, *(p for k, v in value.items() for p in places(v, (*path, k)))]


def put(value: Any, path: tuple[str, ...], new: Any) -> Any:
    if not path:
        return new
    return {**value, path[0]: put(value[path[0]], path[1:], new)}


@settings(max_examples=300)
@given(name=st.sampled_from(ON_WEBSOCKETS), data=st.data())
def test_a_start_with_anything_in_the_wrong_place_is_a_start_or_the_one_error(
    name: str, data: st.DataObject
) -> None:
    whole = orjson.loads(OPENING[name][-1])
    at = data.draw(st.sampled_from(places(whole)))
    new = data.draw(JSON)
    try:
        PROVIDERS[name].open_stream().receive(orjson.dumps(put(whole, at, new)).decode())
    except RemoteProtocolError:
        return


@given(cuts=st.lists(st.integers(1, 60), max_size=20))
def test_however_tcp_cuts_audiosocket_the_same_comes_out(cuts: list[int]) -> None:
    wire = b"".join(
        [packet(1, UUID_BYTES), *[packet(0x13, bytes([n]) * 20) for n in range(5)], packet(3, b"7")]
    )
    whole = list(PROVIDERS["audiosocket"].open_stream().receive(wire))
    stream, got, rest = PROVIDERS["audiosocket"].open_stream(), list[StreamEvent](), wire
    for cut in cuts:
        got += stream.receive(rest[:cut])
        rest = rest[cut:]
    assert [*got, *stream.receive(rest)] == whole
    assert len(whole) == 7
