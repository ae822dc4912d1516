"""Hosts of a simulated fleet: each the package's own ``Host``, without sockets, sound or a clock.

What a host is given from outside is simulated: its legs, how much of a core its calls take, and the
balancer's asking. What it does with a call (admission, session, scenario, record, history), how it
drains, what it tells the others and how it works on lists is its own.
"""

from __future__ import annotations

import itertools
import math
import socket
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import trio

from tests.fleet.simulated.bare import bare
from tests.fleet.simulated.callees import Way
from tests.fleet.simulated.redis import Line
from voxpy.engine import clock
from voxpy.engine.clock import BUSY_S, Load
from voxpy.engine.masking import Masker
from voxpy.engine.ports import (
    Leg,
    RealtimeEndpoint,
)
from voxpy.engine.session import SessionContext
from voxpy.engine.trace import Entry, Trace
from voxpy.fleet.membership import Fleet
from voxpy.history.history import History
from voxpy.host.listening import Sockets
from voxpy.host.serve import Host, HostOptions
from voxpy.host.sessions import HostedSession
from voxpy.project.project import ProjectFiles, load_project
from voxpy.project.routing import Rule
from voxpy.project.secrets import Secrets
from voxpy.sockets.streams import open_tcp

if TYPE_CHECKING:
    from tests.fleet.simulated.world import World

BUSY_SHARE = 0.8
DRAIN_S = 300.0
LATELY_S = 3.0


class _Clock(clock.MediaClock):
    """Never ticks, and knows its load by the calls: each takes ``cost`` of a core."""

    def __init__(self, cost: float) -> None:
        super().__init__()
        self.calls: Callable[[], int] = int
        self._cost = cost
        self._share = 0.0
        self._lately: deque[tuple[float, int]] = deque()
        self._noted_s = clock.now()

    async def run(self) -> None:
        await trio.sleep_forever()

    def load(self) -> Load:
        self.note()
        return Load(busy_share=self._share, core_share=self._share)

    def note(self) -> None:
        """Let the share follow what there has been until now, as the real one does."""
        since_s = clock.now() - self._noted_s
        self._noted_s += since_s
        seen = 1 - math.exp(-since_s / BUSY_S)
        self._share += seen * (self.calls() * self._cost - self._share)
        self._lately.append((self._noted_s, self.calls()))
        while self._lately[0][0] < self._noted_s - LATELY_S:
            self._lately.popleft()

    def most_lately(self) -> int:
        """Return how many calls there have been: what ends is seen a second or two later."""
        self.note()
        return max(calls for _, calls in self._lately)


class SimulatedHost:
    """A machine that hosts run on, one after another: it is deployed, and it dies.

    ``most_calls`` and ``cost`` are what it carries: whichever comes first.
    """

    def __init__(self, world: World, name: str, *, most_calls: int, cost: float) -> None:
        self.world, self.name = world, name
        self.most_calls, self.cost = most_calls, cost
        self.host: Host | None = None
        self.fleet: Fleet | None = None
        self.line: Line | None = None
        self.quiet: _Clock | None = None
        self.up_since = math.inf
        self.drained_at = math.inf
        self.gone_at = -math.inf
        self.well_since = math.inf
        """Since when it is up and its way to the Redis was not cut."""
        self.mine: set[Any] = set()
        """The calls that are here now, as their callers see it."""
        self.lives = 0
        self._numbers = itertools.count()
        self.all: list[Host] = []
        """Every host that there has been on this machine."""
        self._folder = world.folder / name
        self._folder.mkdir()
        self._scope = trio.CancelScope()
        self.stopped = trio.Event()

    @property
    def alive(self) -> bool:
        return self.host is not None

    @property
    def listens(self) -> bool:
        """Whether it takes calls, for all that anybody told it."""
        return self.alive and self.drained_at == math.inf

    @property
    def carries(self) -> int:
        """How many calls it takes if it takes what it can, and errs a little on the safe side."""
        return min(self.most_calls, int(0.85 * BUSY_SHARE / self.cost))

    async def live(self, started: Callable[[], None]) -> None:
        """Be a host until it is drained or killed."""
        self.lives += 1
        self.stopped = trio.Event()
        self.drained_at = math.inf
        base = self._folder / str(self.lives)
        with ExitStack() as stack, trio.CancelScope() as self._scope:
            http = stack.enter_context(closing(socket.socket(socket.AF_UNIX)))
            (base / "x").parent.mkdir()
            http.bind(str(base / "http"))
            http.listen()
            history = stack.enter_context(closing(History(base)))
            log = Trace(now=clock.stopwatch(), masking=Masker(()))
            log.add_sink(self._hear)
            self.quiet = quiet = _Clock(self.cost)
            self.line = Line(self.world.redis)
            self.fleet = Fleet(self.line, host=self.name, log=log)
            self.host = host = Host(
                HostOptions(
                    base=base,
                    most_calls=self.most_calls,
                    late_s=math.inf,
                    busy_share=BUSY_SHARE,
                    drain_s=DRAIN_S,
                ),
                self.world.files(log),
                SessionContext(
                    secrets=self.world.secrets,
                    media_clock=quiet,
                    open_stream=open_tcp,
                    realtime=RealtimeEndpoint(),
                ),
                history=history,
                log=log,
                fleet=self.fleet,
            )
            quiet.calls = lambda: host.admission.running
            looked = host.admission.changed

            def changed() -> None:
                quiet.note()
                looked()

            host.admission.changed = changed
            host.handler.outgoing.ways["sip"] = Way(self.world.callees, self)
            host._list_work.now = clock.wall
            self.world.plant(self)
            self._make_bare(host)
            self.all.append(host)

            def up() -> None:
                self.up_since = self.well_since = clock.now()
                started()

            try:
                await host.run(Sockets(http), started=up)
            except Exception as error:
                self.world.wrong(f"{self.name} fell over: {_said(error)}")
                for call in tuple(self.mine):
                    call.lost()
        self._gone()

    def cut_off(self, cut: bool) -> None:
        """Cut its way to the Redis, or mend it."""
        if self.line is not None:
            self.line.cut = cut
            self.well_since = math.inf if cut else clock.now()

    def drain(self) -> None:
        """Tell the host to stop when its calls are over."""
        if self.host is not None and self.drained_at == math.inf:
            self.drained_at = clock.now()
            self.host.drain()

    def kill(self) -> None:
        """Die: nobody is told, nothing is given back."""
        if self.host is None or self.line is None:
            return
        self.line.cut = True
        for call in tuple(self.mine):
            call.lost()
        self._scope.cancel()
        self._gone()

    def _gone(self) -> None:
        self.host = self.fleet = None
        self.up_since = self.well_since = math.inf
        self.gone_at = clock.now()
        self.stopped.set()

    def _make_bare(self, host: Host) -> None:
        """Let as many sessions be bare ones as the plan says."""
        router, whole, draw = host.router, host.router._session, self.world.draw

        def session(rule: Rule, leg: Leg | None, **given: Any) -> HostedSession:
            if draw.random() < self.world.plan.whole:
                return whole(rule, leg, **given)
            session_id = f"{rule.name}-{next(self._numbers)}"
            told = {name: given[name] for name in ("custom_data", "call_list") if name in given}
            context = attrs.evolve(
                router._context, session_id=session_id, rule_name=rule.name, **told
            )
            self.world.seen["bare"] += 1
            return bare(context, leg)

        router._session = session  # type: ignore[method-assign]

    def _hear(self, entry: Entry) -> None:
        if entry.kind == "error" and self.alive:  # what the dead say nobody hears
            why = entry.data.get("reason") or entry.data.get("error") or ""
            self.world.wrong(f"{self.name} says: {entry.name}: {why}")


def _said(error: BaseException) -> str:
    """Return the first error of a group, and where it was raised."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{error!r} in {frame.name}, {Path(frame.filename).name}:{frame.lineno}"


def read_project(folder: Path, routing: str, scenarios: dict[str, str]) -> tuple[Any, Secrets]:
    """Write and read the files that all hosts run by."""
    for name, text in scenarios.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "routing.yaml").write_text(routing, encoding="utf-8")
    secrets = Secrets(folder / "secrets.env", environ={})
    loaded = load_project(folder / "routing.yaml", secrets)
    assert loaded.project is not None, loaded.problems
    return loaded.project, secrets


class QuietFiles(ProjectFiles):
    """Files that nobody changes."""

    async def watch(self) -> None:
        await trio.sleep_forever()
