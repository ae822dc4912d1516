"""Recordings that fail under a call: the scenario is told, and nothing else happens to the call."""

# ruff: noqa: E501  scenario sources read better in whole lines

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from voxpy.call import make_call
from voxpy.channels.simulated import SimulatedLeg
from voxpy.engine import clock
from voxpy.engine.context import running
from voxpy.engine.loader import compile_scenarios
from voxpy.engine.masking import Masker
from voxpy.engine.ports import Endpoint, RealtimeEndpoint
from voxpy.engine.session import Session, SessionContext
from voxpy.engine.settings import Settings
from voxpy.engine.trace import Entry, Trace
from voxpy.errors import ConnectFailed, install_command
from voxpy.events import AppEvents

SCENARIO = """
from voxpy import AppEvents, CallEvents, Logger, RecorderEvents, VoxEngine
import trio

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.RecordError, lambda e: Logger.write("error " + e.error))
    call.add_event_listener(CallEvents.RecordStopped, lambda e: Logger.write(f"stopped {e.duration} {e.reason}"))
    call.answer()
    await call.wait_event(CallEvents.Connected)
    BODY
    Logger.write(call.state())
    VoxEngine.terminate()
"""


@attrs.frozen
class Files:
    """Gives every recording the same path."""

    where: Path

    def path(self, name: str) -> Path:
        return self.where

    def url(self, path: Path) -> str:
        return path.as_uri()

    def here(self, url: str) -> Path | None:
        return None


class NoSecrets:
    def get(self, name: str) -> str | None:
        return None

    def missing(self, name: str) -> str:
        return f"add {name}=..."

    def values(self) -> tuple[str, ...]:
        return ()


async def no_network(endpoint: Endpoint) -> trio.abc.Stream:
    await trio.lowlevel.checkpoint()
    raise ConnectFailed(f"{endpoint.host}: there is no network here")


Play = Callable[..., Any]


@pytest.fixture
async def play(tmp_path: Path, nursery: trio.Nursery) -> Play:
    assert clock.is_virtual()
    media_clock = clock.MediaClock()
    nursery.start_soon(media_clock.run)

    async def run(body: str, where: Path) -> list[str]:
        path = tmp_path / "scenario.py"
        path.write_text(SCENARIO.replace("BODY", body))
        trace = Trace(now=clock.now, masking=Masker())
        entries: list[Entry] = []
        trace.add_sink(entries.append)
        session = Session(
            SessionContext(
                session_id="s-1",
                program=compile_scenarios([path]),
                settings=Settings(),
                secrets=NoSecrets(),
                trace=trace,
                media_clock=media_clock,
                open_stream=no_network,
                realtime=RealtimeEndpoint(url="ws://localhost"),
                files=Files(where),
            ),
        )
        leg = SimulatedLeg(leg_id="call-1", callerid="1", destination="2")
        with running(session):
            call = make_call(session, leg)
            alerting = AppEvents.CallAlerting(call=call, callerid="1", destination="2")
            session.post(session.listeners, alerting)
            with trio.fail_after(100):
                await session.run()
        assert session.errors == []
        return [str(e.personal["text"]) for e in entries if e.kind == "log"]

    return run


@pytest.mark.parametrize("kind", ["wav", "mp3", "flac"])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
async def test_a_disk_that_is_full(autojump_clock: trio.abc.Clock, play: Play, kind: str) -> None:
    body = f"call.record(format='{kind}')\n    await trio.sleep(2)"
    assert await play(body, Path("/dev/full")) == [
        "error full: the recording cannot be written: No space left on device",
        "stopped 0.0 Recording failed",
        "CONNECTED",
    ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
async def test_a_recorder_on_a_disk_that_is_full_can_be_sent_to_all_the_same(
    autojump_clock: trio.abc.Clock, play: Play
) -> None:
    body = """recorder = VoxEngine.create_recorder()
    recorder.add_event_listener(RecorderEvents.RecorderError, lambda e: Logger.write("error " + e.error))
    call.send_media_to(recorder)
    await recorder.wait_event(RecorderEvents.Stopped)
    call.send_media_to(recorder)
    recorder.stop()
    await trio.sleep(1)"""
    assert await play(body, Path("/dev/full")) == [
        "error full: the recording cannot be written: No space left on device",
        "CONNECTED",
    ]


async def test_a_folder_that_is_not_there(
    autojump_clock: trio.abc.Clock, play: Play, tmp_path: Path
) -> None:
    body = "call.record()\n    await trio.sleep(1)\n    VoxEngine.create_recorder().stop()"
    told = await play(body, tmp_path / "gone" / "record.wav")
    assert told == ["error record.wav cannot be recorded: No such file or directory", "CONNECTED"]


async def test_a_host_without_ears_records_the_sound(
    autojump_clock: trio.abc.Clock, play: Play, tmp_path: Path
) -> None:
    body = "call.record(transcribe=True)\n    await trio.sleep(1)\n    call.record()\n    await trio.sleep(1)"
    told = await play(body, tmp_path / "record.wav")
    assert told == [
        "error no transcript of record.wav: this host has no speech engines; install them: "
        + install_command("local"),
        "stopped 0.98 Replaced by another recording",
        "CONNECTED",
    ]
    assert (tmp_path / "record.wav").stat().st_size > 10_000


async def test_after_the_end_nothing_is_recorded(
    autojump_clock: trio.abc.Clock, play: Play, tmp_path: Path
) -> None:
    body = """
    def late(_event):
        call.record()
        VoxEngine.create_recorder().stop()
        Logger.write("late")
    VoxEngine.add_event_listener(AppEvents.Terminating, late)""".strip()
    told = await play(body, tmp_path / "record.wav")
    assert told == ["CONNECTED", "late"]
    assert not (tmp_path / "record.wav").exists()
