"""A realtime server on this machine: trio around ``voxpy.wire.realtime.server`` and the engines.

Speaks the protocol of Inworld's Realtime API, so any client of that protocol can use it. Audio is
sent as soon as it is made, faster than real time, as the service does.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Callable

import trio
from trio_websocket import ConnectionClosed, WebSocketRequest, wrap_server_stream

from voxpy.errors import VoxpyError
from voxpy.localagent.connection import AgentConnection, Behaviour
from voxpy.localagent.engines import Engines
from voxpy.wire.realtime.endpoint import Refusal, check_request

__all__ = ["serve_stream", "serve_tcp"]

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
HANDSHAKE_S = 10.0
MESSAGE_QUEUE = 64

Report = Callable[[str], None]


async def serve_tcp(
    engines: Engines,
    *,
    host: str,
    port: int,
    report: Report = lambda _: None,
    behaviour: Behaviour | None = None,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; ``task_status`` gets the port. Raises VoxpyError if it is taken."""
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
        await serve_stream(stream, engines, report=report, behaviour=behaviour)

    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, handle, listeners)
        task_status.started(listeners[0].socket.getsockname()[1])


async def serve_stream(
    stream: trio.abc.Stream,
    engines: Engines,
    *,
    report: Report = lambda _: None,
    behaviour: Behaviour | None = None,
) -> None:
    """Serve one connection over any stream, until it closes. An error of it is only reported."""
    try:
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(HANDSHAKE_S) as patience:
                request = await wrap_server_stream(
                    nursery,
                    stream,
                    message_queue_size=MESSAGE_QUEUE,
                    max_message_size=MAX_MESSAGE_BYTES,
                    receive_buffer_size=65536,
                )
                patience.deadline = math.inf
                await _serve(request, engines, report, behaviour or Behaviour())
            nursery.cancel_scope.cancel()
    except* (ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # the client left: the ordinary end
    except* Exception as group:
        report(f"a connection failed: {group.exceptions[0]!r}")
    finally:
        with trio.move_on_after(1, shield=True):
            await stream.aclose()


async def _serve(
    request: WebSocketRequest, engines: Engines, report: Report, behaviour: Behaviour
) -> None:
    refusal = behaviour.faults.refusal() or check_request(request.path, request.headers)
    if refusal is not None:
        await _refuse(request, refusal)
        return
    offered = request.proposed_subprotocols
    socket = await request.accept(subprotocol="realtime" if "realtime" in offered else None)
    await AgentConnection(socket, engines, report=report, behaviour=behaviour).run()


async def _refuse(request: WebSocketRequest, refusal: Refusal) -> None:
    headers = [(b"content-type", b"application/json")]
    await request.reject(refusal.status, extra_headers=headers, body=refusal.body)
