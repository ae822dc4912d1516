"""A host in memory: real sessions on virtual time, whose traces are lists."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from voxpy.engine import clock
from voxpy.engine.clock import MediaClock
from voxpy.engine.context import running
from voxpy.engine.ending import End
from voxpy.engine.events import Started
from voxpy.engine.loader import Program, compile_scenarios
from voxpy.engine.masking import Masker
from voxpy.engine.ports import Endpoint, RealtimeEndpoint
from voxpy.engine.session import Session, SessionContext
from voxpy.engine.settings import Limits, OnHandlerError, Settings
from voxpy.engine.trace import Entry, Trace
from voxpy.errors import ConnectFailed

HEAD = "from voxpy import AppEvents, Logger, VoxEngine, set_timeout, set_interval\nimport trio\n"


class NoSecrets:
    def get(self, name: str) -> str | None:
        return None

    def missing(self, name: str) -> str:
        return f"add {name}=..."

    def values(self) -> tuple[str, ...]:
        return ()


@attrs.frozen
class Files:
    folder: Path

    def path(self, name: str) -> Path:
        return self.folder / name

    def url(self, path: Path) -> str:
        return path.as_uri()

    def here(self, url: str) -> Path | None:
        return None


async def no_network(endpoint: Endpoint) -> trio.abc.Stream:
    await trio.lowlevel.checkpoint()
    raise ConnectFailed(f"{endpoint.host}: there is no network here")


@attrs.define
class Play:
    """A session with its program and everything its trace said."""

    session: Session
    program: Program
    entries: list[Entry]
    end: End | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> End:
        with running(self.session):
            self.session.post(self.session.listeners, Started(session_id=self.session.session_id))
            task_status.started()
            self.end = await self.session.run()
        return self.end

    @property
    def log(self) -> list[str]:
        """The scenario's own lines: ``1.5 text``."""
        return [f"{e.t:g} {e.personal['text']}" for e in self.entries if e.kind == "log"]

    def names(self, kind: str) -> list[str]:
        return [e.name for e in self.entries if e.kind == kind]

    def find(self, name: str) -> Entry:
        (entry,) = [e for e in self.entries if e.name == name]
        return entry

    @property
    def reason(self) -> str:
        assert self.session.ended is not None
        return self.session.ended.reason.name


class Stage:
    """Makes sessions from source text."""

    def __init__(self, folder: Path, media_clock: MediaClock) -> None:
        self.folder = folder
        self.media_clock = media_clock
        self.plays: list[Play] = []

    def write(self, source: str, name: str = "scenario.py", *, head: bool = True) -> Path:
        path = self.folder / name
        path.write_text((HEAD if head else "") + textwrap.dedent(source), encoding="utf-8")
        return path

    def prepare(
        self,
        source: str | Program = "",
        *,
        on_handler_error: OnHandlerError = "terminate",
        **limits: Any,
    ) -> Play:
        program = source if isinstance(source, Program) else self.compile(source)
        trace = Trace(now=clock.now, masking=Masker())
        entries: list[Entry] = []
        trace.add_sink(entries.append)
        context = SessionContext(
            session_id=f"s-{len(self.plays)}",
            program=program,
            settings=Settings(limits=Limits(**limits), on_handler_error=on_handler_error),
            secrets=NoSecrets(),
            trace=trace,
            media_clock=self.media_clock,
            open_stream=no_network,
            realtime=RealtimeEndpoint(url="ws://localhost/realtime"),
            files=Files(self.folder),
        )
        play = Play(Session(context), program, entries)
        self.plays.append(play)
        return play

    def compile(self, source: str) -> Program:
        return compile_scenarios([self.write(source, f"scenario{len(self.plays)}.py")])

    async def play(
        self,
        source: str | Program,
        meanwhile: Callable[[Session], Awaitable[None]] | None = None,
        **settings: Any,
    ) -> Play:
        """Run a session to its end, ``meanwhile(session)`` beside it."""
        play = self.prepare(source, **settings)
        with trio.fail_after(1000):  # virtual: a session that does not end fails its test
            async with trio.open_nursery() as nursery:
                await nursery.start(play.run)
                if meanwhile is not None:
                    await meanwhile(play.session)
        return play


def virtually(main: Callable[[], Awaitable[None]], **given: Any) -> None:
    trio.run(main, **{**given, "clock": trio.testing.MockClock(autojump_threshold=0)})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run every async test of this folder on virtual time, whatever fixtures it asks for."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and inspect.iscoroutinefunction(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.trio(run=virtually), append=False)


@pytest.fixture
async def stage(tmp_path: Path, nursery: trio.Nursery) -> Stage:
    assert clock.is_virtual()
    media_clock = MediaClock()
    nursery.start_soon(media_clock.run)
    return Stage(tmp_path, media_clock)
