"""Sessions that are called by the name of a conference: the first makes it, the others join."""

from __future__ import annotations

from pathlib import Path

from tests.host.serve.conftest import Hosting
from voxpy.audio.convert import decode, encode
from voxpy.audio.frame import PCMU
from voxpy.audio.tones import dtmf
from voxpy.testing.carrier import CarrierPhone

ROUTING = """
rules:
  - {name: rooms, pattern: 'room-.', scenarios: [room.py]}
  - {name: door, pattern: '.*', scenarios: [echo.py]}
"""
DOOR = """
from voxpy import AppEvents, CallEvents, Logger, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    name, headers = "room-" + event.destination[-1], {"X-Seat": "4"}
    room = VoxEngine.call_conference(name, event.callerid, display_name="Ada", headers=headers)
    room.add_event_listener(CallEvents.Failed, lambda e: Logger.write(f"failed {e.code}"))
    VoxEngine.easy_process(event.call, room)
"""
ROOM = """
from voxpy import AppEvents, CallEvents, Logger, VoxEngine

there = []

@VoxEngine.on(AppEvents.Started)
def started(event):
    global room
    room = VoxEngine.create_conference()
    Logger.write(f"conference {event.conference_name}")

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    call = event.call
    there.append(call)
    Logger.write(f"{call.id()} {event.callerid} {event.display_name} {event.headers['X-Seat']} "
                 f"{event.destination}")
    call.add_event_listener(CallEvents.Disconnected, left)
    call.answer()
    VoxEngine.send_media_between(call, room)

def left(event):
    there.remove(event.call)
    Logger.write(f"{event.call.id()} left")
    if not there:
        VoxEngine.terminate()
"""
TONE = encode(dtmf("5", tone_ms=400), PCMU)


async def test_callers_of_one_conference_hear_each_other(
    hosting: Hosting, tmp_path: Path, autojump_clock: object
) -> None:
    (tmp_path / "room.py").write_text(ROOM)
    async with hosting(routing=ROUTING, scenario=DOOR) as running:
        phones = [await running.phone(**{"from": f"+1555{n}", "to": "+15551"}) for n in range(2)]
        other = await running.phone(**{"from": "+15559", "to": "+15552"})
        await running.until(lambda: running.calls == 5)
        await running.until(lambda: all(phone.received for phone in (*phones, other)))
        phones[0].mouth.write(TONE)
        await running.until(lambda: loud(phones[1]))
        assert not loud(other)
        assert not loud(phones[0])
        for phone in (*phones, other):
            phone.far_end_hangs_up()
        await running.until(lambda: running.calls == 0)
        rooms = [e for e in running.logged("call began") if e["data"]["rule"] == "rooms"]
        first, second = (e["data"]["session"] for e in rooms)
        told = (running.folder / "sessions" / first / "session.log").read_text()
    for line in ("conference room-1", "call-1 +15550 Ada 4 room-1", "call-2 +15551 Ada 4 room-1",
                 "call-1 left", "call-2 left"):  # fmt: skip
        assert line in told
    assert second != first
    assert [e["data"]["reason"] for e in running.logged("call ended")] == ["terminated"] * 5


def loud(phone: CarrierPhone) -> bool:
    heard = b"".join(played.frame for played in phone.played)
    return bool(heard) and int(abs(decode(heard, PCMU).astype(int)).max()) > 3000


async def test_a_conference_that_no_rule_takes(
    hosting: Hosting, tmp_path: Path, autojump_clock: object
) -> None:
    (tmp_path / "room.py").write_text(ROOM)
    routing = ROUTING.replace("'.*'", r"'\+.*'").replace("room-.", "hall-.")
    async with hosting(routing=routing, scenario=DOOR) as running:
        await running.phone(**{"from": "+15550", "to": "+15551"})
        await running.until(lambda: running.logged("call ended"))
        (refused,) = running.logged("call refused")
        (began,) = running.logged("call began")
        path = running.folder / "sessions" / began["data"]["session"] / "session.log"
        assert "failed 404" in path.read_text()
    assert refused["data"]["channel"] == "conference"


async def test_who_comes_in_the_same_moment_comes_after_the_start(
    hosting: Hosting, tmp_path: Path, autojump_clock: object
) -> None:
    (tmp_path / "room.py").write_text(ROOM)
    both = DOOR.replace("VoxEngine.easy", 'VoxEngine.call_conference(name, "2", headers=headers)\n'
                        "    VoxEngine.easy")  # fmt: skip
    async with hosting(routing=ROUTING, scenario=both) as running:
        await running.phone(**{"from": "+15550", "to": "+15551"})
        await running.until(lambda: running.calls == 2)
        (room,) = (e for e in running.logged("call began") if e["data"]["rule"] == "rooms")
        path = running.folder / "sessions" / room["data"]["session"] / "session.log"
        await running.until(lambda: "call-2 2" in path.read_text())
        told = path.read_text()
    assert told.index("conference room-1") < told.index("call-1 +15550") < told.index("call-2 2")
