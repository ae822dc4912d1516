"""``WebSocket``: text and media to any program (VoxEngine: WebSocket)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar, overload
from urllib.parse import urlsplit

import trio

from voxpy.engine.dispatch import Reply
from voxpy.engine.events import Event
from voxpy.engine.session import Session
from voxpy.engine.units import Catalog, ListenerTable, MediaSource, MediaUnit, check_handler
from voxpy.errors import (
    ConnectFailed,
    LocalProtocolError,
    NotSupported,
    RemoteProtocolError,
    ScenarioError,
    nearest,
)
from voxpy.media.unit import MediaPort
from voxpy.sockets import CloseInfo, FrameSocket, SocketLimits, connect
from voxpy.websocket.events import WebSocketAudioEncoding, WebSocketEvents
from voxpy.websocket.streams import MediaStream, StreamReports
from voxpy.wire.websocket.media import FORMATS, MediaChunk, MediaStart, MediaStop, read_media

E = TypeVar("E", bound=Event)

LIMITS = SocketLimits(message_bytes=1024 * 1024, outbox_bytes=4 * 1024 * 1024)
MOST_UNDELIVERED = 256
"""Messages that wait for the scenario: the session's own queue is four times as long."""
MOST_STREAMS = 8
MEDIA_WAITS_BYTES = 64 * 1024
"""What may wait for a far side that does not read before its audio is dropped: seconds of it."""
NORMAL, GOING_AWAY, ABNORMAL, TRY_AGAIN_LATER = 1000, 1001, 1006, 1013


class _First(Generic[E]):
    """``websocket.on_message = f``: a handler that goes before all listeners of its event."""

    def __init__(self, kind: type[E]) -> None:
        self.kind = kind

    @overload
    def __get__(self, unit: None, owner: type) -> _First[E]: ...
    @overload
    def __get__(self, unit: WebSocket, owner: type) -> Callable[[E], Any] | None: ...
    def __get__(self, unit: WebSocket | None, owner: type) -> Any:
        return self if unit is None else unit._first.get(self.kind)

    def __set__(self, unit: WebSocket, handler: Callable[[E], Any] | None) -> None:
        if handler is None:
            unit._first.pop(self.kind, None)
        else:
            unit._first[self.kind] = check_handler(self.kind, handler)


class _Listeners(ListenerTable):
    def __init__(self, first: Mapping[type[Event], Callable[..., Any]]) -> None:
        super().__init__()
        self._first = first

    def snapshot(self, kind: type[Event]) -> tuple[Callable[..., Any], ...]:
        first = self._first.get(kind)
        others = super().snapshot(kind)
        return others if first is None else (first, *others)


class _Turn(Reply):
    """Learns that a message's turn has come."""

    def __init__(self, came: Callable[[], None]) -> None:
        super().__init__()
        self._came = came

    def expect(self, handlers: int, *, heard: bool) -> None:
        self._came()


class WebSocket(MediaSource):
    """A connection to any program, which may carry media besides text.

    Made by ``VoxEngine.create_websocket``, or given by ``AppEvents.WebSocket``. Listen with
    ``WebSocketEvents``. VoxEngine: WebSocket.
    """

    _catalog: ClassVar[Catalog] = {"WebSocketEvents": WebSocketEvents}
    _hints: ClassVar[Mapping[str, str]] = {
        name: f": write {name[:2]}_{name[2:]}"
        for name in ("onopen", "onmessage", "onclose", "onerror", "oncreated")
    }

    on_created = _First(WebSocketEvents.CREATED)
    on_open = _First(WebSocketEvents.OPEN)
    on_message = _First(WebSocketEvents.MESSAGE)
    on_close = _First(WebSocketEvents.CLOSE)
    on_error = _First(WebSocketEvents.ERROR)
    on_media_started = _First(WebSocketEvents.MEDIA_STARTED)
    on_media_ended = _First(WebSocketEvents.MEDIA_ENDED)

    def __init__(
        self,
        session: Session,
        url: str,
        *,
        privacy: bool = False,
        trace: bool = False,
        statistics: bool = False,
    ) -> None:
        super().__init__(session, session.new_id("websocket"))
        self._first: dict[type[Event], Callable[..., Any]] = {}
        self.listeners = _Listeners(self._first)
        self._url = url
        self._privacy = privacy
        self._traced = trace and not privacy
        self._statistics = statistics
        self._socket: FrameSocket | None = None
        self._attempt = trio.CancelScope()
        self._closed: CloseInfo | None = None
        self._closing = False
        self._undelivered = 0
        self._streams: dict[str, MediaStream] = {}
        self._odd: set[str] = set()
        self.over = trio.Event()
        self._forget = session.add_closer(self.id(), self._say_goodbye)

    # -- for scenarios -----------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where it leads; of one that came in, the path behind the access URL."""
        return self._url

    @property
    def ready_state(self) -> str:
        """One of WebSocketReadyState. VoxEngine: readyState."""
        if self._closed is not None:
            return "closed"
        if self._closing or (self._socket is not None and not self._socket.is_open):
            return "closing"
        return "connecting" if self._socket is None else "open"

    def send(self, data: str) -> None:
        """Send a text message. Ignored once the socket is closing.

        Raises ScenarioError before the socket is open, and for anything but text: what is to be
        JSON is made so, as with ``json.dumps``. VoxEngine: WebSocket.send.
        """
        given: Any = data  # scenarios are not always type checked
        if not isinstance(given, str):
            raise ScenarioError(
                f"websocket.send takes text, not {type(given).__name__}; json.dumps makes it so"
            )
        state = self.ready_state
        if state == "connecting":
            raise ScenarioError(
                f"{self.id()} is not open yet: send in a listener of WebSocketEvents.OPEN"
            )
        told = {"characters": len(data)} if self._privacy else {"text": data}
        ignored = {} if state == "open" else {"ignored": state}
        self._session.trace.command("WebSocket.send", unit=self.id(), **told, **ignored)
        if state == "open" and self._socket is not None:
            self._socket.send(data)

    def close(self) -> None:
        """Close the socket; CLOSE follows. Idempotent. VoxEngine: WebSocket.close."""
        self._session.trace.command("WebSocket.close", unit=self.id())
        self._closing = True
        if self._socket is not None:
            self._stop_streams()
            self._socket.close(NORMAL)
        else:
            self._attempt.cancel()

    def clear_media_buffer(self, *, tag: str | None = None) -> None:
        """Drop the media that has come and was not played yet: what a barge-in wants.

        ``tag``: of this stream alone. VoxEngine: WebSocket.clearMediaBuffer.
        """
        self._session.trace.command("WebSocket.clear_media_buffer", unit=self.id(), tag=tag or "")
        for stream in self._streams.values():
            if tag is None or stream.tag == tag:
                stream.playout.clear()

    def _media_for(self, peer: MediaUnit, tag: str = "") -> MediaPort | None:
        return None if self._closed is not None else self._stream(tag).port

    def _expect(self, tag: str, encoding: str | None, custom: Mapping[str, Any] | None) -> None:
        wanted = WebSocketAudioEncoding.PCM16_8KHZ if encoding is None else encoding
        if wanted == WebSocketAudioEncoding.OPUS:
            raise NotSupported("voxpy sends no Opus by WebSocket; PCM16_16KHZ is as good or better")
        if wanted not in FORMATS:
            known = WebSocketAudioEncoding.members()
            raise ScenarioError(f"there is no encoding {wanted!r}{nearest(str(wanted), known)}")
        self._stream(tag).send_as(wanted, custom or {})

    def _stream(self, tag: str) -> MediaStream:
        stream = self._streams.get(tag)
        if stream is None:
            if len(self._streams) >= MOST_STREAMS:
                raise ScenarioError(f"{self.id()} has {MOST_STREAMS} streams already")
            name = f"{self.id()}/{tag}" if tag else self.id()
            graph = self._session.graph
            reports = StreamReports(
                ready=lambda: self.ready_state == "open",
                send=self._send_media,
                started=self._media_started,
                ended=self._media_ended,
                overflowed=partial(self._trouble, "media beyond 10 s is dropped"),
                fed=lambda port: graph.feed_of(port) is not None,
            )
            stream = self._streams[tag] = MediaStream(name, tag, reports)
            graph.keep(stream.port)
        return stream

    # -- the life ----------------------------------------------------------------------------------

    async def open(self, protocols: Sequence[str], headers: Sequence[tuple[str, str]]) -> None:
        """Connect and live until the socket is over. What goes wrong is told by events."""
        context = self._session.context
        problem, socket = "closed before it was open", None
        with self._attempt:
            try:
                socket = await connect(
                    context.open_stream,
                    self._url,
                    headers=headers,
                    subprotocols=protocols,
                    limits=LIMITS,
                )
            except (ConnectFailed, LocalProtocolError) as error:
                problem = str(error)
        if socket is None:
            if not self._closing:
                self._trouble("cannot be opened", problem)
                self._post(WebSocketEvents.ERROR(websocket=self))
            self._end(CloseInfo(ABNORMAL, problem, clean=False))
            return
        self._socket = socket
        self._post(WebSocketEvents.OPEN(websocket=self))
        await self.live(socket)

    async def live(self, socket: FrameSocket) -> None:
        """Take what comes by an open socket until it is over."""
        self._socket = socket
        socket.on_message = self._receive
        try:
            info = await socket.run()
        except trio.Cancelled:
            self._end(CloseInfo(GOING_AWAY, "the session has ended", clean=True))
            raise
        if socket.is_broken and not self._closing:
            self._post(WebSocketEvents.ERROR(websocket=self))
        self._end(info)

    def _end(self, info: CloseInfo) -> None:
        self._closed = info
        self._forget()
        for stream in self._streams.values():
            self._session.graph.remove(stream.port)
        if self._statistics and self._socket is not None:
            counts = self._socket.statistics
            self._session.trace.step(
                "websocket statistics",
                unit=self.id(),
                messages_in=counts.messages_in,
                messages_out=counts.messages_out,
                bytes_in=counts.bytes_in,
                bytes_out=counts.bytes_out,
            )
        self._post(
            WebSocketEvents.CLOSE(
                websocket=self, code=info.code, reason=info.reason, was_clean=info.clean
            )
        )
        self.over.set()

    async def _say_goodbye(self) -> None:
        self._attempt.cancel()
        if self._socket is not None:
            self._stop_streams()
            await self._socket.aclose(NORMAL)

    def _stop_streams(self) -> None:
        for stream in self._streams.values():
            stream.stop_sending()

    # -- what comes and goes -----------------------------------------------------------------------

    def _receive(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self._trouble("a binary message is dropped", f"{len(message)} bytes")
            return
        try:
            media = read_media(message)
        except RemoteProtocolError as error:
            self._trouble("media that cannot be used is dropped", str(error))
            return
        if media is not None:
            self._take_media(media)
            return
        if self._traced:
            self._session.trace.step("websocket frame in", unit=self.id(), text=message)
        if self._undelivered >= MOST_UNDELIVERED:
            self._trouble("messages come faster than the scenario takes them", "closed")
            assert self._socket is not None
            self._socket.close(TRY_AGAIN_LATER, "too many messages")
            return
        self._undelivered += 1
        event = WebSocketEvents.MESSAGE(websocket=self, text=message)
        self._post(event, reply=_Turn(self._delivered))

    def _delivered(self) -> None:
        self._undelivered -= 1

    def _take_media(self, media: MediaStart | MediaChunk | MediaStop) -> None:
        if self._traced and not isinstance(media, MediaChunk):
            kind = type(media).__name__
            self._session.trace.step("websocket frame in", unit=self.id(), media=kind)
        if isinstance(media, MediaStart):
            if media.tag not in self._streams and len(self._streams) >= MOST_STREAMS:
                self._trouble("a stream too many is dropped", media.tag[:50])
                return
            self._stream(media.tag).begin(media)
            return
        stream = self._streams.get(media.tag)
        if isinstance(media, MediaStop):
            if stream is not None:
                stream.over()
        elif stream is None or not stream.write(media.payload):
            self._trouble("media without a start is dropped", media.tag[:50])

    def _send_media(self, text: str) -> None:
        socket = self._socket
        if socket is None or not socket.is_open:
            return
        if socket.waiting_bytes > MEDIA_WAITS_BYTES:
            self._trouble("media is dropped: the far side does not read", "")
            return
        socket.send(text.encode(), as_text=True)

    def _media_started(self, start: MediaStart) -> None:
        self._post(
            WebSocketEvents.MEDIA_STARTED(
                websocket=self,
                tag=start.tag,
                encoding=start.encoding,
                custom_parameters=dict(start.custom_parameters),
            )
        )

    def _media_ended(self, tag: str, seconds: float) -> None:
        info = {"duration": round(seconds, 2)}
        self._post(WebSocketEvents.MEDIA_ENDED(websocket=self, tag=tag, media_info=info))

    def _trouble(self, problem: str, text: str) -> None:
        """Say once what of the far side was odd; the call goes on."""
        if problem not in self._odd:
            self._odd.add(problem)
            self._session.trace.write("warning", problem, unit=self.id(), text=text)

    def _post(self, event: Event, *, reply: Reply | None = None) -> None:
        self._session.post(self.listeners, event, private=self._privacy, reply=reply)


def create_websocket(
    session: Session,
    url: str,
    *,
    protocols: Sequence[str] | str = "chat",
    headers: Sequence[Mapping[str, str]] = (),
    statistics: bool = False,
    trace: bool = False,
    privacy: bool = False,
) -> WebSocket:
    """Return a WebSocket that is being connected. See ``VoxEngine.create_websocket``."""
    if urlsplit(url).scheme not in ("ws", "wss") or not urlsplit(url).hostname:
        raise ScenarioError(f"create_websocket: {url!r} is not ws://host/… or wss://host/…")
    offered = (protocols,) if isinstance(protocols, str) else tuple(protocols)
    pairs = [_header(header) for header in headers]
    unit = WebSocket(session, url, statistics=statistics, trace=trace, privacy=privacy)
    shown = urlsplit(url)._replace(query="", fragment="")
    shown = shown._replace(netloc=shown.netloc.rpartition("@")[2])
    session.trace.command("VoxEngine.create_websocket", unit=unit.id(), url=shown.geturl())
    unit._post(WebSocketEvents.CREATED(websocket=unit))
    session.spawn(unit.id(), unit.open, offered, pairs)
    return unit


def _header(given: Any) -> tuple[str, str]:
    name = given.get("name") if isinstance(given, Mapping) else None
    value = given.get("value") if isinstance(given, Mapping) else None
    if not isinstance(name, str) or not isinstance(value, str):
        raise ScenarioError(
            f'create_websocket: a header is {{"name": ..., "value": ...}}, not {given!r}'
        )
    return name, value
