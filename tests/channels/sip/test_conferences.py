"""A conference has one home among all workers of all hosts, and calls to it go there by SIP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.channels.sip.conftest import SipHost, hosted_workers
from tests.fleet.test_membership import Line, Server
from voxpy.audio.convert import decode, encode
from voxpy.audio.frame import PCMU
from voxpy.audio.tones import dtmf
from voxpy.testing.sipphone import PhoneCall, SipPhone, sip_phone

slow = pytest.mark.slow
TONE = encode(dtmf("5", tone_ms=300), PCMU)
DOOR_AND_ROOM = """
from voxpy import AppEvents, CallEvents, Logger, VoxEngine

there, room = [], None

@VoxEngine.on(AppEvents.Started)
def started(event):
    global room
    if event.conference_name:
        Logger.write(f"conference {event.conference_name}")
        room = VoxEngine.create_conference()

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    call = event.call
    if room is None:
        headers = {"X-Seat": "4"}
        other = VoxEngine.call_conference(
            event.destination, event.callerid, display_name="Ada", headers=headers)
        other.add_event_listener(CallEvents.Failed, lambda e: Logger.write(f"failed {e.code}"))
        VoxEngine.easy_process(call, other)
        return
    there.append(call)
    Logger.write(f"{call.id()} {event.display_name} {event.headers['X-Seat']} {event.destination}")
    call.add_event_listener(CallEvents.Disconnected, left)
    call.answer()
    VoxEngine.send_media_between(call, room)

def left(event):
    there.remove(event.call)
    if not there:
        VoxEngine.terminate()
"""


def is_loud(call: PhoneCall) -> bool:
    heard = b"".join(call.heard)
    return bool(heard) and int(abs(decode(heard, PCMU).astype(int)).max()) > 5000


def rooms(hosts: list[SipHost]) -> list[str]:
    """Return the sessions of conferences that have begun."""
    return [
        entry["data"]["session"]
        for host in hosts
        for entry in host.logged("call began")
        if entry["data"]["channel"] == "conference"
    ]


async def idle(hosts: list[SipHost]) -> None:
    await hosts[0].until(lambda: not any(host.host.admission.running for host in hosts))
    for host in hosts:  # nothing is left of any call, and no name is held
        for listener in host.host.listeners:
            endpoint = listener._running[0]  # type: ignore[attr-defined]
            await host.until(lambda endpoint=endpoint: not endpoint.legs)  # type: ignore[misc]
    store = hosts[0].host.fleet.store
    with trio.fail_after(20):
        while await store.names("conferences/"):
            await trio.lowlevel.checkpoint()


async def meet(hosts: list[SipHost], phones: list[SipPhone], name: str) -> list[PhoneCall]:
    """Let all call a conference at once; then the first is heard by the others."""
    calls: list[PhoneCall] = []

    async def come(phone: SipPhone, host: SipHost) -> None:
        calls.append(await phone.connect(host.uri(name)))

    async with trio.open_nursery() as nursery:
        for n, phone in enumerate(phones):
            nursery.start_soon(come, phone, hosts[n % len(hosts)])

    await hear(hosts[0], *calls)
    return calls


async def hear(host: SipHost, speaks: PhoneCall, *others: PhoneCall) -> None:
    """Wait until one is heard by the others."""

    def all_hear() -> bool:
        if not speaks.is_speaking:
            speaks.says(TONE)
        return all(is_loud(call) for call in others)

    await host.until(all_hear)


@slow
async def test_callers_at_several_workers_meet_in_one_session(tmp_path: Path) -> None:
    async with (
        hosted_workers(tmp_path, 3, scenario=DOOR_AND_ROOM) as hosts,
        AsyncExitStack() as stack,
    ):
        phones = [await stack.enter_async_context(sip_phone(server=hosts[0].server)) for _ in "six"]
        for again in range(4):  # the Call-IDs decide which workers they come to
            calls = await meet(hosts, phones, f"room-{again % 2}")
            for call in calls:
                call.hang_up()
            await idle(hosts)
        assert len(rooms(hosts)) == 4
        told = (tmp_path / "sessions" / rooms(hosts)[0] / "session.log").read_text()
        for line in ("conference room-", "call-1 Ada 4 room-", "call-2 Ada 4", "call-3 Ada 4"):
            assert line in told, told


@asynccontextmanager
async def fleet(folder: Path, *names: str, **more: Any) -> AsyncIterator[tuple[list[SipHost], Any]]:
    server, lines = Server(), []
    async with AsyncExitStack() as stack:
        hosts = []
        for name in names:
            (folder / name).mkdir()
            lines.append(Line(server))
            setup = {"scenario": DOOR_AND_ROOM, "store": lines[-1], "name": name, **more}
            made = hosted_workers(folder / name, 1, **setup)
            hosts += await stack.enter_async_context(made)
        yield hosts, lines


@slow
async def test_callers_at_several_hosts_meet_in_one_session(tmp_path: Path) -> None:
    async with fleet(tmp_path, "one", "two", "three") as (hosts, _), AsyncExitStack() as stack:
        phones = [await stack.enter_async_context(sip_phone(server=host.server)) for host in hosts]
        calls = await meet(hosts, phones, "room-1")
        assert len(rooms(hosts)) == 1, "all came at once, and one made it"
        for call in calls:
            call.hang_up()
        await idle(hosts)


@slow
async def test_a_home_that_dies_is_followed_by_another(tmp_path: Path) -> None:
    async with (
        fleet(tmp_path, "one", "two") as (hosts, lines),
        sip_phone(server=hosts[0].server) as anna,
        sip_phone(server=hosts[1].server) as bert,
    ):
        first = await anna.connect(hosts[0].uri("room-1"))
        second = await bert.connect(hosts[1].uri("room-1"))
        await hear(hosts[0], first, second)
        assert [len(rooms([host])) for host in hosts] == [1, 0]
        lines[0].cut = True  # what it says is heard no more
        hosts[0].host.hurry()
        await hosts[1].until(second.over.is_set)
        (entry,) = await lines[1].find("hosts/one/")
        lines[1].server.store._rows("DELETE FROM entries WHERE key = :key", key=entry.key)
        again = await bert.connect(hosts[1].uri("room-1"))
        assert [len(rooms([host])) for host in hosts] == [1, 1]
        again.hang_up()
        await hosts[1].until(again.over.is_set)
        assert first.over.is_set()


@slow
async def test_without_what_hosts_share_a_conference_begins_where_it_is_called(
    tmp_path: Path,
) -> None:
    async with (
        fleet(tmp_path, "one", "two") as (hosts, lines),
        sip_phone(server=hosts[0].server) as anna,
    ):
        for line in lines:
            line.cut = True
        call = await anna.connect(hosts[0].uri("room-1"))
        assert rooms([hosts[0]])
        call.hang_up()
        await hosts[0].until(lambda: not hosts[0].host.admission.running)


@slow
async def test_a_stranger_cannot_name_a_conference(tmp_path: Path) -> None:
    async with (
        fleet(tmp_path, "one") as (hosts, _),
        sip_phone(server=hosts[0].server) as phone,
    ):
        call = await phone.call(f"{hosts[0].uri('echo')};conference=w0.")
        await hosts[0].until(lambda: hosts[0].logged("call began"))
        assert hosts[0].logged("call began")[0]["data"]["channel"] == "sip"
        call.hang_up()
        await hosts[0].until(lambda: not hosts[0].host.admission.running)
