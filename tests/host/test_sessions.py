"""A hosted session by itself: what it leaves behind, whatever happens to it."""

from __future__ import annotations

import json
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.lowlevel

from voxpy.channels.simulated import SimulatedLeg
from voxpy.engine import clock
from voxpy.engine.ending import EndReason
from voxpy.engine.loader import compile_scenarios
from voxpy.engine.ports import Endpoint, RealtimeEndpoint
from voxpy.engine.session import SessionContext
from voxpy.engine.settings import Settings
from voxpy.engine.trace import Entry
from voxpy.errors import ConnectFailed
from voxpy.host.sessions import HostedSession, Keeping
from voxpy.project.secrets import Secrets

ANSWERS = """
from voxpy import AppEvents, CallEvents, Logger, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    event.call.answer()
    Logger.write(VoxEngine.get_secret_value("LATER") or "none")
"""


async def no_network(endpoint: Endpoint) -> trio.abc.Stream:
    await trio.lowlevel.checkpoint()
    raise ConnectFailed("none here")


@asynccontextmanager
async def hosted(
    folder: Path, source: str = ANSWERS, *, sink: Callable[[Entry], None] = lambda _: None
) -> AsyncIterator[tuple[HostedSession, SimulatedLeg]]:
    path = folder / "mine.py"
    path.write_text(source)
    media = clock.MediaClock()
    leg = SimulatedLeg(leg_id="call-1", callerid="+1555", destination="+1666")
    context = SessionContext(
        session_id="s-1",
        rule_name="all",
        program=compile_scenarios([path]),
        settings=Settings(),
        secrets=Secrets(folder / "secrets.env", environ={}),
        media_clock=media,
        open_stream=no_network,
        realtime=RealtimeEndpoint(url="ws://x.test/"),
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(media.run)
        yield HostedSession(context, leg, Keeping(base=folder, sinks=[sink])), leg
        nursery.cancel_scope.cancel()


def left(folder: Path) -> tuple[list[dict[str, Any]], dict[str, Any], float]:
    """Return the trace, the record and the seconds of recording of the only session."""
    root = folder / "sessions" / "s-1"
    trace = [json.loads(line) for line in (root / "trace.jsonl").read_text().splitlines()]
    with wave.open(str(root / "call.wav")) as file:
        seconds = file.getnframes() / file.getframerate()
    return trace, json.loads((root / "record.json").read_text()), seconds


async def test_a_session_and_what_it_leaves(tmp_path: Path, autojump_clock: object) -> None:
    async with hosted(tmp_path) as (session, _):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run)
            await trio.sleep(2)
            assert session.call is not None
            assert session.call.state() == "CONNECTED"
            session.session.end(EndReason.TERMINATED, "enough")
        assert session.finished
    trace, record, seconds = left(tmp_path)
    assert trace[0]["name"] == "started"
    assert record["session_id"] == "s-1"
    assert record["rule_name"] == "all"
    assert record["scenarios"] == [str(tmp_path / "mine.py")]
    assert record["end_reason"] == "terminated"
    assert record["end_detail"] == "enough"
    assert record["recordings"] == [session.recording.as_uri()]
    assert seconds == pytest.approx(2.0, abs=0.05)


async def test_cancelling_still_says_goodbye_and_writes_everything(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with hosted(tmp_path) as (session, leg):
        with trio.move_on_after(1.5) as scope:
            await session.run()
        assert scope.cancelled_caught
        assert leg.state == "ended"
    trace, record, seconds = left(tmp_path)
    assert record["end_reason"] == "host shutdown"
    assert [e["name"] for e in trace].index("call over") < len(trace)
    assert seconds == pytest.approx(1.5, abs=0.05)


async def test_afterwards_runs_between_the_end_and_the_last_word(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with hosted(tmp_path) as (session, _):

        async def afterwards() -> None:
            assert session.session.ended is not None
            await trio.sleep(3)
            session.record.personal["caller_failed"] = "late"
            session.trace.step("a last word")

        async with trio.open_nursery() as nursery:

            async def run() -> None:
                await session.run(afterwards=afterwards)

            nursery.start_soon(run)
            await trio.sleep(1)
            session.session.end(EndReason.TERMINATED)
    trace, record, _ = left(tmp_path)
    assert "a last word" in [e["name"] for e in trace]
    assert record["personal"]["caller_failed"] == "late"


async def test_a_secret_is_masked_from_the_moment_it_is_handed_out(
    tmp_path: Path, autojump_clock: object
) -> None:
    (tmp_path / "secrets.env").write_text("LATER=hush-hush-hush\n")
    async with hosted(tmp_path) as (session, leg), trio.open_nursery() as nursery:
        nursery.start_soon(session.run)
        await trio.sleep(1)
        leg.far_end_hangs_up()
        session.session.end(EndReason.TERMINATED, "hush-hush-hush")
    root = tmp_path / "sessions" / "s-1"
    for name in ("trace.jsonl", "session.log", "record.json"):
        assert "hush-hush" not in (root / name).read_text()
    assert (root / "session.log").read_text().count("***") >= 2


async def test_nothing_of_a_session_stays_in_the_process(
    tmp_path: Path, autojump_clock: object
) -> None:
    import sys

    before = set(sys.modules)
    async with hosted(tmp_path) as (session, _):
        with trio.move_on_after(1):
            await session.run()
    assert not [m for m in set(sys.modules) - before if "scenario" in m]


async def test_sinks_of_the_host_see_every_entry(tmp_path: Path, autojump_clock: object) -> None:
    seen: list[str] = []
    async with hosted(tmp_path, sink=lambda entry: seen.append(entry.name)) as (session, _):
        with trio.move_on_after(1):
            await session.run()
    trace, _, _ = left(tmp_path)
    assert seen == [e["name"] for e in trace]
