"""Accepting a WebSocket from a client: what it asks for is seen before it is let in."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import TYPE_CHECKING

import trio

from voxpy.errors import RemoteProtocolError
from voxpy.sockets.framesocket import FrameSocket
from voxpy.sockets.hub import strangers_turn
from voxpy.sockets.masks import new_mask
from voxpy.sockets.terms import SocketLimits
from voxpy.wire.websocket.handshake import Headers, ServerHandshake, UpgradeRequest
from voxpy.wire.websocket.protocol import WebSocketProtocol

if TYPE_CHECKING:
    import h11

READ_BYTES = 65536


class Upgrade:
    """A client that asks for a WebSocket, to be accepted or refused."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        handshake: ServerHandshake,
        request: UpgradeRequest,
        *,
        limits: SocketLimits,
    ) -> None:
        self.request = request
        self._stream = stream
        self._handshake = handshake
        self._limits = limits

    @property
    def path(self) -> str:
        """The request target: path and query."""
        return self.request.target

    @property
    def headers(self) -> Headers:
        """The request's headers; names in lower case."""
        return self.request.headers

    @property
    def subprotocols(self) -> tuple[str, ...]:
        """What the client offers, best first."""
        return self.request.subprotocols

    async def accept(
        self, *, subprotocol: str | None = None, headers: Iterable[tuple[str, str]] = ()
    ) -> FrameSocket:
        """Open the WebSocket, which owns the stream from now on.

        Raises trio.BrokenResourceError if the client has left, LocalProtocolError for headers that
        cannot be sent.
        """
        await self._stream.send_all(self._handshake.accept(subprotocol, headers))
        protocol = WebSocketProtocol(
            "server", new_mask=new_mask, max_message_bytes=self._limits.message_bytes
        )
        return FrameSocket(
            self._stream,
            protocol,
            limits=self._limits,
            first=self._handshake.rest,
            subprotocol=subprotocol,
        )

    async def refuse(
        self, status: int, *, body: bytes = b"", headers: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Give an HTTP answer instead, and close the stream.

        Raises LocalProtocolError for a status outside 200-599 or headers that cannot be sent.
        """
        answer = self._handshake.refuse(status, body=body, headers=headers)
        await _say_and_close(self._stream, answer)


class _InTurn(trio.abc.Stream):
    """Gives what it reads when it is a stranger's turn: a step of a handshake costs a millisecond.

    Until it is ``over``.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self.over = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        if not self.over:
            await strangers_turn()
        return data


async def receive_tls(
    plain: trio.SocketStream, context: ssl.SSLContext, until: float
) -> trio.abc.Stream:
    """Agree upon TLS with a client. Raises RemoteProtocolError; the stream is the caller's then."""
    turns = _InTurn(plain)
    secure = trio.SSLStream(turns, context, server_side=True, https_compatible=True)
    try:
        with trio.move_on_at(until):
            await secure.do_handshake()
            turns.over = True
            return secure
    except trio.BrokenResourceError as error:
        raise RemoteProtocolError(f"no TLS handshake: {error.__cause__ or error}") from error
    raise RemoteProtocolError("no TLS handshake in time")


async def receive_upgrade(
    stream: trio.abc.Stream, *, limits: SocketLimits | None = None, first: bytes = b""
) -> Upgrade:
    """Read a client's request from a fresh stream, of which ``first`` was read already.

    A client that sends something else, or nothing for ``limits.handshake_s``, is told so in HTTP
    where that is possible and its stream is closed; RemoteProtocolError is raised then.
    """
    limits = limits or SocketLimits()
    handshake = ServerHandshake()
    try:
        with trio.move_on_after(limits.handshake_s):
            request = handshake.receive(first) if first else None
            while request is None:
                request = handshake.receive(await _read(stream))
            return Upgrade(stream, handshake, request, limits=limits)
        raise RemoteProtocolError(f"no request within {limits.handshake_s:g} s")
    except RemoteProtocolError:
        await _say_and_close(stream, handshake.answer)
        raise


async def judge_upgrade(
    stream: trio.abc.Stream, http: h11.Connection, request: h11.Request, *, limits: SocketLimits
) -> Upgrade:
    """Do as ``receive_upgrade`` with a request that ``http`` has read from the stream."""
    handshake = ServerHandshake(http)
    try:
        return Upgrade(stream, handshake, handshake.judge(request), limits=limits)
    except RemoteProtocolError:
        await _say_and_close(stream, handshake.answer)
        raise


async def _read(stream: trio.abc.Stream) -> bytes:
    try:
        return bytes(await stream.receive_some(READ_BYTES))
    except trio.BrokenResourceError:
        return b""


async def _say_and_close(stream: trio.abc.Stream, answer: bytes) -> None:
    """Send a last answer and close; a client that does not read it is cut off."""
    try:
        with trio.move_on_after(1):
            await stream.send_all(answer)
            await stream.aclose()
    except trio.BrokenResourceError:
        pass  # it left; nothing to tell
    finally:
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(stream)
