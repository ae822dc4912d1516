"""Where providers differ: how a leg sends, answers and hangs up on each."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import orjson
import pytest
import trio
from trio.testing import memory_stream_pair

from voxpy.audio.frame import PCMU, pcm16
from voxpy.channels.mediastream.leg import MediaStreamLeg
from voxpy.channels.mediastream.serving import serve_media_stream
from voxpy.channels.providers.events import Start
from voxpy.channels.providers.provider import Message, PhoneCall
from voxpy.channels.providers.table import PROVIDERS
from voxpy.engine.ports import FirstAudio, LegConnected, LegEnded, LegEvent, LegTone, LegTrouble
from voxpy.errors import NotSupported, ScenarioError
from voxpy.sockets import CloseInfo, FrameSocket, connect

STARTS: dict[str, dict[str, Any]] = {
    "twilio": {
        "event": "start",
        "start": {
            "streamSid": "MZ",
            "callSid": "CA",
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
        },
    },
    "exotel": {
        "event": "start",
        "start": {"stream_sid": "st", "call_sid": "ca", "media_format": {"sample_rate": "8000"}},
    },
    "plivo": {
        "event": "start",
        "start": {
            "callId": "c",
            "streamId": "s",
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
        },
    },
    "asterisk": {"event": "MEDIA_START", "connection_id": "c", "format": "slin"},
    "jambonz": {"callSid": "c", "sampleRate": 8000},
    "voximplant": {
        "event": "start",
        "start": {"mediaFormat": {"encoding": "ULAW", "sampleRate": 8000}},
    },
}


@attrs.define(eq=False)
class Wire:
    """A line that keeps what is sent."""

    sent: list[Any] = attrs.field(factory=list)
    closed: list[tuple[int, str]] = attrs.field(factory=list)
    waiting_messages: int = 0
    is_broken: bool = False
    behind: bool = False
    on_message: Callable[[Message], None] = lambda message: None

    def send(self, data: Message) -> None:
        if not self.closed:
            self.sent.append(orjson.loads(data) if isinstance(data, str) else data)

    def hold(self) -> None:
        """Nothing comes by itself."""

    def read(self) -> None:
        """Nothing has come."""

    def close(self, code: int = 1000, reason: str = "") -> None:
        if not self.closed:
            self.closed.append((code, reason))

    async def run(self) -> CloseInfo:
        raise NotImplementedError

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        await trio.lowlevel.checkpoint()


def leg_of(name: str, **options: Any) -> tuple[MediaStreamLeg, Wire, list[LegEvent]]:
    stream, wire = PROVIDERS[name].open_stream(), Wire()
    stream.receive(orjson.dumps(STARTS[name]).decode())
    leg = MediaStreamLeg(stream, wire, **options)
    reported: list[LegEvent] = []
    leg.bind(reported.append)
    return leg, wire, reported


def kinds(sent: list[Any]) -> list[str]:
    return [
        "audio" if isinstance(m, bytes) else m.get("event") or m.get("type") or m["command"]
        for m in sent
    ]


# -- answering and hanging up ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "at_answer", "at_the_end"),
    [
        ("twilio", [], []),
        ("asterisk", ["ANSWER"], ["HANGUP"]),
        ("jambonz", [], ["disconnect"]),
        ("voximplant", ["start"], []),
    ],
)
async def test_each_is_answered_and_hung_up_in_its_way(
    name: str, at_answer: list[str], at_the_end: list[str]
) -> None:
    leg, wire, reported = leg_of(name)
    leg.answer({})
    assert kinds(wire.sent) == at_answer
    wire.sent.clear()
    leg.hangup({})
    assert (kinds(wire.sent), wire.closed) == (at_the_end, [(1000, "")])
    assert reported == [LegConnected(), LegEnded(code=200, reason="Hung up by the scenario")]


async def test_a_provider_with_an_api_is_asked_to_release_the_line() -> None:
    released: list[Start] = []
    leg, wire, _ = leg_of("plivo", release=released.append)
    leg.answer({})
    leg.hangup({})
    leg.hangup({})
    await leg.aclose()
    assert [start.call_id for start in released] == ["c"]
    assert len(wire.closed) == 1


@pytest.mark.parametrize("how", ["lost", "abandoned"])
async def test_a_line_that_nobody_will_hang_up_any_more_is_released_once(how: str) -> None:
    released: list[Start] = []
    leg, _, reported = leg_of("plivo", release=released.append)
    leg.answer({})
    match how:
        case "lost":
            leg.line_closed(CloseInfo(1006, "connection lost", clean=False))
        case "abandoned":
            leg.abandon(1011, "no session")
    leg.hangup({})
    await leg.aclose()
    assert [start.call_id for start in released] == ["c"]
    assert isinstance(reported[-1], LegEnded)


@pytest.mark.parametrize("how", ["stop", "close"])
async def test_who_has_hung_up_is_not_hung_up(how: str) -> None:
    released: list[Start] = []
    leg, _, _ = leg_of("twilio", release=released.append)
    leg.answer({})
    if how == "stop":
        leg.receive('{"event":"stop"}')
    leg.line_closed(CloseInfo(1000, "", clean=True))
    leg.hangup({})
    await leg.aclose()
    assert released == []


async def test_what_happened_before_anybody_listened_is_told_at_the_first_tick() -> None:
    stream, wire = PROVIDERS["twilio"].open_stream(), Wire()
    stream.receive(orjson.dumps(STARTS["twilio"]).decode())
    leg = MediaStreamLeg(stream, wire)
    leg.receive('{"event":"stop"}')
    reported: list[LegEvent] = []
    leg.bind(reported.append)
    assert reported == []
    leg.tick()
    assert reported == [LegEnded(code=487, reason="Request Terminated")]


async def test_early_media_opens_the_way_to_the_caller_only() -> None:
    leg, wire, _ = leg_of("asterisk")
    leg.start_early_media({})
    leg.outbound.push(bytes(320))
    leg.receive(bytes(320))
    assert kinds(wire.sent) == ["ANSWER", "audio"]
    assert leg.tick() is None
    leg.answer({})
    leg.receive(bytes(320))
    assert leg.tick() == bytes(320)
    assert kinds(wire.sent) == ["ANSWER", "audio"], "answered once"


async def test_digits_are_told_only_when_they_are_wanted() -> None:
    leg, _, reported = leg_of("twilio")
    leg.answer({})
    leg.receive('{"event":"dtmf","dtmf":{"digit":"1"}}')
    leg.handle_tones(True)
    leg.receive('{"event":"dtmf","dtmf":{"digit":"2"}}')
    assert reported[1:] == [LegTone(tone="2")]


async def test_what_a_phone_call_cannot_carry_is_refused_by_name() -> None:
    leg, _, _ = leg_of("twilio")
    with pytest.raises(NotSupported, match="is not supported on the twilio channel"):
        leg.send_message("hello")
    with pytest.raises(NotSupported, match="send_info"):
        leg.send_info("text/plain", "x", {})


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_call_outlives_every_odd_message(provider: str) -> None:
    kind = PROVIDERS[provider]
    side = kind.place(PhoneCall(call_id="c", caller="+1", callee="+2", format=kind.formats[0]))
    opening = [
        *side.opening(),
        *([side.audio(kind.formats[0].silence)] * (kind.transport == "tcp")),
    ]
    stream, wire = kind.open_stream(), Wire()
    odd: list[Message] = [b"\x44\x00\x00", *(m for m in opening if m is not None)]
    if kind.transport == "websocket":
        odd += ["no JSON", "[]", "null", '{"event":"media","type":"mark"}', "{" * 100]
    for message in odd:
        stream.receive(message)
    before = stream.odd_messages
    leg, reported = MediaStreamLeg(stream, wire), list[LegEvent]()
    leg.bind(reported.append)
    leg.answer({})
    for message in odd:
        leg.receive(message)
    assert stream.odd_messages > before
    assert wire.closed == []
    leg.hangup({})
    told = reported[-1]
    assert isinstance(told, LegEnded)
    assert told.counts == {"odd_messages": stream.odd_messages}
    assert sum(isinstance(event, LegTrouble) for event in reported) == 1


async def test_of_a_providers_own_problems_the_first_few_are_told() -> None:
    leg, _, reported = leg_of("asterisk")
    leg.answer({})
    for n in range(1000):
        leg.receive(orjson.dumps({"event": "ERROR", "error_text": f"{n}" * 1000}).decode())
    leg.hangup({})
    told = [event for event in reported if isinstance(event, LegTrouble)]
    assert [event.text[0] for event in told] == list("01234")
    assert max(len(event.text) for event in told) == 300
    assert isinstance(reported[-1], LegEnded)
    assert reported[-1].counts == {"problems": 1000}


# -- sending ---------------------------------------------------------------------------------------


async def test_exotel_gets_messages_of_100_ms_and_the_last_is_filled_up(
    autojump_clock: object,
) -> None:
    leg, wire, _ = leg_of("exotel")
    leg.answer({})
    for _ in range(7):
        leg.outbound.push(b"\x01\x00" * 160)
    assert len(wire.sent) == 1
    for _ in range(4):
        assert len(wire.sent) == 1
        leg.tick()
    assert [len(b64decode(m["media"]["payload"])) for m in wire.sent] == [1600, 1600]
    leg.outbound.push(b"\x01\x00" * 160)
    leg.outbound.clear()
    for _ in range(5):
        leg.tick()
    assert kinds(wire.sent) == ["media", "media", "clear"], "what was not sent is gone as well"


async def test_digits_go_by_message_where_there_is_one_but_a_pause_cannot() -> None:
    leg, wire, _ = leg_of("plivo")
    leg.answer({})
    leg.send_digits("12")
    assert wire.sent == [{"event": "sendDTMF", "dtmf": "12"}]
    leg.send_digits("1p2")
    assert leg.outbound.needs_silence
    leg.outbound.push(PCMU.silence)
    assert wire.sent[-1]["event"] == "playAudio"


async def test_a_provider_that_says_stop_sending_gets_nothing_until_it_says_go() -> None:
    leg, wire, _ = leg_of("asterisk")
    leg.answer({})
    leg.receive('{"event":"MEDIA_XOFF"}')
    leg.outbound.push(bytes(320))
    assert leg.outbound.room_frames() == 0
    leg.receive('{"event":"MEDIA_XON"}')
    leg.outbound.push(bytes(320))
    assert leg.outbound.room_frames() == 9
    assert kinds(wire.sent) == ["ANSWER", "audio"]
    assert leg.outbound.statistics.dropped_frames == 1


async def test_who_does_not_read_gets_no_more() -> None:
    leg, wire, _ = leg_of("twilio")
    leg.answer({})
    wire.waiting_messages = 10
    leg.outbound.push(PCMU.silence)
    assert (leg.outbound.room_frames(), wire.sent) == (0, [])
    assert leg.outbound.statistics.dropped_frames == 1


async def test_a_clear_is_sent_only_if_there_may_be_something_to_clear(
    autojump_clock: object,
) -> None:
    leg, wire, _ = leg_of("twilio")
    leg.answer({})
    leg.outbound.clear()
    leg.outbound.push(PCMU.silence)
    leg.outbound.clear()
    leg.outbound.clear()
    leg.outbound.push(PCMU.silence)
    await trio.sleep(3)
    leg.outbound.clear()
    assert kinds(wire.sent) == ["media", "clear", "media"]


async def test_marks_that_are_never_answered_are_given_up(autojump_clock: object) -> None:
    leg, wire, _ = leg_of("twilio")
    leg.answer({})
    for _ in range(25 * 20):
        leg.outbound.push(PCMU.silence)
    assert kinds(wire.sent).count("mark") == 8
    leg.receive('{"event":"mark","mark":{"name":"of somebody else"}}')
    assert leg.outbound.behind_frames == 0


async def test_a_mark_that_comes_back_twice_counts_once(autojump_clock: object) -> None:
    leg, wire, _ = leg_of("twilio")
    leg.answer({})
    for _ in range(26):
        leg.outbound.push(PCMU.silence)
    (name,) = [m["mark"]["name"] for m in wire.sent if m["event"] == "mark"]
    for _ in range(3):
        await trio.sleep(0.6)
        leg.receive(orjson.dumps({"event": "mark", "mark": {"name": name}}).decode())
    statistics = leg.outbound.statistics
    assert (statistics.marks_sent, statistics.marks_played) == (1, 1)
    assert statistics.behind_ms == pytest.approx(50), "of the first, which was 100 ms late"


# -- over TCP, without WebSocket -------------------------------------------------------------------


def packet(kind: int, body: bytes = b"") -> bytes:
    return bytes([kind]) + len(body).to_bytes(2, "big") + body


@attrs.define
class Echo:
    """A session that sends back what it hears until the leg is over."""

    leg: MediaStreamLeg
    reported: list[LegEvent] = attrs.field(factory=list)

    async def run(self) -> None:
        self.leg.bind(self.reported.append)
        self.leg.handle_tones(True)
        self.leg.answer({})
        while self.leg.state != "ended":
            frame = self.leg.tick()
            assert self.leg.media.sink is not None
            self.leg.media.sink.push(frame or pcm16(8000).silence)
            await trio.sleep(0.02)


async def test_audiosocket_gets_a_frame_every_tick_and_its_end(autojump_clock: object) -> None:
    ours, theirs = memory_stream_pair()
    made: list[Echo] = []

    def make(leg: MediaStreamLeg) -> Echo:
        made.append(Echo(leg))
        return made[0]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_media_stream, ours, "audiosocket", make)
        await theirs.send_all(packet(1, bytes(16)) + packet(0x10, bytes(320)))
        await trio.sleep(0.01)
        await theirs.send_all(packet(0x10, b"\x07\x00" * 160))
        await trio.sleep(0.04)
        came = bytes(await theirs.receive_some())
        await theirs.send_all(packet(3, b"5"))
        await trio.sleep(0.01)
        made[0].leg.hangup({})
        rest = b""
        while data := bytes(await theirs.receive_some()):
            rest += data
    said, silence = packet(0x10, b"\x07\x00" * 160), packet(0x10, bytes(320))
    assert came == silence + said + silence, "one per tick, silence too"
    assert rest.endswith(packet(0))
    assert made[0].leg.media.carrier is None
    assert made[0].reported == [
        LegConnected(),
        FirstAudio(),
        LegTone(tone="5"),
        LegEnded(code=200, reason="Hung up by the scenario"),
    ]


async def test_audiosocket_that_closes_has_hung_up(autojump_clock: object) -> None:
    ours, theirs = memory_stream_pair()
    made: list[Echo] = []

    def make(leg: MediaStreamLeg) -> Echo:
        made.append(Echo(leg))
        return made[0]

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_media_stream, ours, "audiosocket", make)
            await theirs.send_all(packet(1, bytes(16)) + packet(0x10, bytes(320)))
            await trio.sleep(0.1)
            await theirs.aclose()
    assert made[0].reported[-1] == LegEnded(code=200, reason="Hung up by the caller")


# -- accepting -------------------------------------------------------------------------------------


async def talk_to(
    name: str, talk: Callable[[FrameSocket], Awaitable[None]], **options: Any
) -> Echo:
    ours, theirs = memory_stream_pair()
    made: list[Echo] = []

    async def give(endpoint: object) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return theirs

    def make(leg: MediaStreamLeg) -> Echo:
        made.append(Echo(leg))
        return made[-1]

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_media_stream, ours, name, make)
            socket = await connect(give, "ws://host.test/", **options)
            nursery.start_soon(socket.run)
            await talk(socket)
    return made[0]


async def test_jambonz_is_given_its_subprotocol(autojump_clock: object) -> None:
    async def talk(socket: FrameSocket) -> None:
        assert socket.subprotocol == "audio.jambonz.org"
        socket.send(orjson.dumps(STARTS["jambonz"]).decode())
        await trio.sleep(0.1)
        await socket.aclose()

    echo = await talk_to("jambonz", talk, subprotocols=["x", "audio.jambonz.org"])
    assert echo.reported[-1] == LegEnded(code=200, reason="Hung up by the caller")


async def test_audio_before_the_start_costs_no_call(autojump_clock: object) -> None:
    """As Asterisk sends it in one of ten calls."""

    async def talk(socket: FrameSocket) -> None:
        socket.send(bytes(320))
        socket.send(orjson.dumps(STARTS["asterisk"]).decode())
        await trio.sleep(0.1)
        await socket.aclose()

    echo = await talk_to("asterisk", talk)
    assert LegConnected() in echo.reported
    assert [e.text for e in echo.reported if isinstance(e, LegTrouble)] == [
        "asterisk: audio before the start of the stream"
    ]
    assert echo.reported[-1] == LegEnded(
        code=200, reason="Hung up by the caller", counts={"odd_messages": 1}
    )


async def test_a_provider_nobody_knows_is_refused_before_anything(autojump_clock: object) -> None:
    ours, _ = memory_stream_pair()
    with pytest.raises(ScenarioError, match="no provider 'twilo'; did you mean 'twilio'"):
        await serve_media_stream(ours, "twilo", Echo)
