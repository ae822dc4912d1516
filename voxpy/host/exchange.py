"""One HTTP exchange: a request that h11 reads, the application's answer, and the end.

There is no second request on a connection (a proxy may want to upgrade its next one), no HTTP/2,
and one measure of patience: however a client divides it among head, body and reading the answer, it
keeps us waiting so long and no longer.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import unquote

import h11
import trio

from voxpy.engine import clock
from voxpy.host.requesthead import Head
from voxpy.sockets.hub import strangers_turn
from voxpy.sockets.reading import read_until

READ_BYTES = 16 * 1024
SLOWEST_BYTES_PER_S = 8 * 1024
"""A long answer gives its reader more time: no telephone line is slower."""
TURN_PARTS = 16
MOST_PARTS = 2000
"""Of a chunked body, at once and in all. A part of one byte costs as much as one of a thousand."""
LINGER_S = 1.0
LINGER_BYTES = 256 * 1024
"""What still comes of a body that nobody reads is taken, or the kernel would take back the answer
that says so."""

Message = MutableMapping[str, Any]
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]
"""ASGI 3."""


class Exchange:
    """Answers the request whose head was read. ``serve`` once; it leaves the stream open.

    ``patience_s`` is what the head has left of it. ``whole`` is called when all of the request is
    here.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        head: Head,
        *,
        tls: bool,
        address: str,
        patience_s: float,
        whole: Callable[[], None],
    ) -> None:
        self._stream = stream
        self._head = head
        self._http = head.http
        self._tls = tls
        self._address = address
        self._patience_s = patience_s
        self._whole = whole
        framing = dict(head.request.headers)
        self._chunked = b"transfer-encoding" in framing
        length = int(framing.get(b"content-length", b"0"))  # h11 has let through nothing else
        self._parts = 0
        self._left_bytes = length - len(self._http.trailing_data[0])
        self._has_body = self._chunked or length > 0
        self._scope = trio.CancelScope()
        self._verdict = 408
        """What to say to a client that is not waited for any more."""

    async def serve(self, application: Application) -> None:
        """Let the application answer. A client that leaves or is too slow ends it."""
        with self._scope:
            if not self._has_body:
                self._whole()
            await application(self._described(), self._receive, self._send)
        if self._scope.cancelled_caught and self._http.our_state is h11.SEND_RESPONSE:
            with trio.move_on_after(LINGER_S):
                await self._send({"type": "http.response.start", "status": self._verdict})
                await self._send({"type": "http.response.body"})
        if self._has_body and self._http.their_state is h11.SEND_BODY:
            with trio.move_on_after(LINGER_S):
                await self._linger()

    def _described(self) -> Message:
        request = self._head.request
        path, _, query = request.target.partition(b"?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": request.http_version.decode(),
            "method": request.method.decode("latin-1"),
            "scheme": "https" if self._tls else "http",
            "path": unquote(path.decode("latin-1")),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": list(request.headers),
            "client": (self._address, 0),
            "server": None,
        }

    async def _receive(self) -> Message:
        """The next part of the body; after the last one nothing comes any more."""
        if self._http.their_state is not h11.SEND_BODY:
            await trio.sleep_forever()
        if self._http.they_are_waiting_for_100_continue:
            await self._write(h11.InformationalResponse(status_code=100, headers=[]))
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                self._verdict = error.error_status_hint
                event = None
            if isinstance(event, h11.Data):
                self._parts += 1
                if self._parts % TURN_PARTS == 0:
                    await strangers_turn()
                if self._parts > MOST_PARTS:
                    self._verdict = 413
                    self._scope.cancel()
                    await trio.sleep_forever()
                return {"type": "http.request", "body": bytes(event.data), "more_body": True}
            if isinstance(event, h11.EndOfMessage):
                self._whole()
                return {"type": "http.request", "body": b"", "more_body": False}
            if event is not h11.NEED_DATA:
                self._scope.cancel()
                await trio.sleep_forever()
            self._http.receive_data(await self._read())

    async def _read(self) -> bytes:
        """The next 16 KiB of the body, or all that is left: not each byte of who sends bytes."""
        part = bytearray()
        want = 1 if self._chunked else max(1, min(self._left_bytes, READ_BYTES))
        with self._waiting():
            await read_until(self._stream, part, lambda: len(part) >= want)
        self._left_bytes -= len(part)
        return bytes(part)

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), (b"connection", b"close")]
            await self._write(h11.Response(status_code=message["status"], headers=headers))
        elif message["type"] == "http.response.body":
            body = message.get("body", b"") if self._head.request.method != b"HEAD" else b""
            if body:
                self._patience_s += len(body) / SLOWEST_BYTES_PER_S
                await self._write(h11.Data(data=body))
            if not message.get("more_body", False):
                await self._write(h11.EndOfMessage())

    async def _write(self, event: h11.Event) -> None:
        if data := self._http.send(event):
            with self._waiting():
                await self._stream.send_all(data)

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """While the client has its turn its patience runs down."""
        self._scope.deadline = clock.now() + self._patience_s
        try:
            yield
        finally:
            self._patience_s = self._scope.deadline - clock.now()
            self._scope.deadline = math.inf

    async def _linger(self) -> None:
        taken = 0
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            if isinstance(self._stream, trio.abc.HalfCloseableStream):
                await self._stream.send_eof()
            while taken < LINGER_BYTES and (data := await self._stream.receive_some(READ_BYTES)):
                taken += len(data)
