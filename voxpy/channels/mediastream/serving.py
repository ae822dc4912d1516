"""From a provider's connection to a session: accept, wait for the start, run, close."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

import trio

from voxpy.channels.mediastream.leg import MediaStreamLeg, Release
from voxpy.channels.mediastream.line import ByteLine, Line
from voxpy.errors import RemoteProtocolError
from voxpy.sockets.accepting import receive_upgrade
from voxpy.sockets.terms import SocketLimits
from voxpy.wire.mediastream.events import Start
from voxpy.wire.mediastream.provider import MediaStream, Message
from voxpy.wire.mediastream.providers import media_stream

__all__ = ["LIMITS", "MakeSession", "Runs", "serve_media_stream"]

START_S = 10.0
"""From the open socket to the start of the stream; providers take milliseconds."""
PROTOCOL_ERROR = 1002
NOT_STARTED = 1008
INTERNAL_ERROR = 1011

LIMITS = SocketLimits(message_bytes=256 * 1024, outbox_bytes=256 * 1024)
"""A message is 20 ms, at most some seconds of linear PCM in base64; more is no phone call."""


class Runs(Protocol):
    """A session, as a host makes it (``voxpy.host.sessions.HostedSession``)."""

    async def run(self) -> Any:
        """Run to its end."""


MakeSession = Callable[[MediaStreamLeg], Runs]
"""Routes a call that has come: returns the session it gets."""


async def serve_media_stream(
    stream: trio.abc.Stream,
    provider: str,
    make_session: MakeSession,
    *,
    release: Release | None = None,
    limits: SocketLimits = LIMITS,
) -> None:
    """Serve one connection of ``provider`` until its call is over and everything is closed.

    Raises RemoteProtocolError if no call came of it, ScenarioError for an unknown provider, and
    what ``make_session`` raises; the connection is closed in any case.
    """
    kind = media_stream(provider)
    if kind.provider.transport == "tcp":
        await _run_call(ByteLine(stream), kind, make_session, release)
        return
    upgrade = await receive_upgrade(stream, limits=limits)
    asked = kind.provider.subprotocol
    socket = await upgrade.accept(subprotocol=asked if asked in upgrade.subprotocols else None)
    query = dict(parse_qsl(urlsplit(upgrade.path).query))
    await _run_call(socket, media_stream(provider, query), make_session, release)


class _Arrival:
    """A line until its stream has started; then everything goes to the leg."""

    def __init__(self, line: Line, stream: MediaStream, release: Release | None) -> None:
        self.leg: MediaStreamLeg | None = None
        self.problem = ""
        self.settled = trio.Event()
        self._line = line
        self._stream = stream
        self._release = release
        line.on_message = self._receive

    async def read(self) -> None:
        """Read until the line is over."""
        info = await self._line.run()
        if self.leg is not None:
            self.leg.line_closed(info)
        self.problem = self.problem or f"closed before the start of the stream ({info.code})"
        self.settled.set()

    def _receive(self, message: Message) -> None:
        if self.leg is not None:
            self.leg.receive(message)
            return
        try:
            events = self._stream.receive(message)
        except RemoteProtocolError as error:
            self.problem = str(error)
            self._line.close(PROTOCOL_ERROR, self.problem[:100])
            self.settled.set()
            return
        for event in events:
            if isinstance(event, Start):
                self.leg = MediaStreamLeg(self._stream, self._line, release=self._release)
                self.settled.set()
            elif self.leg is not None:
                self.leg.handle(event)


async def _run_call(
    line: Line, stream: MediaStream, make_session: MakeSession, release: Release | None
) -> None:
    arrival = _Arrival(line, stream, release)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(arrival.read)
        with trio.move_on_after(START_S):
            await arrival.settled.wait()
        if arrival.leg is None:
            arrival.problem = arrival.problem or f"no start of the stream within {START_S:g} s"
            line.close(NOT_STARTED, "no start of the stream")
            await line.aclose()
        else:
            try:
                session = make_session(arrival.leg)
            except BaseException:
                line.close(INTERNAL_ERROR, "no session")
                raise
            await session.run()
            await line.aclose()
    if arrival.leg is None:
        raise RemoteProtocolError(arrival.problem)
