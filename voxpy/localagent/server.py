"""A realtime server on this machine: trio around ``voxpy.wire.realtime.server`` and the engines.

Speaks the protocol of Inworld's Realtime API, so any client of that protocol can use it. Audio is
sent as soon as it is made, faster than real time, as the service does.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

import trio

from voxpy.errors import RemoteProtocolError, VoxpyError
from voxpy.localagent.connection import AgentConnection, Behaviour
from voxpy.localagent.engines import Engines
from voxpy.sockets import Upgrade, receive_upgrade
from voxpy.wire.realtime.endpoint import check_request

__all__ = ["LOCAL_PATH", "serve_stream", "serve_tcp"]

LOCAL_PATH = "/api/v1/realtime/session"

Report = Callable[[str], None]


async def serve_tcp(
    engines: Engines,
    *,
    host: str,
    port: int,
    report: Report = lambda _: None,
    behaviour: Behaviour | None = None,
    began: Callable[[AgentConnection], None] = lambda _: None,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; ``task_status`` gets the port. Raises VoxpyError if it is taken.

    ``began`` gets each connection when its handshake is over.
    """
    try:
        listeners = await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise VoxpyError(
                f"cannot listen on {host}:{port}: {error.strerror or error}"
            ) from error
        raise VoxpyError(
            f"port {port} on {host} is taken; choose another with --port, or stop the program that "
            "uses it"
        ) from error

    async def handle(stream: trio.SocketStream) -> None:
        await serve_stream(stream, engines, report=report, behaviour=behaviour, began=began)

    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, handle, listeners)
        task_status.started(listeners[0].socket.getsockname()[1])


async def serve_stream(
    stream: trio.abc.Stream,
    engines: Engines,
    *,
    report: Report = lambda _: None,
    behaviour: Behaviour | None = None,
    began: Callable[[AgentConnection], None] = lambda _: None,
) -> None:
    """Serve one connection over any stream, until it closes. An error of it is only reported.

    ``began`` gets the connection when the handshake is over.
    """
    try:
        upgrade = await receive_upgrade(stream)
        behaviour = behaviour or Behaviour()
        with trio.move_on_after(behaviour.faults.handshake_s):
            await stream.receive_some(1)  # a client waits in silence, or leaves
            return
        await _serve(upgrade, engines, report, behaviour, began)
    except* (RemoteProtocolError, trio.BrokenResourceError):
        pass  # no client of ours, or one that left in the middle of its handshake
    except* Exception as group:
        report(f"a connection failed: {group.exceptions[0]!r}")
    finally:
        with trio.move_on_after(1, shield=True):
            await stream.aclose()


async def _serve(
    upgrade: Upgrade,
    engines: Engines,
    report: Report,
    behaviour: Behaviour,
    began: Callable[[AgentConnection], None],
) -> None:
    refusal = behaviour.faults.refusal() or check_request(upgrade.path, upgrade.headers)
    if refusal is not None:
        json = [("content-type", "application/json")]
        await upgrade.refuse(refusal.status, body=refusal.body, headers=json)
        return
    chosen = "realtime" if "realtime" in upgrade.subprotocols else None
    socket = await upgrade.accept(subprotocol=chosen)
    connection = AgentConnection(socket, engines, report=report, behaviour=behaviour)
    began(connection)
    await connection.run()
