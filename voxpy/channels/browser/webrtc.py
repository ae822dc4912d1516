"""Audio by WebRTC: aiortc on an asyncio loop in a thread of its own, joined to trio by two queues.

aiortc is written for asyncio alone. A loop beside trio's in one side thread costs nothing while
nobody calls and loses no cancellation, which trio-asyncio does: there ``close`` of a peer hangs.

Audio crosses without waking anybody twice: what came waits in a deque until the media tick of the
call takes it, and what the tick sends wakes the peer's sender, which so needs no clock of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import fractions
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import attrs
import numpy as np
import trio

from voxpy.audio.frame import pcm16
from voxpy.errors import ConnectFailed
from voxpy.sockets.terms import CloseInfo

T = TypeVar("T")

FORMAT = pcm16(48000)
"""What Opus is decoded to; both ways, so that the stream has one rate."""
MOST_WAITING = 10
"""Frames of 20 ms each way; what comes when so many wait pushes out the oldest."""
CONNECT_S = 15.0
GATHER_S = 4.0
STOP = '{"event":"stop"}'
NORMAL, ABNORMAL = 1000, 1006
LOST = "The WebRTC connection was lost"


class RtcLoop:
    """The side thread. ``run`` is for trio, everything else for the thread itself."""

    _shared: RtcLoop | None = None
    _lock = threading.Lock()

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        thread = threading.Thread(target=self.loop.run_forever, name="webrtc", daemon=True)
        thread.start()

    @classmethod
    def shared(cls) -> RtcLoop:
        """Return the one of this process, begun at its first use."""
        with cls._lock:
            if cls._shared is None:
                cls._shared = cls()
            return cls._shared

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of asyncio there and return its result; cancelled with its caller."""
        token, done = trio.lowlevel.current_trio_token(), trio.Event()
        future = asyncio.run_coroutine_threadsafe(work, self.loop)

        def tell(_: object) -> None:
            with contextlib.suppress(trio.RunFinishedError):
                token.run_sync_soon(done.set)

        future.add_done_callback(tell)
        try:
            await done.wait()
        except trio.Cancelled:
            future.cancel()
            raise
        return future.result()


@attrs.frozen(kw_only=True)
class IceAddress:
    """A STUN or TURN server, as aiortc wants it."""

    urls: str
    username: str | None = None
    credential: str | None = None


class RtcPeer:
    """One peer connection with audio both ways and, where the other side opens one, a channel.

    Made and closed from trio. ``incoming`` holds what came, audio as bytes of 20 ms in FORMAT and
    texts as str; ``changed`` is called in the trio loop when the connection came up or is over.
    """

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self.incoming: deque[bytes | str] = deque(maxlen=4 * MOST_WAITING)
        self.connected = False
        self.over = False
        self.failed = False
        """Whether it was lost, and not closed."""
        self._rtc = RtcLoop.shared()
        self._token = trio.lowlevel.current_trio_token()
        self.changed = changed
        self._outgoing: deque[bytes] = deque(maxlen=MOST_WAITING)
        self._more: asyncio.Event | None = None
        self._texts: list[str] = []
        self._channel: Any = None
        self._connection: Any = None
        self._reader: asyncio.Task[None] | None = None

    # -- for trio ----------------------------------------------------------------------------------

    async def answer(self, offer: str, servers: Sequence[IceAddress] = ()) -> str:
        """Return our answer to an offer, with all candidates. Raises ConnectFailed."""
        return await self._described(self._answer(offer, servers))

    async def offer(self, servers: Sequence[IceAddress] = ()) -> str:
        """Return our offer. Raises ConnectFailed."""
        return await self._described(self._offer(servers))

    def agree(self, answer: str) -> None:
        """Take the answer to our offer; one that cannot be taken fails the connection."""
        asyncio.run_coroutine_threadsafe(self._agree(answer), self._rtc.loop)

    async def _described(self, work: Coroutine[Any, Any, str]) -> str:
        try:
            return await self._rtc.run(work)
        except Exception as error:  # aiortc names no errors of its own for what others sent
            problem = str(error) or type(error).__name__
            raise ConnectFailed(f"WebRTC: {problem}") from error

    def push(self, frame: bytes) -> None:
        """Send 20 ms."""
        self._outgoing.append(frame)
        if self._more is not None:
            self._rtc.loop.call_soon_threadsafe(self._more.set)

    def say(self, text: str) -> None:
        """Send a text as soon as there is a channel."""
        self._rtc.loop.call_soon_threadsafe(self._say, text)

    def close(self) -> None:
        """Close, without waiting for it."""
        self.over = True
        asyncio.run_coroutine_threadsafe(self._close(), self._rtc.loop)

    async def aclose(self) -> None:
        """Close."""
        await self._rtc.run(self._close())

    # -- in the thread -----------------------------------------------------------------------------

    def _open(self, servers: Sequence[IceAddress]) -> Any:
        import aiortc

        wanted = [aiortc.RTCIceServer(**attrs.asdict(each)) for each in servers]
        connection = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=wanted))
        self._connection = connection
        self._more = asyncio.Event()
        connection.on("track", self._on_track)
        connection.on("datachannel", self._on_channel)
        connection.on("connectionstatechange", self._on_state)
        return aiortc, connection

    async def _answer(self, offer: str, servers: Sequence[IceAddress]) -> str:
        aiortc, connection = self._open(servers)
        described = aiortc.RTCSessionDescription(offer, "offer")
        await connection.setRemoteDescription(described)
        if not any(each.kind == "audio" for each in connection.getTransceivers()):
            raise ValueError("the offer has no audio")
        connection.addTrack(_voice(self))
        await connection.setLocalDescription(await connection.createAnswer())
        return str(connection.localDescription.sdp)

    async def _offer(self, servers: Sequence[IceAddress]) -> str:
        _, connection = self._open(servers)
        connection.addTrack(_voice(self))
        await connection.setLocalDescription(await connection.createOffer())
        return str(connection.localDescription.sdp)

    async def _agree(self, answer: str) -> None:
        import aiortc

        try:
            described = aiortc.RTCSessionDescription(answer, "answer")
            await self._connection.setRemoteDescription(described)
        except Exception:  # the same as above; whoever waits for the connection learns of it
            self.failed = self.over = True

    async def _close(self) -> None:
        self.over = True
        if self._reader is not None:
            self._reader.cancel()
        if self._connection is not None:
            await self._connection.close()

    def _on_track(self, track: Any) -> None:
        if track.kind == "audio" and self._reader is None:
            self._reader = asyncio.ensure_future(self._read(track))

    async def _read(self, track: Any) -> None:
        from aiortc.mediastreams import MediaStreamError

        try:
            while True:
                self.incoming.append(_mono(await track.recv()))
        except MediaStreamError:
            return

    def _on_channel(self, channel: Any) -> None:
        self._channel = channel
        channel.on("message", self._on_message)
        for text in self._texts:
            channel.send(text)
        self._texts.clear()

    def _on_message(self, text: object) -> None:
        if isinstance(text, str):
            self.incoming.append(text)

    def _say(self, text: str) -> None:
        if self._channel is not None and self._channel.readyState == "open":
            self._channel.send(text)
        elif not self.over:
            self._texts.append(text)

    def _on_state(self) -> None:
        state = self._connection.connectionState
        self.connected = self.connected or state == "connected"
        self.failed = self.failed or (state == "failed" and not self.over)
        self.over = self.over or state in ("failed", "closed")
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(lambda: self.changed())

    async def next_frame(self) -> bytes:
        """Return the next 20 ms to be sent."""
        assert self._more is not None
        while not self._outgoing:
            self._more.clear()
            if not self._outgoing:
                await self._more.wait()
        return self._outgoing.popleft()


def _mono(frame: Any) -> bytes:
    """Return a decoded frame as FORMAT: Opus comes as two sides of the same."""
    samples = frame.to_ndarray().reshape(-1, len(frame.layout.channels))[:, 0]
    return np.ascontiguousarray(samples, dtype="<i2").tobytes()


def _voice(peer: RtcPeer) -> Any:
    """Return a track that sends what a peer is given, when it is given it."""
    import aiortc
    import av

    class Voice(aiortc.MediaStreamTrack):
        kind = "audio"

        def __init__(self) -> None:
            super().__init__()
            self._at = 0

        async def recv(self) -> Any:
            samples = np.frombuffer(await peer.next_frame(), "<i2").reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate = FORMAT.rate_hz
            frame.pts = self._at
            frame.time_base = fractions.Fraction(1, FORMAT.rate_hz)
            self._at += samples.shape[1]
            return frame

    return Voice()


class RtcLine:
    """Implements ``voxpy.channels.mediastream.line.Line`` over a peer connection.

    ``start`` is the message that begins the stream; it comes when the connection is up.
    """

    is_broken = False
    behind = False

    def __init__(self, start: str) -> None:
        self.on_message: Callable[[str | bytes], None] = lambda _: None
        self.peer = RtcPeer(self._look)
        self._start = start
        self._event = trio.Event()
        self._over = trio.Event()
        self._freed = trio.Event()
        self._closing = False

    @property
    def waiting_messages(self) -> int:
        return 0

    def send(self, data: str | bytes) -> None:
        """Send audio (bytes) or an event (str)."""
        if self._closing:
            return
        if isinstance(data, bytes):
            self.peer.push(data)
        else:
            self.peer.say(data)

    def hang_up(self) -> None:
        """Let the call end as the page wants it: by HTTP, where a page that is left still can."""
        self.on_message(STOP)
        self.close()

    def hold(self) -> None:
        """It is held anyway: what comes waits for the tick."""

    def read(self) -> None:
        """Take what has come."""
        incoming = self.peer.incoming
        while incoming:
            self.on_message(incoming.popleft())

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Close. What was said is given a moment to arrive."""
        self._closing = True
        self._over.set()

    async def run(self) -> CloseInfo:
        """Wait for the connection, begin the stream, and wait for the end."""
        lost = True
        try:
            with trio.move_on_after(CONNECT_S):
                await self._event.wait()
            if self.peer.connected:
                self.on_message(self._start)
                await self._over.wait()
                lost = self.peer.failed
                if self._closing:
                    await trio.sleep(LAST_WORDS_S)
        finally:
            self._closing = True
            with trio.move_on_after(CLOSE_S, shield=True):
                await self.peer.aclose()
            self._freed.set()
        return CloseInfo(ABNORMAL, LOST, clean=False) if lost else CloseInfo(NORMAL, "", clean=True)

    async def aclose(self, code: int = NORMAL, reason: str = "") -> None:
        """Close and wait until everything is freed."""
        self.close()
        self._event.set()
        await self._freed.wait()

    def _look(self) -> None:
        if self.peer.connected or self.peer.over:
            self._event.set()
        if self.peer.over:
            self._over.set()


CLOSE_S = 2.0
LAST_WORDS_S = 0.2
"""For the word that a call has ended: a data channel closes without waiting for what was sent."""


def is_there() -> bool:
    """Whether aiortc is installed (``voxpy[webrtc]``)."""
    from importlib.util import find_spec

    return find_spec("aiortc") is not None
