"""``SpeechClient``: what every client of a speech service is, whatever the service's wire.

::

    Twilio, SIP ... ─▶ graph ─▶ Ear ─▶ Wire.append ─▶ RealtimeConnection ─▶ service
                       graph ◀─ Voice ◀─ Audio ◀──┐
                                                  ├ Link.received ◀─ Wire.receive ◀─ service
      your handlers ◀─ session ◀─ Announcements ◀─┘

A frame is handled in the synchronous call that read it, so that the agent is silent before anything
else can run when the service says that the caller speaks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit, urlunsplit

import attrs
import trio

from voxpy.engine import clock
from voxpy.engine.context import current
from voxpy.engine.ending import EndReason
from voxpy.engine.events import Event
from voxpy.engine.session import Session
from voxpy.engine.units import MediaSource, describe, fitted
from voxpy.errors import (
    ConnectFailed,
    NoSession,
    RemoteProtocolError,
    RequestFailed,
    ScenarioError,
)
from voxpy.events import WatchdogEvents
from voxpy.media.playout import Cleared
from voxpy.media.unit import MediaPort
from voxpy.realtime.connection import ConnectionReports, RealtimeConnection
from voxpy.realtime.media import Ear, Heard, ItemOrder, Voice, VoiceReports
from voxpy.realtime.options import ClientOptions, ClientParameters, CloseEvent
from voxpy.realtime.reports import Announcements, FrameLog
from voxpy.realtime.service import Access, Service
from voxpy.realtime.tools import ToolOutcome, ToolRunner, Tools
from voxpy.realtime.wire import (
    Audio,
    AudioOver,
    CallerSpoke,
    Configured,
    Failed,
    Happening,
    Interrupted,
    Link,
    LinkReports,
    Ready,
    Said,
    Sent,
    Told,
    ToolsCalled,
    Understood,
    W,
    Works,
)
from voxpy.text import json
from voxpy.text.product import product
from voxpy.wire.realtime.endpoint import closing_reason
from voxpy.wire.realtime.events.types import FunctionCall

E = TypeVar("E", bound=Event)

NORMAL_CLOSURE = 1000
LOOK_EVERY_S = 1.0
LINGER_S = 0.3
"""What has left us is still in the network and in the phone's own buffer."""
FAILED = "no connection to the realtime service"


@attrs.define(eq=False)
class _Goodbye:
    leave: Callable[[], Awaitable[None] | None]
    began: trio.Event = attrs.field(factory=trio.Event)
    said: trio.Event = attrs.field(factory=trio.Event)
    wait: trio.CancelScope = attrs.field(factory=trio.CancelScope)


class SpeechClient(MediaSource, Generic[W]):
    """A connection to a speech service. Made by its module's ``create...`` function."""

    def __init__(
        self,
        session: Session,
        *,
        service: Service,
        access: Access,
        client_id: str,
        options: ClientOptions,
        make_wire: Callable[[], W],
    ) -> None:
        names = service.events.__name__
        super().__init__(
            session,
            client_id,
            catalog={
                f"{service.name}.{names}": service.events,
                f"{service.name}.Events": service.media_events,
            },
        )
        self._access = access
        self._options = options
        self._announce = Announcements(session, self, service, private=options.privacy)
        self._frames = FrameLog(session, client_id, statistics=options.statistics)
        self._counted: list[RealtimeConnection] = []
        self._closing = False
        self._gone: Exception | None = None
        self._never: dict[str, Exception] = {}
        self._spoke = False  # since the watch has last looked
        self._bridged = False
        self._goodbye: _Goodbye | None = None
        self._reports = LinkReports(
            take=self._take,
            audio=self._play,
            malformed=self._malformed,
            closed=self._closed,
            refused=self._refused,
            binary=self._announce.binary,
        )
        self._link: Link[W] = self._dial(1, make_wire(), self._reports)
        self._tools: ToolRunner | None = None
        wire = self._link.wire
        self._voice = Voice(
            wire.output_format,
            limit_s=options.playout_limit_s,
            reports=VoiceReports(
                started=lambda: self._announce.media_started(str(self._voice.format)),
                ended=self._announce.media_ended,
                overflowed=self._announce.overflowed,
                drained=self._drained,
            ),
        )
        self._order = ItemOrder(
            self._speak,
            sounding=lambda: bool(self._voice.speech.buffered_bytes),
            limit_bytes=wire.output_format.bytes_for(min(options.playout_limit_s, 600.0)),
        )
        self._heard = Heard(self._voice.speech, report=self._item_over)
        self._ear = Ear(
            wire.input_format,
            batch_ms=session.context.settings.limits.uplink_batch_ms,
            send=self._send_audio,
        )
        self.media = MediaPort(
            name=client_id, source=self._voice, sink=self._ear, ahead=self._voice
        )

    # -- what a scenario does with it ------------------------------------------------------------

    def web_socket_id(self) -> str:
        """Return the id of its WebSocket."""
        return f"{self._id}-websocket"

    def close(self) -> None:
        """Close the connection. Idempotent; ``on_web_socket_close`` is called afterwards."""
        self._session.trace.command(f"{type(self).__name__}.close", unit=self.id())
        self._close()

    def clear_media_buffer(self, *, tag: str | None = None) -> None:
        """Drop the agent's audio that waits on our side, within the running 20 ms frame."""
        self._session.trace.command(f"{type(self).__name__}.clear_media_buffer", unit=self.id())
        self._clear_playout()

    def audio_played_ms(self, item_id: str) -> float:
        """Return how many milliseconds of an item's audio the listener has heard."""
        return self._voice.speech.played_ms(item_id)

    def transcript_heard(self, item_id: str) -> str:
        """Return about what the listener has heard of what the agent said in an item.

        The service's transcript (what was *said*), cut in proportion to the audio that was played;
        whole words. Empty for an item that is not known or made no sound. voxpy's own.
        """
        return self._heard.text(self._link.wire, item_id)

    def use_tools(self, tools: Tools) -> None:
        """Let the model call these functions: an ``Inworld.ToolSet``, or alike. voxpy's own.

        They are added to the tools of the next ``session_update``; if one was sent already, another
        is sent at once (and answered with a SessionUpdated). When a response that calls functions
        is complete, they run one after another in a task of the session, every output is sent, and
        one ``response.create`` follows them all, unless the service begins the next response by
        itself (``providerData.auto_tool_response`` not false). A cancelled response runs nothing.
        Once used, all function calls of this client are answered so: one that no tool of the set
        is named for gets the set's error. A second call replaces the set.
        """
        self._session.trace.command(f"{type(self).__name__}.use_tools", unit=self.id())
        if self._tools is not None:
            self._tools.cancel()
        self._tools = ToolRunner(
            tools,
            spawn=self._session.spawn,
            began=partial(self._note_tool, "tool called"),
            answer=self._tool_answered,
        )
        self._offer(tools)

    def after_goodbye(
        self, leave: Callable[[], Awaitable[None] | None], *, within_s: float = 10.0
    ) -> None:
        """Call ``leave`` when the agent has said what it says next, and it has been heard.

        For a tool with which the model ends the call: ``client.after_goodbye(call.hangup)``. The
        goodbye is over when its response is done *and* played, be there pauses in it. If the caller
        speaks over it, or before it, ``leave`` is not called: the conversation goes on, and the
        model may say goodbye again. If the agent does not begin within ``within_s`` seconds, the
        caller is not kept waiting for it. Another call takes the place of this one. voxpy's own.
        """
        self._session.trace.command(
            f"{type(self).__name__}.after_goodbye", unit=self._id, within_s=within_s
        )
        self._stay()
        self._goodbye = goodbye = _Goodbye(leave)
        self._session.spawn(f"{self._id} goodbye", self._wait_for_goodbye, goodbye, within_s)

    # -- life ------------------------------------------------------------------------------------

    async def _open(self) -> None:
        """Connect, and tell the scenario first of all that the socket is open, as VoxEngine does.

        Raises ConnectFailed.
        """
        self._session.add_closer(self._id, self._aclose)
        if not self._session.spawn(f"{self._id} connection", self._link.connection.run):
            await trio.lowlevel.checkpoint()  # a handler that the end has found at work goes here
            raise NoSession(f"{self._id} cannot connect: the session has ended")
        await self._link.connection.wait_open()
        self._session.spawn(f"{self._id} watch", self._watch)
        information = {
            "applicationVersion": product(),
            "id": self._id,
            "endpoint": self._link.connection.url,
        }
        self._announce.own("ConnectorInformation", information)

    def _dial(self, number: int, wire: W, reports: LinkReports) -> Link[W]:
        note = self._frames.note if self._options.trace else None
        link = Link(wire, partial(self._connection, number), reports, note=note)
        self._counted.append(link.connection)
        return link

    def _connection(self, number: int, reports: ConnectionReports) -> RealtimeConnection:
        url = self._access.address(number)
        context = self._session.context
        if self._options.privacy:
            context.inputs.note("socket", "private")
        return RealtimeConnection(
            url,
            self._access.headers,
            open_stream=context.open_stream,
            reports=reports,
            inputs=None if self._options.privacy else context.inputs.socket(url),
        )

    def _close(self) -> None:
        self._closing = True
        self._stay()
        self._link.connection.close()

    async def _aclose(self) -> None:
        self._close()
        await self._link.connection.aclose()

    # -- what the link reports -------------------------------------------------------------------

    def _play(self, audio: Audio) -> None:
        if not audio.backchannel:
            self._spoke = True
            if self._goodbye is not None:
                self._goodbye.began.set()
            self._order.put(audio.item_id, audio.data)
        else:
            self._voice.write(audio.data, item_id=audio.item_id, backchannel=True)

    def _take(self, what: Happening) -> None:
        match what:
            case Audio():
                self._play(what)
            case Told():
                self._announce.service(what.name, what.payload)
            case Configured():
                if isinstance(what, Ready):
                    self._announce.step("agent ready")
                self._never.clear()
                self._adopt_formats()
            case Understood():
                self._announce.step("agent understands", text=what.text)
            case Said():
                self._announce.step("agent says", text=what.text, item_id=what.item_id)
            case Failed():
                self._failed(what)
            case Works():
                self._session.troubles.agent_works()
            case CallerSpoke():
                if isinstance(what, Interrupted):
                    self._announce.step("caller interrupts")
                if what.interrupts and self._goodbye is not None:
                    self._announce.step("goodbye interrupted; the call goes on")
                    self._stay()
                if self._options.auto_truncate and what.interrupts:
                    self._interrupt()
            case AudioOver():
                self._order.pass_on(self._link.wire.playback.is_done)
                self._heard.settle(self._link.wire)
                self._leave_if_said()
            case ToolsCalled():
                if self._tools is not None and self._session.ended is None:
                    self._tools.start(what.calls)

    def _malformed(self, text: str, error: RemoteProtocolError) -> None:
        self._announce.own("WebSocketError", {"message": str(error)})
        if (raw := _object(text)) is not None:
            self._announce.own("Unknown", raw)

    def _refused(self, status: int, headers: Mapping[str, str], body: str) -> None:
        payload = {"status": status, "headers": dict(headers), "body": body}
        self._announce.own("HTTPResponse", payload)

    def _closed(self, code: int, reason: str, was_clean: bool) -> None:
        self._announce.step("websocket closed", code=code, reason=reason, was_clean=was_clean)
        told = f"the connection closed: {closing_reason(code, reason)}"
        self._gone = RequestFailed(told)
        if not self._closing and code != NORMAL_CLOSURE:
            self._session.troubles.agent_failed(self._id, told)
        if not was_clean:
            self._announce.own("WebSocketError", {"message": reason, "code": code})
        handler = self._options.on_web_socket_close
        if handler is not None:
            event = CloseEvent(
                code=code, reason=reason, was_clean=was_clean, web_socket_id=self.web_socket_id()
            )
            self._session.post_callback("on_web_socket_close", fitted(handler, event))
        if self._tools is not None:
            self._tools.cancel()
        self._frames.finish([each.statistics for each in self._counted])
        gone = self._gone
        self._session.post_callback("closed", lambda: self.listeners.fail_waiters(gone))

    # -- an agent that does not do its part ------------------------------------------------------

    async def wait_event(self, kind: type[E], *, timeout_s: float = float("inf")) -> E:
        """Wait for the next event of class ``kind`` and return it.

        Raises trio.TooSlowError after ``timeout_s`` seconds, ScenarioError for a wrong ``kind``,
        RequestFailed if it will not come: the service refused the session, or is gone.
        """
        error = self._gone or self._never.get(getattr(kind, "wire_type", ""))
        if error is not None:
            raise error
        return await super().wait_event(kind, timeout_s=timeout_s)

    def _failed(self, what: Failed) -> None:
        self._session.troubles.agent_failed(self._id, f"the agent {what.words}")
        if not what.never:
            return
        error = RequestFailed(f"the agent {what.words}", code=what.code)
        self._never.update(dict.fromkeys(what.never, error))
        kinds = [self._announce.kind_of(wire_type) for wire_type in what.never]
        # Through the queue: an event that was posted before still reaches who waits for it.
        self._session.post_callback("refused", lambda: self.listeners.fail_waiters(error, kinds))

    async def _watch(self) -> None:
        """Tell of an agent that owes something and is silent; later end the session."""
        dogs = self._session.context.settings.watchdogs
        since: float | None = None
        barked: float | None = None
        while not self._closing:
            await trio.sleep(LOOK_EVERY_S)
            words, now = self._missing(), clock.now()
            if not words or self._closing:
                since = barked = None
                continue
            since = now if since is None else since
            silent_for_s = round(now - since, 3)
            if barked is not None:
                if now - barked >= dogs.grace_s:
                    detail = f"the agent {words}, for {silent_for_s:.0f} s"
                    self._session.end(EndReason.WATCHDOG, detail)
            elif silent_for_s >= dogs.agent_silent_s:
                barked = now
                self._session.troubles.agent_failed(self._id, f"the agent {words}")
                told = WatchdogEvents.AgentSilent(
                    client=self, silent_for_s=silent_for_s, reason=f"the agent {words}"
                )
                self._session.post(self._session.listeners, told)

    def _missing(self) -> str:
        """Return what the agent should do and does not; empty if all is well."""
        spoke, self._spoke = self._spoke, False
        busy = spoke or self._voice.sounding or (self._tools is not None and self._tools.running)
        heard = self._session.graph.heard(self.media)
        self._bridged = self._bridged or heard
        if busy or (self._bridged and not heard):  # whoever heard it has been moved on
            return ""
        if self._gone is not None:
            return f"is gone ({self._gone})" if self._bridged else ""
        return self._link.wire.owes

    # -- media -----------------------------------------------------------------------------------

    def _send_audio(self, audio: bytes) -> None:
        if frame := self._link.wire.append(audio):
            self._link.connection.send_audio(frame)

    def _speak(self, item_id: str, audio: bytes) -> None:
        self._heard.sounds(item_id)
        self._voice.write(audio, item_id=item_id, backchannel=False)

    def _drained(self) -> None:
        """All speech that was there has been played."""
        if self._order.waiting:
            self._order.pass_on(self._link.wire.playback.is_done)
        self._heard.settle(self._link.wire)
        if self._goodbye is not None:
            self._leave_if_said()

    def _adopt_formats(self) -> None:
        self._ear.adopt(self._link.wire.input_format)
        self._voice.adopt(self._link.wire.output_format)

    def _interrupt(self) -> None:
        """The caller speaks: be silent, and tell the service what of its words was heard.

        Murmurs go on: they are made to be spoken over.
        """
        if self._voice.speech.buffered_bytes or not self._link.wire.idle:
            self._cleared(self._voice.clear_speech())
        for sent in self._link.wire.interrupt(self.audio_played_ms):
            self._send_own(sent)

    def _send_own(self, sent: Sent) -> None:
        self._announce.step(sent.name, **sent.fields)
        self._link.send(sent.frame)

    def _clear_playout(self) -> None:
        """Drop the agent's audio that waits on our side, murmurs included."""
        self._cleared(self._voice.clear())

    def _cleared(self, lost: list[Cleared]) -> None:
        items = [
            {
                "item_id": c.item_id,
                "played_ms": round(c.played_ms),
                "dropped_ms": round(c.dropped_ms),
            }
            for c in lost
        ]
        self._announce.step("playout cleared", items=items)
        self._order.clear()
        self._heard.cut(self._link.wire)

    def _item_over(self, item_id: str, text: str, played_ms: float) -> None:
        self._announce.step(
            "agent heard as",
            text=text,
            item_id=item_id,
            played_ms=round(played_ms),
            of_ms=round(self._link.wire.playback.whole_ms(item_id)),
        )

    # -- the goodbye -----------------------------------------------------------------------------

    async def _wait_for_goodbye(self, goodbye: _Goodbye, within_s: float) -> None:
        with goodbye.wait:
            with trio.move_on_after(within_s):
                await goodbye.began.wait()
            if goodbye.began.is_set():
                await goodbye.said.wait()
                await trio.sleep(LINGER_S)
            self._session.post_callback("after_goodbye", goodbye.leave)
            self._goodbye = None

    def _leave_if_said(self) -> None:
        goodbye = self._goodbye
        if goodbye is None or not goodbye.began.is_set() or not self._link.wire.idle:
            return
        tools = self._tools is not None and self._tools.running
        if not (tools or self._voice.sounding or self._order.waiting):
            goodbye.said.set()

    def _stay(self) -> None:
        if self._goodbye is not None:
            self._goodbye.wait.cancel()
            self._goodbye = None

    # -- tools -----------------------------------------------------------------------------------

    def _offer(self, tools: Tools) -> None:
        """Tell the service of the tools; the wire's own business, so nothing here."""

    def _tool_answered(self, call: FunctionCall, outcome: ToolOutcome) -> None:
        if outcome.error is not None:
            self._session.troubles.tool_failed(outcome.error, f"tool {call.name}")
        if self._link.wire.awaits_output(call.call_id):  # else the scenario answered it itself
            self._note_tool("tool answered", call, {"output": outcome.output})
            self._link.tool_output(call.call_id, outcome.output, silent=outcome.silent)

    def _note_tool(
        self, title: str, call: FunctionCall, content: Mapping[str, str] | None = None
    ) -> None:
        told = {"arguments": call.arguments} if content is None else content
        shown = {} if self._options.privacy else {"payload": told}
        self._session.trace.step(
            title, unit=self._id, tool=call.name, call_id=call.call_id, **shown
        )


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


C = TypeVar("C", bound=SpeechClient[Any])


def choose(
    function: str, service: Service, api_key: str | None, url: str | None
) -> tuple[str, str]:
    """Return where a service is and the key for it: the scenario's choice, else the host's.

    Raises ScenarioError, which says where to put the key, if there is none.
    """
    session = current(function)
    endpoint = session.context.realtime
    key = api_key or (endpoint.api_key if url is None else None)
    if not key:
        why = session.context.secrets.missing(service.secret)
        problem = f"{function}: api_key is {api_key!r}; {why}"
        session.troubles.agent_failed(function, problem)
        raise ScenarioError(problem)
    return url or _hosted(endpoint.url, service.endpoint), key


def _hosted(chosen: str, own: str) -> str:
    """Return where the host wants a service to be: at its own path, unless a path was chosen."""
    there = urlsplit(chosen)
    if not chosen or there.path.strip("/"):
        return chosen or own
    return urlunsplit(urlsplit(own)._replace(scheme=there.scheme, netloc=there.netloc))


async def open_client(
    make: Callable[[Session, str, Access, ClientOptions], C],
    service: Service,
    *,
    function: str,
    address: Callable[[str, int], str],
    api_key: str | None,
    url: str | None,
    parameters: ClientParameters,
) -> C:
    """Open a connection and return its client as soon as the socket is open.

    ``function`` is what the scenario called, ``address`` the URL of the numbered connection at a
    base URL: ``url``, else the host's choice, else the service's own. ``api_key`` is the
    scenario's; the host may have one for its own choice.

    Raises ConnectFailed (refused, unreachable, no answer in 10 s), ScenarioError for a missing key
    or a wrong argument.
    """
    session = current(function)
    options = ClientOptions.of(parameters)
    base, key = choose(function, service, api_key, url)
    client_id = session.new_id("client")
    handler = options.on_web_socket_close
    session.trace.command(
        function,
        unit=client_id,
        url=address(base, 1),
        on_web_socket_close=describe(handler) if handler else None,
    )
    access = Access(address=partial(address, base), headers=service.authentication(key))
    client = make(session, client_id, access, options)
    try:
        await client._open()
    except ConnectFailed as error:  # scenarios often catch it, and then nobody would see it
        session.troubles.agent_failed(client_id, f"{FAILED}: {error}")
        raise
    return client
