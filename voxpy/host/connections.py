"""Every connection to a host: counted, its request read once, then a channel's or HTTP.

A WebSocket on a channel's path gets voxpy's own codec, straight on the kernel's socket; everything
else is HTTP. An error of one connection is logged and ends nothing else.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import attrs
import trio

from voxpy.channels.listener import CallRouter, Listener
from voxpy.channels.mediastream.serving import LIMITS
from voxpy.channels.providers.http import Request, as_websocket
from voxpy.engine.faults import contained, explain
from voxpy.engine.http import Fetch
from voxpy.engine.ports import ChannelDialer, Dialer, Secrets
from voxpy.engine.trace import Trace
from voxpy.errors import RemoteProtocolError
from voxpy.host.listening import Acceptor, ConnectionLimits, Connections, Sockets
from voxpy.host.metrics import Metrics
from voxpy.host.requesthead import (
    BadHead,
    Head,
    ReplayStream,
    called_base,
    read_head,
    refuse_plainly,
)
from voxpy.host.web import Web
from voxpy.sockets.accepting import receive_upgrade

LOG_FIRST = 20
LOG_EVERY = 100
"""Of refusals for one cause the first are logged and then each hundredth: a flood fills no disk."""

Serve = Callable[[trio.SocketStream, str], Awaitable[None]]


@attrs.define(kw_only=True)
class ConnectionHandler:
    """Implements ``voxpy.channels.listener.ListenerHost``. ``run`` takes every connection.

    ``public_url`` is how networks reach us, if that is known.
    """

    router: CallRouter
    web: Web
    listeners: Sequence[Listener]
    secrets: Secrets
    limits: ConnectionLimits
    metrics: Metrics
    log: Trace
    acceptor: Acceptor
    public_url: str = ""
    tls: ssl.SSLContext | None = None
    fetch: Fetch | None = None
    outgoing: ChannelDialer = attrs.field(factory=ChannelDialer)
    connections: Connections = attrs.field(init=False)
    _nursery: trio.Nursery = attrs.field(init=False)
    _refusals: dict[str, int] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        """Begin to count."""
        self.connections = Connections(self.limits)

    @property
    def start_s(self) -> float:
        """Within which an open connection must become a call."""
        return self.limits.start_s

    def dials(self, dialer: Dialer) -> None:
        """Let scenarios call out by a channel."""
        self.outgoing.channel = dialer

    def count(self, metric: str, *labels: str) -> None:
        """Count one of the host's metrics."""
        self.metrics.add(metric, *labels)

    async def run(self, sockets: Sockets, nursery: trio.Nursery) -> None:
        """Start taking connections, each in a task of ``nursery``."""
        self._nursery = nursery
        nursery.start_soon(self.accept, sockets.http, self._http)
        for listener in self.listeners:
            nursery.start_soon(listener.run, sockets.own.get(listener.name, ()), self)
        await trio.lowlevel.checkpoint()

    async def accept(self, bound: socket.socket, serve: Serve) -> None:
        """Serve every connection to ``bound`` until cancelled."""
        await self.acceptor.run(bound, partial(self._serve, serve), self._nursery)

    async def _serve(self, serve: Serve, stream: trio.SocketStream) -> None:
        address = _address(stream)
        with self.connections.one(address) as refusal, contained(partial(self._failed, address)):
            try:
                if refusal:
                    self.refused("too many", refusal, address)
                else:
                    await serve(stream, address)
            finally:
                with trio.CancelScope(shield=True):  # closing by force does not wait
                    await trio.aclose_forcefully(stream)

    async def _http(self, plain: trio.SocketStream, address: str) -> None:
        stream: trio.abc.Stream = plain
        try:
            if self.tls is not None:
                stream = await self._secure(plain)
            limits = self.limits
            head = await read_head(stream, most_bytes=limits.head_bytes, within_s=limits.head_s)
        except BadHead as error:
            if error.problem:
                self.refused("no request", error.problem, address)
            await refuse_plainly(stream, error.status, error.problem)
            return
        if head.is_upgrade:
            await self._upgrade(stream, head, address)
        else:
            await self.web.serve(ReplayStream(stream, head.raw, plain.socket))

    async def _secure(self, plain: trio.SocketStream) -> trio.abc.Stream:
        assert self.tls is not None
        secure = trio.SSLStream(plain, self.tls, server_side=True, https_compatible=True)
        try:
            with trio.move_on_after(self.limits.head_s):
                await secure.do_handshake()
                return secure
        except trio.BrokenResourceError as error:
            raise BadHead(0, f"no TLS handshake: {error.__cause__ or error}") from error
        raise BadHead(0, f"no TLS handshake within {self.limits.head_s:g} s")

    async def _upgrade(self, stream: trio.abc.Stream, head: Head, address: str) -> None:
        try:
            upgrade = await receive_upgrade(stream, limits=LIMITS, first=head.raw)
        except RemoteProtocolError as error:
            self.refused("no handshake", str(error), address)
            return
        path = upgrade.path.partition("?")[0]
        listener = next((each for each in self.listeners if path in each.paths), None)
        if listener is None:
            self.refused("no channel", f"no channel at {path[:100]!r}", address)
            known = ", ".join(place for each in self.listeners for place in each.paths)
            await upgrade.refuse(404, body=f"no channel here; there are {known}".encode())
            return
        headers = dict(upgrade.headers)
        base = called_base(headers, public_url=self.public_url, tls=self.tls is not None)
        request = Request(url=as_websocket(base) + upgrade.path, headers=headers)
        await listener.on_upgrade(upgrade, request, address, self)

    def refused(self, cause: str, problem: str, address: str, **fields: object) -> None:
        self.metrics.add("voxpy_connections_refused", cause)
        seen = self._refusals.get(cause, 0)
        self._refusals[cause] = seen + 1
        if seen < LOG_FIRST or seen % LOG_EVERY == 0:
            fields = {**fields, "so_far": seen + 1} if seen >= LOG_FIRST else fields
            self.log.warning("connection refused", problem=problem, address=address, **fields)

    def _failed(self, address: str, error: BaseException) -> None:
        if not _only_lost(error):
            told = explain(error)
            self.log.write(
                "error", "connection failed", address=address, error=told.message, at=told.where
            )


def _address(stream: trio.SocketStream) -> str:
    try:
        return str(stream.socket.getpeername()[0])
    except (OSError, IndexError):
        return ""  # it has left already


def _only_lost(error: BaseException) -> bool:
    """Whether an error says no more than that the far side has left."""
    if isinstance(error, BaseExceptionGroup):
        return all(_only_lost(e) for e in error.exceptions)
    return isinstance(error, trio.BrokenResourceError | trio.ClosedResourceError)
