"""What a host listens on: sockets bound before anything else, and connections taken from them.

The sockets may be shared with other workers. A worker that is full leaves connections to those
that have room: they wait in the kernel until one of them takes them, instead of being told "busy"
here. When nobody has room, everybody takes them and says so.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs
import trio

from voxpy.channels.listener import Listener
from voxpy.engine.trace import Trace
from voxpy.errors import ConfigError
from voxpy.sockets.listening import BACKLOG, listen

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


def tls_context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Return what serves TLS, or None without a certificate. Raises ConfigError."""
    if certificate is None:
        if key is not None:
            raise ConfigError("a TLS key needs its certificate: --tls-cert", file=str(key))
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or str(error)
        problem = f"no usable TLS certificate and key: {reason}"
        raise ConfigError(problem, file=str(certificate)) from error
    return context


class Acceptor:
    """Accepts for a host. ``leave_to_others`` says whether a connection is better off elsewhere.

    Call ``look`` whenever the answer may have changed.
    """

    def __init__(self, leave_to_others: Callable[[], bool], *, log: Trace) -> None:
        self._leave_to_others = leave_to_others
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
        async with trio.SocketListener(trio.socket.from_stdlib_socket(bound.dup())) as listener:
            while True:
                while self._leave_to_others():  # noqa: ASYNC110  others do not tell us at once
                    await trio.sleep(LOOK_AGAIN_S)
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
                self._log.write("error", "no connection can be taken", error=str(error))
                await trio.sleep(PAUSE_S)
            finally:
                self._waiting.discard(scope)
        return None


@attrs.frozen(kw_only=True)
class ConnectionLimits:
    """Bounds of what strangers may do to the port.

    ``head_bytes`` and ``head_s`` are for a request's first lines, TLS included; ``start_s`` from an
    open WebSocket to the start of its stream. A provider calls from a handful of addresses, and
    behind a proxy there is one: hence the generous ``per_address``.
    """

    head_bytes: int = 16 * 1024
    head_s: float = 5.0
    start_s: float = 10.0
    connections: int = 2048
    per_address: int = 512


class Connections:
    """Counts what is open."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.open = 0
        self._limits = limits
        self._by_address: Counter[str] = Counter()

    @contextmanager
    def one(self, address: str) -> Iterator[str]:
        """Count a connection for as long as it is open; gives why it must be closed, or nothing."""
        self.open += 1
        self._by_address[address] += 1
        try:
            yield self._refusal(address)
        finally:
            self.open -= 1
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    def _refusal(self, address: str) -> str:
        if self.open > self._limits.connections:
            return "too many connections"
        if self._by_address[address] > self._limits.per_address:
            return "too many connections of one address"
        return ""
