"""Hold, between two phones over sockets of this machine in virtual time, and in a scenario."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from tests.channels.sip.conftest import SipHosting
from voxpy.engine.ports import LegHeld, LegReInvite
from voxpy.testing.sipphone import PhoneCall, sip_phone


@asynccontextmanager
async def joined() -> AsyncIterator[tuple[PhoneCall, PhoneCall]]:
    """Two ends of one call."""
    async with (
        sip_phone(user="anna", server="127.0.0.1:9") as anna,
        sip_phone(user="bert", server="127.0.0.1:9") as bert,
    ):
        ours = await anna.connect(bert.uri)
        yield ours, bert.calls[0]


def holds(call: PhoneCall) -> list[bool]:
    return [event.held for event in call.events if isinstance(event, LegHeld)]


async def test_hold_and_its_end_are_told_and_stop_the_audio(autojump_clock: object) -> None:
    async with joined() as (anna, bert):
        bert.hold()
        await trio.sleep(0.5)
        assert holds(anna) == [True]
        assert (anna.leg.rtp.speaks, anna.leg.rtp.hears) == (False, True)
        assert (bert.leg.rtp.speaks, bert.leg.rtp.hears) == (True, False)
        bert.hold(False)
        await trio.sleep(0.5)
        assert holds(anna) == [True, False]
        assert anna.leg.rtp.speaks
        assert bert.leg.rtp.hears


async def test_whoever_presses_twice_in_a_hurry_is_where_he_wanted_to_be(
    autojump_clock: object,
) -> None:
    async with joined() as (anna, bert):
        for on in (True, False, True):
            bert.hold(on)
        await trio.sleep(2)
        assert holds(anna)[-1]
        assert not bert.leg.rtp.hears


async def test_both_hold_at_once(autojump_clock: object) -> None:
    async with joined() as (anna, bert):
        anna.hold()
        bert.hold()
        await trio.sleep(20)
        assert holds(anna) == holds(bert) == [True]
        for call in (anna, bert):
            assert (call.leg.rtp.speaks, call.leg.rtp.hears) == (False, False)
            call.hold(False)
        await trio.sleep(20)
        assert holds(anna) == holds(bert) == [True, False]
        for call in (anna, bert):
            assert (call.leg.rtp.speaks, call.leg.rtp.hears) == (True, True)


async def test_a_hold_that_is_refused_leaves_the_call_as_it_was(autojump_clock: object) -> None:
    async with joined() as (anna, bert):
        anna.leg.talk.negotiation.answer = lambda offer: None  # type: ignore[method-assign]
        bert.hold()
        await trio.sleep(1)
        refused = [e for e in bert.events if isinstance(e, LegReInvite) and e.what == "rejected"]
        assert [event.code for event in refused] == [488]
        assert holds(anna) == []
        assert bert.leg.rtp.hears
        assert anna.leg.rtp.speaks


HELD = """
from voxpy import AppEvents, CallEvents, Logger, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    call = event.call
    for kind in (CallEvents.OnHold, CallEvents.OffHold, CallEvents.RtpStopped):
        call.add_event_listener(kind, lambda e: Logger.write(f"told {e.name}"))
    call.add_event_listener(CallEvents.Disconnected, VoxEngine.terminate)
    call.answer()
"""


async def test_a_scenario_hears_of_it_and_a_long_hold_is_no_dead_call(
    sip_host: SipHosting, autojump_clock: object
) -> None:
    async with sip_host(scenario=HELD) as host, sip_phone(server=host.server) as phone:
        call = await phone.connect(host.uri("x"))
        await trio.sleep(1)
        call.hold()
        call.leg.media.sink.push = lambda frame: None  # type: ignore[union-attr, method-assign]
        await trio.sleep(100)
        assert call.end is None
        call.hold(False)
        await trio.sleep(1)
        call.hang_up()
        await trio.sleep(1)
        log = "".join(path.read_text() for path in host.folder.rglob("session.log"))
    told = [line.split("told ")[1] for line in log.splitlines() if "told " in line]
    assert told == ["Call.OnHold", "Call.OffHold"]
