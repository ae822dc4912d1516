"""``FrameSocket``: one open WebSocket, written to without waiting and read by a callback."""

from __future__ import annotations

import contextvars
import math
from collections.abc import Callable

import trio

from voxpy.engine import clock
from voxpy.sockets.pipes import READ_BYTES, Pipe, PipeReports, pipe_over
from voxpy.sockets.terms import Allowance, CloseInfo, SocketLimits, SocketStatistics
from voxpy.wire.websocket.protocol import (
    ABNORMAL,
    INTERNAL_ERROR,
    NORMAL,
    Closed,
    Failed,
    WebSocketProtocol,
)

Message = str | bytes
LOST = "connection lost"
POLICY = 1008
FLOODED = "more than is wanted here: {:g} frames or KiB a second"
TURN_FRAMES = 64
"""What one socket may have of a round of the loop."""
TICK_FRAMES = 16
"""The same for one that is read at each tick: sixteen times what a phone sends."""


def _ignore(message: Message) -> None:
    """Drop a message nobody asked for."""


class FrameSocket:
    """One open WebSocket over any trio stream, which it owns from now on.

    Set ``on_message``, then await ``run()``: it calls ``on_message`` with every message in order,
    synchronously, in the context ``run`` was called in, and returns when the socket is over. What
    is sent before ``run`` is written too. Nothing here blocks or raises because of the far side.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        protocol: WebSocketProtocol,
        *,
        limits: SocketLimits,
        first: bytes = b"",
        subprotocol: str | None = None,
    ) -> None:
        self.on_message: Callable[[Message], None] = _ignore
        """Called with a str for a text message and bytes for a binary one. Must not block.

        If it raises, the socket closes with 1011 and ``run`` raises that error; no other socket
        is harmed.
        """
        self.subprotocol = subprotocol
        self.statistics = SocketStatistics()
        self._protocol = protocol
        self._limits = limits
        self._first = first
        self._pipe: Pipe = pipe_over(
            stream,
            PipeReports(received=self._receive, ended=self._lost, drained=self._drained),
            stranger=limits.units_per_s < math.inf,
        )
        self.read: Callable[[], None] = self._pipe.read
        """Takes what has come to a socket that is held."""
        self._info: CloseInfo | None = None
        self._when_drained: CloseInfo | None = None
        self._error: Exception | None = None
        self._running = False
        self._finished = trio.Event()
        self._nap = trio.CancelScope()
        self._turn_frames = TURN_FRAMES
        self._kernel_has_more = False
        self._allowance = Allowance(limits, clock.now())
        self._close_at = math.inf
        self._ping_at = clock.now() + limits.ping_s
        self._pong_at = math.inf

    # -- out --------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether messages may be sent: neither side has begun to close."""
        return self._info is None and not self._protocol.close_sent

    @property
    def is_broken(self) -> bool:
        """Whether it ended, or is about to, otherwise than by a close."""
        info = self._when_drained or self._info
        return info is not None and not info.clean

    @property
    def behind(self) -> bool:
        """Whether more has come than could be taken at once: it follows at the next turns."""
        return self._protocol.behind or self._kernel_has_more

    @property
    def closed(self) -> CloseInfo | None:
        """How it ended; None while it has not."""
        return self._info

    @property
    def waiting_bytes(self) -> int:
        """How many bytes the kernel has not taken yet, frames included."""
        return self._pipe.waiting_bytes

    @property
    def waiting_messages(self) -> int:
        """How many frames wait whole: one that is partly written does not count."""
        pipe = self._pipe
        return pipe.waiting_writes if pipe.waiting_bytes else 0

    def send(self, data: Message, *, as_text: bool = False) -> None:
        """Send a text (str) or binary (bytes) message; never blocks.

        ``as_text``: bytes are known to be UTF-8 and go as text, without being decoded. It goes
        straight to the kernel if that has room, else it waits in order; when more than
        ``outbox_bytes`` wait the socket is cut with a reason that says so. Ignored, like every
        command on what is over, once closing has begun.
        """
        if self._info is not None or self._protocol.close_sent:
            return
        counts = self.statistics
        counts.messages_out += 1
        counts.bytes_out += len(data)
        self._pipe.write(self._protocol.message(data, as_text=as_text))
        if self._pipe.waiting_bytes:
            self._mind_outbox()

    def _write(self, frame: bytes) -> None:
        self._pipe.write(frame)
        self._mind_outbox()

    def _mind_outbox(self) -> None:
        waiting_bytes = self._pipe.waiting_bytes
        if waiting_bytes > self._limits.outbox_bytes and self._info is None:
            self.statistics.overflowed += 1
            reason = f"the far side does not read: {waiting_bytes} bytes wait"
            self._finish(CloseInfo(ABNORMAL, reason, clean=False))

    def hold(self) -> None:
        """Take messages only when ``read`` is called, until either side begins to close.

        For who plays what comes at a tick of its own, and must not be woken for each packet. Pings
        are answered at the tick, too.
        """
        if self.is_open:
            self._turn_frames = TICK_FRAMES
            self._pipe.hold(True)

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Close in order behind what was sent; ``run`` returns when the far side has answered.

        One that does not within ``close_s`` is cut off. Idempotent. Raises LocalProtocolError for
        a code that must not be sent (RFC 6455 section 7.4.1).
        """
        frame = self._protocol.close(code, reason)
        if frame and self._info is None:
            self._begin_closing()
            self._write(frame)

    def abort(self) -> None:
        """Cut the connection without a word. Idempotent."""
        self._finish(CloseInfo(ABNORMAL, LOST, clean=False))

    async def aclose(self, code: int = NORMAL, reason: str = "") -> None:
        """Close and wait until ``run`` has freed everything, ``close_s`` at the longest.

        Cancelling cuts it off. A socket whose ``run`` has not begun is run here.
        """
        self.close(code, reason)
        try:
            if self._running:
                await self._finished.wait()
            else:
                await self._live()
        except trio.Cancelled:
            self.abort()
            raise

    # -- the life ---------------------------------------------------------------------------------

    async def run(self) -> CloseInfo:
        """Read until the socket is over; free everything; return how it ended.

        Raises what ``on_message`` raised. Cancelling cuts the connection.
        """
        if self._running:  # by an aclose that came first
            await self._finished.wait()
        else:
            await self._live()
        if self._error is not None:
            raise self._error
        assert self._info is not None
        return self._info

    async def _live(self) -> None:
        self._running = True
        try:
            async with trio.open_nursery() as nursery:
                behind = bool(self._first) and self._receive(self._first)
                self._pipe.start(nursery, contextvars.copy_context(), behind=behind)
                await self._keep_time()
                nursery.cancel_scope.cancel()
        finally:
            self.abort()  # for a run that was cancelled
            with trio.CancelScope(shield=True):  # closing by force does not wait
                await self._pipe.aclose()
            self._finished.set()

    async def _keep_time(self) -> None:
        """Send pings and mind the deadlines until the socket is over."""
        while self._info is None:
            alarm = min(self._close_at, self._ping_at, self._pong_at)
            with trio.CancelScope(deadline=alarm) as self._nap:
                await trio.sleep_forever()
            now = clock.now()
            if self._info is not None:
                return
            if now >= self._close_at:
                self._break_off("the far side did not answer the close in time")
            elif now >= self._pong_at:
                self._break_off(f"no answer to a ping within {self._limits.pong_s:g} s")
            elif now >= self._ping_at:
                self._ping_at = now + self._limits.ping_s
                self._pong_at = min(self._pong_at, now + self._limits.pong_s)
                if self.is_open:
                    self._write(self._protocol.ping())

    # -- reports of the pipe ----------------------------------------------------------------------

    def _receive(self, data: bytes) -> bool:
        self._pong_at = math.inf
        if self._when_drained is not None:
            return False
        if data:
            self._kernel_has_more = len(data) >= READ_BYTES
        try:
            events = self._protocol.receive(data, self._turn_frames)
            self._allowance.left -= self._protocol.took + (len(data) >> 10)
            if self._allowance.left < 0 and not self._allowance.refill(clock.now()):
                reason = FLOODED.format(self._limits.units_per_s)
                self.close(POLICY, reason)
                self._finish_when_drained(CloseInfo(POLICY, reason, clean=False))
                return False
            for event in events:
                if type(event) is str or type(event) is bytes:
                    counts = self.statistics
                    counts.messages_in += 1
                    counts.bytes_in += len(event)
                    self.on_message(event)
                elif isinstance(event, (Closed, Failed)):
                    clean = isinstance(event, Closed)
                    self._finish_when_drained(CloseInfo(event.code, event.reason, clean=clean))
                if self._info is not None:
                    return False
        except Exception as error:  # of on_message: it ends this socket and is run's to raise
            self._error = error
            self.close(INTERNAL_ERROR, "internal error")
            self._finish_when_drained(
                CloseInfo(INTERNAL_ERROR, "a message could not be handled", clean=False)
            )
        if self._protocol.replies:
            self._write(self._protocol.outgoing())
        return self._protocol.behind and self._when_drained is None

    def _drained(self) -> None:
        if self._when_drained is not None:
            self._finish(self._when_drained)

    def _lost(self) -> None:
        self._finish(self._when_drained or CloseInfo(ABNORMAL, LOST, clean=False))

    # -- the end ----------------------------------------------------------------------------------

    def _begin_closing(self) -> None:
        self._turn_frames = TURN_FRAMES
        self._pipe.hold(False)
        self._close_at = clock.now() + self._limits.close_s
        self._nap.deadline = min(self._nap.deadline, self._close_at)

    def _finish_when_drained(self, info: CloseInfo) -> None:
        """Finish as soon as our close frame is with the kernel; read nothing any more."""
        if due := self._protocol.outgoing():
            self._write(due)
        self._when_drained = info
        if self._pipe.waiting_bytes:
            self._begin_closing()
        else:
            self._finish(info)

    def _break_off(self, reason: str) -> None:
        self._finish(self._when_drained or CloseInfo(ABNORMAL, reason, clean=False))

    def _finish(self, info: CloseInfo) -> None:
        if self._info is None:
            self._info = info
            self._nap.cancel()
