"""sipp does what goes wrong on real networks, and counts what a real host makes of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.channels.sip.conftest import SipHosting
from tests.channels.sip.peers.conftest import FORWARD, REPOSITORY, Served, Session, served
from tests.channels.sip.peers.processes import free_ports, needs
from tests.channels.sip.peers.sipp import SHORT, ready, sipp
from voxpy.audio.convert import encode
from voxpy.audio.frame import PCMU
from voxpy.audio.tones import dtmf
from voxpy.audio.wav import WavWriter

pytestmark = [pytest.mark.slow, needs("sipp", "sip-tester")]

ROUTING = """
rules:
  - {name: echo, pattern: echo, scenarios: [%(repository)s/scenarios/echo.py]}
  - {name: busy, pattern: busy, scenarios: [%(repository)s/scenarios/reject.py]}
  - {name: ring, pattern: ring, scenarios: [ring.py]}
  - {name: short, pattern: short, scenarios: [short.py]}
  - {name: impatient, pattern: 'impatient-.*', scenarios: [impatient.py]}
  - {name: forward, pattern: 'sip-.*', scenarios: [forward.py]}
channels:
  sip: {host: 127.0.0.1, port: 0, rtp_ports: 20000-29999}
"""
RING = '''
"""Ring for ever."""
from voxpy import AppEvents, CallEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    event.call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    event.call.ring()
'''
IMPATIENT = '''
"""Call the phone at that port, and give it up as soon as it rings."""
from voxpy import AppEvents, CallEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    event.call.answer()
    port = event.destination.split("-")[1]
    other = VoxEngine.call_sip(f"sip:phone@127.0.0.1:{port}")
    other.add_event_listener(CallEvents.Ringing, lambda e: other.hangup())
    other.add_event_listener(CallEvents.Failed, lambda e: VoxEngine.terminate())
    other.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
'''


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A host that anybody may call; at its end no call may be left."""
    folder = tmp_path_factory.mktemp("host")
    for name, text in (
        ("forward", FORWARD),
        ("ring", RING),
        ("short", SHORT),
        ("impatient", IMPATIENT),
    ):
        (folder / f"{name}.py").write_text(text)
    yield from served(folder, ROUTING % {"repository": REPOSITORY})


async def ended(host: Served, session: str) -> str:
    """Wait until a call is over, and return why."""
    return str((await Session(host, session).ended())["end_reason"])


CALLERS = {
    "an ordinary call": "echo >INVITE <200 >ACK .200 >BYE <200",
    "CANCEL before the answer": "ring >INVITE <180 >CANCEL <200 <487 >ACK .700",
    "busy, and the 486 again until its ACK": "busy >INVITE <486*2 .800 >ACK .700",
    "the INVITE again after its answer": "echo >INVITE <200 >INVITE .200 >ACK .200 >BYE <200",
    "a lost ACK: the 200 again and again": "echo >INVITE <200*3 .1600 >ACK .1200 >BYE <200",
    "a lost answer to BYE": "echo >INVITE <200 >ACK .100 >BYE <200*2 >BYE .300",
    "BYE before ACK": "echo >INVITE <200 >BYE <200",
    "a BYE after the end": "short >INVITE <200 >ACK <BYE >200 .200 >BYE <481",
    "BYEs that cross": "short >INVITE <200 >ACK <BYE >BYE <481 >200:BYE .700",
    "CANCEL after the answer": "echo >INVITE <200 >CANCEL <200 >ACK .200 >BYE <200",
}
"""Dialled user, and what sipp does; the pauses at the end are for what must not come."""


@pytest.mark.parametrize("what", CALLERS)
async def test_callers(host: Served, what: str) -> None:
    user, _, transcript = CALLERS[what].partition(" ")
    before = len(host.logged("call began", destination=user))
    await sipp(transcript, to=f"{user}@{host.at}")
    began = host.logged("call began", destination=user)[before:]
    assert len(began) == 1  # whatever was repeated
    assert await ended(host, began[0]["session"]) == "terminated"


async def test_what_a_callee_answers_is_what_the_caller_hears(host: Served) -> None:
    async def try_it(status: int) -> None:
        port = free_ports()
        async with trio.open_nursery() as both:
            both.start_soon(partial(sipp, f"<INVITE >{status} <ACK .100", port=port))
            await ready(port)
            await sipp(f">INVITE <{status} >ACK", to=f"sip-phone-{port}@{host.at}")

    async with trio.open_nursery() as nursery:
        for status in (404, 408, 480, 486, 487, 503, 603):
            nursery.start_soon(try_it, status)


CALLEES = {
    "our CANCEL crosses the answer": (
        "impatient",
        "<INVITE >180 <CANCEL >200 >200:INVITE <ACK <BYE >200",
    ),
    "our CANCEL in time": ("impatient", "<INVITE >180 <CANCEL >200 >487:INVITE <ACK .700"),
    "our ACK is lost": ("sip-phone", "<INVITE >200 <ACK*2 .300 >200:INVITE .300 <BYE >200"),
}


@pytest.mark.parametrize("what", CALLEES)
async def test_callees(host: Served, what: str) -> None:
    user, transcript = CALLEES[what]
    patient = user == "sip-phone"
    caller = ">INVITE <200 >ACK .1000 >BYE <200" if patient else ">INVITE <200 >ACK <BYE >200"
    port = free_ports()
    async with trio.open_nursery() as both:
        both.start_soon(partial(sipp, transcript, port=port))
        await ready(port)
        await sipp(caller, to=f"{user}-{port}@{host.at}")


async def test_calls_at_twenty_a_second_leave_nothing_behind(
    sip_host: SipHosting, tmp_path: Path
) -> None:
    wav = tmp_path / "says.wav"
    with wav.open("wb") as file:
        writer = WavWriter(file, PCMU, channels=1)
        writer.write(encode(dtmf("5", tone_ms=1000), PCMU))
        writer.close()
    load = ("-m", "40", "-r", "20", "-l", "20")
    async with sip_host() as host:
        await sipp(">INVITE <200 >ACK .20 >BYE <200", "-m", "1", to=f"echo@{host.server}")
        await host.until(lambda: host.host.admission.running == 0)
        before = open_files(), tasks()
        await sipp(">INVITE <200 >ACK ~ .700 >BYE <200", *load, to=f"echo@{host.server}", wav=wav)
        await host.until(lambda: host.host.admission.running == 0)
        # What is kept for the network to ask again (timer J, 32 s) is no task and no file.
        await host.until(lambda: (open_files(), tasks()) == before)
    ended = host.logged("call ended")
    assert [entry["data"]["reason"] for entry in ended] == ["terminated"] * 41


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def tasks() -> int:
    """Return how many tasks run in this loop."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    found, waiting = 0, [root]
    while waiting:
        found += 1
        waiting += [t for n in waiting.pop().child_nurseries for t in n.child_tasks]
    return found
