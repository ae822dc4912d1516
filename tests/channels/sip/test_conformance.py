"""The rules for legs, held by both roles of a SIP leg: over a network that does not exist and over
sockets of this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio

from tests.channels.sip.lines import Ether, two
from tests.wire.sip.network import End, Network
from voxpy.channels.sip.codecs import G711
from voxpy.channels.sip.leg import SipLeg
from voxpy.channels.sip.media import RtpMedia
from voxpy.channels.sip.negotiation import Negotiation, Speech
from voxpy.engine import clock
from voxpy.media.unit import Sink
from voxpy.testing.conformance import LEG_CHECKS, Check, LegBench, check_sink
from voxpy.testing.sipphone import sip_phone
from voxpy.wire.sip.agent import Event
from voxpy.wire.sip.call import SipCall
from voxpy.wire.sip.events import CallEvent, Invited

SPEECH = Speech(codecs=G711, srtp="offer")


class Desk:
    """A leg at one end of the simulated network, once there is a call."""

    def __init__(self, network: Network, ether: Ether, end: End) -> None:
        self.leg: SipLeg | None = None
        self._network, self._ether, self._end = network, ether, end
        end.react = self.take

    def negotiation(self) -> Negotiation:
        number = len(self._ether.lines) + 1
        line = self._ether.line(self._end.host, 4000)
        media = RtpMedia("call-1", G711[0], line, ssrc=number, cname=self._end.name)
        return Negotiation(
            media,
            SPEECH,
            address=self._end.host,
            session_id=number,
            new_bytes=self._network.random.randbytes,
        )

    def dial(self, other: End) -> None:
        talk, end = self.negotiation(), self._end
        sip = SipCall.dial(
            end.agent, other.uri, from_=end.address, sdp=talk.offer(), now=clock.now()
        )
        self.leg = self._leg(sip, talk)
        self.wake()

    def take(self, event: Event) -> None:
        if isinstance(event, Invited):
            self.leg = self._leg(event.call, self.negotiation(), event.sdp)
        elif isinstance(event, CallEvent) and self.leg is not None:
            self.leg.handle(event)

    def _leg(self, sip: SipCall, talk: Negotiation, offered: bytes = b"") -> SipLeg:
        return SipLeg(sip, talk._media, talk, wake=self.wake, offered=offered)

    def wake(self) -> None:
        self._network.now = clock.now()
        self._network.at(self._end)


@asynccontextmanager
async def simulated(*, incoming: bool) -> AsyncIterator[LegBench]:
    network, ether = Network(delay_s=(0.001, 0.015)), Ether()
    ours, theirs = network.end("voxpy", "10.0.0.1"), network.end("phone", "10.0.0.2")
    us, them = Desk(network, ether, ours), Desk(network, ether, theirs)
    network.now = clock.now()

    async def settle() -> None:
        await trio.sleep(0.02)
        network.run(clock.now() - network.now)
        for desk in (us, them):
            if desk.leg is not None:
                desk.leg.rtp.pull()
                desk.leg.rtp.push(desk.leg.rtp.format.silence)

    if incoming:
        them.dial(ours)
        network.run(0.1)
    else:
        us.dial(theirs)
        network.run(0.1)
    leg = us.leg
    assert leg is not None
    far = them.leg
    assert far is not None
    far.bind(lambda event: None)
    leg.callerid = leg.callerid or "1"
    yield LegBench(
        leg=leg,
        far_end_hangs_up=lambda: far.hangup({}),
        far_end_answers=None if incoming else lambda: far.answer({}),
        settle=settle,
    )
    await leg.aclose()
    await far.aclose()
    network.run(64)
    assert network.leftovers == {}


@pytest.mark.parametrize("check", LEG_CHECKS, ids=str)
@pytest.mark.parametrize("incoming", [True, False], ids=["incoming", "outgoing"])
async def test_a_leg_on_a_simulated_network(
    check: Check[Any], incoming: bool, autojump_clock: object
) -> None:
    await check(partial(simulated, incoming=incoming))


async def _until(condition: Callable[[], Any]) -> None:
    with trio.fail_after(20):
        while not condition():  # noqa: ASYNC110  calls of a phone set no Event
            await trio.sleep(0.005)


@asynccontextmanager
async def real(*, incoming: bool) -> AsyncIterator[LegBench]:
    async with (
        sip_phone(user="anna", server="127.0.0.1:9") as ours,
        sip_phone(user="bert", server="127.0.0.1:9") as theirs,
    ):
        for phone in (ours, theirs):
            phone.answers = lambda call: None
        caller, called = (theirs, ours) if incoming else (ours, theirs)
        await caller.call(called.uri)
        await _until(lambda: called.calls)
        leg, far = ours.calls[0].leg, theirs.calls[0].leg
        yield LegBench(
            leg=leg,
            far_end_hangs_up=lambda: far.hangup({}),
            far_end_answers=None if incoming else lambda: far.answer({}),
            settle=partial(trio.sleep, 0.01),
        )


@pytest.mark.parametrize("check", LEG_CHECKS, ids=str)
@pytest.mark.parametrize("incoming", [True, False], ids=["incoming", "outgoing"])
async def test_a_leg_on_real_sockets(
    check: Check[Any], incoming: bool, autojump_clock: object
) -> None:
    """Virtual time holds for datagrams on loopback: what is sent is there to be read."""
    await check(partial(real, incoming=incoming))


@pytest.mark.parametrize("codec", ["PCMU", "G722", "OPUS"])
async def test_the_way_out_is_a_sink(codec: str, autojump_clock: object) -> None:
    def make() -> Sink:
        sink = two(codec)[0].media.media.sink
        assert sink is not None
        return sink

    await check_sink(make)
