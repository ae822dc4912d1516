"""Several processes on one port: started, watched, drained together.

The parent listens and hands its sockets down, so whoever is free takes the next connection, and a
worker that dies takes none of those that wait with it. It runs no calls itself.

Parent and worker speak in lines of JSON. A worker says ``{"ready": id of its host}`` once,
``{"ask": "drain"}`` if the API was asked to stop the host, and
``{"figures": [...]}`` every second and whenever a call begins or ends: a worker that is full must
know who has room. The parent says ``{"elsewhere": [...]}``, of the other workers and of those that
died, and ``{"do": "drain"}`` or ``{"do": "hurry"}``. A worker whose parent is gone drains.

What is said every second is the heartbeat. A worker that misses it has a loop that is stuck, and
all of its calls hear nothing: it is made to tell where it is, killed and replaced, and its calls
are recorded as ended by that.
"""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any

import attrs
import orjson
import trio

from voxpy.engine import clock
from voxpy.engine.faults import contained, explain
from voxpy.engine.trace import Trace
from voxpy.history.history import INTERRUPTED, History
from voxpy.history.store import Store
from voxpy.host.listening import Sockets
from voxpy.host.metrics import Metrics, Snapshot, total
from voxpy.host.serve import Host

FIGURES_EVERY_S = 1.0
FIGURES_APART_S = 0.05
"""Calls that come in a burst are told of together."""
READ_BYTES = 65536


BEAT_S = 0.5
MOST_BEATS = 10
"""Silent for so long, 5 s, a worker is stuck. Our own wake-ups are counted, and no clock is asked:
a machine that slept is no worker that did."""
START_BEATS = 120
LAST_WORDS_S = 2.0

RESTART_AFTER_S = 1.0
TOO_SOON_S = 5.0
"""A worker that dies within this, before it was ready, would only die again."""


@attrs.frozen(kw_only=True)
class Handover:
    """What a worker is given on its command line: its number of how many, and open descriptors."""

    name: str
    count: int
    link: int
    http: int
    own: Mapping[str, list[int]]

    def to_json(self) -> str:
        """Return it as one argument."""
        return orjson.dumps(attrs.asdict(self)).decode()

    @classmethod
    def from_json(cls, text: str) -> Handover:
        """Read the argument."""
        return cls(**orjson.loads(text))

    def sockets(self) -> Sockets:
        """Return the listening sockets."""
        own = {name: [socket.socket(fileno=fd) for fd in fds] for name, fds in self.own.items()}
        return Sockets(socket.socket(fileno=self.http), own)

    def stream(self) -> trio.SocketStream:
        """Return the link to the parent."""
        return trio.SocketStream(trio.socket.from_stdlib_socket(socket.socket(fileno=self.link)))


@attrs.define
class _Worker:
    name: str
    stream: trio.SocketStream
    process: trio.Process
    began_at: float
    host_id: str = ""
    """Of its host in the call history; empty until it is ready."""
    figures: Snapshot = attrs.field(factory=list)
    beats: int = 0
    """Since it was heard."""
    cause: str = ""
    """Why it was killed."""
    _turn: trio.Lock = attrs.field(factory=trio.Lock)

    async def say(self, what: dict[str, object]) -> None:
        """Send a line; one that is gone hears nothing."""
        async with self._turn:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self.stream.send_all(orjson.dumps(what) + b"\n")  # _follow sees it go


class Workers:
    """The parent. ``command`` is what starts a worker, its Handover as JSON behind it."""

    def __init__(
        self, count: int, sockets: Sockets, command: Sequence[str], *, store: Store, log: Trace
    ) -> None:
        self.failed = False
        """Whether a worker could not start at all."""
        self._count = count
        self._sockets = sockets
        self._command = list(command)
        self._store = store
        self._log = log
        self._metrics = Metrics()
        self._gone: Snapshot = []  # what those who died had counted
        self._running: dict[str, _Worker] = {}
        self._stopping: str | None = None
        self._told = trio.Event()
        self._changed = trio.Event()

    async def run(self, started: Callable[[], None]) -> None:
        """Keep the workers running until they are told to stop and have; then return.

        ``started`` is called when all of them take calls.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._pass_figures_on)
            nursery.start_soon(self._listen_for_hearts)
            async with trio.open_nursery() as workers:
                for n in range(self._count):
                    workers.start_soon(self._keep, str(n))
                if await self._all_ready():
                    started()
            nursery.cancel_scope.cancel()

    async def tell(self, what: str) -> None:
        """``drain`` or ``hurry`` every worker; none is started again."""
        self._stopping = what
        self._note_change()
        for worker in tuple(self._running.values()):
            await worker.say({"do": what})

    async def _all_ready(self) -> bool:
        while not self._stopping:
            if sum(bool(w.host_id and w.figures) for w in self._running.values()) == self._count:
                return True
            await self._changed.wait()
        return False

    async def _keep(self, name: str) -> None:
        while not self._stopping:
            worker = await self._start(name)
            code = await self._follow(worker)
            cause = worker.cause or f"it ended with {code}"
            if worker.cause or code < 0 or not self._stopping:
                self._log.write("error", "worker died", worker=name, code=code, cause=cause)
                await self._settle(worker, cause)
            if self._stopping:
                return
            if not worker.host_id and clock.now() - worker.began_at < TOO_SOON_S:
                self.failed = True
                self._log.write("error", "a worker cannot start; stopping")
                await self.tell("drain")
                return
            self._metrics.add("voxpy_worker_restarts")
            await trio.sleep(RESTART_AFTER_S)

    async def _start(self, name: str) -> _Worker:
        ours, theirs = socket.socketpair()
        handover = Handover(
            name=name,
            count=self._count,
            link=theirs.fileno(),
            http=self._sockets.http.fileno(),
            own={name: [s.fileno() for s in own] for name, own in self._sockets.own.items()},
        )
        inherited = (theirs.fileno(), *(s.fileno() for s in self._sockets.all()))
        with theirs:
            process = await trio.lowlevel.open_process(
                [*self._command, handover.to_json()],
                pass_fds=inherited,
                stdin=subprocess.DEVNULL,
                # Ctrl-C is for the parent, which then tells the workers.
                start_new_session=True,
            )
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        worker = _Worker(name, stream, process, clock.now())
        self._running[name] = worker
        return worker

    async def _follow(self, worker: _Worker) -> int:
        """Listen to a worker until it is gone; return its exit code."""
        try:
            async for said in _lines(worker.stream):
                worker.beats = 0
                if "figures" in said:
                    worker.figures = said["figures"]
                    self._told.set()
                    self._note_change()
                elif said.get("ask") == "drain":
                    await self.tell("drain")
                elif "ready" in said:
                    worker.host_id = said["ready"]
                    self._log.step("worker is ready", worker=worker.name, pid=worker.process.pid)
                    self._note_change()
            return await worker.process.wait()
        finally:
            with trio.CancelScope(shield=True):
                worker.process.kill()  # only if this is being cancelled does it still run
                await worker.process.wait()
                await worker.stream.aclose()
            del self._running[worker.name]
            self._gone = total([self._gone, worker.figures], counters_only=True)
            self._note_change()

    async def _pass_figures_on(self) -> None:
        while True:
            with trio.move_on_after(FIGURES_EVERY_S):
                await self._told.wait()
            self._told = trio.Event()
            for worker in tuple(self._running.values()):
                others = [w for w in self._running.values() if w is not worker]
                figures = [self._gone, self._metrics.snapshot(), *(w.figures for w in others)]
                await worker.say({"elsewhere": total(figures)})

    async def _listen_for_hearts(self) -> None:
        async with trio.open_nursery() as endings:
            while True:
                await trio.sleep(BEAT_S)
                for worker in tuple(self._running.values()):
                    worker.beats += 1
                    if worker.beats == (MOST_BEATS if worker.host_id else START_BEATS):
                        silent_s = worker.beats * BEAT_S
                        worker.cause = f"its worker was stuck: not heard of for {silent_s:g} s"
                        endings.start_soon(self._end, worker)

    async def _end(self, worker: _Worker) -> None:
        """Have a worker say on standard error where it is, and kill it."""
        self._log.write("error", "worker is stuck", worker=worker.name, pid=worker.process.pid)
        worker.process.send_signal(signal.SIGABRT)
        with trio.move_on_after(LAST_WORDS_S):
            await worker.process.wait()
        worker.process.kill()

    async def _settle(self, worker: _Worker, cause: str) -> None:
        """Record the calls that a worker has taken with it."""
        if not worker.host_id:
            return
        store = self._store

        def settle() -> int:
            with closing(store):
                return History.settle_now(store, {worker.host_id: cause})

        with contained(lambda e: self._log.warning("no call history", error=explain(e).message)):
            if lost := await clock.off_loop(settle):
                self._metrics.add("voxpy_calls_ended", INTERRUPTED.lower(), amount=lost)

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


class WorkerLink:
    """The worker's end. ``elsewhere`` is what the parent said last."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._elsewhere: Snapshot = []
        self._one_at_a_time = trio.Lock()

    def elsewhere(self) -> list[Snapshot]:
        """Return the figures of all other workers."""
        return [self._elsewhere]

    async def ready(self, host_id: str) -> None:
        """Say that calls are taken, by the host that is called so in the call history."""
        await self._say({"ready": host_id})

    async def ask_drain(self) -> None:
        """Let the parent drain all workers."""
        await self._say({"ask": "drain"})

    async def tell(self, host: Host) -> None:
        """Send the figures until cancelled, or until the parent is gone."""
        while True:
            host.handler.once.let_go()
            await self._say({"figures": host.snapshot()})
            await trio.sleep(FIGURES_APART_S)
            with trio.move_on_after(FIGURES_EVERY_S - FIGURES_APART_S):
                await host.admission.wait_change()

    async def obey(self, host: Host) -> None:
        """Do what the parent says until it is gone; then drain."""
        async for said in _lines(self._stream):
            if "elsewhere" in said:
                self._elsewhere = said["elsewhere"]
            elif said.get("do") == "drain":
                host.drain()
            elif said.get("do") == "hurry":
                host.hurry()
        host.drain()

    async def _say(self, what: dict[str, Any]) -> None:
        with suppress(trio.BrokenResourceError):  # obey() has noticed
            async with self._one_at_a_time:
                await self._stream.send_all(orjson.dumps(what) + b"\n")


async def _lines(stream: trio.abc.Stream) -> AsyncIterator[dict[str, Any]]:
    """Yield what the other side says until it is gone."""
    rest = b""
    while True:
        try:
            data = bytes(await stream.receive_some(READ_BYTES))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return
        if not data:
            return
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            yield orjson.loads(line)
