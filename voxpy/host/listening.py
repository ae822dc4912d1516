"""What a host listens on: sockets bound before anything else, and connections taken from them.

The sockets may be shared with other workers. A worker that is full leaves connections to those
that have room: they wait in the kernel until one of them takes them, instead of being told "busy"
here. When nobody has room, everybody takes them and says so.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import attrs
import trio

from voxpy.channels.listener import Listener
from voxpy.engine.trace import Trace
from voxpy.sockets.hub import strangers_turn
from voxpy.sockets.listening import ANYWHERE, BACKLOG, listen, own_address

LOOK_AGAIN_S = 0.25
PAUSE_S = 0.1
"""After the system has run out of descriptors: some calls will end."""
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


@attrs.frozen
class Sockets:
    """What is bound. ``own`` are by channel name, for channels with ports of their own."""

    http: socket.socket
    own: Mapping[str, Sequence[socket.socket]] = attrs.field(factory=dict)

    @property
    def port(self) -> int:
        """The HTTP port, now that the system has chosen one."""
        return int(self.http.getsockname()[1])

    def address(self, tls: ssl.SSLContext | None, *, from_elsewhere: bool = False) -> str:
        """Return how programs on this computer reach the HTTP port: ``http://127.0.0.1:8080``.

        Or how other computers do, as far as that can be known here.
        """
        scheme = "http" if tls is None else "https"
        bound = self.http.getsockname()
        if isinstance(bound, str):  # a socket in the file system
            return f"{scheme}://localhost"
        host = own_address(bound[0]) if from_elsewhere else bound[0]
        host = "127.0.0.1" if host in ANYWHERE else host
        return f"{scheme}://[{host}]:{bound[1]}" if ":" in host else f"{scheme}://{host}:{bound[1]}"

    def all(self) -> tuple[socket.socket, ...]:
        """Return every socket."""
        return (self.http, *(each for sockets in self.own.values() for each in sockets))

    def close(self) -> None:
        """Stop listening."""
        for each in self.all():
            each.close()


def open_sockets(host: str, port: int, listeners: Sequence[Listener]) -> Sockets:
    """Listen. Raises VoxpyError that names the port and what to change."""
    opened: dict[str, Sequence[socket.socket]] = {}
    http = listen(host, port, setting="--port")
    try:
        for listener in listeners:
            opened[listener.name] = listener.open()
    except BaseException:
        Sockets(http, opened).close()
        raise
    return Sockets(http, opened)


class Acceptor:
    """Accepts for a host. ``leave_to_others`` says whether a connection is better off elsewhere.

    Call ``look`` whenever the answer may have changed. ``make_room`` is called when the system has
    no descriptor for another connection.
    """

    def __init__(
        self, leave_to_others: Callable[[], bool], *, make_room: Callable[[], object], log: Trace
    ) -> None:
        self._leave_to_others = leave_to_others
        self._make_room = make_room
        self._log = log
        self._waiting: set[trio.CancelScope] = set()

    def look(self) -> None:
        """Stop waiting for a connection that should be left to others."""
        if self._waiting and self._leave_to_others():
            for scope in self._waiting:
                scope.cancel()

    async def run(
        self,
        bound: socket.socket,
        serve: Callable[[trio.SocketStream], Awaitable[None]],
        nursery: trio.Nursery,
    ) -> None:
        """Serve every connection to ``bound`` in a task of ``nursery``, until cancelled."""
        bound.listen(BACKLOG)
        # Before it is copied: a copy is made as its original, and workers share the mode. Where it
        # waits, whoever loses the race for a connection stands still.
        bound.setblocking(False)
        async with trio.SocketListener(trio.socket.from_stdlib_socket(bound.dup())) as listener:
            while True:
                while self._leave_to_others():  # noqa: ASYNC110  others do not tell us at once
                    await trio.sleep(LOOK_AGAIN_S)
                await strangers_turn(newcomer=True)
                stream = await self._accept(listener)
                if stream is not None:
                    nursery.start_soon(serve, stream)

    async def _accept(self, listener: trio.SocketListener) -> trio.SocketStream | None:
        with trio.CancelScope() as scope:
            self._waiting.add(scope)
            try:
                return await listener.accept()
            except OSError as error:
                if error.errno not in EXHAUSTED:
                    raise
                self._make_room()
                self._log.write("error", "no connection can be taken", error=str(error))
                await trio.sleep(PAUSE_S)
            finally:
                self._waiting.discard(scope)
        return None


@attrs.frozen(kw_only=True)
class ConnectionLimits:
    """Bounds of what strangers may do to the port.

    ``head_bytes`` and ``head_s`` are for a request's first lines, TLS included; ``exchange_s`` is
    how long a client may keep an HTTP exchange waiting, head, body and answer together;
    ``start_s`` from an open WebSocket to the start of its stream. ``per_address`` counts those that
    have proven nothing: behind a proxy all come from one address.
    """

    head_bytes: int = 16 * 1024
    head_s: float = 5.0
    exchange_s: float = 15.0
    start_s: float = 10.0
    connections: int = 2048
    per_address: int = 512


@attrs.frozen(eq=False)
class Connection:
    """One that is open. ``show_out`` ends it; it may go on for a moment."""

    place: str
    show_out: Callable[[], None]


class Connections:
    """What is open. When all is taken, the oldest that has proven nothing makes room.

    So nobody can hold the door shut by standing in it: who comes has a moment to say what he wants,
    which is all that a balancer, a provider or a caller needs.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self.open = 0
        self._limits = limits
        self._strangers: dict[Connection, None] = {}  # oldest first
        self._by_place: dict[str, dict[Connection, None]] = {}

    @contextmanager
    def one(self, address: str, show_out: Callable[[], None]) -> Iterator[Connection | None]:
        """Count a connection for as long as it is open; gives None if there is no room at all."""
        limits, place = self._limits, _place(address)
        room = self.open < limits.connections or self.make_room()
        connection = Connection(place, show_out)
        self.open += 1
        if room:
            here = self._by_place.setdefault(place, {})
            if len(here) >= limits.per_address:
                self._show_out(next(iter(here)))
            self._strangers[connection] = self._by_place.setdefault(place, {})[connection] = None
        try:
            yield connection if room else None
        finally:
            self.open -= 1
            self.keep(connection)

    def keep(self, connection: Connection) -> None:
        """Let it be none of those that make room."""
        if connection in self._strangers:
            del self._strangers[connection]
            here = self._by_place[connection.place]
            del here[connection]
            if not here:
                del self._by_place[connection.place]

    def make_room(self) -> bool:
        """Close the oldest stranger; return whether there was one."""
        oldest = next(iter(self._strangers), None)
        if oldest is not None:
            self._show_out(oldest)
        return oldest is not None

    def _show_out(self, connection: Connection) -> None:
        self.keep(connection)
        connection.show_out()


def _place(address: str) -> str:
    """Return where an address is: one subscriber has a whole /64 of IPv6."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4 or found.ipv4_mapped:
        return str(found.ipv4_mapped or found) if found.version == 6 else address
    return str(ipaddress.ip_network((found, 64), strict=False))
