"""The rules run on everything here that plugs in: legs, sources, sinks, realtime servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest
import trio

from voxpy.audio.convert import encode
from voxpy.audio.frame import PCMU, Format, pcm16
from voxpy.channels.mediastream.audio import Inbound
from voxpy.channels.mediastream.leg import MediaStreamLeg
from voxpy.channels.mediastream.serving import serve_media_stream
from voxpy.channels.providers.provider import PhoneCall
from voxpy.channels.providers.table import PROVIDERS
from voxpy.channels.simulated import SimulatedLeg
from voxpy.engine.inputs import Inputs
from voxpy.host.inputs import RecordedLeg
from voxpy.localagent.engines import Engines
from voxpy.localagent.server import serve_stream
from voxpy.media.conference import MixMinus
from voxpy.media.player import PlayerReports, PlayerSource
from voxpy.media.playout import Playout
from voxpy.media.recorder import TapeTrack
from voxpy.media.unit import Sink, Source
from voxpy.realtime.media import Ear, Voice, VoiceReports
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import scripted_engines
from voxpy.sockets import FrameSocket, connect
from voxpy.sockets.memory import MemoryDialer, MemoryStream, memory_pair
from voxpy.testing import CallKit, check_leg, check_realtime_server, check_sink, check_source
from voxpy.testing.conformance import LEG_CHECKS, REALTIME_SERVER_CHECKS, Check, LegBench

Connect = Callable[[], Awaitable[FrameSocket]]

SOUND = np.random.default_rng(1).integers(-8000, 8000, 24000, dtype=np.int16)


# -- legs ------------------------------------------------------------------------------------------


@asynccontextmanager
async def simulated(*, incoming: bool, recorded: bool = False) -> AsyncIterator[LegBench]:
    leg = SimulatedLeg(leg_id="call-1", callerid="1", destination="2", incoming=incoming)
    await trio.lowlevel.checkpoint()
    yield LegBench(
        leg=RecordedLeg(leg, Inputs()) if recorded else leg,
        far_end_hangs_up=leg.far_end_hangs_up,
        far_end_answers=None if incoming else leg.callee.answers,
    )


@pytest.mark.parametrize("check", LEG_CHECKS, ids=str)
@pytest.mark.parametrize("incoming", [True, False], ids=["incoming", "outgoing"])
async def test_the_simulated_leg(check: Check[Any], incoming: bool) -> None:
    await check(partial(simulated, incoming=incoming))


async def test_a_leg_that_is_recorded() -> None:
    await check_leg(partial(simulated, incoming=True, recorded=True))


class Waiting:
    """A session that leaves the leg to the test."""

    def __init__(self, came: Callable[[MediaStreamLeg], None], over: trio.Event) -> None:
        self._came = came
        self._over = over

    def __call__(self, leg: MediaStreamLeg) -> Waiting:
        self._came(leg)
        return self

    async def run(self) -> None:
        await self._over.wait()


@asynccontextmanager
async def streamed(provider: str) -> AsyncIterator[LegBench]:
    """A leg of a provider, whose other end is ours; everything between them is production code."""
    ours, theirs = memory_pair()
    give, come = trio.open_memory_channel[MediaStreamLeg](1)
    over = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_media_stream, ours, provider, Waiting(give.send_nowait, over))
        leave = await dial(provider, theirs, nursery)
        leg = await come.receive()
        yield LegBench(leg=leg, far_end_hangs_up=leave, settle=partial(trio.sleep, 0.02))
        over.set()
        leave()
        await leg.aclose()


async def dial(provider: str, theirs: MemoryStream, nursery: trio.Nursery) -> Callable[[], None]:
    kind = PROVIDERS[provider]
    call = PhoneCall(call_id="c", caller="+1", callee="+2", format=kind.formats[0])
    side = kind.place(call)
    if kind.transport == "tcp":
        for packet in (*side.opening(), side.audio(call.format.silence)):
            assert isinstance(packet, bytes)
            await theirs.send_all(packet)
        return lambda: nursery.start_soon(theirs.aclose)

    async def give(endpoint: object) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return theirs

    socket = await connect(give, "ws://host.test/")
    nursery.start_soon(socket.run)
    for message in side.opening():
        socket.send(message)
    return socket.close


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_the_leg_of_each_provider(provider: str, autojump_clock: object) -> None:
    await check_leg(partial(streamed, provider))


# -- sources ---------------------------------------------------------------------------------------


def nothing(*_: Any) -> None:
    """Nobody wants to know."""


def sound(fmt: Format) -> bytes:
    return encode(SOUND[: fmt.rate_hz], fmt)


def playout(fmt: Format) -> Source:
    made = Playout(fmt, limit_s=10)
    made.write(sound(fmt), item_id="a")
    return made


def voice(fmt: Format, *, murmurs: bool) -> Source:
    reports = VoiceReports(started=nothing, ended=nothing, overflowed=nothing)
    made = Voice(fmt, limit_s=10, reports=reports)
    made.write(sound(fmt), item_id="a", backchannel=False)
    if murmurs:
        made.write(sound(fmt)[: fmt.frame_bytes * 5], item_id="b", backchannel=True)
    return made


def player() -> Source:
    made = PlayerSource(
        PlayerReports(
            started=nothing, finished=nothing, marker=nothing, starving=nothing, hungry=nothing
        )
    )
    made.open(pcm16(8000))
    made.begin(0, None)
    made.write(sound(pcm16(8000))[:-7])
    made.complete()
    return made


class Seat:
    """A member of a conference, with the tick of the mixer around it."""

    def __init__(self) -> None:
        self._mixer = MixMinus(pcm16(16000), name="c")
        self._speaker, self._hearer = self._mixer.port("a"), self._mixer.port("b")
        self._said = playout(pcm16(16000))
        self.format = pcm16(16000)

    def pull(self) -> bytes | None:
        assert self._speaker.sink is not None
        assert self._hearer.source is not None
        if (frame := self._said.pull()) is not None:
            self._speaker.sink.push(frame)
        self._mixer.mix()
        return self._hearer.source.pull()


class FromAProvider:
    """What a provider's caller says, a message per tick."""

    def __init__(self) -> None:
        self._inbound = Inbound(PCMU)
        self._said = sound(PCMU)
        self.format = PCMU

    def pull(self) -> bytes | None:
        piece, self._said = self._said[:170], self._said[170:]
        if piece:
            self._inbound.put(piece)
        return self._inbound.pull()


def far_end() -> Source:
    leg = SimulatedLeg(leg_id="call-1", callerid="1", destination="2")
    leg.answer({})
    leg.mouth.write(sound(PCMU))
    assert leg.media.source is not None
    return leg.media.source


SOURCES: dict[str, Callable[[], Source]] = {
    "playout, mu-law": partial(playout, PCMU),
    "playout, linear": partial(playout, pcm16(24000)),
    "voice": partial(voice, PCMU, murmurs=False),
    "voice with murmurs": partial(voice, pcm16(24000), murmurs=True),
    "player": player,
    "conference": Seat,
    "provider": FromAProvider,
    "simulated far end": far_end,
}


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
async def test_every_source(make: Callable[[], Source]) -> None:
    await check_source(make)


# -- sinks -----------------------------------------------------------------------------------------


def seat() -> Sink:
    port = MixMinus(pcm16(8000), name="c").port("a")
    assert port.sink is not None
    return port.sink


def far_ear() -> Sink:
    leg = SimulatedLeg(leg_id="call-1", callerid="1", destination="2")
    assert leg.media.sink is not None
    return leg.media.sink


SINKS: dict[str, Callable[[], Sink]] = {
    "ear": lambda: Ear(pcm16(24000), batch_ms=40, send=nothing),
    "recorder": lambda: TapeTrack(pcm16(8000), then=nothing),
    "conference": seat,
    "simulated far end": far_ear,
}


@pytest.mark.parametrize("make", SINKS.values(), ids=SINKS)
async def test_every_sink(make: Callable[[], Sink]) -> None:
    await check_sink(make)


IN_A_SESSION = """
from voxpy import ASRProfileList, AppEvents, Logger, PlayerEvents, Silero, VoxEngine
from voxpy.testing import check_sink
from voxpy.testing.conformance import SOURCE_CHECKS

ALONE = ("a_frame_is_20_ms", "it_speaks", "pull_does_not_block")

async def answer(event):
    event.call.answer()
    for unit in (
        VoxEngine.create_asr(profile=ASRProfileList.Google.en_US),
        await Silero.create_vad(),
        VoxEngine.create_recorder(),
        VoxEngine.create_conference(),
        event.call,
    ):
        port = unit._media_for(event.call)
        await check_sink(lambda: port.sink)
        Logger.write(f"{type(unit).__name__} hears")
    for make in (
        lambda: VoxEngine.create_tone_script_player("425@-19;10(1/4/1)"),
        lambda: VoxEngine.create_tts_player("a b c d e f", voice="voxpy:alto"),
    ):
        for check in SOURCE_CHECKS:
            if str(check) in ALONE:
                unit = make()
                await unit.wait_event(PlayerEvents.PlaybackReady)
                await check(lambda: unit.media.source)
        Logger.write(f"{type(unit).__name__} speaks")
    VoxEngine.terminate()

VoxEngine.add_event_listener(AppEvents.CallAlerting, answer)
"""


async def test_what_a_session_makes(voxpy: CallKit, autojump_clock: object) -> None:
    async with voxpy.world(IN_A_SESSION, agent=[]) as world:
        await world.dial()
        await world.wait_ended()
    assert world.log == [
        "ASR hears", "VAD hears", "Recorder hears", "Conference hears", "Call hears",
        "Player speaks", "Player speaks",
    ]  # fmt: skip


# -- realtime servers ------------------------------------------------------------------------------


def agent() -> Engines:
    return scripted_engines(ScriptedResponder(["Yes. That is so."] * 3))


@asynccontextmanager
async def served() -> AsyncIterator[Connect]:
    async with trio.open_nursery() as nursery:
        dialer = MemoryDialer(nursery, partial(serve_stream, engines=agent()))
        headers = [("Authorization", "Basic a2V5")]
        url = "ws://agent.test/session?key=k&protocol=realtime"
        yield partial(connect, dialer, url, headers=headers)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("check", REALTIME_SERVER_CHECKS, ids=str)
async def test_the_local_agent(check: Check[Any], autojump_clock: object) -> None:
    async with served() as opened:
        await check(opened)


async def test_the_local_agent_as_a_whole(autojump_clock: object) -> None:
    async with served() as opened:
        await check_realtime_server(opened)
