"""From a provider's connection to a session: accept, wait for the start, run, close."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from voxpy.channels.listener import Runs
from voxpy.channels.mediastream.leg import MediaStreamLeg
from voxpy.channels.mediastream.line import ByteLine, Line
from voxpy.channels.providers.events import Odd, Start
from voxpy.channels.providers.http import query_of
from voxpy.channels.providers.provider import MediaStream, Message, Provider, UnusableStream
from voxpy.channels.providers.table import find_provider
from voxpy.errors import RemoteProtocolError
from voxpy.sockets.accepting import Upgrade, receive_upgrade
from voxpy.sockets.terms import SocketLimits

START_S = 10.0
"""From the open socket to the start of the stream; providers take milliseconds."""
PROTOCOL_ERROR = 1002
NORMAL = 1000
NOT_STARTED = 1008
INTERNAL_ERROR = 1011

LIMITS = SocketLimits(message_bytes=256 * 1024, outbox_bytes=256 * 1024, units_per_s=400)
"""A message is 20 ms, at most some seconds of linear PCM in base64; more is no phone call. Fifty a
second come, or a hundred, of up to 90 KiB together."""


ReleaseLine = Callable[[Start], Awaitable[None]]
"""Hangs a call up by the provider's API, within a deadline of its own; raises nothing."""

MakeSession = Callable[[MediaStreamLeg], Runs]
"""Routes a call that has come: returns the session it gets."""


async def serve_media_stream(
    stream: trio.abc.Stream,
    provider: str,
    make_session: MakeSession,
    *,
    release: ReleaseLine | None = None,
    limits: SocketLimits = LIMITS,
) -> None:
    """Serve one connection of ``provider`` until its call is over and everything is closed.

    Raises RemoteProtocolError if no call came of it, ScenarioError for an unknown provider, and
    what ``make_session`` raises; the connection is closed in any case.
    """
    kind = find_provider(provider)
    if kind.transport == "tcp":
        await serve_line(ByteLine(stream), kind.open_stream(), make_session, release=release)
        return
    upgrade = await receive_upgrade(stream, limits=limits)
    line, media = await accept(upgrade, kind)
    await serve_line(line, media, make_session, release=release)


async def accept(upgrade: Upgrade, provider: Provider) -> tuple[Line, MediaStream]:
    """Open the WebSocket that a provider asks for; return it with our side of its stream."""
    asked = provider.subprotocol
    line = await upgrade.accept(subprotocol=asked if asked in upgrade.subprotocols else None)
    query = query_of(upgrade.path)
    query.pop("token", None)  # it let the stream in, and is nobody's business from here
    return line, provider.open_stream(query)


class _Arrival:
    """A line until its stream has started; from then on the line's messages go to the leg."""

    def __init__(self, line: Line, stream: MediaStream, release: Callable[[Start], None]) -> None:
        self.leg: MediaStreamLeg | None = None
        self.problem = ""
        self.odd = ""
        """What was odd last, of what came before the start."""
        self.settled = trio.Event()
        self._line = line
        self._stream = stream
        self._release = release
        line.on_message = self._receive

    async def read(self) -> None:
        """Read until the line is over, cancelled or not: who is cancelled still says goodbye."""
        with trio.CancelScope(shield=True):
            info = await self._line.run()
        if self.leg is not None:
            self.leg.line_closed(info)
        self.no_call(f"closed before the start of the stream ({info.code})")
        self.settled.set()

    def no_call(self, why: str) -> None:
        """Note why no call came of the line, unless that is known."""
        self.problem = self.problem or (f"{why}; {self.odd}" if self.odd else why)

    def _receive(self, message: Message) -> None:
        try:
            events = self._stream.receive(message)
        except UnusableStream as error:
            self.problem = str(error)
            self._line.close(PROTOCOL_ERROR, self.problem[:100])
            self.settled.set()
            return
        for event in events:
            if isinstance(event, Start):
                self.leg = MediaStreamLeg(self._stream, self._line, release=self._release)
                self._line.on_message = self.leg.receive
                if self.odd:
                    self.leg.handle(Odd(self.odd))
                self.settled.set()
            elif self.leg is not None:
                self.leg.handle(event)
            elif isinstance(event, Odd):
                self.odd = event.problem


async def serve_line(
    line: Line,
    stream: MediaStream,
    make_session: MakeSession,
    *,
    release: ReleaseLine | None = None,
    start_s: float = START_S,
) -> None:
    """Serve an open line until its call is over and it is closed.

    A line whose stream does not start within ``start_s`` seconds is closed. ``release`` is awaited
    beside the rest whenever the line must be let go from here. Raises RemoteProtocolError if no
    call came of it, and what ``make_session`` raises.
    """
    async with trio.open_nursery() as nursery:

        def let_go(start: Start) -> None:
            if release is not None:
                nursery.start_soon(release, start)

        arrival = _Arrival(line, stream, let_go)
        nursery.start_soon(arrival.read)
        try:
            with trio.move_on_after(start_s):
                await arrival.settled.wait()
            if arrival.leg is None:
                arrival.no_call(f"no start of the stream within {start_s:g} s")
                line.close(NOT_STARTED, "no start of the stream")
            elif line.is_broken:  # what broke it came behind the start, in the same moment
                arrival.leg.abandon(NORMAL, "")
                arrival.leg, arrival.problem = None, "broken right behind the start of the stream"
            else:
                await _session(arrival.leg, make_session).run()
        finally:
            with trio.CancelScope(shield=True):  # within the line's own deadline
                await line.aclose()
    if arrival.leg is None:
        raise RemoteProtocolError(arrival.problem)


def _session(leg: MediaStreamLeg, make_session: MakeSession) -> Runs:
    try:
        return make_session(leg)
    except BaseException:
        leg.abandon(INTERNAL_ERROR, "no session")
        raise
