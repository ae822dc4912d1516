"""How byte streams to services are opened: TCP, and TLS where it is asked for."""

from __future__ import annotations

import ssl

import trio

from voxpy.engine.ports import Endpoint
from voxpy.errors import ConnectFailed


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
    except BaseException as error:  # cancelled ones too leave no socket behind
        await trio.aclose_forcefully(stream)
        if isinstance(error, trio.BrokenResourceError | ssl.SSLError):
            cause = error.__cause__ or error
            raise ConnectFailed(f"{where}: TLS handshake failed: {cause}") from error
        raise
    return secure


def _innermost(error: BaseException) -> str:
    """Return the words of the first real error: trio tries several addresses and groups them."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    cause = error.__cause__
    return _innermost(cause) if cause is not None else str(error)
