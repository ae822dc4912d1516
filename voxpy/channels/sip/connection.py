"""SIP over TCP and TLS: one connection, its messages cut out some at a time.

What comes waits for its turn beside everybody else's (``voxpy.sockets.hub``), what goes out is with
the kernel at once. Whoever says no whole message is not waited for long, and whoever is no user, no
trunk and in no call makes room for others (``ListenerHost.keep``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import copy_context
from itertools import islice

import trio

from voxpy.engine import clock
from voxpy.sockets.pipes import Pipe, PipeReports, pipe_over
from voxpy.wire.sip.message import BadMessage, Message, StreamReader

TURN_MESSAGES = 4
TURN_BYTES = 16 * 1024
MOST_WAITING_BYTES = 256 * 1024
"""For a far side that does not read; what is more is as good as lost on the way."""
FIRST_S = 10.0
"""For the first message to be whole."""
IDLE_S = 3600.0
"""Between two, or two pings."""
PONG = b"\r\n"


class SipConnection:
    """Implements ``voxpy.channels.sip.network.Outgoing``. ``take`` gets each message."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        take: Callable[[Message | BadMessage], None],
        *,
        first_s: float = FIRST_S,
    ) -> None:
        self._take = take
        self._reader = StreamReader()
        self._messages: Iterator[Message | BadMessage] = iter(())
        self._until = trio.CancelScope(deadline=clock.now() + first_s)
        self.is_silent = True
        """Whether no message has come yet."""
        reports = PipeReports(received=self._received, ended=self.close, drained=lambda: None)
        self._pipe: Pipe = pipe_over(stream, reports, read_bytes=TURN_BYTES, stranger=True)

    def send_nowait(self, data: bytes) -> None:
        """Send a message. Raises trio.WouldBlock if too much waits, ClosedResourceError."""
        if self._until.cancel_called:
            raise trio.ClosedResourceError
        if self._pipe.waiting_bytes + len(data) > MOST_WAITING_BYTES:
            raise trio.WouldBlock
        self._pipe.write(data)

    def close(self) -> None:
        """Let ``run`` end."""
        self._until.cancel()

    async def run(self, nursery: trio.Nursery) -> None:
        """Serve until either side has had enough; free everything. Its tasks are in ``nursery``."""
        try:
            self._pipe.start(nursery, copy_context())
            with self._until:
                await trio.sleep_forever()
        finally:
            self._until.cancel()
            with trio.CancelScope(shield=True):  # closing by force does not wait
                await self._pipe.aclose()

    def _received(self, data: bytes) -> bool:
        """Take some messages; return whether there may be more."""
        try:
            if data:
                self._messages = self._reader.feed(data)
            count = 0
            for message in islice(self._messages, TURN_MESSAGES):
                count += 1
                self._take(message)
        except BadMessage as bad:  # where the next message begins cannot be known
            self._take(bad)
            self.close()
            return False
        pings, self._reader.keepalives = self._reader.keepalives, 0
        if pings:
            self._pipe.write(PONG)
        if count or pings:
            self.is_silent = False
            self._until.deadline = clock.now() + IDLE_S
        return count == TURN_MESSAGES and not self._until.cancel_called
