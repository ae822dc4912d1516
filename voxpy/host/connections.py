"""Every connection to a host: counted, its request read once, then a channel's or HTTP.

A WebSocket on a channel's path gets voxpy's own codec, straight on the kernel's socket; everything
else is HTTP. An error of one connection is logged and ends nothing else.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from functools import partial

import attrs
import trio

from voxpy.channels.listener import CallRouter, Listener, Meetings
from voxpy.channels.mediastream.serving import LIMITS
from voxpy.channels.once import Once
from voxpy.channels.outgoing import HostDialer, Way
from voxpy.channels.providers.http import Request, as_websocket
from voxpy.channels.providers.placing import ours_in
from voxpy.engine import clock
from voxpy.engine.faults import contained, explain
from voxpy.engine.http import Fetch
from voxpy.engine.ports import OpenStream, Secrets
from voxpy.engine.trace import Trace
from voxpy.errors import RemoteProtocolError
from voxpy.fleet.membership import Fleet
from voxpy.host.doors import ANYBODY, SocketDoor, Visitor
from voxpy.host.exchange import Exchange
from voxpy.host.guard import LOCAL, Identity, Refused
from voxpy.host.listening import Acceptor, Connection, ConnectionLimits, Connections, Sockets
from voxpy.host.metrics import Metrics
from voxpy.host.relay import Relay
from voxpy.host.requesthead import BadHead, Head, called_base, read_head, refuse_plainly
from voxpy.host.web import Web
from voxpy.sockets.accepting import Upgrade, judge_upgrade, receive_tls
from voxpy.sockets.streams import open_tcp

LOG_FIRST = 20
LOG_EVERY = 100
"""Of refusals for one cause the first are logged and then each hundredth: a flood fills no disk."""

_served: ContextVar[Connection | None] = ContextVar("voxpy.host.connections.served", default=None)

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
    leave_to_others: Callable[[], bool]
    worker: int = 0
    workers: int = 1
    public_url: str = ""
    tls: ssl.SSLContext | None = None
    fetch: Fetch | None = None
    outgoing: HostDialer = attrs.field(factory=HostDialer)
    fleet: Fleet
    meetings: Meetings
    open_stream: OpenStream = open_tcp
    """Reaches other hosts."""
    once: Once = attrs.field(factory=Once)
    sockets: Sequence[SocketDoor] = ()
    connections: Connections = attrs.field(init=False)
    acceptor: Acceptor = attrs.field(init=False)
    online: list[Callable[[], Awaitable[Mapping[str, int]]]] = attrs.field(factory=list, init=False)
    relay: Relay = attrs.field(init=False)
    _nursery: trio.Nursery = attrs.field(init=False)
    _refusals: dict[str, int] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        """Begin to count."""
        self.connections = Connections(self.limits)
        self.acceptor = Acceptor(
            self.leave_to_others, make_room=self.connections.make_room, log=self.log
        )

    @property
    def start_s(self) -> float:
        """Within which an open connection must become a call."""
        return self.limits.start_s

    def dials(self, name: str, way: Way) -> None:
        """Let scenarios call out by a channel."""
        self.outgoing.ways[name] = way

    def registers(self, online: Callable[[], Awaitable[Mapping[str, int]]]) -> None:
        """Know from now on at how many places users are registered by a channel."""
        self.online.append(online)

    def count(self, metric: str, *labels: str) -> None:
        """Count one of the host's metrics."""
        self.metrics.add(metric, *labels)

    async def run(self, sockets: Sockets, nursery: trio.Nursery) -> None:
        """Start taking connections, each in a task of ``nursery``."""
        self._nursery = nursery
        nursery.start_soon(self.accept, sockets.http, self._http)
        self.relay = Relay.of(self.worker, self.workers, sockets.http, self.fleet, self.open_stream)
        if self.relay.folder is not None:
            self.once.share(self.relay.folder / "calls")
            nursery.start_soon(self._take_passed_on, self.relay)
        for listener in self.listeners:
            nursery.start_soon(listener.run, sockets.own.get(listener.name, ()), self)
        await trio.lowlevel.checkpoint()

    async def accept(self, bound: socket.socket, serve: Serve) -> None:
        """Serve every connection to ``bound`` until cancelled."""
        await self.acceptor.run(bound, partial(self._serve, serve), self._nursery)

    def keep(self) -> None:
        """Let the connection that this task serves be none of those that make room for others."""
        if (served := _served.get()) is not None:
            self.connections.keep(served)

    async def _serve(self, serve: Serve, stream: trio.SocketStream) -> None:
        address = _address(stream)
        scope = trio.CancelScope()
        with (
            self.connections.one(address, partial(_show_out, stream, scope)) as served,
            contained(partial(self._failed, address)),
        ):
            try:
                if served is None:
                    self.refused("too many", "too many connections", address)
                    return
                _served.set(served)
                with scope:
                    await serve(stream, address)
                if scope.cancelled_caught:
                    self.refused("too many", "it made room for others", address)
            finally:
                with trio.CancelScope(shield=True):  # closing by force does not wait
                    await trio.aclose_forcefully(stream)

    async def _http(self, plain: trio.SocketStream, address: str) -> None:
        stream: trio.abc.Stream = plain
        if self.tls is not None:
            try:
                stream = await receive_tls(plain, self.tls, clock.now() + self.limits.head_s)
            except RemoteProtocolError as error:
                self.refused("no request", str(error), address)
                return
        await self._request(stream, address)

    async def _take_passed_on(self, relay: Relay) -> None:
        with relay.listening() as bound:
            await self.accept(bound, self._passed_on)

    async def _passed_on(self, stream: trio.SocketStream, _: str) -> None:
        """Serve what another worker has passed on to us."""
        self.keep()
        await self.relay.serve(stream, self._request)

    async def _request(self, stream: trio.abc.Stream, address: str, first: bytes = b"") -> None:
        began, limits = clock.now(), self.limits
        try:
            head = await read_head(
                stream, most_bytes=limits.head_bytes, until=began + limits.head_s, first=first
            )
        except BadHead as error:
            if error.problem:
                self.refused("no request", error.problem, address)
            await refuse_plainly(stream, error.status, error.problem)
            return
        address = self.relay.client(head, address)
        if await self.relay.passes_on(stream, head, address, worth=self.keep):
            return
        if head.is_upgrade:
            await self._upgrade(stream, head, address)
            return
        exchange = Exchange(
            stream,
            head,
            tls=self.tls is not None,
            address=address,
            patience_s=limits.exchange_s - (clock.now() - began),
            whole=self.keep,
        )
        await exchange.serve(self.web.application)

    async def _upgrade(self, stream: trio.abc.Stream, head: Head, address: str) -> None:
        try:
            upgrade = await judge_upgrade(stream, head.http, head.request, limits=LIMITS)
        except RemoteProtocolError as error:
            self.refused("no handshake", str(error), address)
            return
        path = upgrade.path.partition("?")[0]
        place, _ = ours_in(path)
        listener = next((each for each in self.listeners if place in each.paths), None)
        if listener is None and await self._at_a_door(upgrade, path, address):
            return
        if listener is None:
            self.refused("no channel", f"no channel at {path[:100]!r}", address)
            known = ", ".join(place for each in self.listeners for place in each.paths)
            await upgrade.refuse(404, body=f"no channel here; there are {known}".encode())
            return
        headers = dict(upgrade.headers)
        base = called_base(headers, public_url=self.public_url, tls=self.tls is not None)
        request = Request(url=as_websocket(base) + upgrade.path, headers=headers)
        await listener.on_upgrade(upgrade, request, address, self)

    async def _at_a_door(self, upgrade: Upgrade, path: str, address: str) -> bool:
        """Serve a WebSocket that is no channel's; return whether there is a door for it."""
        for door in self.sockets:
            given = door.given(path)
            if given is None:
                continue
            guard = self.web.guard
            who = ANYBODY if door.open else guard.who(dict(upgrade.headers), address)
            if isinstance(who, Refused):
                self.refused("not allowed", f"{door.path}: {who.problem}", address)
                await upgrade.refuse(who.status, body=who.problem.encode())
            else:
                await door.serve(upgrade, Visitor(who=who, address=address, given=given))
            return True
        return False

    def asker(self, headers: Mapping[str, str], address: str) -> Identity | str:
        """Return who asks from a page, or why that one may not."""
        who = self.web.guard.who(headers, address)
        return who.problem if isinstance(who, Refused) else who

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
    if stream.socket.family == getattr(socket, "AF_UNIX", None):
        return LOCAL
    try:
        return str(stream.socket.getpeername()[0])
    except OSError:
        return ""  # it has left already


def _show_out(stream: trio.SocketStream, scope: trio.CancelScope) -> None:
    scope.cancel()
    with suppress(OSError):  # it has left
        # Whoever would say a long goodbye learns that nobody listens.
        stream.socket.shutdown(socket.SHUT_RDWR)


def _only_lost(error: BaseException) -> bool:
    """Whether an error says no more than that the far side has left."""
    if isinstance(error, BaseExceptionGroup):
        return all(_only_lost(e) for e in error.exceptions)
    return isinstance(error, trio.BrokenResourceError | trio.ClosedResourceError)
