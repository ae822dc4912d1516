"""A hosted session and the call history: written when it begins and when it is over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import trio

from tests.history.conftest import sessions_in
from voxpy.channels.simulated import SimulatedLeg
from voxpy.engine import clock
from voxpy.engine.ending import EndReason
from voxpy.engine.loader import compile_scenarios
from voxpy.engine.ports import Endpoint, RealtimeEndpoint
from voxpy.engine.session import SessionContext
from voxpy.engine.settings import Settings
from voxpy.errors import ConnectFailed
from voxpy.history.history import History
from voxpy.history.record import CallRecord
from voxpy.history.search import SessionRow
from voxpy.history.store import FILE_NAME
from voxpy.host.sessions import HostedSession, Keeping
from voxpy.project.secrets import Secrets

SCENARIO = """
from voxpy import AppEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    VoxEngine.custom_data("key " + VoxEngine.get_secret_value("KEY"))
    event.call.answer()
"""


async def no_network(endpoint: Endpoint) -> trio.abc.Stream:
    await trio.lowlevel.checkpoint()
    raise ConnectFailed("none here")


@asynccontextmanager
async def hosted(folder: Path, history: History) -> AsyncIterator[HostedSession]:
    path = folder / "mine.py"
    path.write_text(SCENARIO)
    media = clock.MediaClock()
    context = SessionContext(
        session_id="s-1",
        rule_name="all",
        program=compile_scenarios([path]),
        settings=Settings(),
        secrets=Secrets(folder / "secrets.env", environ={"KEY": "very-secret-key"}),
        media_clock=media,
        open_stream=no_network,
        realtime=RealtimeEndpoint(url="ws://x.test/"),
    )
    leg = SimulatedLeg(leg_id="call-1", callerid="+1555", destination="+1666")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(media.run)
        yield HostedSession(context, leg, Keeping(base=folder, history=history))
        nursery.cancel_scope.cancel()


def row(folder: Path) -> SessionRow:
    (found,) = sessions_in(folder)
    return found


def warnings(folder: Path) -> list[str]:
    lines = (folder / "sessions" / "s-1" / "trace.jsonl").read_bytes().splitlines()
    return [
        f"{e['name']}: {e['data']['error']}"
        for e in map(orjson.loads, lines)
        if e["kind"] == "warning"
    ]


async def test_a_call_is_in_the_history_from_its_beginning(
    tmp_path: Path, autojump_clock: object
) -> None:
    history = History(tmp_path)
    async with hosted(tmp_path, history) as session, trio.open_nursery() as nursery:
        nursery.start_soon(session.run)
        await trio.sleep(2)
        running = row(tmp_path)
        assert (running.state, running.callerid, running.channel) == (
            "running",
            "+1555",
            "simulated",
        )
        assert [call.remote_number for call in running.calls] == ["+1555"]
        session.session.end(EndReason.TERMINATED, "enough")
    history.close()
    ended = row(tmp_path)
    assert (ended.state, ended.finish_reason, ended.end_detail) == (
        "ended",
        "Normal termination",
        "enough",
    )
    assert ended.duration_s == session.record.duration_s
    assert ended.start_date == running.start_date
    assert ended.start_date > "2026", "the real day, whatever the loop's clock says"
    assert dict(ended.files)["recording"] == session.recording.as_uri()
    (call,) = ended.calls
    assert (call.end_code, call.audio_quality, call.local_number) == (16, "Standard", "+1666")
    assert "very-secret-key" not in ended.custom_data
    assert ended.custom_data.startswith("key ")


async def test_a_cancelled_session_is_written_as_well(
    tmp_path: Path, autojump_clock: object
) -> None:
    history = History(tmp_path)
    async with hosted(tmp_path, history) as session:
        with trio.move_on_after(1.5):
            await session.run()
    history.close()
    assert (row(tmp_path).state, row(tmp_path).end_reason) == ("ended", "host shutdown")


async def test_a_history_that_cannot_be_written_costs_no_call(
    tmp_path: Path, autojump_clock: object
) -> None:
    history = History(tmp_path)
    (tmp_path / FILE_NAME).write_bytes(b"This is no database at all. " * 100)
    async with hosted(tmp_path, history) as session, trio.open_nursery() as nursery:
        nursery.start_soon(session.run)
        await trio.sleep(2)
        assert session.call is not None
        assert session.call.state() == "CONNECTED"
        session.session.end(EndReason.TERMINATED, "enough")
    history.close()
    assert session.finished
    told = warnings(tmp_path)
    assert len(told) == 2
    assert "the call is not in the history: " in told[0]
    assert "history.db: the call history cannot be used" in told[0]
    assert (tmp_path / "sessions" / "s-1" / "record.json").exists()


async def test_writing_happens_off_the_loop(tmp_path: Path) -> None:
    """On the real clock, in a thread: the loop goes round meanwhile."""
    history = History(tmp_path)
    record = CallRecord(session_id="s-1", rule_name="all", scenarios=[], started_at="")
    rounds = 0
    over = trio.Event()

    async def write() -> None:
        for _ in range(20):
            await history.keep(record, tmp_path / "sessions" / "s-1")
        over.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        while not over.is_set():
            await trio.lowlevel.checkpoint()
            rounds += 1
    history.close()
    assert rounds > 40
    assert row(tmp_path).state == "running"
