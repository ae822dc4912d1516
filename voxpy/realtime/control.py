"""What drives a RealtimeAPIClient: frames in become audio and events, calls out become frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import orjson
import trio

from voxpy.audio.frame import pcm16
from voxpy.engine.session import Session
from voxpy.errors import RemoteProtocolError, ScenarioError
from voxpy.inworld.client import RealtimeAPIClient
from voxpy.inworld.events import RealtimeAPIEvents
from voxpy.media.playout import Cleared
from voxpy.media.unit import MediaPort
from voxpy.realtime.announcements import Announcements
from voxpy.realtime.configuration import Configuration
from voxpy.realtime.connection import ConnectionReports
from voxpy.realtime.formats import AudioChoice, carried
from voxpy.realtime.frame_log import FrameLog
from voxpy.realtime.heard import Heard
from voxpy.realtime.link import Access, Link
from voxpy.realtime.media import Ear, Voice, VoiceReports
from voxpy.realtime.renewal import Candidate, Renewal
from voxpy.realtime.tooling import ToolRunner, Tools
from voxpy.wire.realtime.client.protocol import Audio
from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.codec import encode_append
from voxpy.wire.realtime.events.formats import audio_format
from voxpy.wire.realtime.events.types import ServerEvent, function_calls

__all__ = ["ClientController", "ClientOptions", "CloseEvent"]

APPLICATION_VERSION = "voxpy/0.1.0"
DEFAULT_FORMAT = pcm16(24000)


@attrs.frozen(kw_only=True)
class CloseEvent:
    """Why a WebSocket closed (VoxEngine: WebSocketEvents.CLOSE). ``code``: RFC 6455 section 7.4."""

    code: int
    reason: str
    was_clean: bool
    web_socket_id: str


@attrs.frozen(kw_only=True)
class ClientOptions:
    """The parameters of ``create_realtime_api_client`` that outlive the handshake."""

    on_web_socket_close: Callable[[CloseEvent], Any] | None = None
    statistics: bool = False
    trace: bool = False
    privacy: bool = False
    playout_limit_s: float = 120.0
    auto_truncate: bool = False
    audio_format: AudioChoice | None = "auto"
    renew_after_s: float | None = None
    queue: bool = False


class ClientController(ConnectionReports):
    """Implements ``voxpy.inworld.client.ClientControl`` over a RealtimeConnection."""

    def __init__(
        self, session: Session, client_id: str, access: Access, options: ClientOptions
    ) -> None:
        self._session = session
        self._options = options
        self.client_id = client_id
        self.web_socket_id = f"{client_id}-websocket"
        self.client = RealtimeAPIClient(session, self)
        self._announce = Announcements(session, self.client, private=options.privacy)
        self._frames = FrameLog(
            session, client_id, frames=options.trace, statistics=options.statistics
        )
        self._link = Link(
            session,
            client_id,
            access,
            frames=self._frames,
            reports=self,
            queue=options.queue,
            private=options.privacy,
        )
        self._configuration = Configuration(options.audio_format)
        self._tools: ToolRunner | None = None
        self._renewal: Renewal | None = None
        self._renewing = trio.CancelScope()
        self._voice: Voice = Voice(
            DEFAULT_FORMAT,
            limit_s=options.playout_limit_s,
            reports=VoiceReports(
                started=lambda: self._announce.media_started(str(self._voice.format)),
                ended=self._announce.media_ended,
                overflowed=self._announce.overflowed,
                drained=lambda: self._heard.settle(self._link.protocol),
            ),
        )
        self._heard: Heard = Heard(self._voice.speech, report=self._item_over)
        self._ear = Ear(
            DEFAULT_FORMAT,
            batch_ms=session.context.settings.limits.uplink_batch_ms,
            send=lambda audio: self._link.connection.send_audio(encode_append(audio)),
        )
        self.media = MediaPort(
            name=client_id, source=self._voice, sink=self._ear, ahead=self._voice
        )

    # -- commands --------------------------------------------------------------------------------

    def send(self, event_type: str, fields: Mapping[str, Any]) -> None:
        """Queue a client event. Raises ScenarioError if ``fields`` is no JSON object."""
        if not isinstance(fields, Mapping):
            raise ScenarioError(f"{event_type} takes a dict, not {type(fields).__name__}")
        protocol = self._link.protocol
        if event_type == "session.update":
            legs = {p.source.format.encoding for p in self._session.graph.attached if p.source}
            fields = self._configuration.complete(fields, legs=legs, ready=protocol.ready)
        event = {**fields, "type": event_type}
        if self._options.queue:
            protocol.submit(event)
            frames = protocol.outgoing()
        else:
            frames = [protocol.send(event)]
        self._announce.command(event_type, dict(fields))
        if event_type == "output_audio_buffer.clear":
            protocol.mute_until_cleared()
            self.clear_playout()
        for frame in frames:
            self._link.connection.send(frame)

    def clear_playout(self) -> None:
        """Drop the agent's audio that waits on our side, murmurs included."""
        self._cleared(self._voice.clear())

    def use_tools(self, tools: Tools) -> None:
        """Offer these functions to the model and run those it calls."""
        if self._tools is not None:
            self._tools.cancel()
        self._tools = ToolRunner(self._session, self._link, tools, private=self._options.privacy)
        self._configuration.use_tools(tools.schemas())
        if self._configuration.sent:
            self.send("session.update", {"session": {"type": "realtime"}})

    def audio_played_ms(self, item_id: str) -> float:
        """Return what the listener has heard of an item."""
        return self._voice.speech.played_ms(item_id)

    def transcript_heard(self, item_id: str) -> str:
        """Return about what the listener has heard of an item's words."""
        return self._heard.text(self._link.protocol, item_id)

    def close(self) -> None:
        """Close the connection without waiting."""
        self._renewing.cancel()
        self._link.connection.close()

    async def aclose(self) -> None:
        """Close the connection and wait until it is gone."""
        self.close()
        await self._link.connection.aclose()

    # -- reports of the connection ---------------------------------------------------------------

    async def open(self) -> None:
        """Connect, and tell the scenario first of all that the socket is open, as VoxEngine does.

        Raises ConnectFailed.
        """
        self._session.add_closer(self.client_id, self.aclose)
        await self._link.open()
        information = {
            "applicationVersion": APPLICATION_VERSION,
            "id": self.client_id,
            "endpoint": self._link.connection.url,
        }
        self._announce.raw(RealtimeAPIEvents.ConnectorInformation, information)
        after_s = self._options.renew_after_s
        if after_s is not None:
            self._renewal = Renewal(self, after_s=after_s, trace=self._session.trace)
            self._session.spawn(f"{self.client_id} renewal", self._renew, self._renewal)

    def received(self, text: str) -> None:
        """Take a frame of the service: audio to the voice, everything else to the scenario."""
        self._frames.note("<", text)
        try:
            received = self._link.protocol.receive(text)
        except RemoteProtocolError as error:
            self._announce.raw(RealtimeAPIEvents.WebSocketError, {"message": str(error)})
            if (raw := _object(text)) is not None:
                self._announce.raw(RealtimeAPIEvents.Unknown, raw)
            return
        for item in received:
            if isinstance(item, Audio):
                if not item.backchannel:
                    self._heard.sounds(item.item_id)
                self._voice.write(item.data, item_id=item.item_id, backchannel=item.backchannel)
            else:
                self._obey(item)
                self._announce.service(item.type, _object(text) or {})
        self._link.flush()

    def sent(self, frame: bytes) -> None:
        """Write the frame to the trace file of this socket, if there is one."""
        if self._options.trace:
            self._frames.note(">", frame.decode())

    def received_binary(self, size_bytes: int) -> None:
        """Warn, once: every frame of the protocol is text."""
        self._announce.binary(size_bytes)

    def refused(self, status: int, headers: Mapping[str, str], body: str) -> None:
        """Post the HTTP answer that refused the upgrade."""
        payload = {"status": status, "headers": dict(headers), "body": body}
        self._announce.raw(RealtimeAPIEvents.HTTPResponse, payload)

    def closed(self, code: int, reason: str, *, was_clean: bool) -> None:
        """Tell the scenario that the connection is over, and finish the files."""
        self._announce.step("websocket closed", code=code, reason=reason, was_clean=was_clean)
        if not was_clean:
            payload = {"message": reason, "code": code}
            self._announce.raw(RealtimeAPIEvents.WebSocketError, payload)
        handler = self._options.on_web_socket_close
        if handler is not None:
            event = CloseEvent(
                code=code, reason=reason, was_clean=was_clean, web_socket_id=self.web_socket_id
            )
            self._session.post_callback("on_web_socket_close", lambda: handler(event))
        self._renewing.cancel()
        if self._tools is not None:
            self._tools.cancel()
        self._frames.finish(self._link.counted)

    # -- renewal ---------------------------------------------------------------------------------

    async def _renew(self, renewal: Renewal) -> None:
        with self._renewing:
            await renewal.run()

    def dial_again(self, number: int) -> Candidate:
        """Begin to open another connection, with a session key of its own."""
        return self._link.dial_again(number)

    def configuration(self) -> dict[str, Any]:
        """Return the session to ask a new connection for."""
        return self._configuration.anew(self._link.protocol.session)

    def is_quiet(self) -> bool:
        """Return whether nothing sounds, no response is due and no tool runs."""
        tools = self._tools is not None and self._tools.running
        return self._link.protocol.idle and not tools and not self._voice.sounding

    def adopt(self, candidate: Candidate) -> None:
        """Use this connection from now on, and close the old one."""
        self._link.adopt(candidate)
        self._adopt_formats()
        # Of a caller who begins to speak just now, the first sounds went to the old session only.
        if recent := self._ear.recent():
            self._link.connection.send_audio(encode_append(recent))

    # -- the inside ------------------------------------------------------------------------------

    def _obey(self, event: ServerEvent) -> None:
        """Do what an event asks of us, before the scenario learns of it."""
        if self._renewal is not None:
            self._renewal.follow(event)
        match event:
            case se.SessionCreated() | se.SessionUpdated():
                self._adopt_formats()
            case se.InputAudioBufferSpeechStarted():
                if self._options.auto_truncate and self._link.protocol.may_interrupt():
                    self._barge_in()
            case se.ResponseOutputAudioDone():
                self._heard.settle(self._link.protocol)
            case se.ResponseDone():
                self._heard.settle(self._link.protocol)
                if self._tools is not None:
                    self._tools.start(function_calls(event.response))

    def _barge_in(self) -> None:
        """The caller speaks: be silent, and tell the service what of its words was heard.

        Murmurs go on: they are made to be spoken over.
        """
        protocol = self._link.protocol
        if self._voice.speech.buffered_bytes or protocol.active_response_id is not None:
            self._cleared(self._voice.clear_speech())
        for event in protocol.interrupt(self.audio_played_ms):
            frame = protocol.send(event)
            fields = {n: v for n, v in orjson.loads(frame).items() if n != "type"}
            self._announce.step(event.type, **fields)
            self._link.connection.send(frame)

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
        self._heard.cut(self._link.protocol)

    def _item_over(self, item_id: str, text: str, played_ms: float) -> None:
        if self._renewal is not None:
            self._renewal.history.heard(item_id, text)
        self._announce.step(
            "agent heard as",
            text=text,
            item_id=item_id,
            played_ms=round(played_ms),
            of_ms=round(self._link.protocol.playback.whole_ms(item_id)),
        )

    def _adopt_formats(self) -> None:
        session = self._link.protocol.session or {}
        try:
            self._ear.format = carried(*audio_format(session, "input"))
            self._voice.format = carried(*audio_format(session, "output"))
        except (ValueError, RemoteProtocolError) as error:
            self._session.trace.warning(
                "the session's audio format is not carried; keeping the old one", error=str(error)
            )


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = orjson.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
