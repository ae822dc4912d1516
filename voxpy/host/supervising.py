"""Somebody who listens in to a call that runs, whispers to its agent, or talks to both sides.

The audio is the phone's of the page: 24 kHz both ways over a WebSocket. Who listens is a tap on the
call; a voice comes in as a stage behind the caller (the agent hears it) and, to talk, behind
whatever the caller hears. So nothing of what the scenario has connected is changed, and it may
connect otherwise meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Literal

import attrs
import numpy as np
import trio

from voxpy.audio.convert import Converter, decode, encode
from voxpy.audio.frame import Format, pcm16
from voxpy.channels.mediastream.audio import Inbound
from voxpy.host.api.sessions import Api
from voxpy.host.doors import Problem, Visitor
from voxpy.host.sessions import HostedSession
from voxpy.media.unit import MediaPort
from voxpy.sockets.accepting import Upgrade
from voxpy.sockets.framesocket import FrameSocket
from voxpy.text import json

FORMAT = pcm16(24000)
MOST_AT_ONCE = 4
LOOK_S = 0.2
POLICY = 1008
Mode = Literal["listen", "whisper", "talk"]
MODES: tuple[Mode, ...] = ("listen", "whisper", "talk")
"""Heard by nobody, by the agent alone, by both sides."""


class Supervisor:
    """One who listens to a session, by a socket."""

    def __init__(self, hosted: HostedSession, socket: FrameSocket, who: str) -> None:
        assert hosted.leg is not None
        self._hosted = hosted
        self._socket = socket
        self._who = who
        self._graph = hosted.session.graph
        self._call = hosted.leg.media
        self._mode: Mode = "listen"
        self._voice = Inbound(FORMAT)
        self._frame: bytes | None = None  # of this tick, for every place where it is heard
        self._said = _Side(FORMAT)
        self._heard = _Side(FORMAT)
        self._undo: list[Callable[[], None]] = []
        self._own = MediaPort(name="supervisor", source=_Alone(self))
        self._feed: MediaPort | None = None
        self._take_out_of_feed: Callable[[], None] = lambda: None
        socket.on_message = self._receive

    async def run(self) -> None:
        """Listen until the socket or the session is over."""
        stop = self._graph.tap(self._call, self._tick)
        self._note("listens in")
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._mind_the_end)
                await self._socket.run()
                nursery.cancel_scope.cancel()
        finally:
            stop()
            self._speak_nowhere()
            self._note("left")

    async def _mind_the_end(self) -> None:
        while self._hosted.session.ended is None:  # noqa: ASYNC110  it ends in one of many ways
            await trio.sleep(LOOK_S)
        self._socket.close(reason="the call is over")

    def _note(self, what: str) -> None:
        if not self._hosted.finished:
            self._hosted.trace.step(f"supervisor {what}", unit=self._call.name, who=self._who)

    # -- from the page -----------------------------------------------------------------------------

    def _receive(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            if self._mode != "listen" and len(message) % 2 == 0:
                self._voice.put(message)
            return
        try:
            mode = json.loads(message)["mode"]
        except (ValueError, TypeError, KeyError):
            return
        if mode in MODES and mode != self._mode:
            self._mode = mode
            self._speak_nowhere()
            if mode != "listen":
                self._undo.append(self._graph.insert(self._call, self._mixed))
            self._note({"listen": "listens in", "whisper": "whispers", "talk": "talks"}[mode])

    def _speak_nowhere(self) -> None:
        for undo in self._undo:
            undo()
        self._undo.clear()
        self._voice.clear()
        self._frame = None
        self._follow(None)

    # -- every tick --------------------------------------------------------------------------------

    def _tick(self, said: bytes, heard: bytes) -> None:
        source, sink = self._call.source, self._call.sink
        if source is None or sink is None:
            return
        both = self._said.of(said, source.format) + self._heard.of(heard, sink.format)
        self._socket.send(encode(np.clip(both, -32768, 32767).astype(np.int16), FORMAT))
        self._frame = None if self._mode == "listen" else self._voice.pull()
        if self._mode == "talk":
            feed = self._graph.feed_of(self._call)
            if feed is None:  # nobody speaks to the caller: then we do, until somebody else does
                self._graph.connect(self._own, self._call)
                feed = self._own
            self._follow(feed)

    def _follow(self, feed: MediaPort | None) -> None:
        """Be heard by the caller beside what it hears now."""
        if feed is self._feed:
            return
        self._take_out_of_feed()
        self._take_out_of_feed = lambda: None
        if self._feed is self._own:
            self._graph.remove(self._own)
        self._feed = feed
        if feed is not None and feed is not self._own:
            self._take_out_of_feed = self._graph.insert(feed, self._mixed)

    def _mixed(self, frame: bytes, fmt: Format) -> bytes:
        """Return a frame with our voice in it; itself while we say nothing."""
        if self._frame is None:
            return frame
        voice = Converter(FORMAT, fmt).convert(self._frame) if fmt is not FORMAT else self._frame
        both = decode(frame, fmt).astype(np.int32) + decode(voice, fmt)
        return encode(np.clip(both, -32768, 32767).astype(np.int16), fmt)

    def own_frame(self) -> bytes | None:
        """Return what we say where nobody else speaks."""
        return self._frame


class _Side:
    """Frames of one side, in the format of the page."""

    def __init__(self, fmt: Format) -> None:
        self._to = fmt
        self._from: Format | None = None
        self._converter: Converter | None = None

    def of(self, frame: bytes, fmt: Format) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        if not frame:
            frame = fmt.silence
        if fmt is not self._from:
            self._from = fmt
            self._converter = None if fmt is self._to else Converter(fmt, self._to)
        converted = frame if self._converter is None else self._converter.convert(frame)
        return decode(converted, self._to).astype(np.int32)


class _Alone:
    """The Source of a supervisor where the caller hears nothing else."""

    format: Format = FORMAT

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def pull(self) -> bytes | None:
        return self._supervisor.own_frame()


@attrs.frozen
class Supervising:
    """Lets visitors listen in to calls of this process; ``api`` finds those they may see."""

    api: Api
    _at_once: Counter[str] = attrs.field(factory=Counter, init=False)

    async def serve(self, upgrade: Upgrade, visitor: Visitor) -> None:
        """Serve one visitor, as a SocketDoor does."""
        try:
            row = await self.api.find(visitor.given["id"], visitor.who)
        except Problem as problem:
            await upgrade.refuse(problem.status, body=problem.problem.encode())
            return
        name = row.session_id
        hosted = self.api.router.running.get(name)
        if hosted is None or hosted.leg is None or hosted.session.ended is not None:
            await upgrade.refuse(409, body=b"this call is over, or has no caller to listen to")
            return
        if self._at_once[name] >= MOST_AT_ONCE:
            await upgrade.refuse(503, body=b"others listen in already")
            return
        self._at_once[name] += 1
        try:
            await Supervisor(hosted, await upgrade.accept(), visitor.who.name).run()
        finally:
            self._at_once[name] -= 1
            if not self._at_once[name]:
                del self._at_once[name]
