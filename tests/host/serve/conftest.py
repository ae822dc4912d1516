"""A host on a real port, with an agent whose speech is tones, and phones that call it."""

from __future__ import annotations

import io
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import httpx
import orjson
import pytest
import trio

from voxpy.engine.ports import Endpoint, OpenStream, RealtimeEndpoint
from voxpy.engine.streams import open_tcp
from voxpy.history.history import History
from voxpy.host.hostlog import host_log
from voxpy.host.listening import Sockets, open_sockets
from voxpy.host.metrics import Metrics
from voxpy.host.serve import Host, HostOptions
from voxpy.localagent.server import serve_stream
from voxpy.project.loading import Project, load_project
from voxpy.project.reload import ProjectFiles
from voxpy.project.secrets import Secrets
from voxpy.simulation.tones import ScriptedResponder, scripted_engines
from voxpy.sockets import connect
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
PARAMETERS = {"from": "+15550001111", "to": "+15550002222"}


async def until(condition: Callable[[], Any], within_s: float = 15) -> None:
    with trio.fail_after(within_s):
        while not condition():  # noqa: ASYNC110  files and processes set no Event
            await trio.sleep(POLL_S)


@attrs.define
class Running:
    """A host that runs in this loop."""

    host: Host
    port: int
    folder: Path
    files: ProjectFiles
    nursery: trio.Nursery
    output: io.StringIO
    agent: MemoryDialer
    sockets: Sockets
    stopped: trio.Event = attrs.field(factory=trio.Event)
    until: Callable[..., Any] = until

    @property
    def log(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.output.getvalue().splitlines()]

    def logged(self, event: str) -> list[dict[str, Any]]:
        return [entry for entry in self.log if entry["event"] == event]

    @property
    def open_stream(self) -> OpenStream:
        return lambda _: open_tcp(Endpoint(host="127.0.0.1", port=self.port, tls=False))

    async def phone(self, path: str = "/media/twilio", **parameters: str) -> CarrierPhone:
        """Call in, as Twilio does; the phone runs until the host is gone."""
        socket = await connect(self.open_stream, f"ws://127.0.0.1:{self.port}{path}")
        phone = CarrierPhone(socket, parameters={**PARAMETERS, **parameters})
        self.nursery.start_soon(phone.run)
        return phone

    async def raw(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}") as client:
            return await client.request(method, path, **more)

    @property
    def calls(self) -> int:
        return self.host.admission.running


Hosting = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
def hosting(tmp_path: Path) -> Hosting:
    return partial(_hosting, tmp_path)


@asynccontextmanager
async def _hosting(
    folder: Path,
    *,
    routing: str = ROUTING,
    scenario: str = ECHO,
    says: Sequence[str] = (),
    **options: Any,
) -> AsyncIterator[Running]:
    (folder / "routing.yaml").write_text(routing)
    (folder / "echo.py").write_text(scenario)
    secrets = Secrets(folder / "secrets.env", environ={"INWORLD_API_KEY": "sesame-sesame"})
    project = load_project(folder / "routing.yaml", secrets.path)
    assert isinstance(project, Project), project
    output, metrics = io.StringIO(), Metrics()
    log = host_log(output, secrets.values, as_lines_of_json=True)
    engines = scripted_engines(ScriptedResponder(says))
    sockets = open_sockets("127.0.0.1", 0, project.routing.channels)
    history = History(folder)
    try:
        async with trio.open_nursery() as nursery:
            agent = MemoryDialer(nursery, partial(serve_stream, engines=engines))
            files = ProjectFiles(
                folder / "routing.yaml", secrets, project, log=log, reloaded=lambda good: None
            )
            host = Host(
                HostOptions(base=folder, **{"late_s": math.inf, **options}),
                files,
                open_stream=agent,
                realtime=RealtimeEndpoint(url="ws://agent.test/realtime", api_key="local"),
                speech=lambda: engines,
                history=history,
                metrics=metrics,
                log=log,
            )
            running = Running(host, sockets.port, folder, files, nursery, output, agent, sockets)
            started = trio.Event()

            async def run() -> None:
                await host.run(sockets, started=started.set)
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
    finally:
        sockets.close()
        history.close()
