"""A realtime service driven by hand, for faults that a good server does not have.

::

    async def play(talk: Talk) -> None:
        await talk.open_session()
        await talk.send({"type": "ping"})
        await talk.stay()

    service = Service(play)
    voxpy.call(scenario, caller, serve=service)
    service.talks[0].received  # what the client sent

It speaks over any stream, through trio-websocket, so that the client's production code is at work.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
import trio
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    wrap_server_stream,
)

from voxpy.engine import clock

QUEUE = 64
AUDIO = "input_audio_buffer.append"


class Talk:
    """One connection of a client. Every method that waits raises ConnectionClosed at its end.

    ``received`` holds every event the client sent, ``received_at`` trio's time of each in seconds.
    """

    def __init__(self, request: WebSocketRequest, stream: trio.abc.Stream) -> None:
        self.path = request.path
        self.headers = {k.decode().lower(): v.decode() for k, v in request.headers}
        self.stream = stream
        self.received: list[dict[str, Any]] = []
        self.received_at: list[float] = []
        self.closed: tuple[int, str] | None = None
        self.socket: WebSocketConnection

    def sent(self, kind: str) -> list[dict[str, Any]]:
        """Return the events of one type that the client sent, in order."""
        return [e for e in self.received if e.get("type") == kind]

    async def send(self, event: Mapping[str, Any] | str | bytes) -> None:
        """Send an event, or any text or binary frame as it is."""
        await self.socket.send_message(
            event if isinstance(event, (str, bytes)) else orjson.dumps(event).decode()
        )

    async def next(self) -> dict[str, Any]:
        """Read one event of the client."""
        event: dict[str, Any] = orjson.loads(await self.socket.get_message())
        self.received.append(event)
        self.received_at.append(clock.now())
        return event

    async def read_until(self, kind: str) -> dict[str, Any]:
        """Read until the client sends an event of this type; return it."""
        while (event := await self.next())["type"] != kind:
            pass
        return event

    async def open_session(self, **session: Any) -> dict[str, Any]:
        """Greet, take the first ``session.update`` and confirm it; return the session.

        ``session`` overrides what the client asked for.
        """
        await self.send({"type": "session.created", "event_id": "e1", "session": {"id": "sess_1"}})
        update = await self.read_until("session.update")
        whole = {"id": "sess_1", **update["session"], **session}
        await self.send({"type": "session.updated", "event_id": "e2", "session": whole})
        return whole

    async def stay(self) -> None:
        """Read until the client leaves."""
        while True:
            await self.next()

    async def drop(self) -> None:
        """Break the connection without a word, as a lost network does."""
        await self.stream.aclose()


Play = Callable[[Talk], Awaitable[None]]


class Service:
    """Serves streams: accepts the handshake and lets ``play`` do the talking.

    When ``play`` returns, the socket is closed with 1000 unless it was closed before.
    """

    def __init__(self, play: Play) -> None:
        self._play = play
        self.talks: list[Talk] = []

    async def __call__(self, stream: trio.abc.Stream) -> None:
        """Serve one connection to its end."""
        try:
            async with trio.open_nursery() as nursery:
                request = await wrap_server_stream(nursery, stream, message_queue_size=QUEUE)
                talk = Talk(request, stream)
                self.talks.append(talk)
                talk.socket = await request.accept()
                try:
                    await self._play(talk)
                    await talk.socket.aclose()
                except ConnectionClosed:
                    pass
                closed = talk.socket.closed
                talk.closed = None if closed is None else (closed.code, closed.reason or "")
                nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError, ConnectionClosed):
            pass  # what a client that vanished leaves behind


class Refusing:
    """Refuses every handshake with an HTTP status and a body."""

    def __init__(self, status: int, body: bytes = b"") -> None:
        self._status = status
        self._body = body

    async def __call__(self, stream: trio.abc.Stream) -> None:
        """Refuse one connection."""
        async with trio.open_nursery() as nursery:
            request = await wrap_server_stream(nursery, stream)
            await request.reject(self._status, body=self._body)
            nursery.cancel_scope.cancel()
        await stream.aclose()
