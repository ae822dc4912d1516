"""The life of a host as a process: signals, the agent, and what is printed when it listens."""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import socket
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import attrs
import trio

import voxpy
from voxpy.channels.listener import Listener
from voxpy.channels.providers.http import TOKEN_SECRET
from voxpy.engine import clock
from voxpy.engine.faults import contained, explain
from voxpy.engine.ports import OpenStream, RealtimeEndpoint
from voxpy.engine.session import SessionContext
from voxpy.engine.storage import FILE_NAME, Storage
from voxpy.engine.trace import Trace
from voxpy.fleet.local import FILE_NAME as SHARED
from voxpy.fleet.local import LocalStore
from voxpy.fleet.membership import Fleet
from voxpy.fleet.storage import SharedStorage
from voxpy.history.history import SPOOL, History
from voxpy.history.objects import objects_of
from voxpy.history.postgres import store_of
from voxpy.history.store import Store
from voxpy.host.listening import Sockets
from voxpy.host.serve import FINISH_S, Host, HostOptions
from voxpy.host.workers import Handover, WorkerLink, Workers
from voxpy.project.project import Project, ProjectFiles
from voxpy.project.routing import usual_channels
from voxpy.project.secrets import Secrets
from voxpy.sockets.streams import open_tcp

if TYPE_CHECKING:
    from voxpy.localagent.engines import Engines

STOPPING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""The last is a terminal that was closed: calls are let finish all the same."""
MOST_NAMED = 8
YOUNG_OBJECTS = 2_000
"""A millisecond to look through. The usual 700 took 2 % of all CPU; 10,000 held up a tick by four.
"""
ANY_KEY = "no-account-needed"
"""For an agent that is not Inworld's: scenarios need not have a key then."""


@attrs.frozen
class Agent:
    """Which realtime service scenarios get: ``local``, ``inworld`` or a URL.

    ``make_engines`` is called only if something must be heard or spoken here.
    """

    name: str
    make_engines: Callable[[], Engines]


async def run_host(
    files: ProjectFiles,
    options: HostOptions,
    agent: Agent,
    sockets: Sockets,
    *,
    log: Trace,
    started: Callable[[], None],
    worker: Handover | None = None,
) -> bool:
    """Serve calls in this process until told to stop. Returns whether that was in order."""
    limits = options.limits
    connections = _connections(limits.connections, options.most_calls)
    if connections < limits.connections:
        log.warning("few file descriptors; raise ulimit -n", connections=connections)
        options = attrs.evolve(options, limits=attrs.evolve(limits, connections=connections))
    link = None
    fleet = _fleet(files.project, options, worker, log)
    keeping, known = files.project.routing.keeping, files.project.secrets
    objects = objects_of(keeping, known)
    history = History(options.base, store_of(keeping, known, options.base))
    history.tell_away = partial(_tell_away, log, history)
    storage = Storage(options.base / FILE_NAME) if not fleet.host else SharedStorage(fleet.store)
    orderly = True
    try:
        async with trio.open_nursery() as nursery:
            speech = cache(agent.make_engines)
            open_stream, realtime = await _agent(agent.name, speech, nursery)
            if worker is not None:
                faulthandler.enable()  # a parent that has to kill us wants to know where we are
                link = WorkerLink(worker.stream())
            host = Host(
                options,
                files,
                SessionContext(
                    secrets=files.project.secrets,
                    media_clock=clock.MediaClock(),
                    open_stream=open_stream,
                    realtime=realtime,
                    speech=speech,
                    storage=storage,
                ),
                history=history,
                objects=objects,
                log=log,
                name=worker.name if worker is not None else "0",
                workers=worker.count if worker is not None else 1,
                elsewhere=link.elsewhere if link is not None else list,
                fleet=fleet,
            )
            nursery.start_soon(_look_after, history, files, log)
            nursery.start_soon(history.stay_known)
            stop = _Stop(drain=host.drain, hurry=host.hurry)
            nursery.start_soon(stop.obey_signals)
            nursery.start_soon(_leave_at_last, host, log)
            if link is not None:
                host.drain_all = partial(nursery.start_soon, link.ask_drain)
                nursery.start_soon(link.obey, host)
                nursery.start_soon(link.tell, host)
                started = partial(nursery.start_soon, link.ready, history.host_id)

            def listening() -> None:
                started()
                warm_up()  # behind the first connections, which wait in the kernel

            await host.run(sockets, started=listening)
            orderly = not stop.hurried
            nursery.cancel_scope.cancel()
    finally:
        storage.close()
        history.close()
    return orderly


def _fleet(project: Project, options: HostOptions, worker: Handover | None, log: Trace) -> Fleet:
    """Return what stands for this process among others."""
    number = int(worker.name) if worker is not None else 0
    settings = project.routing.fleet
    if not settings.redis:  # the workers of one host share a file
        place = options.base / SHARED if worker is not None else None
        return Fleet(LocalStore(place), worker=number, log=log)
    from voxpy.fleet.redis import RedisStore  # only where there is one

    store = RedisStore(project.secrets.get(settings.redis) or "", name=settings.name)
    return Fleet(store, host=options.fleet_name or socket.gethostname(), worker=number, log=log)


def warm_up() -> None:
    """Load the vocabulary that scenarios name, and keep the garbage collector off it.

    Otherwise the first call loads it, 0.1 s in which nobody is heard; and every full collection
    walks all that was ever imported, 50 ms with calls up. Takes about 0.2 s, once.
    """
    for name in dir(voxpy):
        getattr(voxpy, name)
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)


async def run_workers(
    count: int,
    sockets: Sockets,
    command: Sequence[str],
    *,
    store: Store,
    log: Trace,
    started: Callable[[], None],
) -> bool:
    """Run ``count`` workers until told to stop. Returns whether all went in order."""
    workers = Workers(count, sockets, command, store=store, log=log)
    async with trio.open_nursery() as nursery:

        def drain() -> None:
            nursery.start_soon(workers.tell, "drain")

        def hurry() -> None:
            nursery.start_soon(workers.tell, "hurry")
            nursery.cancel_scope.deadline = clock.now() + FINISH_S  # then they are killed

        stop = _Stop(drain=drain, hurry=hurry)
        nursery.start_soon(stop.obey_signals)
        await workers.run(started)
        nursery.cancel_scope.cancel()
    return not (stop.hurried or workers.failed)


@attrs.define
class _Stop:
    """The first signal drains, the second ends now, the third kills, be the loop stuck or not."""

    drain: Callable[[], None]
    hurry: Callable[[], None]
    hurried: bool = False
    _came: int = 0

    async def obey_signals(self) -> None:
        token, woken = trio.lowlevel.current_trio_token(), trio.Event()

        def take(number: int, frame: object) -> None:
            self._came += 1
            if self._came > 2:
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)
            else:
                token.run_sync_soon(lambda: woken.set())

        before = {number: signal.signal(number, take) for number in STOPPING}
        try:
            for act in (self.drain, self._hurry):
                await woken.wait()
                woken = trio.Event()
                act()
                if self._came > 1 and not self.hurried:
                    woken.set()  # both came before we did
            await trio.sleep_forever()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hurry(self) -> None:
        self.hurried = True
        self.hurry()


async def _leave_at_last(host: Host, log: Trace) -> None:
    """End the process although a call does not end: a thread, or a task that swallows its end."""
    await host.ending.wait()
    await trio.sleep(FINISH_S)
    log.write("error", "calls that do not end are left behind", calls=host.admission.running)
    faulthandler.dump_traceback()
    os._exit(1)


def welcome(
    project: Project, options: HostOptions, agent: Agent, sockets: Sockets, host: str
) -> list[str]:
    """Return the lines that say what listens where, what to paste, and what cannot be done."""
    scheme = "https" if options.tls is not None else "http"
    local = f"{scheme}://{host}:{sockets.port}"
    public = options.public_url.rstrip("/") or local
    listeners = project.routing.channels
    lines = [f"listening on {local}  (health: /health, metrics: /metrics)"]
    if project.routing.fleet.redis:
        where = options.fleet_url or sockets.address(options.tls, from_elsewhere=True)
        name = options.fleet_name or socket.gethostname()
        lines.append(f"  one of a fleet, as {name}; other hosts reach it at {where}")
        if _is_only_here(where, project.secrets.get(project.routing.fleet.redis) or ""):
            lines.append("  only those on this machine do: --host 0.0.0.0, or --fleet-url")
    lines.append(f"  {_rules(project)}; agent: {_AGENTS.get(agent.name, agent.name)}")
    lines += [f"  {each.serves(public, sockets.own.get(each.name, ()))}" for each in listeners]
    if project.secrets.get(TOKEN_SECRET):
        lines.append("with their tokens: voxpy check --addresses")
    if not options.public_url and any(each.webhooks for each in listeners):
        lines.append("providers need an address they can reach: --public-url https://...")
    lines += _shortcomings(listeners, project.secrets)
    return lines


def _is_only_here(url: str, redis: str) -> bool:
    """Whether a Redis is elsewhere, and its hosts are told an address of this machine alone."""
    here = [
        urlsplit(each).hostname in (None, "127.0.0.1", "::1", "localhost") for each in (url, redis)
    ]
    return here == [True, False]


_AGENTS = {
    "inworld": "Inworld",
    "local": "the local one, in this process: for trying things out",
}


def _rules(project: Project) -> str:
    rules = project.routing.rules
    named = ", ".join(rule.name for rule in rules[:MOST_NAMED])
    more = ", …" if len(rules) > MOST_NAMED else ""
    return f"{len(rules)} {'rule' if len(rules) == 1 else 'rules'} ({named}{more})"


def _shortcomings(listeners: Sequence[Listener], secrets: Secrets) -> list[str]:
    """Say what cannot be checked or done; in short where nobody has chosen the channels."""
    told = {listener.name: list(listener.lacks(secrets)) for listener in listeners}
    if list(listeners) != list(usual_channels()):
        return [line for lines in told.values() for line in lines]
    named = ", ".join(name for name, lines in told.items() if lines)
    hint = "list yours under channels: in routing.yaml to read what they lack"
    return [f"no secrets to check requests or to release lines of {named}; {hint}"] if named else []


DESCRIPTORS_OF_A_CALL = 10
DESCRIPTORS_OF_US = 100
FEWEST_CONNECTIONS = 64


def _connections(most: int, calls: int) -> int:
    """Use every descriptor we may have; return how many connections leave enough of them to calls.

    Otherwise those who only knock would keep a call from its trace and from its agent.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return most
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    left = hard - DESCRIPTORS_OF_US - DESCRIPTORS_OF_A_CALL * calls
    return most if hard < 0 else max(FEWEST_CONNECTIONS, min(most, left))


async def _agent(
    agent: str, speech: Callable[[], Engines], nursery: trio.Nursery
) -> tuple[OpenStream, RealtimeEndpoint]:
    if agent == "inworld":
        return open_tcp, RealtimeEndpoint()
    if agent == "local":
        # Only here: they take longer to load than all the rest of a host.
        from voxpy.localagent.server import serve_tcp

        engines = speech()
        await engines.run(engines.voice.warm_up)
        await engines.run(engines.ears.warm_up)
        port = await nursery.start(partial(serve_tcp, engines, host="127.0.0.1", port=0))
        agent = f"ws://127.0.0.1:{port}"
    return open_tcp, RealtimeEndpoint(url=agent, api_key=ANY_KEY)


async def _look_after(history: History, files: ProjectFiles, log: Trace) -> None:
    with contained(lambda error: log.warning("no call history", error=explain(error).message)):
        await history.look_after(lambda: files.project.routing.keeping.history.keep_days)


def _tell_away(log: Trace, history: History, why: str) -> None:
    if why:
        kept = f"calls are kept in {history.base / SPOOL} and written when it is back"
        log.warning("the call history cannot be reached", error=why, meanwhile=kept)
    else:
        log.step("the call history is reached again", place=history.store.place)
