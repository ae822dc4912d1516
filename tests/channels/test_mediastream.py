"""Whole calls over a provider's media stream: the real scenario, agent, socket and session."""

from __future__ import annotations

import wave
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import numpy as np
import orjson
import pytest
import trio
import trio.testing
from trio.testing import memory_stream_pair

from voxpy.audio.convert import decode
from voxpy.audio.dtmf import DigitEnded, DtmfDetector
from voxpy.audio.frame import PCMU
from voxpy.channels.mediastream.leg import MediaStreamLeg
from voxpy.channels.mediastream.serving import serve_media_stream
from voxpy.engine import clock
from voxpy.engine.ending import EndReason
from voxpy.engine.loader import compile_scenarios
from voxpy.engine.ports import Endpoint, OpenStream, RealtimeEndpoint
from voxpy.engine.session import SessionContext
from voxpy.engine.settings import Settings
from voxpy.engine.trace import Entry
from voxpy.errors import RemoteProtocolError
from voxpy.host.sessions import HostedSession, Keeping
from voxpy.localagent.engines import Engines
from voxpy.localagent.server import serve_stream
from voxpy.project.secrets import Secrets
from voxpy.simulation.acting import act, line_ears, prepare_sounds
from voxpy.simulation.caller import SimulatedCaller
from voxpy.simulation.callerfile import parse_script
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import scripted_engines
from voxpy.sockets import CloseInfo, connect
from voxpy.sockets.memory import MemoryDialer
from voxpy.sockets.streams import open_tcp
from voxpy.testing.carrier import CarrierPhone

ROOT = Path(__file__).resolve().parents[2]
ANSWER = ROOT / "scenarios" / "answer.py"
PARAMETERS = {"from": "+15550001111", "to": "+15550002222", "plan": "gold"}
CALL_SID = "CA0123456789abcdef0123456789abcdef"
URL = "ws://host.test/media?region=eu"
LONG = "I will tell you a story that goes on and on and on for many words until somebody stops me"


Serve = Callable[[trio.abc.Stream], Awaitable[None]]


@attrs.define
class Call:
    """One call over a carrier, while it runs and afterwards."""

    phone: CarrierPhone
    caller: SimulatedCaller
    engines: Engines
    entries: list[Entry] = attrs.field(factory=list)
    hosted: HostedSession | None = None
    began_at: float = 0.0
    served: trio.Event = attrs.field(factory=trio.Event)

    async def act(self, steps: str) -> None:
        """Do the steps of a caller's script."""
        script = parse_script("steps:\n" + steps, file="caller.yaml", folder=Path())
        await act(self.caller, script, await prepare_sounds(script, lambda: self.engines))

    @property
    def leg(self) -> MediaStreamLeg:
        assert self.hosted is not None
        assert isinstance(self.hosted.leg, MediaStreamLeg)
        return self.hosted.leg

    def find(self, name: str) -> list[Entry]:
        return [e for e in self.entries if e.name == name]

    @property
    def end(self) -> tuple[EndReason, str]:
        assert self.hosted is not None
        assert self.hosted.session.ended is not None
        return self.hosted.session.ended.reason, self.hosted.session.ended.detail


@asynccontextmanager
async def calling(
    folder: Path,
    says: Sequence[str],
    *,
    scenario: Path = ANSWER,
    delay_s: float = 0.0,
    open_server: Callable[[trio.Nursery, Serve], Awaitable[OpenStream]] | None = None,
    answer_marks: bool = True,
) -> AsyncIterator[Call]:
    """Serve one stream as ``voxpy serve`` would, and call it from a carrier."""
    engines = scripted_engines(ScriptedResponder(says))
    media = clock.MediaClock()

    def make_session(leg: MediaStreamLeg) -> HostedSession:
        context = SessionContext(
            session_id="s-1",
            rule_name="all",
            program=compile_scenarios([scenario]),
            settings=Settings(),
            secrets=Secrets(folder / "secrets.env", environ={"INWORLD_API_KEY": "local"}),
            media_clock=media,
            open_stream=MemoryDialer(nursery, partial(serve_stream, engines=engines)),
            realtime=RealtimeEndpoint(url="ws://agent.test/api/v1/realtime/session"),
        )
        call.began_at = clock.now()
        call.hosted = HostedSession(context, leg, Keeping(base=folder, sinks=[call.entries.append]))
        return call.hosted

    async def serve(stream: trio.abc.Stream) -> None:
        await serve_media_stream(stream, "twilio", make_session)
        call.served.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(media.run)
        if open_server is None:
            dial: OpenStream = MemoryDialer(nursery, serve)
        else:
            dial = await open_server(nursery, serve)
        socket = await connect(dial, URL)
        phone = CarrierPhone(
            socket,
            parameters=PARAMETERS,
            call_id=CALL_SID,
            delay_s=delay_s,
            answer_marks=answer_marks,
        )
        script = parse_script("steps:\n  - expect: x\n", file="c", folder=Path())
        caller = SimulatedCaller(
            phone,
            ears=line_ears(script, lambda: engines),
            note=lambda name, **fields: None,
        )
        call = Call(phone, caller, engines)
        nursery.start_soon(caller.run)
        nursery.start_soon(phone.run)
        yield call
        with trio.fail_after(5):
            await call.served.wait()
        nursery.cancel_scope.cancel()


WHOLE = """
  - expect: good to hear you
  - say: what is the time
  - interrupt: {after_s: 1.0, say: stop it please}
  - expect: as you like
  - press: 12#
  - wait: {seconds: 0.5}
  - hang_up
"""
SAYS = ["good to hear you", LONG, "as you like"]

MENU = """
from voxpy import AppEvents, CallEvents, Inworld, Logger, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
async def answer(event):
    call = event.call
    call.handle_tones(True)
    call.add_event_listener(CallEvents.ToneReceived, lambda e: Logger.write(f"tone {e.tone}"))
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.answer()
    agent = await Inworld.create_realtime_api_client(
        api_key="local", session_key="k", auto_truncate=True, mulaw_thirds=False)
    await agent.wait_event(Inworld.RealtimeAPIEvents.SessionCreated, timeout_s=5)
    agent.session_update({"session": {"type": "realtime"}})
    await agent.wait_event(Inworld.RealtimeAPIEvents.SessionUpdated, timeout_s=5)
    VoxEngine.send_media_between(call, agent)
    agent.response_create({})
"""


def scenario(folder: Path, source: str) -> Path:
    path = folder / "mine.py"
    path.write_text(source, encoding="utf-8")
    return path


def reasons(call: Call) -> list[str]:
    return [str(e.data["reason"]) for e in call.find("call over")]


def problems(call: Call) -> list[Entry]:
    return [e for e in call.entries if e.kind in ("error", "warning")]


# -- a whole call ----------------------------------------------------------------------------------


async def test_a_whole_call_with_the_real_scenario(tmp_path: Path, autojump_clock: object) -> None:
    async with calling(tmp_path, SAYS) as call:
        await call.act(WHOLE)
    assert call.end[0] is EndReason.TERMINATED
    assert problems(call) == []
    assert reasons(call) == ["Hung up by the caller"]
    assert call.hosted is not None
    assert call.hosted.record.personal["callerid"] == "+15550001111"
    assert call.hosted.record.personal["destination"] == "+15550002222"
    assert call.leg.headers == {
        "X-region": "eu",
        "X-from": "+15550001111",
        "X-to": "+15550002222",
        "X-plan": "gold",
        "X-Provider-Call-Id": CALL_SID,
    }
    assert call.phone.info is not None
    assert call.phone.info.clean
    assert call.leg.inbound.statistics.dropped_frames == 0
    assert call.phone.marks >= 2


@pytest.mark.slow
async def test_a_whole_call_over_a_real_socket(tmp_path: Path) -> None:
    async def listen(nursery: trio.Nursery, serve: Serve) -> OpenStream:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        port = listener.socket.getsockname()[1]
        return lambda _: open_tcp(Endpoint(host="127.0.0.1", port=port, tls=False))

    async with calling(tmp_path, ["hello"], open_server=listen) as call:
        await call.act("  - expect: hello\n  - press: '1'\n  - hang_up\n")
    assert problems(call) == []
    assert reasons(call) == ["Hung up by the caller"]
    assert call.phone.info is not None
    assert call.phone.info.clean


async def test_mu_law_passes_from_the_agent_to_the_phone_untouched(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with calling(tmp_path, ["one two three"]) as call:
        await call.act("  - expect: one two three\n  - hang_up\n")
        sound = decode(b"".join(p.frame for p in call.phone.played), PCMU)
    loud = np.flatnonzero(np.abs(sound.astype(int)) > 1000)
    assert loud[-1] - loud[0] == pytest.approx(0.9 * 8000, abs=40)
    middle = sound[loud[0] + 80 : loud[-1] - 80].astype(int)
    assert np.abs(middle[800:] - middle[:-800]).max() < 1500, "no click in what repeats each 100 ms"


# -- ahead of time ---------------------------------------------------------------------------------


async def test_audio_is_sent_when_it_comes_and_not_200_ms_before_it_plays(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with calling(tmp_path, [LONG]) as call:
        await call.act("  - wait: {seconds: 5}\n  - hang_up\n")
    came_at = call.began_at + call.find("Inworld.Events.WebSocketMediaStarted")[0].t
    assert call.phone.received[:9] == [came_at] * 9, "180 ms at once, no tick in between"
    assert call.phone.received[9] > came_at
    assert call.phone.most_waiting <= 10
    gaps = np.diff(call.phone.received[9:])
    assert gaps.max() <= 0.0201, "then one per tick"
    played = np.diff([p.at_s for p in call.phone.played])
    assert played.max() == pytest.approx(0.02), "without a hole"


@pytest.mark.parametrize("delay_s", [0.0, 0.04, 0.1])
async def test_after_a_barge_in_nothing_stale_is_heard_and_the_cut_is_where_it_was(
    tmp_path: Path, autojump_clock: object, delay_s: float
) -> None:
    menu = scenario(tmp_path, MENU)
    async with calling(tmp_path, [LONG, "fine"], scenario=menu, delay_s=delay_s) as call:
        await call.act(
            "  - interrupt: {after_s: 2.0, say: stop it please}\n  - expect: fine\n  - hang_up\n"
        )
    heard_at_the_cut = sum(p.at_s <= call.phone.cleared[0] for p in call.phone.played)
    assert problems(call) == []
    assert len(call.phone.cleared) == 1
    after = [t for t in call.phone.received if t > call.phone.cleared[0]]
    before = [t for t in call.phone.received if t <= call.phone.cleared[0]]
    assert after[0] - before[-1] > 0.3, "nothing after the clear but the next response"
    (cut,) = call.find("conversation.item.truncate")
    told_ms, real_ms = cut.data["audio_end_ms"], heard_at_the_cut * 20
    assert told_ms == pytest.approx(real_ms, abs=20 + 1000 * delay_s)
    fine = b"".join(p.frame for p in call.phone.played[heard_at_the_cut:])
    tones_hz = call.engines.voice._airwaves.tones_hz("fine")  # type: ignore[attr-defined]
    assert min(abs(loudest_hz(fine) - hz) for hz in tones_hz) < 15


def loudest_hz(mulaw: bytes) -> float:
    sound = decode(mulaw, PCMU).astype(float)
    return float(np.argmax(np.abs(np.fft.rfft(sound, 8000))))


async def test_a_carrier_that_answers_no_marks_is_reckoned_by_time(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with calling(tmp_path, [LONG], answer_marks=False) as call:
        await call.act("  - expect: until somebody stops me\n  - hang_up\n")
    assert call.leg.outbound.statistics.behind_ms == 0
    assert call.leg.outbound.statistics.marks_played == 0
    assert call.phone.most_waiting <= 10


async def test_marks_tell_how_far_behind_the_carrier_is(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with calling(tmp_path, [LONG], delay_s=0.08) as call:
        await call.act("  - expect: until somebody stops me\n  - hang_up\n")
    assert call.leg.outbound.statistics.behind_ms == pytest.approx(80, abs=11)
    assert call.phone.most_waiting <= 10


async def test_the_recording_has_what_was_heard_when_it_was_heard(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with calling(tmp_path, ["one two three"]) as call:
        await call.act("  - expect: one two three\n  - hang_up\n")
    assert call.hosted is not None
    folder = call.hosted.folder.root
    loud_frames = [p.at_s for p in call.phone.played if np.abs(decode(p.frame, PCMU)).max() > 1000]
    spoken_at_s = loud_frames[0] - call.began_at
    with wave.open(str(folder / "call.wav")) as file:
        both = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    loud = np.flatnonzero(np.abs(both[:, 1].astype(int)) > 1000)
    assert loud[0] / 8000 == pytest.approx(spoken_at_s, abs=0.041)
    assert (loud[-1] - loud[0]) / 8000 == pytest.approx(0.9, abs=0.02)


# -- digits ----------------------------------------------------------------------------------------


async def test_digits_of_the_caller_are_events_when_asked_for(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with calling(tmp_path, ["yes"], scenario=scenario(tmp_path, MENU)) as call:
        await call.act("  - expect: 'yes'\n  - press: 1*\n  - wait: {seconds: 0.2}\n  - hang_up\n")
    assert [e.personal["text"] for e in call.entries if e.kind == "log"] == ["tone 1", "tone *"]


async def test_our_digits_are_heard_at_the_phone_after_what_was_sent_ahead(
    tmp_path: Path, autojump_clock: object
) -> None:
    source = MENU + "    call.send_digits('42p7')\n"
    async with calling(tmp_path, [LONG], scenario=scenario(tmp_path, source)) as call:
        await call.act("  - wait: {seconds: 4}\n  - hang_up\n")
        sound = decode(b"".join(p.frame for p in call.phone.played), PCMU)
    pressed = [e.digit for e in DtmfDetector(8000).process(sound) if isinstance(e, DigitEnded)]
    assert pressed == ["4", "2", "7"]


# -- how calls end ---------------------------------------------------------------------------------

ENDS = """
from voxpy import AppEvents, CallEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
async def answer(event):
    event.call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    {command}
"""


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("event.call.answer(); event.call.hangup()", "Hung up by the scenario"),
        ("event.call.reject(486)", "Rejected"),
        ("event.call.answer(); VoxEngine.terminate()", "Session ended"),
    ],
)
async def test_our_end_closes_the_stream(
    tmp_path: Path, autojump_clock: object, command: str, reason: str
) -> None:
    path = scenario(tmp_path, ENDS.format(command=command))
    async with calling(tmp_path, [], scenario=path) as call:
        await call.caller.wait_over()
    assert reasons(call) == [reason]
    assert call.phone.info is not None
    assert (call.phone.info.code, call.phone.info.clean) == (1000, True)


async def test_a_caller_who_gives_up_before_the_answer(
    tmp_path: Path, autojump_clock: object
) -> None:
    path = scenario(tmp_path, ENDS.format(command="pass"))
    async with calling(tmp_path, [], scenario=path) as call:
        await trio.sleep(1)
        call.phone.far_end_hangs_up()
    assert reasons(call) == ["Request Terminated"]
    assert call.find("call over")[0].data["code"] == 487


async def test_a_lost_connection_ends_the_call_and_says_so(
    tmp_path: Path, autojump_clock: object
) -> None:
    path = scenario(tmp_path, ENDS.format(command="event.call.answer()"))
    async with calling(tmp_path, [], scenario=path) as call:
        await trio.sleep(1)
        call.phone.cut()
        await trio.sleep(0.05)
        assert call.served.is_set(), "at once"
    assert reasons(call) == ["The media stream broke: connection lost (1006)"]


ODD: list[str | bytes] = [
    "this is no JSON",
    b"\x00\x01",
    '{"event":"media","media":{"payload":"%%"}}',
    '{"event":"dtmf","dtmf":{"digit":"w"}}',
    '{"event":"start","start":{"streamSid":"MZ2","callSid":"CA2","mediaFormat":'
    '{"encoding":"OPUS","sampleRate":48000}}}',
    "[" * 1000,
]


async def test_odd_messages_are_dropped_counted_and_warned_of_once(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with calling(tmp_path, SAYS, scenario=scenario(tmp_path, MENU)) as call:
        await trio.sleep(0.5)
        for message in ODD * 3:
            call.phone.say(message)
        await call.act(
            "  - expect: good to hear you\n  - say: what is the time\n"
            "  - expect: until somebody stops me\n  - hang_up\n"
        )
    assert reasons(call) == ["Hung up by the caller"]
    (told,) = problems(call)
    assert (told.name, told.personal["text"]) == (
        "a message of the provider is odd",
        "twilio: no JSON: 'this is no JSON'",
    )
    assert call.hosted is not None
    record = call.hosted.record
    assert record.warnings == ["a message of the provider is odd"]
    assert record.calls[0]["counts"] == {"odd_messages": 3 * len(ODD)}


# -- connections that become no call ---------------------------------------------------------------


def nobody(leg: MediaStreamLeg) -> HostedSession:
    raise AssertionError("no session for this")


async def refused(*messages: str) -> tuple[str, CloseInfo]:
    """Send these and nothing else; return the error and how the socket was closed."""
    ours, theirs = memory_stream_pair()
    problem = ""
    info: list[CloseInfo] = []

    async def give(endpoint: Endpoint) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return ours

    async def client() -> None:
        socket = await connect(give, URL)
        for message in messages:
            socket.send(message)
        info.append(await socket.run())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(client)
        try:
            await serve_media_stream(theirs, "twilio", nobody)
        except RemoteProtocolError as error:
            problem = str(error)
    return problem, info[0]


MEDIA = '{"event":"media","media":{"track":"inbound","payload":"//8="}}'


async def test_media_is_no_start(autojump_clock: object) -> None:
    problem, info = await refused('{"event":"connected"}', MEDIA)
    assert problem == (
        "no start of the stream within 10 s; twilio: audio before the start of the stream"
    )
    assert info.code == 1008


async def test_a_stream_that_cannot_be_carried_is_refused_at_once(autojump_clock: object) -> None:
    began_at = trio.current_time()
    problem, info = await refused(
        '{"event":"start","start":{"streamSid":"MZ","callSid":"CA","mediaFormat":'
        '{"encoding":"OPUS","sampleRate":48000}}}'
    )
    assert problem.startswith("twilio: audio as 'OPUS' at 48000 Hz; configure mu-law")
    assert (info.code, info.reason) == (1002, problem[:100])
    assert trio.current_time() == began_at


async def test_who_never_starts_is_closed_in_time(autojump_clock: trio.testing.MockClock) -> None:
    began_at = trio.current_time()
    problem, info = await refused('{"event":"connected"}')
    assert problem == "no start of the stream within 10 s"
    assert info.code == 1008
    assert trio.current_time() - began_at == pytest.approx(10, abs=0.1)


async def test_who_closes_at_once_was_no_call(autojump_clock: object) -> None:
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.aclose)
        with pytest.raises(RemoteProtocolError, match="request"):
            await serve_media_stream(theirs, "twilio", nobody)


async def test_a_session_that_cannot_be_made_closes_the_stream(autojump_clock: object) -> None:
    start = {
        "streamSid": "MZ1",
        "callSid": "CA1",
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
    }
    with pytest.RaisesGroup(pytest.RaisesGroup(AssertionError)):
        await refused(orjson.dumps({"event": "start", "start": start}).decode())
