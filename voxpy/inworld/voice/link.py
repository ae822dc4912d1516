"""One connection of a voice: its handshake, what is made of every frame, its tools, its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import trio

from voxpy.errors import ConnectFailed, RemoteProtocolError, RequestFailed
from voxpy.inworld.voice.config import auto_responds
from voxpy.inworld.voice.events import (
    Backchannel,
    Closed,
    Interrupted,
    Speaker,
    ToolCallResult,
    ToolCallStart,
    VoiceError,
    VoiceEvent,
)
from voxpy.inworld.voice.listeners import Delivery
from voxpy.inworld.voice.reading import Cancel, Reading
from voxpy.inworld.voice.waiting import ResponseWait
from voxpy.realtime.connection import ConnectionReports, RealtimeConnection
from voxpy.realtime.tools import ToolSet
from voxpy.wire.realtime.client.protocol import Audio, RealtimeClient, is_benign
from voxpy.wire.realtime.events import client_events as ce
from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.types import (
    ClientEvent,
    Error,
    FunctionCall,
    ServerEvent,
    function_calls,
)

__all__ = ["VoiceLink"]

WAITING_AUDIO = 50
"""Messages of audio that may wait to be written before ``room`` makes the sender wait."""


class VoiceLink(ConnectionReports):
    """Owns one RealtimeConnection. ``nursery`` runs it and its tools."""

    def __init__(
        self,
        make_connection: Callable[[ConnectionReports], RealtimeConnection],
        *,
        tools: ToolSet,
        delivery: Delivery,
        nursery: trio.Nursery,
    ) -> None:
        self.protocol = RealtimeClient(queue_until_ready=True)
        self.asked: Mapping[str, Any] = {}
        self._connection = make_connection(self)
        self._tools = tools
        self._delivery = delivery
        self._nursery = nursery
        self._at_work: set[trio.CancelScope] = set()
        self._reading = Reading()
        self._ready = trio.Event()
        self._failure: ConnectFailed | None = None
        self._speakers: dict[str, Speaker] = {}
        self._murmurs: dict[str, Backchannel] = {}
        self._waits: list[ResponseWait] = []
        self._unsent = 0
        self._room = trio.Event()
        self._over = False

    @property
    def open(self) -> bool:
        """Whether the session is ready and the connection not over."""
        return self._ready.is_set() and self._failure is None and not self._over

    # -- the beginning and the end -------------------------------------------------------------

    async def connect(self, session: Mapping[str, Any], *, timeout_s: float) -> None:
        """Open the socket, ask for ``session``, and wait until the service has agreed to it.

        Raises ConnectFailed; the connection is over then.
        """
        self._nursery.start_soon(self._connection.run)
        stage = "connection"
        with trio.move_on_after(timeout_s):
            try:
                await self._connection.wait_open()
            except ConnectFailed as error:
                why = f"the realtime connection failed to open: {error}"
                raise ConnectFailed(why, status=error.status) from error
            stage = "handshake"
            self.configure(session)
            await self._ready.wait()
            if self._failure is not None:
                raise self._failure
            return
        raise ConnectFailed(f"the realtime {stage} timed out after {timeout_s:g} s")

    def close(self) -> None:
        """End the connection without waiting; what is in flight fails at once. Idempotent."""
        self._end("the connection was closed while a response was in flight")
        self._connection.close()

    async def aclose(self) -> None:
        """End the connection and wait until it is gone."""
        self.close()
        await self._connection.aclose()

    def _end(self, why: str) -> None:
        self._over = True
        self._room.set()
        for scope in self._at_work:
            scope.cancel()
        for stream in (*self._speakers.values(), *self._murmurs.values()):
            stream.end()
        for wait in self._waits:
            wait.fail(RequestFailed(why))

    # -- sending -------------------------------------------------------------------------------

    def configure(self, session: Mapping[str, Any]) -> None:
        """Ask for this session."""
        self.asked = session
        self.submit(ce.SessionUpdate(session=dict(session)))

    def submit(self, event: ClientEvent) -> None:
        """Send an event when its time has come: after the handshake, one response at a time."""
        self.protocol.submit(event)
        self._flush()

    async def room(self) -> None:
        """Wait until little audio waits to be written. A checkpoint."""
        await trio.lowlevel.checkpoint()
        while self._unsent >= WAITING_AUDIO and not self._over:
            self._room = trio.Event()
            await self._room.wait()

    async def respond(self, wait: ResponseWait, *events: ClientEvent) -> Mapping[str, Any]:
        """Send ``events``, the last of which asks for a response, and return that at its end.

        Raises SpeechInterrupted and RequestFailed.
        """
        self._waits.append(wait)
        try:
            for event in events:
                self.submit(event)
            return await wait.wait()
        finally:
            self._waits.remove(wait)

    def clear_output(self) -> None:
        """Drop the agent's audio everywhere, back-channels included."""
        self.submit(ce.OutputAudioBufferClear())
        self.protocol.mute_until_cleared()
        for stream in (*self._speakers.values(), *self._murmurs.values()):
            stream.stop()

    def _flush(self) -> None:
        for frame in self.protocol.outgoing():
            for wait in self._waits:
                wait.sent(frame)
            self.write(frame)

    def write(self, frame: bytes) -> None:
        """Send a frame at once, whatever the state."""
        self._connection.send(frame)
        self._unsent += 1

    # -- reports of the connection -------------------------------------------------------------

    def sent(self, frame: bytes) -> None:
        """Count a frame that has been written."""
        self._unsent -= 1
        if self._unsent < WAITING_AUDIO:
            self._room.set()

    def received(self, text: str) -> None:
        """Take one frame of the service."""
        try:
            items = self.protocol.receive(text)
        except RemoteProtocolError as error:
            self._tell(VoiceError(message=str(error), error=error))
            return
        for item in items:
            self._take(item)
        self._flush()

    def closed(self, code: int, reason: str, *, was_clean: bool) -> None:
        """Learn that the connection is over."""
        told = f"{code} {reason}".strip()
        self._fail(ConnectFailed(f"the connection closed during handshake: {told}"))
        self._end(f"the connection closed while a response was in flight: {told}")
        self._tell(Closed(code=code, reason=reason, was_clean=was_clean))

    # -- what a frame means --------------------------------------------------------------------

    def _take(self, item: Audio | ServerEvent) -> None:
        for wait in tuple(self._waits):
            wait.follow(item)
        if isinstance(item, se.ErrorEvent):
            self._take_error(item.error)
        elif not isinstance(item, Audio):
            self._delivery.post(item.type, item)
        told = self._reading.take(item)
        self._follow_streams(item, voiced=bool(told))
        for each in told:
            self._act(each)
        if isinstance(item, se.SessionUpdated):
            self._ready.set()
        elif isinstance(item, se.ResponseDone):
            self._run_tools(function_calls(item.response))

    def _act(self, told: VoiceEvent | Cancel) -> None:
        if isinstance(told, Cancel):
            self.submit(ce.ResponseCancel(response_id=told.response_id))
            if told.response_id in self._speakers:
                self._speakers[told.response_id].stop()
            return
        if isinstance(told, Interrupted):
            for wait in tuple(self._waits):
                wait.follow(told)
        self._tell(told)

    def _tell(self, event: VoiceEvent) -> None:
        self._delivery.post(event.name, event)

    def _take_error(self, error: Error) -> None:
        if is_benign(error):
            return
        self._fail(ConnectFailed(f"the service refused the session: {error.message}"))
        self._tell(
            VoiceError(message=error.message, code=error.code, param=error.param, error=error)
        )

    def _fail(self, failure: ConnectFailed) -> None:
        if not self._ready.is_set():
            self._failure = failure
            self._ready.set()

    def _follow_streams(self, item: Audio | ServerEvent, *, voiced: bool) -> None:
        match item:
            case se.ResponseCreated():
                speaker = Speaker(item.response.get("id") or "")
                self._speakers[speaker.id] = speaker
                self._delivery.post(Speaker.name, speaker)
            case Audio(backchannel=True):
                if item.item_id not in self._murmurs:
                    self._murmurs[item.item_id] = murmur = Backchannel(item.item_id)
                    self._delivery.post(Backchannel.name, murmur)
                self._murmurs[item.item_id].put(item.data)
            case Audio() if voiced and item.response_id in self._speakers:
                self._speakers[item.response_id].put(item.data)
            case se.ResponseDone():
                # Not at output_audio.done: a response may have more than one part with audio.
                ended = self._speakers.pop(item.response.get("id") or "", None)
                if ended is not None:
                    ended.end()
            case se.ResponseBackchannelAudioDone():
                murmured = self._murmurs.pop(item.backchannel_id or "", None)
                if murmured is not None:
                    murmured.end()

    # -- tools ---------------------------------------------------------------------------------

    def _run_tools(self, calls: list[FunctionCall]) -> None:
        if calls:
            # Behind the listeners of response.done, which was posted before.
            self._delivery.afterwards(lambda: self._nursery.start_soon(self._call_tools, calls))

    async def _call_tools(self, calls: list[FunctionCall]) -> None:
        if self._over:
            return
        with trio.CancelScope() as scope:
            self._at_work.add(scope)
            try:
                for call in calls:
                    await self._call_tool(call)
            finally:
                self._at_work.discard(scope)

    async def _call_tool(self, call: FunctionCall) -> None:
        ids = {"call_id": call.call_id, "tool": call.name}
        if call.name in self._tools:
            self._tell(ToolCallStart(**ids, arguments=call.arguments))
        outcome = await self._tools.run(call.name, call.arguments)
        self._tell(ToolCallResult(**ids, output=outcome.output, error=outcome.error))
        if outcome.error is not None:
            why = f"tool {call.name}: {outcome.error}"
            self._tell(VoiceError(message=why, error=outcome.error))
        responses = self.protocol.responses
        if not responses.awaits(call.call_id):
            return  # the service named a call twice
        # Behind the last output of a response goes one response.create. What we asked for decides
        # whether, not the session as the service told it: that may leave the field out.
        automatic = auto_responds(self.asked)
        for event in responses.answer(call.call_id, outcome.output, automatic=automatic):
            self.write(self.protocol.send(event))
