"""What drives a RealtimeAPIClient: frames in become audio and events, calls out become frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import attrs
import orjson

from voxpy.audio.frame import PCMA, PCMU, Format, pcm16
from voxpy.engine import clock
from voxpy.engine.events import Event
from voxpy.engine.session import Session
from voxpy.errors import RemoteProtocolError, ScenarioError
from voxpy.inworld.client import RealtimeAPIClient
from voxpy.inworld.connection import ConnectionReports, RealtimeConnection
from voxpy.inworld.events import BY_WIRE_TYPE, EventData, Events, MediaInfo, RealtimeAPIEvents
from voxpy.inworld.media import Ear, Voice, VoiceReports
from voxpy.media.unit import MediaPort
from voxpy.wire.realtime.client import Audio, RealtimeClient
from voxpy.wire.realtime.codec import encode_append
from voxpy.wire.realtime.session import audio_format

__all__ = ["ClientController", "ClientOptions", "CloseEvent"]

APPLICATION_VERSION = "voxpy/0.1.0"
DEFAULT_FORMAT = pcm16(24000)
SIDES = ("input", "output")
G711_NAMES = {"pcmu": "audio/pcmu", "pcma": "audio/pcma"}


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


class ClientController(ConnectionReports):
    """Implements ``voxpy.inworld.client.ClientControl`` over a RealtimeConnection."""

    def __init__(
        self,
        session: Session,
        client_id: str,
        url: str,
        authorization: str,
        options: ClientOptions,
    ) -> None:
        self._session = session
        self._connection = RealtimeConnection(
            url, authorization, open_stream=session.around.open_stream, reports=self
        )
        self._options = options
        self._protocol = RealtimeClient()
        self._frames: BinaryIO | None = None
        self._warned_of_binary = False
        self.client_id = client_id
        self.web_socket_id = f"{client_id}-websocket"
        self._voice = Voice(
            DEFAULT_FORMAT,
            limit_s=options.playout_limit_s,
            reports=VoiceReports(
                started=self._media_started,
                ended=self._media_ended,
                overflowed=self._overflowed,
            ),
        )
        self._ear = Ear(
            DEFAULT_FORMAT,
            batch_ms=session.around.settings.limits.uplink_batch_ms,
            send=lambda audio: self._connection.send_audio(encode_append(audio)),
        )
        self.media = MediaPort(name=client_id, source=self._voice, sink=self._ear)
        self.client = RealtimeAPIClient(session, self)

    # -- commands --------------------------------------------------------------------------------

    def send(self, event_type: str, fields: Mapping[str, Any]) -> None:
        """Queue a client event. Raises ScenarioError if ``fields`` is no JSON object."""
        if not isinstance(fields, Mapping):
            raise ScenarioError(f"{event_type} takes a dict, not {type(fields).__name__}")
        if event_type == "session.update":
            fields = self._with_formats(fields)
        frame = self._protocol.send({**fields, "type": event_type})
        shown = {} if self._options.privacy else {"payload": dict(fields)}
        self._session.trace.command(event_type, unit=self.client_id, **shown)
        if event_type == "output_audio_buffer.clear":
            self._protocol.mute_until_cleared()
            self.clear_playout()
        self._connection.send(frame)

    def clear_playout(self) -> None:
        """Drop the agent's audio that waits on our side."""
        lost = self._voice.clear()
        self._session.trace.step(
            "playout cleared",
            unit=self.client_id,
            items=[
                {
                    "item_id": c.item_id,
                    "played_ms": round(c.played_ms),
                    "dropped_ms": round(c.dropped_ms),
                }
                for c in lost
            ],
        )

    def audio_played_ms(self, item_id: str) -> float:
        """Return what the listener has heard of an item."""
        return self._voice.speech.played_ms(item_id)

    def close(self) -> None:
        """Close the connection without waiting."""
        self._connection.close()

    def _with_formats(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask for the leg's own G.711 where the scenario names no audio format.

        Nothing is then decoded or resampled on the way. A wideband leg gets 24 kHz PCM, which is
        the service's default.
        """
        legs = {p.source.format.encoding for p in self._session.graph.attached if p.source}
        name = G711_NAMES.get(legs.pop()) if len(legs) == 1 else None
        session = fields.get("session")
        if name is None or self._protocol.ready or not isinstance(session, Mapping):
            return fields
        audio = session.get("audio") or {}
        sides = [audio.get(side) or {} for side in SIDES] if isinstance(audio, Mapping) else [None]
        if any(not isinstance(side, Mapping) or "format" in side for side in sides):
            return fields  # named, or nothing that we understand: the service will say so
        wanted = {s: {**(audio.get(s) or {}), "format": {"type": name}} for s in SIDES}
        return {**fields, "session": {**session, "audio": {**audio, **wanted}}}

    # -- reports of the connection ---------------------------------------------------------------

    async def open(self) -> None:
        """Connect, and tell the scenario first of all that the socket is open, as VoxEngine does.

        Raises ConnectFailed.
        """
        self._session.spawn(f"{self.client_id} connection", self._connection.run)
        self._session.add_closer(self.client_id, self._connection.aclose)
        await self._connection.wait_open()
        information = {
            "applicationVersion": APPLICATION_VERSION,
            "id": self.client_id,
            "endpoint": self._connection.url,
        }
        self._post(
            RealtimeAPIEvents.ConnectorInformation(
                client=self.client,
                data=EventData(custom_event="ConnectorInformation", payload=information),
            )
        )

    def received(self, text: str) -> None:
        """Take a frame of the service: audio to the voice, everything else to the scenario."""
        self._note_frame("<", text)
        try:
            received = self._protocol.receive(text)
        except RemoteProtocolError as error:
            self._post_raw(
                RealtimeAPIEvents.WebSocketError, "WebSocketError", {"message": str(error)}
            )
            if (raw := _object(text)) is not None:
                self._post_raw(RealtimeAPIEvents.Unknown, "Unknown", raw)
            return
        for item in received:
            if isinstance(item, Audio):
                self._voice.write(item.data, item_id=item.item_id, backchannel=item.backchannel)
            else:
                self._take_event(item.type, text)

    def sent(self, frame: bytes) -> None:
        """Write the frame to the trace file of this socket, if there is one."""
        if self._options.trace:
            self._note_frame(">", frame.decode())

    def received_binary(self, size_bytes: int) -> None:
        """Warn, once: every frame of the protocol is text."""
        if not self._warned_of_binary:
            self._warned_of_binary = True
            self._session.trace.warning(
                "the service sends binary frames; they are ignored, the protocol is JSON text",
                unit=self.client_id,
                first_bytes=size_bytes,
            )

    def refused(self, status: int, headers: Mapping[str, str], body: str) -> None:
        """Post the HTTP answer that refused the upgrade."""
        payload = {"status": status, "headers": dict(headers), "body": body}
        self._post_raw(RealtimeAPIEvents.HTTPResponse, "HTTPResponse", payload)

    def closed(self, code: int, reason: str, *, was_clean: bool) -> None:
        """Tell the scenario that the connection is over, and finish the files."""
        self._session.trace.step(
            "websocket closed", unit=self.client_id, code=code, reason=reason, was_clean=was_clean
        )
        if not was_clean:
            self._post_raw(
                RealtimeAPIEvents.WebSocketError,
                "WebSocketError",
                {"message": reason, "code": code},
            )
        handler = self._options.on_web_socket_close
        if handler is not None:
            event = CloseEvent(
                code=code, reason=reason, was_clean=was_clean, web_socket_id=self.web_socket_id
            )
            self._session.post_callback("on_web_socket_close", lambda: handler(event))
        self._finish_files()

    # -- the inside ------------------------------------------------------------------------------

    def _take_event(self, wire_type: str, text: str) -> None:
        payload = _object(text) or {}
        if wire_type in ("session.created", "session.updated"):
            self._adopt_formats()
        kind = BY_WIRE_TYPE.get(wire_type, RealtimeAPIEvents.Unknown)
        self._post_raw(kind, kind.__name__, payload)

    def _adopt_formats(self) -> None:
        session = self._protocol.session or {}
        try:
            self._ear.format = _format(*audio_format(session, "input"))
            self._voice.format = _format(*audio_format(session, "output"))
        except (ValueError, RemoteProtocolError) as error:
            self._session.trace.warning(
                "the session's audio format is not carried; keeping the old one", error=str(error)
            )

    def _post_raw(self, kind: type[Any], custom_event: str, payload: dict[str, Any]) -> None:
        self._post(
            kind(client=self.client, data=EventData(custom_event=custom_event, payload=payload))
        )

    def _post(self, event: Event) -> None:
        if self._options.privacy:
            self._session.post_untraced(self.client.listeners, event)
        else:
            self._session.post(self.client.listeners, event)

    def _media_started(self) -> None:
        self._post(
            Events.WebSocketMediaStarted(client=self.client, encoding=str(self._voice.format))
        )

    def _media_ended(self, duration_s: float) -> None:
        self._post(
            Events.WebSocketMediaEnded(
                client=self.client, media_info=MediaInfo(duration=round(duration_s, 3))
            )
        )

    def _overflowed(self, limit_s: float) -> None:
        self._session.trace.warning(
            "the agent is too far ahead: audio beyond the limit is dropped",
            unit=self.client_id,
            limit_s=limit_s,
        )

    def _note_frame(self, direction: str, text: str) -> None:
        if not self._options.trace:
            return
        if self._frames is None:
            self._frames = self._session.around.files.path(f"{self.client_id}-frames.txt").open(
                "wb"
            )
        line = f"{clock.wall():%H:%M:%S.%f} {direction} {text}\n"
        self._frames.write(line.encode())
        self._frames.flush()

    def _finish_files(self) -> None:
        if self._frames is not None:
            self._frames.close()
        if self._options.statistics:
            path = self._session.around.files.path(f"{self.client_id}-statistics.json")
            path.write_bytes(orjson.dumps(attrs.asdict(self._connection.statistics)))


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = orjson.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _format(kind: str, rate_hz: int) -> Format:
    if kind == "pcm16":
        return pcm16(rate_hz)
    known = {"pcmu": PCMU, "pcma": PCMA}
    if kind not in known:
        raise ValueError(f"{kind} at {rate_hz} Hz")
    return known[kind]
