"""Hosts behind the Kamailio that ``voxpy fleet kamailio`` sets up: no call is lost, nor a user."""

from __future__ import annotations

import signal
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from tests.channels.sip.peers.processes import needs, until
from tests.channels.sip.peers.sipp import sipp
from tests.fleet.standing import CARRIER, Standing, standing
from voxpy.errors import CallFailed
from voxpy.testing.sipphone import SipPhone, sip_phone

pytestmark = [
    pytest.mark.slow,
    needs("kamailio", "kamailio"),
    needs("sipp", "sip-tester"),
]

CALLER = ">INVITE <200 >ACK .1500 >BYE <200"
CALLEE = ">INVITE <200 >ACK <BYE >200"
"""The host's own requests go back too."""


async def load(calls: int, a_second: int, user: str, transcript: str, proxy: str) -> None:
    """Make calls of the carrier's."""
    many = ("-m", str(calls), "-r", str(a_second), "-l", str(calls), "-i", CARRIER, "-mi", CARRIER)
    await sipp(transcript, *many, to=f"{user}@{proxy}")


async def test_calls_are_spread_and_a_host_that_drains_loses_none(tmp_path: Path) -> None:
    async with standing(tmp_path, 3) as fleet:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(load, 15, 8, "echo", CALLER, fleet.proxy)
            nursery.start_soon(load, 15, 8, "short", CALLEE, fleet.proxy)
            await until(lambda: min(fleet.spread()) > 1, lambda: "never spread")
            first = fleet.hosts[fleet.ports[0]]
            first.process.send_signal(signal.SIGTERM)
            await until(lambda: first.logged("draining"), lambda: first.printed)
            begun = len(first.logged("call began"))
        await trio.to_thread.run_sync(first.process.wait)
        assert len(first.logged("call began")) == begun  # none came while it drained
        assert len(fleet.logged("call began")) == 30
        await until(lambda: len(fleet.logged("call ended")) == 30, lambda: "one goes on")
        assert {e["reason"] for e in fleet.logged("call ended")} == {"terminated"}


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_users_are_reached_by_the_way_they_registered(tmp_path: Path, transport: str) -> None:
    async with (
        standing(tmp_path, 2) as fleet,
        sip_phone(user="bert", password="b", server=fleet.proxy, transport=transport) as bert,
        sip_phone(user="anna", password="a", server=fleet.proxy) as anna,
        sip_phone(user="anna", password="wrong", server=fleet.proxy) as stranger,
    ):
        assert await bert.register() == 200
        known = await reached(fleet, anna, bert)
        await fleet.stop(known, signal.SIGKILL)
        await fleet.knows(known, answers=False)
        assert await bert.register() == 200
        await reached(fleet, anna, bert)
        assert await stranger.register() == 403
        with pytest.raises(CallFailed, match="403"):
            await stranger.connect(fleet.uri("echo"))


async def reached(fleet: Standing, caller: SipPhone, callee: SipPhone) -> int:
    """Call somebody who hangs up; return the host that has carried the call.

    Without Redis only the host that has taken the REGISTER knows the way.
    """
    for _ in range(20):
        before = fleet.spread()
        with suppress(CallFailed):
            call = await caller.connect(fleet.uri(callee.user))
            (carried,) = [
                port
                for port, was, is_now in zip(fleet.ports, before, fleet.spread(), strict=True)
                if is_now > was
            ]
            callee.calls[-1].hang_up()
            await until(call.over.is_set, lambda: "it goes on")
            return carried
    raise AssertionError("never reached")
