"""A realtime server on this machine: trio around ``voxpy.wire.realtime.server`` and the engines.

It is the service whose address a client asks for (``services/``): Inworld's Realtime API unless it
is another's. Audio is sent as soon as it is made, faster than real time, as the services do.
"""

from __future__ import annotations

import errno
import ssl
from collections.abc import Callable

import trio

from voxpy.errors import RemoteProtocolError, VoxpyError
from voxpy.localagent.connection import AgentConnection, Behaviour
from voxpy.localagent.engines import Engines
from voxpy.localagent.reading import read_out
from voxpy.localagent.services import FAKES, asked_for
from voxpy.localagent.services.dialect import Request
from voxpy.localagent.services.speech import speech_fake
from voxpy.localagent.web import READ_BYTES, serve_request
from voxpy.sockets import SocketLimits, Upgrade, receive_upgrade
from voxpy.wire.realtime.endpoint import check_request, requested_model
from voxpy.wire.realtime.server.requests import MAX_APPEND_BYTES

LIMITS = SocketLimits(message_bytes=MAX_APPEND_BYTES * 4 // 3 + 64 * 1024)
"""The largest append must fit: its base64, and the event around it."""

Report = Callable[[str], None]


async def serve_tcp(
    engines: Engines,
    *,
    host: str,
    port: int,
    report: Report = lambda _: None,
    behaviour: Behaviour | None = None,
    began: Callable[[AgentConnection], None] = lambda _: None,
    tls: ssl.SSLContext | None = None,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; ``task_status`` gets the port. Raises VoxpyError if it is taken.

    ``began`` gets each connection when its handshake is over. With ``tls`` it is ``wss://``.
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
        inner: trio.abc.Stream = stream
        if tls is not None:
            inner = trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
        await serve_stream(inner, engines, report=report, behaviour=behaviour, began=began)

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
        behaviour = behaviour or Behaviour()
        with trio.move_on_after(LIMITS.handshake_s):
            first = bytes(await stream.receive_some(READ_BYTES))
        if first.startswith(b"POST "):  # which opens no WebSocket
            await serve_request(stream, first, engines, refusal=behaviour.faults.refusal())
            return
        upgrade = await receive_upgrade(stream, limits=LIMITS, first=first)
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
    request = Request(upgrade.path, upgrade.headers)
    refusal = behaviour.faults.refusal()
    voice = speech_fake(request)
    if voice is not None and refusal is None:
        offered = upgrade.subprotocols
        await read_out(
            await upgrade.accept(subprotocol=offered[0] if offered else None), voice, engines
        )
        return
    fake = asked_for(request, FAKES[behaviour.like])
    if refusal is None and fake.dialect is None and behaviour.quirks is not None:
        openai = behaviour.quirks.openai_handshake
        refusal = check_request(upgrade.path, upgrade.headers, openai=openai)
    elif refusal is None:
        refusal = fake.refuse(request)
    if refusal is not None:
        json = [("content-type", "application/json")]
        await upgrade.refuse(refusal.status, body=refusal.body, headers=json)
        return
    offered = upgrade.subprotocols
    chosen = "realtime" if "realtime" in offered else None
    dialect = None if fake.dialect is None else fake.dialect(request)
    if dialect is not None and offered:
        chosen = offered[0]
    socket = await upgrade.accept(subprotocol=chosen)
    connection = AgentConnection(
        socket,
        engines,
        report=report,
        behaviour=behaviour,
        quirks=dialect.quirks if dialect is not None else behaviour.quirks or fake.quirks,
        dialect=dialect,
        model=requested_model(upgrade.path),
    )
    began(connection)
    await connection.run()
