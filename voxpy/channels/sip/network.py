"""SIP on the network: UDP, TCP and TLS around one UserAgent, on trio.

Messages go in by plain calls as they are read, and what the agent has ready afterwards goes out in
the same moment: UDP to the socket, streams to a writer of their own. What has to be resolved or
connected first is a task. One more task sleeps until the agent's next deadline.
"""

from __future__ import annotations

import math
import re
import socket
import ssl
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Protocol

import attrs
import trio

from voxpy.channels.listener import ListenerHost
from voxpy.channels.sip.connection import IDLE_S, SipConnection
from voxpy.channels.sip.ladder import Way
from voxpy.channels.sip.resolving import Resolver, literal_flow
from voxpy.channels.sip.sharing import Handed, Sharing
from voxpy.engine import clock
from voxpy.engine.faults import contained
from voxpy.errors import RemoteProtocolError
from voxpy.sockets.accepting import receive_tls
from voxpy.sockets.hub import strangers_turn
from voxpy.wire.sip.agent import Event, Flow, Transmit, UserAgent
from voxpy.wire.sip.edge import Edge
from voxpy.wire.sip.message import BadMessage, Message, Request, Response, parse_message
from voxpy.wire.sip.values import Uri

MOST_DATAGRAMS = 16
"""Read in one turn."""
MOST_DATAGRAM_BYTES = 65_535
MOST_WAITING = 10_000
"""In a socket's buffer when it is read for the first time."""
TURN_S = 0.0005
"""What they may take at once."""
CONNECT_S = 5.0
FLOW_FAILED = 430
"""RFC 5626 section 5.3.1: the phone's connection is gone."""
_TAKEN = re.compile(rb"SIP/2\.0 (?:18|2).*?\r\nCSeq: [0-9]+ (?:INVITE|REGISTER)\r\n", re.DOTALL)
"""What only those are told who have proven themselves: their call rings, they are registered."""
LATER = ("ACK", "CANCEL")
"""They are about a request that has been let in."""


@attrs.frozen(kw_only=True)
class SipSockets:
    """What the network listens on; bound, not yet listening on streams."""

    udp: socket.socket
    tcp: socket.socket | None = None
    tls: socket.socket | None = None
    context: ssl.SSLContext | None = None


class Outgoing(Protocol):
    """The way out by one connection."""

    def send_nowait(self, data: bytes) -> None:
        """Send a message. Raises trio.WouldBlock, BrokenResourceError or ClosedResourceError."""


@attrs.frozen
class _Held:
    """``keep`` lets a connection be none of those that make room for others."""

    outgoing: Outgoing
    keep: Callable[[], None]


class SipNetwork:
    """``take`` gets every event of the agent. ``run`` serves until cancelled; ``wake`` sends.

    ``host`` accepts connections, and keeps those from addresses that ``trusts`` knows.
    """

    def __init__(
        self,
        agent: UserAgent,
        sockets: SipSockets,
        *,
        take: Callable[[Event], None],
        failed: Callable[[BaseException], None],
        admits: Callable[[Request, Flow], bool] = lambda request, flow: True,
        trusts: Callable[[str], bool] = lambda address: False,
        host: ListenerHost | None = None,
        tls_client: ssl.SSLContext | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        self.agent = agent
        self._sockets = sockets
        self._take = take
        self._failed = failed
        self._admits = admits
        self._trusts = trusts
        self._host = host
        self._tls_client = tls_client
        self.sharing: Sharing | None = None
        """The workers that share our ports."""
        self.edge: Edge | None = None
        """Other hosts' way to our phones, where there are others."""
        self._resolver = resolver or Resolver(family=sockets.udp.family)
        self._places: dict[tuple[str, int | None], Flow] = {}
        agent.unanswered = self._unanswered
        self.seen: Callable[[Message, Way], None] = lambda message, way: None
        """Gets each message that comes for us or goes out."""
        self._streams: dict[Flow, _Held] = {}
        self._nursery: trio.Nursery | None = None
        self._waiting: list[Transmit] = []  # what was to be sent before we ran
        self._sooner = trio.Event()
        self._due = math.inf

    async def run(self) -> None:
        """Serve."""
        sockets = self._sockets
        self._forget_what_waited()  # before the host says that it listens
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            waiting, self._waiting = self._waiting, []
            for transmit in waiting:
                self._send(transmit)
            nursery.start_soon(self._keep_time)
            nursery.start_soon(self._read_datagrams)
            for bound, transport in ((sockets.tcp, "TCP"), (sockets.tls, "TLS")):
                if bound is not None and self._host is not None:
                    serve = partial(self._accepted, transport, self._host)
                    nursery.start_soon(self._host.accept, bound, serve)

    def wake(self) -> None:
        """Send and tell what the agent has ready, and mind its new deadline."""
        while out := self.agent.take():
            for found in out:
                if isinstance(found, Transmit):
                    self.seen(found.message, "out")
                    self._send(found)
                else:
                    self._take(found)
        if self.agent.deadline < self._due:
            self._sooner.set()

    # -- in ---------------------------------------------------------------------------------------

    def _forget_what_waited(self) -> None:
        """Drop what came while this process was starting.

        Whoever sent it asks again, or has gone on to the next host, and two would answer one call.
        """
        for _ in range(MOST_WAITING):
            try:
                self._sockets.udp.recv(1)
            except BlockingIOError:
                break
            except OSError:
                continue

    async def _read_datagrams(self) -> None:
        sock = self._sockets.udp
        while True:
            await trio.lowlevel.wait_readable(sock)
            await strangers_turn()
            until_s = clock.busy_s() + TURN_S
            for _ in range(MOST_DATAGRAMS):
                try:
                    data, address = sock.recvfrom(MOST_DATAGRAM_BYTES)
                except BlockingIOError:
                    break
                except OSError:
                    continue  # an earlier datagram of ours was not wanted where it went
                if data.strip(b"\r\n\x00"):
                    self.receive(data, Flow("UDP", address[0], address[1]))
                if clock.busy_s() > until_s:
                    break

    def attach(self, flow: Flow, outgoing: Outgoing, keep: Callable[[], None]) -> None:
        """Send by a connection; ``keep`` is called when its far side has proven its worth.

        That may be in any task, so ``keep`` runs in the context of this one.
        """
        self._streams[flow] = _Held(outgoing, partial(copy_context().run, keep))

    def detach(self, flow: Flow) -> None:
        """Send no more there."""
        self._streams.pop(flow, None)

    def receive(self, data: bytes, flow: Flow) -> None:
        """Take one whole message."""
        try:
            message: Message | BadMessage = parse_message(data)
        except BadMessage as bad:
            message = bad
        self.take_from(flow, message)

    def take_message(self, message: Message | BadMessage, flow: Flow) -> None:
        """Give a message to the agent, or to the worker whose it is."""
        if isinstance(message, BadMessage):
            self.agent.receive(message, flow, clock.now())
            return
        if self.edge is not None and self._passes_on(self.edge, message, flow):
            return
        if (
            isinstance(message, Request)
            and message.method not in LATER
            and not message.to.tag
            and not self._admits(message, flow)
        ):
            self.agent.dropped += 1
            return
        if self.sharing is None or not self.sharing.hands_on(message, flow):
            self.seen(message, "in")
            self.agent.receive(message, flow, clock.now())

    def _passes_on(self, edge: Edge, message: Message, flow: Flow) -> bool:
        """Send on what another host and a phone of ours say to each other; False for others."""
        try:
            passed = edge.pass_on(message, flow)
        except RemoteProtocolError:
            self.agent.dropped += 1
            return True
        if passed is None:
            return False
        request = message if isinstance(message, Request) else None
        if request is not None and isinstance(passed.message, Response):
            if request.method != "ACK" and self._admits(request, flow):
                self._send(Transmit(passed.message, flow))
            return True
        if isinstance(passed.to, Uri) or passed.to.transport == "UDP":
            self._send(Transmit(passed.message, passed.to))
            return True
        if self.sharing is not None:
            self.sharing.held_by(passed.to, passed.worker)
        sent = self._write_by_connection(passed.to, passed.message.to_bytes())
        if not sent and request is not None and request.method != "ACK":
            gone = request.response(FLOW_FAILED, to_tag=self.agent.us.new_id())
            self._send(Transmit(gone, flow))
        return True

    def handed(self, given: Handed) -> None:
        """Take what another worker gives us."""
        if given.flow is None:
            return
        if given.kind == "write":
            self._queue(given.flow, given.data)
            return
        with contained(self._failed):
            message = parse_message(given.data)
            self.seen(message, "in")
            self.agent.receive(message, given.flow, clock.now())
            self.wake()

    async def _accepted(
        self, transport: str, host: ListenerHost, plain: trio.SocketStream, address: str
    ) -> None:
        """Serve a connection from elsewhere: a phone's, a trunk's, a stranger's."""
        began = clock.now()
        try:
            flow = Flow(transport, *plain.socket.getpeername()[:2])
            stream: trio.abc.Stream = plain
            if transport == "TLS":
                assert self._sockets.context is not None
                stream = await receive_tls(plain, self._sockets.context, began + host.start_s)
        except (OSError, RemoteProtocolError) as error:
            host.refused("no SIP", str(error), address)
            return
        until_s = began + host.start_s - clock.now()
        connection = SipConnection(stream, partial(self.take_from, flow), first_s=until_s)
        if self._trusts(address):
            host.keep()
        self.attach(flow, connection, host.keep)
        await self._serve(connection, flow)
        if connection.is_silent:
            host.refused("no SIP", "no SIP message came", address)

    async def _serve(self, connection: SipConnection, flow: Flow) -> None:
        try:
            async with trio.open_nursery() as nursery:
                await connection.run(nursery)
                nursery.cancel_scope.cancel()
        finally:
            held = self._streams.get(flow)
            if held is not None and held.outgoing is connection:
                self.detach(flow)

    def take_from(self, flow: Flow, message: Message | BadMessage) -> None:
        """Take a message that came by ``flow``."""
        with contained(self._failed):
            self.take_message(message, flow)
            self.wake()

    # -- out --------------------------------------------------------------------------------------

    def _send(self, transmit: Transmit) -> None:
        if isinstance(transmit.to, Flow):
            self._send_by(transmit, transmit.to)
        elif self._nursery is None:
            self._waiting.append(transmit)
        else:
            found = literal_flow(transmit.to)
            if found is not None and found.transport == "UDP":
                self._send_by(transmit, found)
            else:
                self._nursery.start_soon(self._resolve_and_send, transmit, transmit.to)

    def _send_by(self, transmit: Transmit, flow: Flow) -> None:
        data = transmit.message.to_bytes()
        if flow.transport != "UDP":
            if self._write_by_connection(flow, data):
                return
            if self._nursery is not None:
                self._nursery.start_soon(self._connect_or_lose, transmit, flow)
            return
        try:
            self._sockets.udp.sendto(data, (flow.host, flow.port))
        except BlockingIOError:
            pass  # the kernel is full: it will be repeated
        except OSError:
            self._lost(transmit)

    def _write_by_connection(self, flow: Flow, data: bytes) -> bool:
        """Send by a connection that is there, here or at another worker; False if none is."""
        return self._queue(flow, data) or (
            self.sharing is not None and self.sharing.writes(flow, data)
        )

    def _queue(self, flow: Flow, data: bytes) -> bool:
        held = self._streams.get(flow)
        if held is None:
            return False
        if _TAKEN.match(data):
            held.keep()
        try:
            held.outgoing.send_nowait(data)
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        return True

    async def _resolve_and_send(self, transmit: Transmit, to: Uri) -> None:
        """Send to the first place of a URI that takes it (RFC 3263)."""
        for flow in await self._resolver.locate(to):
            self._goes_by(transmit, flow)
            if flow.transport == "UDP":
                self._places[to.host, to.port] = flow
                self._send_by(transmit, flow)
                return
            if self._queue(flow, transmit.message.to_bytes()):
                return
            if await self._connect_and_send(transmit, flow):
                return
            self._resolver.mark_dead(flow)
        self._lost(transmit)

    def _goes_by(self, transmit: Transmit, flow: Flow) -> None:
        """Let the Via say the transport that the DNS has chosen."""
        message = transmit.message
        if isinstance(message, Request) and message.via.transport != flow.transport:
            via = message.via
            us, _, port = self.agent.us.sent_by(flow.transport).rpartition(":")
            ours = attrs.evolve(via, transport=flow.transport, host=us, port=int(port))
            message.headers.set("Via", str(ours))

    def _unanswered(self, to: Uri | Flow) -> None:
        """Try another place of a URI next time: this one said nothing at all."""
        if isinstance(to, Uri) and (flow := self._places.get((to.host, to.port))) is not None:
            self._resolver.mark_dead(flow)

    async def _connect_or_lose(self, transmit: Transmit, flow: Flow) -> None:
        if not await self._connect_and_send(transmit, flow):
            self._lost(transmit)

    async def _connect_and_send(self, transmit: Transmit, flow: Flow) -> bool:
        """Open a connection; a second request for the same place finds it when it is its turn."""
        if flow.transport not in ("TCP", "TLS"):
            return False
        try:
            with trio.fail_after(CONNECT_S):
                stream: trio.abc.Stream = await trio.open_tcp_stream(flow.host, flow.port)
                if flow.transport == "TLS":
                    context = self._tls_client or ssl.create_default_context()
                    name = flow.host
                    if isinstance(transmit.to, Uri):
                        name = transmit.to.host.strip("[]")
                    secured = trio.SSLStream(stream, context, server_hostname=name)
                    await secured.do_handshake()
                    stream = secured
        except (OSError, ssl.SSLError, trio.TooSlowError, trio.BrokenResourceError):
            return False
        assert self._nursery is not None
        if flow in self._streams:
            await trio.aclose_forcefully(stream)
        else:
            connection = SipConnection(stream, partial(self.take_from, flow), first_s=IDLE_S)
            self.attach(flow, connection, lambda: None)
            self._nursery.start_soon(self._serve, connection, flow)
        return self._queue(flow, transmit.message.to_bytes())

    def _lost(self, transmit: Transmit) -> None:
        with contained(self._failed):
            self.agent.transmit_failed(transmit, clock.now())
            self.wake()

    # -- time -------------------------------------------------------------------------------------

    async def _keep_time(self) -> None:
        while True:
            self._due = self.agent.deadline
            with trio.move_on_at(self._due):
                await self._sooner.wait()
            self._sooner = trio.Event()
            with contained(self._failed):
                self.agent.tick(clock.now())
                self.wake()
