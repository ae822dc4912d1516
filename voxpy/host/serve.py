"""One process that serves calls: connections, sessions, the media clock, and an orderly end."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import attrs
import trio

from voxpy.calllists.store import Lists
from voxpy.calllists.working import HOST_LEASE_S, LEASE_S, CannotBegin, ListWork
from voxpy.channels.outgoing import HostDialer
from voxpy.channels.providers.http import public_address
from voxpy.engine import clock
from voxpy.engine.ports import CallListTask
from voxpy.engine.session import SessionContext
from voxpy.engine.trace import Trace
from voxpy.fleet.local import LocalStore
from voxpy.fleet.membership import Fleet
from voxpy.history.history import History
from voxpy.history.objects import AT_ONCE, ObjectStore
from voxpy.history.outbox import Outbox
from voxpy.history.record import CallRecord
from voxpy.history.search import row_of
from voxpy.history.spans import Telemetry
from voxpy.history.uploads import Uploads
from voxpy.host.admission import Admission, Busy
from voxpy.host.api.callbacks import Callbacks
from voxpy.host.api.lists import ListsApi
from voxpy.host.api.openapi import openapi_door
from voxpy.host.api.sessions import Api, session_json
from voxpy.host.connections import ConnectionHandler
from voxpy.host.guard import Guard
from voxpy.host.listening import ConnectionLimits, Sockets
from voxpy.host.metrics import Metrics, Snapshot, total
from voxpy.host.pages import Pages
from voxpy.host.router import CallRouter, CannotStart, Conferences
from voxpy.host.sessions import HostedSession, Keeping
from voxpy.host.web import Web
from voxpy.project.project import ProjectFiles

FINISH_S = 15.0
"""For sessions that are being ended: their last words, goodbyes and files."""


@attrs.frozen(kw_only=True)
class HostOptions:
    """How a host behaves. ``public_url`` is empty where requests tell how providers reach us."""

    base: Path
    public_url: str = attrs.field(default="", converter=public_address)
    tls: ssl.SSLContext | None = None
    most_calls: int = 1000
    late_s: float = 0.05
    busy_share: float = 0.8
    drain_s: float = 600.0
    limits: ConnectionLimits = attrs.field(factory=ConnectionLimits)
    telemetry: Telemetry | None = None
    fleet_url: str = attrs.field(default="", converter=public_address)
    fleet_name: str = ""
    """What other hosts call us, and how they reach us: the machine's name, our own address."""


class Host:
    """Serves calls until it is stopped. ``run`` once.

    ``name`` tells workers apart. ``elsewhere`` gives the metrics of the other workers. ``fleet`` is
    this process among others; without it there are none.
    """

    def __init__(
        self,
        options: HostOptions,
        files: ProjectFiles,
        context: SessionContext,
        *,
        history: History,
        objects: ObjectStore | None = None,
        log: Trace,
        name: str = "0",
        workers: int = 1,
        fleet: Fleet | None = None,
        elsewhere: Callable[[], list[Snapshot]] = list,
    ) -> None:
        self.options = options
        self.files = files
        self.metrics = metrics = Metrics()
        self.log = log
        self.media_clock = context.media_clock
        self.fleet = fleet or Fleet(LocalStore(), log=log)
        self.fleet.look = self._told_of
        self.admission = Admission(
            most_calls=options.most_calls,
            late_s=options.late_s,
            busy_share=options.busy_share,
            load=self.media_clock.load,
        )
        project = files.project
        files.reloaded = lambda good: metrics.add("voxpy_reloads", "good" if good else "bad")
        outgoing = HostDialer(project.routing.trunks, self.fleet)
        self.callbacks = Callbacks(
            lambda: files.project.routing.callbacks,
            project.secrets,
            fetch=context.fetch,
            log=log,
            count=metrics.add,
        )
        self._past = history.store.another()
        kept = project.routing.keeping.recordings
        self.uploads = None
        if objects is not None:
            self.uploads = Uploads(
                objects,
                Outbox(options.base, history.host_id, traces=kept.traces),
                keep_local_s=kept.keep_local_s,
                log=log,
                count=partial(metrics.add, "voxpy_uploads"),
            )
            history.locate, history.forget = self.uploads.locate, self.uploads.forget
        self.router = CallRouter(
            files=files,
            context=attrs.evolve(context, dialer=outgoing),
            keeping=Keeping(base=options.base, history=history, uploads=self.uploads, needed=False),
            admission=self.admission,
            metrics=metrics,
            log=log,
            worker=int(name),
            fleet=self.fleet,
            began=self._tell_began,
            ended=self._tell_ended,
        )
        alone = workers == 1 and not self.fleet.host
        conferences = Conferences(self.router, outgoing, self.fleet, alone=alone)
        outgoing.ways["conference"] = conferences
        api = Api(
            router=self.router,
            history=self._past,
            uploads=self.uploads,
            public_url=options.public_url,
            tls=options.tls is not None,
            keep=lambda: self.handler.keep(),
            users=self._users,
            drain=lambda: self.drain_all(),
        )
        many = bool(self.fleet.host)
        self._lists = Lists(self.fleet.store) if many else Lists.of_host(options.base)
        self._list_work = ListWork(
            lists=self._lists,
            begin=self._begin_row,
            log=log,
            has_room=lambda: self.admission.refusal() is None,
            lease_s=LEASE_S if many else HOST_LEASE_S,
        )
        lists = ListsApi(lists=self._lists, files=files, look=self._list_work.look)
        api_doors = [*api.doors(), *lists.doors()]
        self.listeners = project.routing.channels
        guard = Guard(
            secrets=project.secrets,
            tokens=lambda: files.project.routing.tokens,
            public_url=options.public_url,
        )
        pages = Pages(
            api=api,
            guard=guard,
            routing=lambda: files.project.routing,
            secrets=project.secrets,
            listeners=self.listeners,
            listening=lambda: self.handler,
            tls=options.tls is not None,
        )
        self.handler = ConnectionHandler(
            router=self.router,
            web=Web(
                admission=self.admission,
                metrics=metrics,
                figures=self._figures,
                unkept=self._unkept,
                fleet=self.fleet,
                listeners=self.listeners,
                listening=lambda: self.handler,
                public_url=options.public_url,
                tls=options.tls is not None,
                guard=guard,
                doors=[*api_doors, openapi_door(api_doors), *pages.doors()],
            ),
            listeners=self.listeners,
            secrets=project.secrets,
            limits=options.limits,
            metrics=metrics,
            log=log,
            leave_to_others=self._is_for_others,
            worker=int(name),
            workers=workers,
            public_url=options.public_url,
            tls=options.tls,
            fetch=context.fetch,
            outgoing=outgoing,
            fleet=self.fleet,
            meetings=conferences,
            sockets=[*api.sockets(), *pages.sockets()],
        )
        self._history = history
        self._name = name
        self._url = ""
        self._elsewhere = elsewhere
        self.admission.changed = self.handler.acceptor.look
        self.fleet.news.fresh = self.handler.once.news
        self.fleet.news.learn = lambda told: self.handler.once.learn(told, clock.now())
        self._connections = trio.CancelScope()
        self._stopping = trio.Event()
        self.ending = trio.Event()
        """Nothing is waited for any more: all connections and calls are told to end."""
        self.drain_all: Callable[[], None] = self.drain
        """Drains the other workers too, where there are any."""

    async def run(self, sockets: Sockets, *, started: Callable[[], None] = lambda: None) -> None:
        """Serve until ``drain`` has come to its end or ``hurry`` was called.

        ``started`` is called when connections are taken.
        """
        async with trio.open_nursery() as beside:
            beside.start_soon(self.media_clock.run)
            beside.start_soon(self.fleet.run)
            beside.start_soon(self.files.watch)
            beside.start_soon(self._drain_when_asked)
            if self.uploads is not None:
                beside.start_soon(self.uploads.adopt)
                for _ in range(AT_ONCE):
                    beside.start_soon(self.uploads.work)
            with self._connections:
                async with trio.open_nursery() as connections:
                    self.router.spawn = connections.start_soon
                    address = sockets.address(self.options.tls)
                    self.router.base = self.options.public_url or address
                    self._url = self.options.fleet_url or sockets.address(
                        self.options.tls, from_elsewhere=True
                    )
                    await self.handler.run(sockets, connections)
                    beside.start_soon(self._list_work.run)
                    beside.start_soon(self.callbacks.run)
                    started()
            await self.callbacks.finish()
            await self._list_work.leave()
            self._lists.close()
            self._past.close()
            beside.cancel_scope.cancel()

    def drain(self) -> None:
        """Take no new calls, let those that run finish up to a limit, then end them in order."""
        self._stopping.set()

    def hurry(self) -> None:
        """End now: every session says goodbye, nothing is waited for."""
        self.log.step("ending now", calls=self.admission.running)
        self._end()

    def snapshot(self) -> Snapshot:
        """Return the metrics of this process as they are now."""
        load, ticks, metrics = self.media_clock.load(), self.media_clock.statistics(), self.metrics
        metrics.set("voxpy_calls_running", value=self.admission.running)
        limit = 0 if self.admission.draining else self.admission.most_calls
        metrics.set("voxpy_calls_limit", value=limit)
        metrics.set("voxpy_cpu_seconds", value=clock.process_cpu_s())
        metrics.set("voxpy_connections_open", value=self.handler.connections.open)
        metrics.set("voxpy_draining", value=int(self.admission.draining))
        metrics.set("voxpy_history_away", value=int(bool(self._history.away)))
        metrics.set("voxpy_history_spooled", value=self._history.spooled)
        fleet = self.fleet
        metrics.set("voxpy_fleet_store_up", self._name, value=int(fleet.store.up))
        metrics.set("voxpy_fleet_store_errors", value=fleet.store.errors)
        metrics.set("voxpy_fleet_members", self._name, value=len(fleet.members))
        metrics.set("voxpy_fleet_versions", self._name, value=fleet.versions)
        if self.uploads is not None:
            metrics.set("voxpy_uploads_waiting", value=self.uploads.waiting)
        metrics.set("voxpy_media_ticks", self._name, value=ticks.ticks)
        metrics.set("voxpy_media_ticks_skipped", self._name, value=ticks.skipped)
        metrics.set("voxpy_media_core_share", self._name, value=load.core_share)
        late = {"0.5": load.late_p50_s, "0.99": load.late_p99_s, "1": load.late_max_s}
        for quantile, value in late.items():
            metrics.set("voxpy_media_late_seconds", self._name, quantile, value=value)
        return metrics.snapshot()

    def _unkept(self) -> str:
        if self._history.away:
            return f"the call history cannot be reached: {self._history.away}"
        if self.uploads is not None and self.uploads.failing:
            return f"recordings are not stored: {self.uploads.failing}"
        return self.router.unkept and f"not kept of the last call: {self.router.unkept}"

    def _told_of(self) -> dict[str, object]:
        """Return what others are told of this process."""
        admission, project = self.admission, self.files.project
        return {
            "url": self._url,
            "running": admission.running,
            "limit": admission.most_calls,
            "draining": admission.draining,
            "version": f"{project.version}-{project.secrets.version(self.fleet.key)}",
        }

    async def _begin_row(
        self, rule: str, data: str, task: CallListTask
    ) -> tuple[str, Callable[[], Awaitable[CallRecord]]]:
        try:
            hosted = await self.router.start(rule, custom_data=data, call_list=task)
        except CannotStart as error:
            raise CannotBegin(error.problem, later=error.status == 503) from error

        async def ended() -> CallRecord:
            await hosted.over.wait()
            return hosted.record

        return hosted.context.session_id, ended

    def _tell_began(self, hosted: HostedSession) -> None:
        if self.options.telemetry is not None:
            record = hosted.record
            self.options.telemetry.watch(
                hosted.trace, record.session_id, record.rule_name, record.channel, clock.wall()
            )

    def _tell_ended(self, hosted: HostedSession) -> None:
        """Tell other programs of a session that is over, and of each of its recordings."""
        if self.options.telemetry is not None:
            self.options.telemetry.finish(hosted.context.session_id)
        if not self.files.project.routing.callbacks:
            return
        rule = hosted.context.rule_name
        row = session_json(row_of(hosted.record, hosted.folder.root, state="ended"))
        self.callbacks.tell("session_ended", rule, row)
        for file in row["files"]:
            if file["kind"] == "recording":
                base = self.router.base
                told = {"session_id": row["session_id"], "url": f"{base}{file['url']}"}
                self.callbacks.tell("recording_ready", rule, told)

    async def _users(self) -> dict[str, int]:
        known = dict.fromkeys(self.files.project.routing.users, 0)
        for online in self.handler.online:
            for name, places in (await online()).items():
                known[name] = known.get(name, 0) + places
        return known

    def _figures(self) -> Snapshot:
        return total([self.snapshot(), *self._elsewhere()])

    def _is_for_others(self) -> bool:
        """Whether we are full and another worker is not, as far as we know."""
        refusal = self.admission.refusal()
        if refusal is None or refusal.cause is Busy.DRAINING:
            return False
        there = {name: value for name, _, value in total(self._elsewhere())}
        running, limit = "voxpy_calls_running", "voxpy_calls_limit"
        return bool(there.get(running, 0) < there.get(limit, 0))

    async def _drain_when_asked(self) -> None:
        await self._stopping.wait()
        admission, drain_s = self.admission, self.options.drain_s
        admission.draining = True
        self.fleet.wake()
        for listener in self.listeners:
            listener.drain()
        self.log.step("draining", calls=admission.running, for_at_most_s=drain_s)
        with trio.move_on_after(drain_s):
            await admission.wait_idle()
            await self._all_stored()
        if admission.running:
            self.log.warning("drained too long; ending what still runs", calls=admission.running)
            self.router.end_all("the host stops")
            with trio.move_on_after(FINISH_S):
                await admission.wait_idle()
                await self._all_stored()
        self.log.step("stopped")
        self._end()

    async def _all_stored(self) -> None:
        if self.uploads is not None and self.uploads.waiting:
            self.log.step("storing recordings", sessions=self.uploads.waiting)
            await self.uploads.drained()

    def _end(self) -> None:
        if self.uploads is not None and self.uploads.waiting:
            left = "what is not stored is taken up by the next start"
            self.log.warning(left, sessions=self.uploads.waiting)
        self._connections.cancel()
        self.ending.set()
