"""Opening a WebSocket to a server."""

from __future__ import annotations

import os
from collections.abc import Iterable
from urllib.parse import urlsplit

import trio

from voxpy.engine.ports import Endpoint, OpenStream
from voxpy.errors import ConnectFailed, HandshakeRefused, LocalProtocolError, RemoteProtocolError
from voxpy.sockets.framesocket import FrameSocket
from voxpy.sockets.masks import new_mask
from voxpy.sockets.terms import SocketLimits
from voxpy.wire.websocket.handshake import Accepted, ClientHandshake
from voxpy.wire.websocket.protocol import WebSocketProtocol

READ_BYTES = 65536
BODY_S = 1.0
"""For the rest of a refusal: its status is what counts."""


async def connect(
    open_stream: OpenStream,
    url: str,
    *,
    headers: Iterable[tuple[str, str]] = (),
    subprotocols: Iterable[str] = (),
    limits: SocketLimits | None = None,
) -> FrameSocket:
    """Open a WebSocket to ``ws(s)://host[:port]/path?query``.

    Raises HandshakeRefused for any HTTP answer but 101, ConnectFailed for everything else that
    goes wrong on the way or takes longer than ``limits.handshake_s``, and LocalProtocolError for a
    URL or a header that cannot be sent.
    """
    limits = limits or SocketLimits()
    parts = urlsplit(url)
    tls = parts.scheme == "wss"
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise LocalProtocolError(f"the WebSocket URL {url!r} must be ws(s)://host/path")
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    handshake = ClientHandshake(
        host=parts.netloc.rpartition("@")[2],
        target=target,
        nonce=os.urandom(16),
        headers=headers,
        subprotocols=subprotocols,
    )
    endpoint = Endpoint(host=parts.hostname, port=parts.port or (443 if tls else 80), tls=tls)
    with trio.move_on_after(limits.handshake_s):
        return await _open(open_stream, endpoint, url, handshake, limits)
    raise ConnectFailed(f"{url}: no answer within {limits.handshake_s:g} s")


async def _open(
    open_stream: OpenStream,
    endpoint: Endpoint,
    url: str,
    handshake: ClientHandshake,
    limits: SocketLimits,
) -> FrameSocket:
    stream = await open_stream(endpoint)
    kept = False
    try:
        accepted = await _shake_hands(stream, url, handshake)
        protocol = WebSocketProtocol(
            "client", new_mask=new_mask, max_message_bytes=limits.message_bytes
        )
        socket = FrameSocket(
            stream,
            protocol,
            limits=limits,
            first=accepted.rest,
            subprotocol=accepted.subprotocol,
        )
        kept = True
    finally:
        if not kept:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)
    return socket


async def _shake_hands(stream: trio.abc.Stream, url: str, handshake: ClientHandshake) -> Accepted:
    """Ask for the upgrade. Raises ConnectFailed."""
    try:
        await stream.send_all(handshake.request())
        outcome = None
        while outcome is None and handshake.refused is None:
            outcome = handshake.receive(await _read(stream))
        with trio.move_on_after(BODY_S):
            while outcome is None:
                outcome = handshake.receive(await _read(stream))
    except trio.BrokenResourceError as error:
        raise ConnectFailed(f"{url}: closed the connection during the handshake") from error
    except RemoteProtocolError as error:
        raise ConnectFailed(f"{url}: {error}") from error
    if isinstance(outcome, Accepted):
        return outcome
    refused = outcome or handshake.refused
    assert refused is not None
    raise HandshakeRefused(
        f"{url}: refused with HTTP {refused.status}",
        status=refused.status,
        headers=refused.headers,
        body=refused.body,
    )


async def _read(stream: trio.abc.Stream) -> bytes:
    try:
        return bytes(await stream.receive_some(READ_BYTES))
    except trio.BrokenResourceError:
        return b""
