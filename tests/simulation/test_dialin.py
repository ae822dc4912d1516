"""Whole calls from a phone at each provider, through the production path of a host."""

from __future__ import annotations

import wave
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import trio

from voxpy.audio.frame import PCMA, PCMU, Format, pcm16
from voxpy.channels.mediastream.leg import MediaStreamLeg
from voxpy.channels.mediastream.serving import serve_media_stream
from voxpy.channels.providers.provider import PhoneCall
from voxpy.channels.providers.table import PROVIDERS
from voxpy.engine import clock
from voxpy.engine.loader import compile_scenarios
from voxpy.engine.ports import RealtimeEndpoint
from voxpy.engine.session import SessionContext
from voxpy.engine.settings import Settings
from voxpy.engine.trace import Entry
from voxpy.errors import ConnectFailed, HandshakeRefused, LocalProtocolError
from voxpy.host.sessions import HostedSession, Keeping
from voxpy.localagent.server import serve_stream
from voxpy.project.secrets import Secrets
from voxpy.simulation.callerfile import parse_script
from voxpy.simulation.dialin import CarrierBuffer, dial_host
from voxpy.simulation.dialledcall import DialledCall, DialledCallPlan, DialledCallResult
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import scripted_engines
from voxpy.sockets.memory import MemoryDialer

LONG = "I will tell you a story that goes on and on and on for many words until somebody stops me"
SCENARIO = """
from voxpy import AppEvents, CallEvents, Inworld, Logger, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
async def answer(event):
    call = event.call
    call.handle_tones(True)
    call.add_event_listener(CallEvents.ToneReceived, lambda e: Logger.write(f"tone {e.tone}"))
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.answer()
    agent = await Inworld.create_realtime_api_client(api_key="local", session_key="k")
    await agent.wait_event(Inworld.RealtimeAPIEvents.SessionCreated, timeout_s=5)
    agent.session_update({"session": {"type": "realtime"}})
    await agent.wait_event(Inworld.RealtimeAPIEvents.SessionUpdated, timeout_s=5)
    agent.add_event_listener(
        Inworld.RealtimeAPIEvents.InputAudioBufferSpeechStarted,
        lambda e: agent.clear_media_buffer())
    VoxEngine.send_media_between(call, agent)
    agent.response_create({})
"""
ENDS = """
from voxpy import AppEvents, CallEvents, VoxEngine
import trio

@VoxEngine.on(AppEvents.CallAlerting)
async def answer(event):
    event.call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    event.call.answer()
    await trio.sleep(1)
    event.call.hangup()
"""
WHOLE = """
- expect: good to hear you
- say: what is the time
- interrupt: {after_s: 1.0, say: stop it please}
- expect: as you like
- press: PRESSED
- wait: {seconds: 0.5}
- hang_up
"""


@attrs.define
class Watcher:
    """Keeps what it is told."""

    told: list[str] = attrs.field(factory=list)
    entries: list[Entry] = attrs.field(factory=list)

    def progress(self, text: str) -> None:
        self.told.append(text)

    note = heading = progress

    def entry(self, entry: Entry) -> None:
        self.entries.append(entry)

    def find(self, name: str) -> list[Entry]:
        return [e for e in self.entries if e.name == name]


@attrs.define
class Site:
    """A host of this process, and a phone that calls it."""

    folder: Path
    says: Sequence[str]
    source: str = SCENARIO
    hosted: HostedSession | None = None
    host_entries: list[Entry] = attrs.field(factory=list)
    watcher: Watcher = attrs.field(factory=Watcher)

    @property
    def tones(self) -> list[str]:
        return [str(e.personal["text"]) for e in self.host_entries if e.kind == "log"]

    @property
    def troubles(self) -> list[Entry]:
        return [e for e in self.host_entries if e.kind in ("error", "warning")]

    async def call(
        self, steps: str, provider: str = "twilio", fmt: Format | None = None, url: str = ""
    ) -> DialledCallResult:
        """Serve one stream as a host would, and call it."""
        engines = scripted_engines(ScriptedResponder(self.says))
        script = parse_script(f"steps:\n{steps}", file="caller.yaml", folder=Path())
        phone_call = PhoneCall(
            call_id="c-1",
            caller=script.callerid,
            callee=script.destination,
            format=fmt or PROVIDERS[provider].formats[0],
        )
        tcp = PROVIDERS[provider].transport == "tcp"
        async with self._host(provider, engines) as dial:
            plan = DialledCallPlan.by_provider(
                url=url or ("tcp://host.test:9092" if tcp else "ws://host.test/media"),
                carrier=PROVIDERS[provider].place(phone_call),
                script=script,
                folder=self.folder / "calls" / "c-1",
                make_engines=lambda: engines,
                open_stream=dial,
            )
            return await DialledCall(plan, self.watcher).run()

    @asynccontextmanager
    async def _host(self, provider: str, engines: object) -> AsyncIterator[MemoryDialer]:
        media = clock.MediaClock()
        path = self.folder / "mine.py"
        path.write_text(self.source, encoding="utf-8")
        agent = partial(serve_stream, engines=engines)  # type: ignore[arg-type]

        def make_session(leg: MediaStreamLeg) -> HostedSession:
            context = SessionContext(
                session_id="s-1",
                rule_name="all",
                program=compile_scenarios([path]),
                settings=Settings(),
                secrets=Secrets(self.folder / "secrets.env", environ={"INWORLD_API_KEY": "local"}),
                media_clock=media,
                open_stream=MemoryDialer(nursery, agent),
                realtime=RealtimeEndpoint(url="ws://agent.test/api/v1/realtime/session"),
            )
            self.hosted = HostedSession(
                context, leg, Keeping(base=self.folder, sinks=[self.host_entries.append])
            )
            return self.hosted

        async def serve(stream: trio.abc.Stream) -> None:
            await serve_media_stream(stream, provider, make_session)
            served.set()

        served = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(media.run)
            yield MemoryDialer(nursery, serve)
            with trio.fail_after(5):
                await served.wait()
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
async def test_a_whole_call_over_each_provider(
    tmp_path: Path, autojump_clock: object, provider: str
) -> None:
    site = Site(tmp_path, ["good to hear you", LONG, "as you like"])
    digits = "12#" if provider != "voximplant" else "{digits: '12#', how: inband}"
    result = await site.call(WHOLE.replace("PRESSED", digits), provider)
    assert result.failure == ""
    assert result.end.detail == "200 Hung up by the caller"
    assert site.troubles == []
    if provider != "voximplant":
        assert site.tones == ["tone 1", "tone 2", "tone #"]
    assert len(result.record.reply_ms) == 2
    assert len(result.record.barge_in_ms) == 1
    assert site.hosted is not None
    if PROVIDERS[provider].transport != "tcp":  # a byte stream may name nobody
        assert site.hosted.leg is not None
        assert site.hosted.leg.callerid == "+15550100"
        assert site.hosted.leg.destination == "+15550199"
    assert result.buffer is not None
    ahead_ms = 20 * result.buffer.most_waiting_frames
    assert ahead_ms <= 200
    if isinstance(site.hosted.leg, MediaStreamLeg) and ahead_ms > 40:
        assert result.buffer.clears >= 1
        assert 20 <= 20 * result.buffer.cleared_frames <= 200
    assert result.buffer.gaps == 0


@pytest.mark.parametrize(
    ("provider", "fmt"),
    [
        ("telnyx", PCMA),
        ("plivo", pcm16(16000)),
        ("asterisk", pcm16(48000)),
        ("exotel", pcm16(24000)),
    ],
)
async def test_other_formats_than_the_usual_one(
    tmp_path: Path, autojump_clock: object, provider: str, fmt: Format
) -> None:
    site = Site(tmp_path, ["good to hear you"])
    result = await site.call("- expect: good to hear you\n- hang_up\n", provider, fmt)
    assert result.failure == ""
    assert site.hosted is not None
    assert isinstance(site.hosted.leg, MediaStreamLeg)
    assert site.hosted.leg.inbound.format == fmt


ECHO = """
from voxpy import AppEvents, CallEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def answer(event):
    event.call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    event.call.answer()
    event.call.send_media_to(event.call)
"""


def purity(sound: np.ndarray[Any, Any], hz: float) -> float:
    """Return which part of the power of a sound at 8 kHz is within 20 Hz of ``hz``."""
    power = np.abs(np.fft.rfft(sound * np.hanning(sound.size))) ** 2
    at = np.fft.rfftfreq(sound.size, 1 / 8000)
    return float(power[np.abs(at - hz) < 20].sum() / power.sum())


@pytest.mark.parametrize(
    ("provider", "fmt"),
    [(name, fmt) for name, p in PROVIDERS.items() for fmt in p.formats],
    ids=str,
)
async def test_a_tone_of_1_khz_comes_back_as_one_in_every_format_of_every_provider(
    tmp_path: Path, autojump_clock: object, provider: str, fmt: Format
) -> None:
    tone = (8000 * np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)).astype("<i2")
    with wave.open(str(tmp_path / "tone.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(tone.tobytes())
    site = Site(tmp_path, [], ECHO)
    result = await site.call(
        f"- play: {tmp_path}/tone.wav\n- wait: {{seconds: 0.3}}\n- hang_up\n", provider, fmt
    )
    assert (result.failure, site.troubles) == ("", [])
    with wave.open(str(result.folder / "call.wav")) as file:
        both = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    heard = both[:, 1].astype(float)
    loud = np.flatnonzero(np.abs(heard) > 2000)
    # A message of 100 ms that comes a moment after its tick leaves a hole of 20 ms, and 0.97.
    assert purity(heard[loud[0] + 800 : loud[0] + 6400], 1000) > 0.9


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
async def test_the_host_hangs_up(tmp_path: Path, autojump_clock: object, provider: str) -> None:
    site = Site(tmp_path, [], ENDS)
    result = await site.call("- wait: hung_up\n", provider)
    assert result.failure == ""
    rest = "The host closed the stream; {} keeps the line until its API is asked to hang up"
    stays_up = PROVIDERS[provider].hang_up == "rest"
    told = rest.format(provider) if stays_up else "Hung up by the host"
    assert result.end.detail == f"200 {told}"


async def test_what_the_call_leaves(tmp_path: Path, autojump_clock: object) -> None:
    site = Site(tmp_path, ["good to hear you", "noon"])
    result = await site.call(
        "- expect: good to hear you\n- say: what is the time\n- expect: noon\n- hang_up\n"
    )
    names = {path.name for path in result.folder.iterdir()}
    assert names == {"call.wav", "trace.jsonl", "session.log", "record.json"}
    words = [(line["who"], line["text"]) for line in result.record.personal["transcript"]]
    assert words == [
        ("agent", "good to hear you"),
        ("caller", "what is the time"),
        ("agent", "noon"),
    ]
    with wave.open(str(result.folder / "call.wav")) as file:
        both = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    said, heard = (np.abs(side.astype(int)).max() for side in both.T)
    assert said > 5000
    assert heard > 5000


async def test_a_script_that_is_not_met_is_told(tmp_path: Path, autojump_clock: object) -> None:
    site = Site(tmp_path, ["good to hear you"])
    result = await site.call("- expect: {heard: goodbye, within_s: 3}\n")
    assert result.failure.startswith("caller.yaml:2: step 1 (expect: /goodbye/): expected to hear")
    assert "heard: good to hear you" in result.failure


async def test_digits_where_the_protocol_has_none(tmp_path: Path, autojump_clock: object) -> None:
    site = Site(tmp_path, ["good to hear you"])
    result = await site.call("- wait: answered\n- press: '1'\n", "voximplant")
    assert "the protocol of voximplant has no digits; `press: {digits: " in result.failure


@pytest.mark.parametrize("step", ["message: hello", "info: {mime_type: text/plain, body: x}"])
async def test_what_a_phone_cannot_send(tmp_path: Path, autojump_clock: object, step: str) -> None:
    site = Site(tmp_path, ["good to hear you"])
    result = await site.call(f"- wait: answered\n- {step}\n")
    assert "step 2" in result.failure
    assert " has no " in result.failure


async def test_a_host_that_refuses_the_stream(tmp_path: Path, autojump_clock: object) -> None:
    engines = scripted_engines(ScriptedResponder([]))
    answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"

    async def serve(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        await stream.send_all(answer)

    script = parse_script("steps:\n- wait: answered\n", file="c", folder=Path())
    call = PhoneCall(call_id="c-1", caller="1", callee="2", format=PCMU)
    async with trio.open_nursery() as nursery:
        plan = DialledCallPlan.by_provider(
            url="ws://host.test/media",
            carrier=PROVIDERS["twilio"].place(call),
            script=script,
            folder=tmp_path / "c-1",
            make_engines=lambda: engines,
            open_stream=MemoryDialer(nursery, serve),
        )
        with pytest.raises(HandshakeRefused, match="refused with HTTP 503"):
            await DialledCall(plan, Watcher()).run()
        nursery.cancel_scope.cancel()
    assert not (tmp_path / "c-1").exists()


async def test_an_address_this_provider_cannot_dial(tmp_path: Path) -> None:
    call = PhoneCall(call_id="c", caller="1", callee="2", format=pcm16(8000))
    async with trio.open_nursery() as nursery:
        dial = MemoryDialer(nursery, trio.aclose_forcefully)
        with pytest.raises(LocalProtocolError, match="audiosocket dials tcp://host:port"):
            await dial_host(dial, "ws://host.test/", PROVIDERS["audiosocket"].place(call))


async def test_a_host_that_breaks_the_protocol(tmp_path: Path, autojump_clock: object) -> None:
    engines = scripted_engines(ScriptedResponder([]))

    async def serve(stream: trio.abc.Stream) -> None:
        from voxpy.sockets import receive_upgrade

        socket = await (await receive_upgrade(stream)).accept()
        socket.send('{"event":"media","streamSid":"another","media":{"payload":""}}')
        await socket.run()

    call = PhoneCall(call_id="c-1", caller="1", callee="2", format=PCMU)
    async with trio.open_nursery() as nursery:
        plan = DialledCallPlan.by_provider(
            url="ws://host.test/media",
            carrier=PROVIDERS["twilio"].place(call),
            script=parse_script("steps:\n- wait: hung_up\n", file="c", folder=Path()),
            folder=tmp_path / "c-1",
            make_engines=lambda: engines,
            open_stream=MemoryDialer(nursery, serve),
        )
        result = await DialledCall(plan, Watcher()).run()
        nursery.cancel_scope.cancel()
    assert "the host sent twilio a media for the stream 'another'" in result.failure
    assert result.end.detail.startswith("502 ")


async def test_nobody_listens(tmp_path: Path) -> None:
    async def refuse(endpoint: object) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        raise ConnectFailed("cannot connect")

    call = PhoneCall(call_id="c-1", caller="1", callee="2", format=PCMU)
    plan = DialledCallPlan.by_provider(
        url="ws://host.test/media",
        carrier=PROVIDERS["twilio"].place(call),
        script=parse_script("steps:\n- wait: answered\n", file="c", folder=Path()),
        folder=tmp_path / "c-1",
        make_engines=lambda: scripted_engines(ScriptedResponder([])),
        open_stream=refuse,
    )
    with pytest.raises(ConnectFailed):
        await DialledCall(plan, Watcher()).run()


# -- the provider's buffer -------------------------------------------------------------------------


def frame(n: int) -> bytes:
    return bytes([n]) * 160


def test_audio_plays_in_its_time_whatever_the_pieces() -> None:
    buffer = CarrierBuffer(PCMU)
    for piece in (frame(1) + frame(2)[:40], frame(2)[40:], frame(3)[:10]):
        buffer.put(piece)
    assert [buffer.pull()[0] for _ in range(4)] == [
        frame(1),
        frame(2),
        frame(3)[:10] + PCMU.silence[10:],
        None,
    ]
    assert buffer.waiting_frames == 0


def test_marks_are_reached_when_what_is_before_them_has_played() -> None:
    buffer = CarrierBuffer(PCMU)
    buffer.mark("at once")
    buffer.put(frame(1) * 2)
    buffer.mark("after two")
    buffer.put(frame(2))
    assert [buffer.pull()[1] for _ in range(3)] == [["at once"], ["after two"], []]


def test_a_clear_drops_everything_and_gives_the_marks_back() -> None:
    buffer = CarrierBuffer(PCMU)
    buffer.put(frame(1) * 3)
    buffer.mark("lost")
    buffer.pull()
    assert buffer.clear() == ["lost"]
    assert buffer.pull() == (None, [])
    assert buffer.statistics.cleared_frames == 2
    assert buffer.statistics.most_waiting_frames == 3


def test_a_hole_in_speech_is_counted_and_a_pause_is_not() -> None:
    buffer = CarrierBuffer(PCMU)
    buffer.put(frame(1))
    for _ in range(2):
        buffer.pull()
    buffer.put(PCMU.silence)  # a late end of nothing is no hole
    for _ in range(2):
        buffer.pull()
    assert buffer.statistics.gaps == 0
    buffer.put(frame(2))  # one tick late
    assert buffer.statistics.gaps == 1
    for _ in range(30):
        buffer.pull()
    buffer.put(frame(3))
    assert buffer.statistics.gaps == 1
