"""A host with its own sockets, an agent whose speech is tones, and phones that call it.

On virtual time. The sockets are the kernel's, but in the file system: what one side writes the
other can read at once, as it is not with TCP, so that the clock knows when everybody waits.
``test_processes.py`` has the host on a real port.
"""

from __future__ import annotations

import io
import math
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import httpx
import orjson
import pytest
import trio

from tests.history.conftest import emptied as emptied
from tests.history.conftest import postgres as postgres
from tests.history.conftest import s3 as s3
from tests.history.conftest import s3_running as s3_running
from voxpy.channels.listener import Listener
from voxpy.engine import clock
from voxpy.engine.http import Fetch
from voxpy.engine.ports import Endpoint, RealtimeEndpoint
from voxpy.engine.session import SessionContext
from voxpy.engine.storage import Storage
from voxpy.fleet.membership import Fleet
from voxpy.history.history import History
from voxpy.history.objects import objects_of
from voxpy.history.postgres import store_of
from voxpy.host.hostlog import host_log
from voxpy.host.listening import Sockets
from voxpy.host.serve import Host, HostOptions
from voxpy.localagent.engines import Engines
from voxpy.localagent.responder import Act, Turn
from voxpy.localagent.server import serve_stream
from voxpy.project.project import ProjectFiles, load_project
from voxpy.project.secrets import Secrets
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import scripted_engines
from voxpy.sockets import FrameSocket, connect
from voxpy.sockets.listening import BACKLOG
from voxpy.sockets.memory import MemoryDialer
from voxpy.testing.carrier import CarrierPhone

POLL_S = 0.002
ECHO = """
from voxpy import AppEvents, CallEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    event.call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    event.call.answer()
    event.call.send_media_to(event.call)
"""
ROUTING = """
rules:
  - name: echo
    pattern: '\\+1555.*'
    scenarios: [echo.py]
"""
NO_FILES: Mapping[str, str] = {}
ENVIRON = {"INWORLD_API_KEY": "sesame-sesame"}
PARAMETERS = {"from": "+15550001111", "to": "+15550002222"}


@attrs.frozen
class UnixSockets:
    """What a host listens on, in a folder, HTTP and channels with a port of their own."""

    folder: Path
    listening: Sockets

    async def dial(self, name: str = "http") -> trio.SocketStream:
        return await trio.open_unix_socket(self.folder / name)

    async def open_stream(self, endpoint: Endpoint) -> trio.SocketStream:
        """Open the channel whose name is the endpoint's, or HTTP."""
        own_port = endpoint.host in self.listening.own
        return await self.dial(endpoint.host if own_port else "http")


@contextmanager
def unix_sockets(channels: Iterable[Listener]) -> Iterator[UnixSockets]:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is too long for an address
        path = Path(folder)
        names = [channel.name for channel in channels if not channel.paths]
        listening = Sockets(_listen(path / "http"), {n: [_listen(path / n)] for n in names})
        try:
            yield UnixSockets(path, listening)
        finally:
            listening.close()


def _listen(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen(BACKLOG)
    return listening


async def until(condition: Callable[[], Any], within_s: float = 60) -> None:
    with trio.fail_after(within_s):
        while not condition():  # noqa: ASYNC110  files and processes set no Event
            await trio.sleep(POLL_S)


@attrs.define
class Running:
    """A host that runs in this loop."""

    host: Host
    folder: Path
    files: ProjectFiles
    nursery: trio.Nursery
    output: io.StringIO
    agent: MemoryDialer
    sockets: UnixSockets
    engines: Engines
    stopped: trio.Event = attrs.field(factory=trio.Event)
    until: Callable[..., Any] = until

    @property
    def log(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.output.getvalue().splitlines()]

    def logged(self, event: str) -> list[dict[str, Any]]:
        return [entry for entry in self.log if entry["event"] == event]

    async def connect(self, path: str, **more: Any) -> FrameSocket:
        return await connect(self.sockets.open_stream, f"ws://host.test{path}", **more)

    async def phone(self, path: str = "/media/twilio", **parameters: str) -> CarrierPhone:
        """Call in, as Twilio does; the phone runs until the host is gone."""
        phone = CarrierPhone(await self.connect(path), parameters={**PARAMETERS, **parameters})
        self.nursery.start_soon(phone.run)
        return phone

    async def raw(self) -> trio.SocketStream:
        return await self.sockets.dial()

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        # To read all the world's certificates takes longer than to answer.
        over = httpx.AsyncHTTPTransport(uds=str(self.sockets.folder / "http"), verify=False)
        base = "http://host.test"
        async with httpx.AsyncClient(base_url=base, transport=over, verify=False) as client:
            return await client.request(method, path, **more)

    @property
    def calls(self) -> int:
        return self.host.admission.running


Hosting = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
def hosting(tmp_path: Path) -> Hosting:
    return partial(hosted, tmp_path)


@asynccontextmanager
async def hosted(
    folder: Path,
    *,
    routing: str = ROUTING,
    scenario: str = ECHO,
    says: Sequence[str] | Callable[[Turn], Sequence[Act]] = (),
    environ: Mapping[str, str] = ENVIRON,
    fetch: Fetch | None = None,
    folder_files: Mapping[str, str] = NO_FILES,
    fleet: Fleet | None = None,
    storage: Storage | None = None,
    **options: Any,
) -> AsyncIterator[Running]:
    """Run a host, which must live on virtual time, for as long as the block."""
    for name, text in folder_files.items():
        (folder / name).write_text(text)
    (folder / "routing.yaml").write_text(routing)
    (folder / "echo.py").write_text(scenario)
    secrets = Secrets(folder / "secrets.env", environ=environ)
    loaded = load_project(folder / "routing.yaml", secrets)
    project = loaded.project
    assert project is not None, loaded.problems
    output = io.StringIO()
    log = host_log(output, secrets.values, as_lines_of_json=True)
    engines = scripted_engines(ScriptedResponder(says))
    keeping = project.routing.keeping
    with (
        closing(History(folder, store_of(keeping, secrets, folder))) as history,
        unix_sockets(project.routing.channels) as sockets,
    ):
        async with trio.open_nursery() as nursery:
            agent = MemoryDialer(nursery, partial(serve_stream, engines=engines))
            files = ProjectFiles(project, log=log)
            host = Host(
                HostOptions(base=folder, **{"late_s": math.inf, "busy_share": math.inf, **options}),
                files,
                SessionContext(
                    secrets=secrets,
                    media_clock=clock.MediaClock(),
                    open_stream=agent,
                    realtime=RealtimeEndpoint(url="ws://agent.test/realtime", api_key="local"),
                    speech=lambda: engines,
                    fetch=fetch,
                    storage=storage or Storage(),
                ),
                history=history,
                objects=objects_of(keeping, secrets),
                log=log,
                fleet=fleet,
            )
            running = Running(host, folder, files, nursery, output, agent, sockets, engines)
            started = trio.Event()

            async def run() -> None:
                await host.run(sockets.listening, started=started.set)
                running.stopped.set()

            nursery.start_soon(run)
            await started.wait()
            try:
                yield running
            finally:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + 20):
                    host.hurry()
                    await running.stopped.wait()
                nursery.cancel_scope.cancel()
