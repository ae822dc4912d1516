"""How sessions open byte streams: TCP and TLS, or memory to a local agent on virtual time."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable

import trio

from voxpy.engine.ports import Endpoint
from voxpy.errors import ConnectFailed

__all__ = ["MemoryDialer", "open_tcp"]


async def open_tcp(endpoint: Endpoint) -> trio.abc.Stream:
    """Open a TCP stream, with TLS if the endpoint wants it. Raises ConnectFailed."""
    where = f"{endpoint.host}:{endpoint.port}"
    try:
        stream = await trio.open_tcp_stream(endpoint.host, endpoint.port)
    except OSError as error:
        reason = error.strerror or _innermost(error)
        raise ConnectFailed(f"{where}: cannot connect: {reason}") from error
    if not endpoint.tls:
        return stream
    secure = trio.SSLStream(
        stream,
        ssl.create_default_context(),
        server_hostname=endpoint.host,
        https_compatible=True,
    )
    try:
        await secure.do_handshake()
    except (trio.BrokenResourceError, ssl.SSLError) as error:
        cause = error.__cause__ or error
        raise ConnectFailed(f"{where}: TLS handshake failed: {cause}") from error
    return secure


def _innermost(error: BaseException) -> str:
    """Return the words of the first real error: trio tries several addresses and groups them."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    cause = error.__cause__
    return _innermost(cause) if cause is not None else str(error)


class MemoryDialer:
    """Opens memory streams to one server: virtual time cannot see sockets."""

    def __init__(
        self, nursery: trio.Nursery, serve: Callable[[trio.abc.Stream], Awaitable[None]]
    ) -> None:
        self._nursery = nursery
        self._serve = serve

    async def __call__(self, endpoint: Endpoint) -> trio.abc.Stream:
        """Return our end of a new pair; the server gets the other."""
        from trio.testing import memory_stream_pair

        await trio.lowlevel.checkpoint()
        ours, theirs = memory_stream_pair()
        self._nursery.start_soon(self._serve, theirs)
        return ours
