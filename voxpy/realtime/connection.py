"""A realtime connection: dialling, and what becomes of each frame.

The protocol is ``voxpy.wire.realtime.client``; the socket is a ``FrameSocket`` over a stream that
the session's host opens, so the same code runs over TCP, TLS and memory. A frame is handled in the
same synchronous call that read it: when the service says that the caller speaks, the agent is
silent before anything else can run.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import trio

from voxpy.engine.inputs import SocketInputs
from voxpy.engine.ports import OpenStream
from voxpy.errors import ConnectFailed, HandshakeRefused, LimitExceeded
from voxpy.sockets import FrameSocket, SocketLimits, SocketStatistics, connect
from voxpy.wire.realtime.endpoint import refusal_reason

CONNECT_S = 10.0
OUTBOX_MESSAGES = 1024
OUTBOX_AUDIO = 50
"""Two seconds of audio in 40 ms batches: later than that, it is no use to the agent."""
LOST = (1006, "connection lost")


@attrs.frozen(kw_only=True)
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
        """See one frame that has been handed to the socket."""

    def received_binary(self, data: bytes) -> None:
        """Take one binary frame."""

    def refused(self, status: int, headers: Mapping[str, str], body: str) -> None:
        """See the HTTP answer that refused the upgrade."""

    def closed(self, code: int, reason: str, *, was_clean: bool) -> None:
        """Learn, once, that the connection is over."""


class RealtimeConnection:
    """One WebSocket to a realtime service. ``run`` is its whole life."""

    def __init__(
        self,
        url: str,
        headers: list[tuple[str, str]],
        *,
        open_stream: OpenStream,
        reports: ConnectionReports,
        connect_s: float = CONNECT_S,
        inputs: SocketInputs | None = None,
    ) -> None:
        self.url = url
        self._inputs = inputs
        self.audio_dropped = 0
        self.reports = reports
        self._headers = headers
        self._limits = SocketLimits(handshake_s=connect_s)
        self._open_stream = open_stream
        self._socket: FrameSocket | None = None
        self._dialling = trio.CancelScope()
        self._settled = trio.Event()
        self._taken = trio.Event()
        self._awaited = False  # somebody is in wait_open
        self._finished = trio.Event()
        self._failure: ConnectFailed | None = None
        self._early: list[tuple[bytes, bool]] = []  # sent before it was open; which is audio
        self._closing = False

    @property
    def statistics(self) -> ConnectionStatistics:
        """What went over the socket so far."""
        counts = SocketStatistics() if self._socket is None else self._socket.statistics
        return ConnectionStatistics(
            messages_in=counts.messages_in,
            messages_out=counts.messages_out,
            bytes_in=counts.bytes_in,
            bytes_out=counts.bytes_out,
            audio_dropped=self.audio_dropped,
        )

    async def wait_open(self) -> None:
        """Wait until the socket is open. Raises ConnectFailed; cancelling gives the attempt up.

        No frame is received before the waiting task runs on: whatever the service says first, and
        be it in one packet with its answer to the handshake, that task can listen before it comes.
        """
        self._awaited = True
        try:
            await self._settled.wait()
        except trio.Cancelled:
            self._cut_off()
            raise
        finally:
            self._taken.set()
        if self._failure is not None:
            raise self._failure

    def send(self, frame: bytes) -> None:
        """Send a frame. Raises LimitExceeded if the service has not read for very long."""
        if self._closing or self._failure is not None:
            return
        if self.waiting_messages >= OUTBOX_MESSAGES:
            raise LimitExceeded(f"{OUTBOX_MESSAGES} messages wait: {self.url} does not read them")
        if self._socket is None:
            self._early.append((frame, False))
        else:
            self._put(self._socket, frame, False)

    def send_audio(self, frame: bytes) -> None:
        """Send an audio frame; dropped and counted when two seconds of it wait already."""
        if self._closing or self.waiting_messages >= OUTBOX_AUDIO:
            self.audio_dropped += 1
        elif self._socket is not None:
            self._put(self._socket, frame, True)
        elif self._failure is None:
            self._early.append((frame, True))

    def close(self) -> None:
        """Ask ``run`` to close the connection in order. Idempotent."""
        if self._inputs is not None and not self._closing:
            self._inputs.note("closing")
        self._closing = True
        if self._socket is None:
            self._dialling.cancel()
        else:
            self._socket.close()

    async def aclose(self) -> None:
        """Close the connection and wait until it is gone; cancelling cuts it off."""
        self.close()
        try:
            await self._finished.wait()
        except trio.Cancelled:
            self._cut_off()
            raise

    async def run(self) -> None:
        """Connect, then read and write until one side closes. Reports everything.

        Raises only what ``reports.received`` raised.
        """
        try:
            await self._dial()
            if self._socket is not None:
                await self._talk(self._socket)
        finally:
            if self._failure is None and not self._settled.is_set():
                self._failure = ConnectFailed(f"{self.url}: the attempt was given up")
            self._settled.set()
            self._finished.set()

    async def _dial(self) -> None:
        """Open the socket, or set the failure, or be cancelled and do neither."""
        try:
            with self._dialling:
                self._socket = await connect(
                    self._open_stream,
                    self.url,
                    headers=self._headers,
                    limits=self._limits,
                )
        except HandshakeRefused as refusal:
            self._failure = self._note(refusal)
        except ConnectFailed as failure:
            self._failure = failure
            if self._inputs is not None:
                self._inputs.note("failed", reason=str(failure))

    def _note(self, refusal: HandshakeRefused) -> ConnectFailed:
        status = refusal.status or 0
        body = refusal.body.decode("utf-8", "replace")
        if self._inputs is not None:
            told = {"headers": dict(refusal.headers), "body": body}
            self._inputs.note("refused", status=status, personal=told)
        self.reports.refused(status, refusal.headers, body)
        location = next((v for n, v in refusal.headers.items() if n.lower() == "location"), "")
        why = refusal_reason(status, refusal.body, location=location)
        return ConnectFailed(f"{self.url}: refused: {why}", status=status)

    async def _talk(self, socket: FrameSocket) -> None:
        socket.on_message = self._take
        if self._inputs is not None:
            self._inputs.note("opened")
        if self._closing:  # while the last byte of the handshake was read
            socket.close()
        self._settled.set()
        early, self._early = self._early, []
        for frame, is_audio in early:
            self._put(socket, frame, is_audio)
        try:
            if self._awaited:
                with trio.CancelScope(shield=True):  # one round of the scheduler; run frees it all
                    await self._taken.wait()
            await socket.run()
        finally:
            self._closing = True
            code, reason, was_clean = *LOST, False
            if socket.closed is not None:
                closed = socket.closed
                code, reason, was_clean = closed.code, closed.reason, closed.clean
            if self._inputs is not None:
                self._inputs.note("closed", code=code, reason=reason, was_clean=was_clean)
            self.reports.closed(code, reason, was_clean=was_clean)

    def _take(self, message: str | bytes) -> None:
        if self._inputs is not None:
            self._inputs.received(message)
        if isinstance(message, str):
            self.reports.received(message)
        else:
            self.reports.received_binary(message)

    def _put(self, socket: FrameSocket, frame: bytes, is_audio: bool) -> None:
        if self._inputs is not None and not is_audio and type(frame) is bytes:
            self._inputs.sent(frame)
        if type(frame) is bytes:
            socket.send(frame, as_text=True)
        else:
            socket.send(bytes(frame))
        self.reports.sent(frame)

    @property
    def waiting_messages(self) -> int:
        """How many messages the service has not taken yet."""
        return len(self._early) if self._socket is None else self._socket.waiting_messages

    def _cut_off(self) -> None:
        self._dialling.cancel()
        if self._socket is not None:
            self._socket.abort()
