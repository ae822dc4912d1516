"""``set_timeout`` and the others, in a session on virtual time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from voxpy import AppEvents, clear_timeout, set_interval, set_timeout
from voxpy.engine import clock
from voxpy.engine.clock import MediaClock
from voxpy.engine.context import running
from voxpy.engine.ending import EndReason
from voxpy.engine.loader import compile_scenarios
from voxpy.engine.masking import Masker
from voxpy.engine.ports import RealtimeEndpoint
from voxpy.engine.session import Session, SessionContext
from voxpy.engine.settings import Settings
from voxpy.engine.trace import Entry, Trace
from voxpy.errors import NoSession, ScenarioError
from voxpy.simulation.virtual import run_virtual

HEAD = "from voxpy import *\nimport trio\n"
LOG_TICK = "def tick(): Logger.write('tick')\n"


def play(folder: Path, source: str, **settings: Any) -> tuple[Session, list[Entry]]:
    """Run ``source`` for ten virtual seconds; ``Started`` is posted first."""
    path = folder / "scenario.py"
    path.write_text(HEAD + source)
    unused: Any = None  # nothing here dials, reads secrets or writes files
    entries: list[Entry] = []

    async def main() -> Session:
        trace = Trace(now=clock.now, masking=Masker())
        trace.add_sink(entries.append)
        context = SessionContext(
            session_id="s-1",
            program=compile_scenarios([path]),
            settings=Settings(**settings),
            secrets=unused,
            trace=trace,
            media_clock=MediaClock(),
            open_stream=unused,
            realtime=RealtimeEndpoint(url="ws://localhost/"),
            files=unused,
        )
        session = Session(context)
        with running(session):
            session.post(session.listeners, AppEvents.Started(session_id="s-1"))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(session.run)
                await trio.sleep(10)
                session.end(EndReason.HOST_SHUTDOWN)
        return session

    return run_virtual(main), entries


def log(folder: Path, body: str) -> list[str]:
    """Return the log lines of a scenario whose ``Started`` handler is ``body``."""
    indented = "".join(f"    {line}\n" for line in body.strip().splitlines())
    source = f"{LOG_TICK}@VoxEngine.on(AppEvents.Started)\ndef started(event):\n{indented}"
    session, entries = play(folder, source)
    assert session.errors == []
    return [f"{e.t:g} {e.personal['text']}" for e in entries if e.kind == "log"]


def test_a_timeout_fires_once(tmp_path: Path) -> None:
    assert log(tmp_path, "set_timeout(tick, 1500)\nset_timeout(tick)") == ["0 tick", "1.5 tick"]


def test_equal_timeouts_fire_in_the_order_set(tmp_path: Path) -> None:
    body = "for n in range(20): set_timeout(lambda n=n: Logger.write(n), 100)"
    assert log(tmp_path, body) == [f"0.1 {n}" for n in range(20)]


def test_an_interval_repeats_until_cleared(tmp_path: Path) -> None:
    body = """
timer = set_interval(tick, 400)
set_timeout(lambda: clear_interval(timer), 1300)
"""
    assert log(tmp_path, body) == ["0.4 tick", "0.8 tick", "1.2 tick"]


def test_an_interval_is_at_least_100_ms(tmp_path: Path) -> None:
    body = """
timer = set_interval(tick, 1)
set_timeout(lambda: clear_timeout(timer), 250)
"""
    assert log(tmp_path, body) == ["0.1 tick", "0.2 tick"]


def test_clearing_before_and_at_the_same_instant(tmp_path: Path) -> None:
    body = """
clear_timeout(set_timeout(tick, 100))
ids = []
set_timeout(lambda: clear_timeout(ids[0]), 300)
ids.append(set_timeout(tick, 300))
clear_timeout(None)
clear_interval(12345)
"""
    assert log(tmp_path, body) == []


def test_async_callbacks_overlap(tmp_path: Path) -> None:
    body = """
async def slow():
    Logger.write('in')
    await trio.sleep(0.25)
    Logger.write('out')
timer = set_interval(slow, 200)
set_timeout(lambda: clear_interval(timer), 500)
"""
    assert log(tmp_path, body) == ["0.2 in", "0.4 in", "0.45 out", "0.65 out"]


@pytest.mark.parametrize("policy", ["terminate", "continue"])
def test_an_error_in_a_callback_names_it(tmp_path: Path, policy: str) -> None:
    source = """
def broken(): raise ValueError('x')
async def broken_later():
    await trio.sleep(1)
    raise ValueError('y')
@VoxEngine.on(AppEvents.Started)
def started(event):
    set_timeout(broken_later, 500)
    set_interval(broken, 1000)
"""
    session, entries = play(tmp_path, source, on_handler_error=policy)
    errors = [(e.t, e.name.split(" (")[0]) for e in entries if e.kind == "error"]
    assert errors[0] == (1, "timer broken")
    assert session.ended is not None
    if policy == "terminate":
        assert len(errors) == 1
        assert session.ended.reason is EndReason.HANDLER_ERROR
    else:
        assert errors[1] == (1.5, "timer broken_later")
        assert len(errors) >= 10
        assert session.ended.reason is EndReason.HOST_SHUTDOWN


def test_the_hundred_and_first_is_refused(tmp_path: Path) -> None:
    body = """
for _ in range(100): set_timeout(tick, 60000)
try:
    set_timeout(tick, 1)
except Exception as error:
    Logger.write(error)
"""
    assert log(tmp_path, body) == [
        '0 {"message":"a session may have 100 timers; clear some first","type":"LimitExceeded"}'
    ]


@pytest.mark.parametrize("ms", [-1, float("nan"), "5", None])
def test_a_wrong_time_is_refused(ms: Any) -> None:
    for use in (set_timeout, set_interval):
        with pytest.raises(ScenarioError, match=rf"{use.__name__} needs a time in milliseconds"):
            use(print, ms)


def test_what_is_no_function_is_refused() -> None:
    wrong: Any = None
    with pytest.raises(ScenarioError, match="set_timeout needs a function, not None"):
        set_timeout(wrong, 5)


def test_outside_a_session() -> None:
    for use in (lambda: set_timeout(print, 1), lambda: clear_timeout(1)):
        with pytest.raises(NoSession, match="voxpy run"):
            use()
