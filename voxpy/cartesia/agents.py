"""Cartesia's agents (Line): their wire and their client (VoxEngine: Cartesia.AgentsClient).

Wire: Cartesia, "Calls API" (``/agents/stream/{agent_id}``). The client's first message must be
``start``; ``ack`` answers it. Audio is base64 in one format for both directions, mu-law among them;
``clear`` is the barge-in. The service tells neither words nor the end of a turn, and tools run at
the agent: what it wants to tell of them comes as ``custom``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from functools import partial
from typing import Any, TypeAlias, Unpack
from urllib.parse import quote, urlsplit, urlunsplit

import attrs
import orjson

from voxpy.audio.frame import PCMU, Format, pcm16
from voxpy.engine.events import event_class
from voxpy.errors import RemoteProtocolError, ScenarioError
from voxpy.realtime.envelope import (
    ConnectorInformation,
    EventNamespace,
    HTTPResponse,
    MediaEvents,
    RealtimeAPIEvent,
    Unknown,
    WebSocketError,
)
from voxpy.realtime.options import ClientParameters
from voxpy.realtime.service import Headers, Service
from voxpy.realtime.speech import open_client
from voxpy.realtime.turns import Fields, TurnClient, TurnWire
from voxpy.realtime.wire import Failed
from voxpy.wire.realtime.endpoint import socket_url

PATH = "/agents/stream"
VERSION = "2025-04-16"
_FORMATS: Mapping[str, Format] = {
    "mulaw_8000": PCMU,
    "pcm_16000": pcm16(16000),
    "pcm_24000": pcm16(24000),
    "pcm_44100": pcm16(44100),
}


class AgentsEvents(metaclass=EventNamespace, prefix="Cartesia.Agents"):
    """Events of the service (VoxEngine: Cartesia.AgentsEvents)."""

    Unknown: TypeAlias = Unknown
    HTTPResponse: TypeAlias = HTTPResponse
    WebSocketError: TypeAlias = WebSocketError
    ConnectorInformation: TypeAlias = ConnectorInformation

    @event_class
    class ACK(RealtimeAPIEvent):
        """The stream has begun: time to bridge media."""

        wire_type = "ack"

    @event_class
    class Clear(RealtimeAPIEvent):
        """The caller interrupts: time for ``clear_media_buffer``."""

        wire_type = "clear"

    @event_class
    class DTMF(RealtimeAPIEvent):
        """The agent presses a key: ``dtmf``."""

        wire_type = "dtmf"

    @event_class
    class Custom(RealtimeAPIEvent):
        """The agent's own code tells something: ``metadata``."""

        wire_type = "custom"


class Events(MediaEvents, metaclass=EventNamespace, prefix="Cartesia.Events"):
    """Events of the media stream from the service (VoxEngine: Cartesia.Events)."""


def cartesia_headers(version: str, key: str) -> Headers:
    """Return the headers that Cartesia wants key and version in."""
    return [("Authorization", f"Bearer {key}"), ("Cartesia-Version", version)]


CARTESIA = Service(
    name="Cartesia",
    endpoint="wss://api.cartesia.ai" + PATH,
    secret="CARTESIA_API_KEY",  # noqa: S106  its name, not its value
    authentication=partial(cartesia_headers, VERSION),
    events=AgentsEvents,
    media_events=Events,
)


class CartesiaWire(TurnWire):
    """Implements ``Wire``."""

    tells_end = False

    def __init__(self) -> None:
        super().__init__(_FORMATS["pcm_16000"], _FORMATS["pcm_16000"])
        self.stream_id = ""

    def append(self, audio: bytes) -> bytes:
        """Return the frame with this audio of the caller's; none before the stream has begun."""
        if not self.ready:
            return b""
        media = {"payload": base64.b64encode(audio).decode()}
        return orjson.dumps({"event": "media_input", "stream_id": self.stream_id, "media": media})

    def _output(self, call_id: str, name: str, output: str, silent: bool) -> Fields:
        raise AssertionError("the service calls no tools of a client")

    def _read(self, frame: dict[str, Any]) -> None:
        kind = str(frame.get("event", ""))
        match kind:
            case "media_output":
                self._media(frame.get("media"))
                return
            case "ack":
                self._adopt(frame)
            case "clear":
                self._cut()
        self._tell(kind, frame)

    def _media(self, media: Any) -> None:
        payload = media.get("payload") if isinstance(media, Mapping) else ""
        try:
            self._sound(binascii.a2b_base64(str(payload or "")))
        except (binascii.Error, ValueError) as error:
            raise RemoteProtocolError(f"audio is no base64: {error}") from error

    def _adopt(self, ack: Fields) -> None:
        self.stream_id = str(ack.get("stream_id") or "")
        config = ack.get("config")
        name = config.get("input_format") if isinstance(config, Mapping) else None
        found = _FORMATS.get(str(name or "pcm_16000"))
        if found is None:
            self._means.append(Failed(f"has audio that is not carried here: {name}"))
            return
        self.input_format = self.output_format = found
        self._is_ready()


class AgentsClient(TurnClient[CartesiaWire]):
    """A conversation with an agent (VoxEngine: Cartesia.AgentsClient).

    Made by ``Cartesia.create_agents_client``. Every method takes the service's own object without
    its ``event``, and returns at once.
    """

    def start(self, parameters: Fields) -> None:
        """Begin: ``config``, ``metadata``, ``agent``, ``stream_id``.

        Where ``config`` names no ``input_format``, ``audio_format`` decides: mu-law of a phone
        passes through.
        """
        given: Any = parameters
        if isinstance(given, Mapping):
            config = dict(parameters.get("config") or {})
            config.setdefault(
                "input_format", "mulaw_8000" if self._legs_g711() == "pcmu" else "pcm_16000"
            )
            given = {**parameters, "config": config}
        self._event("start", given)

    def dtmf(self, parameters: Fields) -> None:
        """Press a key: ``dtmf``."""
        self._event("dtmf", parameters)

    def custom(self, parameters: Fields) -> None:
        """Tell the agent's own code something: ``metadata``."""
        self._event("custom", parameters)

    def _event(self, kind: str, given: Fields) -> None:
        wrong: Any = given
        stream = {"stream_id": self._link.wire.stream_id} if self._link.wire.stream_id else {}
        frame = {"event": kind, **stream, **given} if isinstance(wrong, Mapping) else None
        self._command(kind, given, frame)


async def create_agents_client(
    *,
    api_key: str | None = None,
    agent_id: str,
    cartesia_version: str = VERSION,
    url: str | None = None,
    **parameters: Unpack[ClientParameters],
) -> AgentsClient:
    """Open a connection and return its client as soon as the socket is open.

    Call ``start``, bridge media at ``ACK``. Barge-in: ``clear_media_buffer`` at ``Clear``, or
    ``auto_truncate=True``.

    api_key: an access token for agents, from Cartesia's ``/access-token``, or a key.
    url: another server of the same API. voxpy's own.
    parameters: see ``voxpy.realtime.options.ClientParameters``.

    Raises ConnectFailed, ScenarioError for a missing key or agent. VoxEngine:
    Cartesia.createAgentsClient.
    """
    if not agent_id:
        raise ScenarioError("agent_id must be the id of an agent at Cartesia")
    service = attrs.evolve(CARTESIA, authentication=partial(cartesia_headers, cartesia_version))

    def address(base: str, _: int) -> str:
        there = urlsplit(socket_url(base))
        return urlunsplit(there._replace(path=f"{PATH}/{quote(agent_id, safe='')}"))

    return await open_client(
        partial(AgentsClient, service, CartesiaWire, None),
        service,
        function="Cartesia.create_agents_client",
        address=address,
        api_key=api_key,
        url=url,
        parameters=parameters,
    )
