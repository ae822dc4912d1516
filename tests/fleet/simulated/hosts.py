"""Hosts of a simulated fleet: each the package's own ``Host``, without sockets, sound or a clock.

What a host is given from outside is simulated: its legs, how much of a core its calls take, and the
balancer's asking. What it does with a call (admission, session, scenario, record, history), how it
drains, what it tells the others and how it works on lists is its own.
"""

from __future__ import annotations

import itertools
import math
import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import trio

from tests.fleet.simulated.bare import bare
from tests.fleet.simulated.redis import Line
from voxpy.audio.frame import PCMU
from voxpy.engine import clock
from voxpy.engine.clock import BUSY_S, Load
from voxpy.engine.masking import Masker
from voxpy.engine.ports import (
    Leg,
    LegConnected,
    LegEnded,
    LegEvent,
    OutgoingCall,
    RealtimeEndpoint,
    Ringing,
)
from voxpy.engine.session import SessionContext
from voxpy.engine.trace import Entry, Trace
from voxpy.fleet.membership import Fleet
from voxpy.history.history import History
from voxpy.host.listening import Sockets
from voxpy.host.serve import Host, HostOptions
from voxpy.host.sessions import HostedSession
from voxpy.media.unit import MediaPort
from voxpy.project.project import ProjectFiles, load_project
from voxpy.project.routing import Rule
from voxpy.project.secrets import Secrets
from voxpy.sockets.streams import open_tcp

if TYPE_CHECKING:
    from tests.fleet.simulated.world import World

BUSY_SHARE = 0.8
DRAIN_S = 300.0


class _Still:
    """No sound, either way."""

    format = PCMU

    def pull(self) -> None:
        return None

    def push(self, frame: bytes) -> None:
        pass


class QuietLeg:
    """Implements ``voxpy.engine.ports.Leg``: signalling alone, at once."""

    channel = "sip"
    client_type = "sip"
    display_name = ""
    transfers: Any = None

    def __init__(self, leg_id: str, destination: str, *, incoming: bool = True) -> None:
        self.leg_id, self.destination, self.incoming = leg_id, destination, incoming
        self.callerid = "+15550001111"
        self.headers: Mapping[str, str] = {}
        self.media = MediaPort(name=leg_id, source=_Still(), sink=_Still())
        self.answered = trio.Event()
        self.settled = trio.Event()
        """It was answered or refused, or nobody is there to do either."""
        self.over = trio.Event()
        self.code = 0
        """What ended it: 200 for a goodbye of the host."""
        self._report: Callable[[LegEvent], None] = lambda event: None

    def bind(self, report: Callable[[LegEvent], None]) -> None:
        self._report = report

    def ring(self, headers: object) -> None:
        pass

    def start_early_media(self, headers: object) -> None:
        pass

    def answer(self, headers: object) -> None:
        self.answered.set()
        self.settled.set()
        self._report(LegConnected())

    def reject(self, code: int, headers: object) -> None:
        self.end(code)

    def hangup(self, headers: object) -> None:
        self.end(200)

    def handle_tones(self, enabled: bool) -> None:
        pass

    def send_digits(self, digits: str) -> None:
        pass

    def send_message(self, text: str) -> None:
        pass

    def send_info(self, mime_type: str, body: str, headers: object) -> None:
        pass

    def far_end(self, event: LegEvent) -> None:
        """Report what the other end does."""
        self._report(event)

    def end(self, code: int, reason: str = "") -> None:
        if not self.over.is_set():
            self.code = code
            self.over.set()
            self.settled.set()
            self._report(LegEnded(code=code, reason=reason))

    async def aclose(self) -> None:
        self.end(200)
        await trio.lowlevel.checkpoint()


class _Clock(clock.MediaClock):
    """Never ticks, and knows its load by the calls: each takes ``cost`` of a core."""

    def __init__(self, cost: float) -> None:
        super().__init__()
        self.calls: Callable[[], int] = int
        self._cost = cost
        self._share = 0.0
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
        self.up_since = math.inf
        self.drained_at = math.inf
        self.gone_at = -math.inf
        self.well_since = math.inf
        """Since when it is up and its way to the Redis was not cut."""
        self.mine: set[Any] = set()
        """The calls that are here now, as their callers see it."""
        self.lives = 0
        self._numbers = itertools.count()
        self.finished: list[Host] = []
        """Hosts that stopped in order."""
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
            quiet = _Clock(self.cost)
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
            host.handler.outgoing.ways["sip"] = self.world.callees.way(self)
            self.world.plant(self)
            self._make_bare(host)

            def up() -> None:
                self.up_since = self.well_since = clock.now()
                started()

            await host.run(Sockets(http), started=up)
            self.finished.append(host)
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
            self.world.wrong(f"{self.name} says: {entry.name} {entry.data}")


class Callees:
    """Everybody who is called. ``placed`` has whom, when, and by which host."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.placed: dict[str, list[tuple[float, str]]] = {}

    def way(self, host: SimulatedHost) -> _Way:
        """Return a host's way to them."""
        return _Way(self, host)

    def ring(self, call: OutgoingCall, host: SimulatedHost) -> Leg:
        """Call somebody: it rings, and is answered, or not."""
        world = self._world
        self.placed.setdefault(call.destination, []).append((clock.now(), host.name))
        world.placed_one(call.destination)
        leg = QuietLeg(call.leg_id, call.destination, incoming=False)
        world.nursery.start_soon(self._answer, leg)
        return leg

    async def _answer(self, leg: QuietLeg) -> None:
        draw = self._world.draw
        rings_s, answers, talk_s = draw.uniform(1, 5), draw.random() < 0.7, self._world.talk_s()
        await trio.lowlevel.checkpoint()
        leg.far_end(Ringing())
        with trio.move_on_after(rings_s):
            await leg.over.wait()
        if leg.over.is_set():
            return
        if not answers:
            leg.end(486, "Busy Here")
            return
        leg.far_end(LegConnected())
        with trio.move_on_after(talk_s):
            await leg.over.wait()
        leg.end(200, "Hung up")


class _Way:
    """Implements ``voxpy.channels.outgoing.Way``."""

    def __init__(self, callees: Callees, host: SimulatedHost) -> None:
        self._callees, self._host = callees, host

    def dial(self, call: OutgoingCall) -> Leg:
        return self._callees.ring(call, self._host)

    def dial_by(self, trunk: object, call: OutgoingCall) -> Leg:
        return self._callees.ring(call, self._host)


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
