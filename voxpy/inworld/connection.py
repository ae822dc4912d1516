"""A realtime connection: dialling, one reader, one writer, and what becomes of each frame.

The protocol is ``voxpy.wire.realtime.client``; the socket is trio-websocket over a stream that the
session's host opens, so the same code runs over TCP, TLS and memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import attrs
import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    WebSocketConnection,
    wrap_client_stream,
)

from voxpy.engine import clock
from voxpy.engine.ports import Endpoint, OpenStream
from voxpy.errors import ConnectFailed, LimitExceeded
from voxpy.wire.realtime.endpoint import refusal_reason

__all__ = ["ConnectionReports", "ConnectionStatistics", "RealtimeConnection"]

CONNECT_S = 10.0
HANDSHAKE_GRACE_S = 0.1
CLOSE_S = 2.0
MESSAGE_QUEUE = 64
"""trio-websocket answers no ping while its queue is full; its default of 1 fills at once."""
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""An audio delta of a long sentence is megabytes of base64; others cap at the same figure."""
FIRST_BYTES = 80
"""What is shown of an answer that was no handshake."""
OUTBOX_MESSAGES = 1024
OUTBOX_AUDIO = 50
"""Two seconds of audio in 40 ms batches: later than that, it is no use to the agent."""


@attrs.define(kw_only=True)
class ConnectionStatistics:
    """Counts of one connection, written to the session's folder if ``statistics=True``."""

    messages_in: int = 0
    messages_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    audio_dropped: int = 0


class ConnectionReports:
    """What a connection tells its owner; override what is of interest."""

    def received(self, text: str) -> None:
        """Take one text frame."""

    def sent(self, frame: bytes) -> None:
        """See one frame that has been written."""

    def received_binary(self, size_bytes: int) -> None:
        """See that a binary frame came: the protocol has none."""

    def refused(self, status: int, headers: Mapping[str, str], body: str) -> None:
        """See the HTTP answer that refused the upgrade."""

    def closed(self, code: int, reason: str, *, was_clean: bool) -> None:
        """Learn, once, that the connection is over."""


class _Watched(trio.abc.Stream):
    """A stream that says when its peer has gone: trio-websocket waits for ever in a handshake."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.first = b""
        self.over = trio.Event()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        try:
            data = await self._stream.receive_some(max_bytes)
        except trio.BrokenResourceError:
            self.over.set()
            raise
        if not data:
            self.over.set()
        if len(self.first) < FIRST_BYTES:
            self.first += data[:FIRST_BYTES]
        return bytes(data)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError:
            self.over.set()
            raise

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        self.over.set()
        await self._stream.aclose()


class RealtimeConnection:
    """One WebSocket to a realtime service. ``run`` is its whole life."""

    def __init__(
        self,
        url: str,
        authorization: str,
        *,
        open_stream: OpenStream,
        reports: ConnectionReports,
        connect_s: float = CONNECT_S,
    ) -> None:
        self.url = url
        self.statistics = ConnectionStatistics()
        self._authorization = authorization
        self._connect_s = connect_s
        self._open_stream = open_stream
        self.reports = reports
        self._socket: WebSocketConnection | None = None
        self._stream: _Watched | None = None
        self._scope = trio.CancelScope()
        self._settled = trio.Event()
        self._finished = trio.Event()
        self._failure: ConnectFailed | None = None
        self._outbox: deque[bytes] = deque()
        self._wanted = trio.Event()
        self._closing = False

    async def wait_open(self) -> None:
        """Wait until the socket is open. Raises ConnectFailed; cancelling gives the attempt up."""
        try:
            await self._settled.wait()
        except trio.Cancelled:
            self._scope.cancel()
            raise
        if self._failure is not None:
            raise self._failure

    def send(self, frame: bytes) -> None:
        """Queue a frame. Raises LimitExceeded if the service has not read for very long."""
        if self._closing or self._failure is not None:
            return
        if len(self._outbox) >= OUTBOX_MESSAGES:
            raise LimitExceeded(f"{OUTBOX_MESSAGES} messages wait: {self.url} does not read them")
        self._outbox.append(frame)
        self._wanted.set()

    def send_audio(self, frame: bytes) -> None:
        """Queue an audio frame; dropped and counted when two seconds of it wait already."""
        if len(self._outbox) >= OUTBOX_AUDIO or self._closing:
            self.statistics.audio_dropped += 1
        else:
            self.send(frame)

    def close(self) -> None:
        """Ask ``run`` to close the connection in order. Idempotent."""
        self._closing = True
        self._wanted.set()
        if self._socket is None:
            self._scope.cancel()
        else:  # a peer that reads nothing any more is cut off
            self._scope.deadline = min(self._scope.deadline, clock.now() + 2 * CLOSE_S)

    async def aclose(self) -> None:
        """Close the connection and wait until it is gone; cancelling cuts it off."""
        self.close()
        try:
            await self._finished.wait()
        except trio.Cancelled:
            self._scope.cancel()
            raise

    async def run(self) -> None:
        """Connect, then read and write until one side closes. Reports; never raises."""
        code, reason, was_clean = 1006, "connection lost", False
        try:
            with self._scope:
                await self._connect_and_talk()
        except* ConnectionRejected as group:
            self._note_refusal(_first(group, ConnectionRejected))
        except* ConnectFailed as group:
            self._failure = _first(group, ConnectFailed)
        except* Exception as group:
            if self._socket is not None:
                raise
            # What trio-websocket and the parsers below it raise on an answer that is no HTTP.
            self._failure = ConnectFailed(
                f"{self.url}: the answer was no WebSocket handshake{_shown(self._stream)}"
            )
            self._failure.__cause__ = group.exceptions[0]
        finally:
            if self._stream is not None:  # an attempt that failed leaves it open
                with trio.CancelScope(shield=True):
                    await trio.aclose_forcefully(self._stream)
            socket, self._socket = self._socket, None
            if socket is not None:
                if socket.closed is not None and socket.closed.code != 1006:
                    code, reason, was_clean = socket.closed.code, socket.closed.reason or "", True
                self.reports.closed(code, reason, was_clean=was_clean)
            elif self._failure is None:
                self._failure = ConnectFailed(f"{self.url}: the attempt was given up")
            self._settled.set()
            self._finished.set()

    async def _connect_and_talk(self) -> None:
        with trio.move_on_after(self._connect_s) as patience:
            async with trio.open_nursery() as nursery:
                stream = self._stream = _Watched(await self._open())
                nursery.start_soon(self._watch_handshake, stream)
                self._socket = await self._shake_hands(nursery, stream)
                patience.deadline = float("inf")
                self._settled.set()
                nursery.start_soon(self._write, self._socket)
                await self._read(self._socket)
                nursery.cancel_scope.cancel()
        if patience.cancelled_caught and self._socket is None:
            raise ConnectFailed(f"{self.url}: no answer within {self._connect_s:g} s")

    async def _open(self) -> trio.abc.Stream:
        parts = urlsplit(self.url)
        tls = parts.scheme == "wss"
        port = parts.port or (443 if tls else 80)
        return await self._open_stream(Endpoint(host=parts.hostname or "", port=port, tls=tls))

    async def _shake_hands(
        self, nursery: trio.Nursery, stream: trio.abc.Stream
    ) -> WebSocketConnection:
        parts = urlsplit(self.url)
        return await wrap_client_stream(
            nursery,
            stream,  # type: ignore[arg-type]  # any stream will do, says its documentation
            parts.netloc,
            f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/",
            extra_headers=[(b"Authorization", self._authorization.encode())],
            message_queue_size=MESSAGE_QUEUE,
            max_message_size=MAX_MESSAGE_BYTES,
            receive_buffer_size=65536,
        )

    async def _watch_handshake(self, stream: _Watched) -> None:
        await stream.over.wait()
        with trio.move_on_after(HANDSHAKE_GRACE_S):  # its last bytes may have completed it
            await self._settled.wait()
            return
        raise ConnectFailed(
            f"{self.url}: closed the connection during the handshake{_shown(stream)}"
        )

    def _note_refusal(self, rejection: ConnectionRejected) -> None:
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in rejection.headers or ()}
        body = (rejection.body or b"").decode("utf-8", "replace")
        self.reports.refused(rejection.status_code, headers, body)
        why = refusal_reason(rejection.status_code, rejection.body or b"")
        self._failure = ConnectFailed(
            f"{self.url}: refused: {why}",
            status=rejection.status_code,
        )

    async def _read(self, socket: WebSocketConnection) -> None:
        while True:
            try:
                message = await socket.get_message()
            except ConnectionClosed:
                return
            self.statistics.messages_in += 1
            self.statistics.bytes_in += len(message)
            if isinstance(message, str):
                self.reports.received(message)
            else:
                self.reports.received_binary(len(message))

    async def _write(self, socket: WebSocketConnection) -> None:
        try:
            while not self._closing or self._outbox:
                while self._outbox:
                    frame = self._outbox.popleft()
                    await socket.send_message(frame.decode())
                    self.statistics.messages_out += 1
                    self.statistics.bytes_out += len(frame)
                    self.reports.sent(frame)
                if not self._closing:
                    self._wanted = trio.Event()
                    await self._wanted.wait()
            with trio.move_on_after(CLOSE_S):  # a peer that does not answer is cut off
                await socket.aclose(1000)
        except ConnectionClosed:
            return  # the reader sees it too and reports it


def _shown(stream: _Watched | None) -> str:
    first = b"" if stream is None else stream.first
    line = first.split(b"\r\n")[0].decode("utf-8", "backslashreplace")
    return f"; it had answered {line!r}" if line else ""


def _first(group: BaseExceptionGroup[Any], kind: type[Any]) -> Any:
    for error in group.exceptions:
        found = _first(error, kind) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, kind):
            return found
    return None
