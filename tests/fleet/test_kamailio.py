"""Hosts behind the Kamailio that ``voxpy fleet kamailio`` sets up: no call is lost, nor a user."""

from __future__ import annotations

import signal
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.channels.sip.peers.processes import POLL_S, WAIT_S, needs, until
from tests.channels.sip.peers.sipp import sipp
from tests.fleet.conftest import RedisServer
from tests.fleet.standing import CARRIER, Standing, standing
from voxpy.errors import CallFailed
from voxpy.testing.sipphone import SipPhone, sip_phone

pytestmark = [
    pytest.mark.slow,
    needs("kamailio", "kamailio"),
    needs("sipp", "sip-tester"),
]

OF_LOAD = (
    "408 Request Timeout",  # no host has had a turn for 4 s
    "481 Call/Transaction Does Not Exist",  # a BYE again, to one that has ended its call and begun
)
"""What sipp may be told where others keep the machine busy; no call is cut short by either."""
CALLEE = ">INVITE <200 >ACK <BYE >200"
"""The host's own requests go back too."""


async def test_calls_are_spread_and_hosts_that_start_anew_lose_none(tmp_path: Path) -> None:
    async with standing(tmp_path, 3) as fleet:
        assert await fleet.calls(12, a_second=12, hold_ms=100) == (12, 0)
        assert (
            min(fleet.spread()) > 1
        )  # in turn, but for one that is asked too late on a busy machine
        to_short = ("-m", "6", "-i", CARRIER, "-mi", CARRIER)
        await sipp(CALLEE, *to_short, to=f"short@{fleet.proxy}")
        async with trio.open_nursery() as nursery:
            under_load = await nursery.start(partial(fleet.keep_calling, hold_ms=500))
            for port in fleet.ports:
                await fleet.stop(port, signal.SIGTERM)
                await fleet.start(port)
                await fleet.knows(port, answers=True)
            await until(lambda: under_load.good >= 12, lambda: str(under_load))
            under_load.over.set()
        harmed = [told for told in fleet.failures if not any(why in told for why in OF_LOAD)]
        assert harmed == []
        assert under_load.bad == len(fleet.failures)
        began = len(fleet.logged("call began"))
        assert began >= 18 + under_load.good
        await until(lambda: len(fleet.logged("call ended")) == began, lambda: "one goes on")
        assert {e["reason"] for e in fleet.logged("call ended")} == {"terminated"}


async def test_users_are_reached_by_the_way_they_registered(tmp_path: Path) -> None:
    async with (
        standing(tmp_path, 2) as fleet,
        sip_phone(user="bert", password="b", server=fleet.proxy, transport="tcp") as bert,
        sip_phone(user="anna", password="a", server=fleet.proxy) as anna,
        sip_phone(user="anna", password="wrong", server=fleet.proxy) as stranger,
    ):
        await registers(bert)
        known = await reached(fleet, anna, bert)
        await fleet.stop(known, signal.SIGKILL)
        await fleet.knows(known, answers=False)
        await registers(bert)
        await reached(fleet, anna, bert)
        assert await stranger.register() == 403
        with pytest.raises(CallFailed, match="403"):
            await stranger.connect(fleet.uri("echo"))


async def test_redis_goes_and_a_host_dies_and_only_its_calls_end(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    pytest.importorskip("coredis", reason="voxpy[fleet] speaks to Redis")
    ended: list[tuple[int, int]] = []

    async def calls(hold_ms: int) -> None:
        ended.append(await fleet.calls(6, a_second=6, hold_ms=hold_ms))

    async with (
        standing(tmp_path, 3, redis=own_redis.url) as fleet,
        sip_phone(user="bert", password="b", server=fleet.proxy) as bert,
        sip_phone(user="anna", password="a", server=fleet.proxy) as anna,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(calls, 3000)
        await until(lambda: sum(fleet.spread()) == 6, lambda: str(fleet.spread()))
        own_redis.stop()
        away = "what hosts share is away; calls go on with what is known here"
        await until(lambda: len(fleet.logged(away)) == 3, lambda: "nobody says so")
        assert await fleet.calls(6, a_second=6, hold_ms=100) == (6, 0), fleet.failures
        await until(lambda: ended == [(6, 0)], lambda: f"{ended} {fleet.failures}")
        own_redis.start()
        back = "what hosts share is there again"
        await until(lambda: len(fleet.logged(back)) == 3, lambda: "nobody comes back")

        await registers(bert)
        nursery.start_soon(calls, 5000)
        before = fleet.spread()[0]
        await until(lambda: sum(fleet.spread()) >= 18, lambda: str(fleet.spread()))
        its = fleet.spread()[0] - before
        await fleet.stop(fleet.ports[0], signal.SIGKILL)
        await reached(fleet, anna, bert, tries=1)  # whichever host had taken the REGISTER
        await registers(bert)
        await reached(fleet, anna, bert, tries=1)
        await until(lambda: len(ended) == 2, lambda: str(ended))
        good, bad = ended[1]
        assert good + bad == 6
        assert bad <= its, fleet.failures  # one that had no answer yet has gone to another host


async def registers(phone: SipPhone) -> None:
    """Register. A proxy that has had no answer to its OPTIONS in time says 503 for two seconds."""
    with trio.fail_after(WAIT_S):
        while (status := await phone.register()) == 503:  # noqa: ASYNC110  it sets no Event
            await trio.sleep(POLL_S)
    assert status == 200


async def reached(fleet: Standing, caller: SipPhone, callee: SipPhone, tries: int = 20) -> int:
    """Call somebody who hangs up; return the host that has carried the call.

    Without Redis only the host that has taken the REGISTER knows the way.
    """
    for _ in range(tries):
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
