"""A production host with a SIP channel on a port of this machine, and phones that call it."""

from __future__ import annotations

import io
import math
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
import trio
import trio.lowlevel

from voxpy.audio import opus
from voxpy.channels.sip.listener import SipListener
from voxpy.engine import clock
from voxpy.engine.ports import RealtimeEndpoint
from voxpy.engine.session import SessionContext
from voxpy.fleet.local import LocalStore
from voxpy.fleet.membership import Fleet
from voxpy.fleet.port import Store
from voxpy.history.history import History
from voxpy.host.hostlog import host_log
from voxpy.host.listening import ConnectionLimits, Sockets
from voxpy.host.serve import Host, HostOptions
from voxpy.project.project import Project, ProjectFiles, load_project
from voxpy.project.secrets import Secrets
from voxpy.sockets.listening import listen
from voxpy.sockets.memory import MemoryDialer

POLL_S = 0.01
NO_OPUS = "" if opus.is_installed() else "libopus is not on this system (Debian: libopus0)"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if NO_OPUS and "opus" in item.name.lower():
            item.add_marker(pytest.mark.skip(reason=NO_OPUS))


ECHO = Path(__file__).parents[3] / "scenarios" / "echo.py"


async def until(condition: Callable[[], Any], within_s: float = 20) -> None:
    with trio.fail_after(within_s):
        while not condition():  # noqa: ASYNC110  hosts and phones set no Event
            await trio.sleep(POLL_S)


@attrs.define
class SipHost:
    host: Host
    port: int
    folder: Path
    output: io.StringIO

    @property
    def server(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def tls_server(self) -> str:
        (endpoint,) = self.host.listeners[0]._running  # type: ignore[attr-defined]
        return str(endpoint.place.sent_by("TLS"))

    def uri(self, user: str) -> str:
        return f"sip:{user}@{self.server}"

    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = [orjson.loads(line) for line in self.output.getvalue().splitlines()]
        return [entry for entry in lines if entry["event"] == event]

    async def until(self, condition: Callable[[], Any], within_s: float = 20) -> None:
        await until(condition, within_s)


SipHosting = Callable[..., AbstractAsyncContextManager[SipHost]]


@pytest.fixture
def sip_host(tmp_path: Path) -> SipHosting:
    return partial(hosted, tmp_path)


@asynccontextmanager
async def hosted(folder: Path, **options: Any) -> AsyncIterator[SipHost]:
    async with hosted_workers(folder, 1, **options) as (host,):
        yield host


@asynccontextmanager
async def hosted_workers(
    folder: Path,
    workers: int,
    *,
    scenario: str | None = None,
    routing: str = "",
    pattern: str = ".*",
    environ: Mapping[str, str] | None = None,
    channels: str = "",
    more: str = "",
    limits: ConnectionLimits | None = None,
    store: Store | None = None,
    name: str = "",
    public_url: str = "",
) -> AsyncIterator[list[SipHost]]:
    """Run hosts that share their sockets, as the workers of one ``voxpy serve`` do.

    ``name`` is what they are called in the fleet of all who share ``store``. ``more`` is of the
    channel, ``channels`` are others.
    """
    store = store or LocalStore()
    text = ECHO.read_text() if scenario is None else scenario
    (folder / "main.py").write_text(text)
    (folder / "routing.yaml").write_text(
        f"rules: [{{name: all, pattern: '{pattern}', scenarios: [main.py]}}]\n"
        f"channels:\n  sip: {{port: 0, rtp_ports: 41000-48999{more}}}\n{channels}" + routing
    )
    secrets = Secrets(folder / "secrets.env", environ=dict(environ or {}))
    with ExitStack() as files:
        async with trio.open_nursery() as nursery:
            first: Sockets | None = None
            hosts = []
            for worker in range(workers):
                loaded = load_project(folder / "routing.yaml", secrets)
                project = loaded.project
                assert project is not None, loaded.problems
                channel = project.routing.channels[0]
                assert isinstance(channel, SipListener)
                if first is None:
                    http = listen("127.0.0.1", 0, setting="http")
                    sockets = first = Sockets(http, {"sip": list(channel.open())})
                else:  # every process has descriptors of its own
                    http, *sip = [sock.dup() for sock in (first.http, *first.own["sip"])]
                    for sock in (http, *sip):  # to dup makes them block, for the others too
                        sock.setblocking(False)
                    sockets = Sockets(http, {"sip": sip})
                files.callback(sockets.close)
                history = files.enter_context(closing(History(folder)))
                fleet = Fleet(store, host=name, worker=worker)
                url = public_url or f"http://127.0.0.1:{sockets.http.getsockname()[1]}"
                hosts.append(
                    await _start(
                        folder,
                        project,
                        secrets,
                        sockets,
                        history,
                        nursery,
                        workers,
                        limits,
                        fleet,
                        url,
                    )
                )
            try:
                yield hosts
            finally:
                for host in hosts:
                    host.host.hurry()


async def _start(
    folder: Path,
    project: Project,
    secrets: Secrets,
    sockets: Sockets,
    history: History,
    nursery: trio.Nursery,
    workers: int,
    limits: ConnectionLimits | None,
    fleet: Fleet,
    public_url: str,
) -> SipHost:
    output = io.StringIO()
    log = host_log(output, secrets.values, as_lines_of_json=True)
    context = SessionContext(
        secrets=secrets,
        media_clock=clock.MediaClock(),
        open_stream=MemoryDialer(nursery, trio.aclose_forcefully),
        realtime=RealtimeEndpoint(url="ws://agent.test/realtime", api_key="x"),
    )
    options = HostOptions(
        base=folder,
        late_s=math.inf,
        busy_share=math.inf,
        public_url=public_url,
        limits=limits or ConnectionLimits(),
    )
    files = ProjectFiles(project, log=log)
    host = Host(
        options,
        files,
        context,
        history=history,
        log=log,
        name=str(fleet.worker),
        workers=workers,
        fleet=fleet,
    )
    started = trio.Event()
    nursery.start_soon(partial(host.run, sockets, started=started.set))
    await started.wait()
    await until(lambda: fleet.lease is not None)
    return SipHost(host, sockets.own["sip"][0].getsockname()[1], folder, output)
