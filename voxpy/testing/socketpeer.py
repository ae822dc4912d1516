"""The far side of a scenario's WebSocket: any program, played by a test."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
import trio

from voxpy.audio.frame import Format
from voxpy.errors import VoxpyError
from voxpy.sockets import CloseInfo, FrameSocket
from voxpy.sockets.accepting import receive_upgrade
from voxpy.wire.websocket.media import (
    MediaChunk,
    MediaStart,
    MediaStop,
    MediaWriter,
    read_media,
)


class SocketPeer:
    """An open WebSocket, to or from a scenario. ``run`` is its life.

    What carries media goes to ``heard``, by tag; everything else to ``messages``.
    """

    def __init__(self, socket: FrameSocket) -> None:
        self.messages: list[str] = []
        """The text messages that came, in order."""
        self.started: list[MediaStart] = []
        """The streams that the scenario has begun."""
        self.stopped: list[str] = []
        """Tags of those that it has stopped."""
        self.heard: dict[str, bytearray] = {}
        """What came of each, in the stream's own format."""
        self.closed: CloseInfo | None = None
        """How the socket ended."""
        self._socket = socket
        self._writers: dict[str, MediaWriter] = {}
        self._taken = 0
        self._changed = trio.Event()
        socket.on_message = self._take

    async def run(self) -> None:
        """Read until the socket is over."""
        try:
            self.closed = await self._socket.run()
        finally:
            self._note()

    def send(self, message: Any) -> None:
        """Send text; anything else goes as JSON."""
        self._socket.send(message if isinstance(message, str) else orjson.dumps(message).decode())

    def close(self) -> None:
        """Close the socket in order."""
        self._socket.close()

    def start_media(
        self,
        encoding: str = "PCM16",
        *,
        tag: str = "",
        custom_parameters: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin to speak, in one of WebSocketAudioEncoding."""
        writer = self._writers.setdefault(tag, MediaWriter(tag))
        self.send(writer.start(encoding, custom_parameters or {}))

    def play(self, audio: bytes, *, tag: str = "") -> None:
        """Send audio in the stream's format, all at once: the host plays it at its pace."""
        self.send(self._writers[tag].media(audio))

    def stop_media(self, *, tag: str = "") -> None:
        """Say that nothing more comes."""
        self.send(self._writers[tag].stop())

    async def receive(self, *, within_s: float = 30.0) -> str:
        """Return the next text message. Raises AssertionError if none comes in time."""
        await self.wait(lambda: len(self.messages) > self._taken, within_s=within_s)
        self._taken += 1
        return self.messages[self._taken - 1]

    async def wait_heard(self, seconds: float, *, tag: str = "", within_s: float = 30.0) -> bytes:
        """Wait until so much media has come; return all of it. Raises AssertionError."""

        def enough() -> bool:
            fmt = self.format(tag)
            return fmt is not None and fmt.duration_s(len(self.heard.get(tag, b""))) >= seconds

        await self.wait(enough, within_s=within_s)
        return bytes(self.heard[tag])

    async def wait_closed(self, *, within_s: float = 30.0) -> CloseInfo:
        """Wait until the socket is over; return how. Raises AssertionError."""
        with trio.move_on_after(within_s):
            while self.closed is None:
                self._changed = trio.Event()
                await self._changed.wait()
            return self.closed
        raise AssertionError(f"the socket is still open after {within_s:g} s")

    def format(self, tag: str = "") -> Format | None:
        """Return the format of what comes, or None if nothing does."""
        return next((s.format for s in reversed(self.started) if s.tag == tag), None)

    async def wait(self, met: Callable[[], bool], *, within_s: float = 30.0) -> None:
        """Wait until ``met()`` is true of what has come. Raises AssertionError."""
        with trio.move_on_after(within_s):
            while not met():
                if self.closed is not None:
                    raise AssertionError(f"it did not come; the socket is over: {self.closed}")
                self._changed = trio.Event()
                await self._changed.wait()
            return
        raise AssertionError(f"it did not come within {within_s:g} s")

    def _take(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            raise VoxpyError("the scenario's side sent a binary message")
        media = read_media(message)
        if media is None:
            self.messages.append(message)
        elif isinstance(media, MediaStart):
            self.started.append(media)
            self.heard.setdefault(media.tag, bytearray())
        elif isinstance(media, MediaChunk):
            self.heard[media.tag] += media.payload
        elif isinstance(media, MediaStop):
            self.stopped.append(media.tag)
        self._note()

    def _note(self) -> None:
        self._changed.set()


PlayPeer = Callable[[SocketPeer], Awaitable[None]]
"""Plays the far side of a WebSocket that a scenario opens; the socket closes when it returns."""


async def serve_socket(stream: trio.abc.Stream, play: PlayPeer) -> None:
    """Accept a scenario's WebSocket and let ``play`` be its far side."""
    upgrade = await receive_upgrade(stream)
    peer = SocketPeer(await upgrade.accept(subprotocol=next(iter(upgrade.subprotocols), None)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.run)
        await play(peer)
        peer.close()
