"""One connection of a voice: its handshake, what is made of every frame, its tools, its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import trio

from voxpy.errors import ConnectFailed, RemoteProtocolError, RequestFailed
from voxpy.inworld.voice.block import Block
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
from voxpy.inworld.voice.reading import Cancel, Reading
from voxpy.inworld.voice.waiting import ResponseWait
from voxpy.realtime.connection import ConnectionReports, RealtimeConnection
from voxpy.realtime.protocol import RealtimeWire
from voxpy.realtime.service import Service
from voxpy.realtime.tools import ToolOutcome, ToolRunner, ToolSet
from voxpy.realtime.wire import Audio, Happening, Link, LinkReports, Told, ToolsCalled
from voxpy.wire.realtime.client.protocol import is_benign
from voxpy.wire.realtime.events import client_events as ce
from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.types import ClientEvent, Error, FunctionCall

WAITING_AUDIO = 50
"""Messages of audio that may wait to be written before ``room`` makes the sender wait."""
LOOK_EVERY_S = 0.02


class VoiceLink:
    """A link of the Realtime protocol, and what a voice makes of it. ``block`` runs it."""

    def __init__(
        self,
        service: Service,
        connect: Callable[[ConnectionReports], RealtimeConnection],
        *,
        tools: ToolSet,
        block: Block,
        note: Callable[[str, str | bytes], None],
    ) -> None:
        reports = LinkReports(
            take=self._take, malformed=self._malformed, closed=self._closed, sent=self._sent
        )
        self._link = Link(
            RealtimeWire(service.habits, queue=True, as_is=True), connect, reports, note=note
        )
        self._protocol = self._link.wire.client
        self._block = block
        self._known_tools = tools
        self._tools = ToolRunner(
            tools, spawn=block.spawn, began=self._tool_begins, answer=self._tool_answered
        )
        self._reading = Reading()
        self._ready = trio.Event()
        self._failure: ConnectFailed | None = None
        self._speakers: dict[str, Speaker] = {}
        self._murmurs: dict[str, Backchannel] = {}
        self._waits: list[ResponseWait] = []
        self._over = False

    @property
    def open(self) -> bool:
        """Whether the session is ready and the connection not over."""
        return self._ready.is_set() and self._failure is None and not self._over

    @property
    def opening(self) -> bool:
        """Whether the session is asked for and neither agreed to nor refused."""
        return not self._ready.is_set() and not self._over

    @property
    def session(self) -> Mapping[str, Any]:
        """The session as the service last told it."""
        return self._protocol.session

    # -- the beginning and the end -------------------------------------------------------------

    async def connect(self, session: Mapping[str, Any], *, timeout_s: float) -> None:
        """Open the socket, ask for ``session``, and wait until the service has agreed to it.

        Raises ConnectFailed; the connection is over then.
        """
        connection = self._link.connection
        self._block.spawn("voice connection", connection.run)
        stage = "connection"
        with trio.move_on_after(timeout_s):
            try:
                await connection.wait_open()
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
        self._link.connection.close()

    async def aclose(self) -> None:
        """End the connection and wait until it is gone."""
        self.close()
        await self._link.connection.aclose()

    def _end(self, why: str) -> None:
        self._over = True
        self._tools.cancel()
        for stream in (*self._speakers.values(), *self._murmurs.values()):
            stream.end()
        for wait in self._waits:
            wait.fail(RequestFailed(why))

    # -- sending -------------------------------------------------------------------------------

    def configure(self, session: Mapping[str, Any]) -> None:
        """Ask for this session."""
        self.submit(ce.SessionUpdate(session=dict(session)))

    def submit(self, event: ClientEvent) -> None:
        """Send an event when its time has come: after the handshake, one response at a time."""
        self._protocol.submit(event)
        self._link.flush()

    def send(self, event: ClientEvent) -> None:
        """Send an event at once, whatever the state."""
        self._link.send(self._protocol.send(event))

    async def room(self) -> None:
        """Wait until little audio waits to be written. A checkpoint."""
        await trio.lowlevel.checkpoint()
        # Looked at, as a socket tells nobody when it has drained; only while a sender is too fast.
        while self._link.connection.waiting_messages >= WAITING_AUDIO and not self._over:  # noqa: ASYNC110
            await trio.sleep(LOOK_EVERY_S)

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
        self._protocol.mute_until_cleared()
        for stream in (*self._speakers.values(), *self._murmurs.values()):
            stream.stop()

    # -- what the link reports -----------------------------------------------------------------

    def _sent(self, frame: bytes) -> None:
        for wait in self._waits:
            wait.sent(frame)

    def _malformed(self, _: str, error: RemoteProtocolError) -> None:
        self._block.post(VoiceError(message=str(error), error=error))

    def _closed(self, code: int, reason: str, was_clean: bool) -> None:
        told = f"{code} {reason}".strip()
        self._fail(ConnectFailed(f"the connection closed during handshake: {told}"))
        self._end(f"the connection closed while a response was in flight: {told}")
        self._block.post(Closed(code=code, reason=reason, was_clean=was_clean))

    def _take(self, what: Happening) -> None:
        match what:
            case Audio():
                self._read(what)
            case Told():
                for wait in tuple(self._waits):
                    wait.follow(what.event)
                if isinstance(what.event, se.ErrorEvent):
                    self._take_error(what.event.error)
                else:
                    self._block.post(what.event)
                self._read(what.event)
                if isinstance(what.event, se.SessionUpdated):
                    self._ready.set()
            case ToolsCalled(calls=calls):
                # Behind the listeners of response.done, which is posted next.
                self._block.afterwards(lambda: None if self._over else self._tools.start(calls))

    def _read(self, item: Any) -> None:
        told = self._reading.take(item)
        self._follow_streams(item, voiced=bool(told))
        for each in told:
            self._act(each)

    def _act(self, told: VoiceEvent | Cancel) -> None:
        if isinstance(told, Cancel):
            self.submit(ce.ResponseCancel(response_id=told.response_id))
            if told.response_id in self._speakers:
                self._speakers[told.response_id].stop()
            return
        if isinstance(told, Interrupted):
            for wait in tuple(self._waits):
                wait.follow(told)
        self._block.post(told)

    def _take_error(self, error: Error) -> None:
        if is_benign(error):
            return
        self._fail(ConnectFailed(f"the service refused the session: {error.message}"))
        self._block.post(
            VoiceError(message=error.message, code=error.code, param=error.param, error=error)
        )

    def _fail(self, failure: ConnectFailed) -> None:
        if not self._ready.is_set():
            self._failure = failure
            self._ready.set()

    def _follow_streams(self, item: Any, *, voiced: bool) -> None:
        match item:
            case se.ResponseCreated():
                speaker = Speaker(item.response.get("id") or "")
                self._speakers[speaker.id] = speaker
                self._block.post(speaker)
            case Audio(backchannel=True):
                if item.item_id not in self._murmurs:
                    self._murmurs[item.item_id] = murmur = Backchannel(item.item_id)
                    self._block.post(murmur)
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

    def _tool_begins(self, call: FunctionCall) -> None:
        if call.name in self._known_tools:
            self._block.post(
                ToolCallStart(call_id=call.call_id, tool=call.name, arguments=call.arguments)
            )

    def _tool_answered(self, call: FunctionCall, outcome: ToolOutcome) -> None:
        self._block.post(
            ToolCallResult(
                call_id=call.call_id, tool=call.name, output=outcome.output, error=outcome.error
            )
        )
        if outcome.error is not None:
            why = f"tool {call.name}: {outcome.error}"
            self._block.post(VoiceError(message=why, error=outcome.error))
        if self._link.wire.awaits_output(call.call_id):  # else the service named a call twice
            self._link.tool_output(call.call_id, outcome.output, silent=outcome.silent)
