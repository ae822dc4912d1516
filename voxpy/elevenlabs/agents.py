"""ElevenLabs' agents: their wire and their client (VoxEngine: ElevenLabs.AgentsClient).

Wire: ElevenLabs, "Agents WebSocket" API reference (``/v1/convai/conversation``), and its client
for Python. Prompt, voice, first message, audio formats and client tools are set at the agent; a
call may override some of it. Audio goes in numbered events; an ``interruption`` voids those up to
its number. Nothing says that the agent has finished: a ``ping`` without new audio before it is
taken for that.
"""

from __future__ import annotations

import base64
import binascii
from functools import partial
from typing import Any, TypeAlias, Unpack

import orjson

from voxpy.audio.frame import PCMU, Format, pcm16
from voxpy.engine.events import event_class
from voxpy.errors import RemoteProtocolError, ScenarioError
from voxpy.realtime.envelope import (
    ConnectorInformation,
    EventNamespace,
    Field,
    HTTPResponse,
    MediaEvents,
    RealtimeAPIEvent,
    Unknown,
    WebSocketError,
    text_in,
)
from voxpy.realtime.options import ClientParameters
from voxpy.realtime.service import Headers, Service
from voxpy.realtime.speech import open_client
from voxpy.realtime.tools import Tools
from voxpy.realtime.turns import Fields, TurnClient, TurnWire
from voxpy.realtime.wire import Failed
from voxpy.wire.realtime.endpoint import socket_url

NO_PING_S = 10.0
"""Seconds of audio that were sent without an answer of any kind."""
PATH = "/v1/convai/conversation"


class AgentsEvents(metaclass=EventNamespace, prefix="ElevenLabs.Agents"):
    """Events of the service (VoxEngine: ElevenLabs.AgentsEvents).

    ``event.data.payload`` is the service's message, and beside it, at the top, the fields of the
    object inside it: ``payload["user_transcript"]`` and
    ``payload["user_transcription_event"]["user_transcript"]`` are the same.
    """

    Unknown: TypeAlias = Unknown
    HTTPResponse: TypeAlias = HTTPResponse
    WebSocketError: TypeAlias = WebSocketError
    ConnectorInformation: TypeAlias = ConnectorInformation

    @event_class
    class ConversationInitiationMetadata(RealtimeAPIEvent):
        """The conversation exists: its id and audio formats. Time to bridge media."""

        wire_type = "conversation_initiation_metadata"
        conversation_id = Field(text_in)

    @event_class
    class Ping(RealtimeAPIEvent):
        """The service measures; the answer goes out by itself."""

        wire_type = "ping"

    @event_class
    class UserTranscript(RealtimeAPIEvent):
        """What the caller said."""

        wire_type = "user_transcript"
        user_transcript = Field(text_in)

    @event_class
    class AgentResponse(RealtimeAPIEvent):
        """What the agent says, all of it."""

        wire_type = "agent_response"
        agent_response = Field(text_in)

    @event_class
    class AgentResponseCorrection(RealtimeAPIEvent):
        """What the agent has said of it, after an interruption."""

        wire_type = "agent_response_correction"
        corrected_agent_response = Field(text_in)

    @event_class
    class Interruption(RealtimeAPIEvent):
        """The caller interrupts: time for ``clear_media_buffer``."""

        wire_type = "interruption"

    @event_class
    class ContextualUpdate(RealtimeAPIEvent):
        """An update of the context was taken."""

        wire_type = "contextual_update"

    @event_class
    class ClientToolCall(RealtimeAPIEvent):
        """The agent calls a tool of the client's."""

        wire_type = "client_tool_call"
        tool_name = Field(text_in)
        tool_call_id = Field(text_in)

    @event_class
    class VadScore(RealtimeAPIEvent):
        """How likely it is that the caller speaks."""

        wire_type = "vad_score"

    @event_class
    class InternalTentativeAgentResponse(RealtimeAPIEvent):
        """What the agent may say."""

        wire_type = "internal_tentative_agent_response"

    @event_class
    class AgentToolResponse(RealtimeAPIEvent):
        """A tool of the agent's own has run."""

        wire_type = "agent_tool_response"


class Events(MediaEvents, metaclass=EventNamespace, prefix="ElevenLabs.Events"):
    """Events of the media stream from the service (VoxEngine: ElevenLabs.Events)."""


def xi_key(key: str) -> Headers:
    """Return the header that ElevenLabs wants the key in."""
    return [("xi-api-key", key)]


ELEVENLABS = Service(
    name="ElevenLabs",
    endpoint="wss://api.elevenlabs.io" + PATH,
    secret="ELEVENLABS_API_KEY",  # noqa: S106  its name, not its value
    authentication=xi_key,
    events=AgentsEvents,
    media_events=Events,
)


def audio_format(name: Any) -> Format | None:
    """Return the format of ElevenLabs' name: ``pcm_16000``, ``ulaw_8000``; None if none of ours."""
    kind, _, rate = str(name).partition("_")
    if kind == "ulaw" and rate == "8000":
        return PCMU
    return pcm16(int(rate)) if kind == "pcm" and rate.isdecimal() else None


class ElevenLabsWire(TurnWire):
    """Implements ``Wire``."""

    tells_end = False

    def __init__(self) -> None:
        super().__init__(pcm16(16000), pcm16(16000))
        self._void_up_to = -1
        self._sounded = False  # since the last ping
        self._unheard_bytes = 0  # sent since the last frame came

    @property
    def owes(self) -> str:
        """What the service owes us, in words; a ping every few seconds is among it."""
        silent_s = self.input_format.duration_s(self._unheard_bytes)
        return super().owes or ("has stopped to send pings" if silent_s > NO_PING_S else "")

    def append(self, audio: bytes) -> bytes:
        """Return the frame with this audio of the caller's; none before formats are known."""
        if not self.ready:
            return b""
        self._unheard_bytes += len(audio)
        return b'{"user_audio_chunk":"%b"}' % base64.b64encode(audio)

    def _output(self, call_id: str, name: str, output: str, silent: bool) -> Fields:
        result = orjson.loads(output)
        failed = isinstance(result, dict) and "error" in result
        written = result if isinstance(result, str) else output
        return {
            "type": "client_tool_result",
            "tool_call_id": call_id,
            "result": written,
            "is_error": failed,
        }

    def _read(self, frame: dict[str, Any]) -> None:
        self._unheard_bytes = 0
        kind = str(frame.get("type", ""))
        inner = next((v for n, v in frame.items() if isinstance(v, dict)), {})
        match kind:
            case "audio":
                self._audio(inner)
                return
            case "conversation_initiation_metadata":
                self._adopt(inner)
            case "ping":
                self._send({"type": "pong", "event_id": inner.get("event_id")})
                if not self._sounded:
                    self._over()
                self._sounded = False
            case "user_transcript":
                self._over()
                self._caller_said(str(inner.get("user_transcript") or ""))
            case "agent_response":
                self._words(str(inner.get("agent_response") or "").strip(), whole=True)
            case "interruption":
                self._void_up_to = max(self._void_up_to, _number(inner.get("event_id")))
                self._cut()
            case "client_tool_call":
                call_id = str(inner.get("tool_call_id"))
                self._calls_tool(call_id, str(inner.get("tool_name")), inner.get("parameters", {}))
        self._tell(kind, {**inner, **frame})

    def _audio(self, event: Fields) -> None:
        if _number(event.get("event_id")) <= self._void_up_to:
            return
        try:
            data = binascii.a2b_base64(str(event.get("audio_base_64") or ""))
        except (binascii.Error, ValueError) as error:
            raise RemoteProtocolError(f"audio is no base64: {error}") from error
        self._sounded = True
        self._sound(data)

    def _adopt(self, told: Fields) -> None:
        heard, said = told.get("user_input_audio_format"), told.get("agent_output_audio_format")
        formats = audio_format(heard or "pcm_16000"), audio_format(said or "pcm_16000")
        if formats[0] is None or formats[1] is None:
            self._means.append(
                Failed(f"has audio that is not carried here: {heard} in, {said} out")
            )
            return
        self.input_format, self.output_format = formats[0], formats[1]
        self._is_ready()


def _number(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0


class AgentsClient(TurnClient[ElevenLabsWire]):
    """A conversation with an agent (VoxEngine: ElevenLabs.AgentsClient).

    Made by ``ElevenLabs.create_agents_client``. Every method takes the service's own object without
    its ``type``, and returns at once.
    """

    def conversation_initiation_client_data(self, parameters: Fields) -> None:
        """Begin, with overrides: ``conversation_config_override``, ``dynamic_variables`` ..."""
        self._typed("conversation_initiation_client_data", parameters)

    def client_tool_result(self, parameters: Fields) -> None:
        """Answer a tool: ``tool_call_id``, ``result``, ``is_error``. Not with ``use_tools``."""
        self._typed("client_tool_result", parameters)
        self._link.wire.answered(str(parameters.get("tool_call_id")))

    def contextual_update(self, parameters: Fields) -> None:
        """Tell the agent something that it need not answer: ``text``."""
        self._typed("contextual_update", parameters)

    def user_message(self, parameters: Fields) -> None:
        """Write to the agent in the caller's place: ``text``."""
        self._typed("user_message", parameters)
        self._link.wire.asks()


async def create_agents_client(
    *,
    xi_api_key: str | None = None,
    agent_id: str,
    include_conversation_id: bool = False,
    base_url: str | None = None,
    tools: Tools | None = None,
    **parameters: Unpack[ClientParameters],
) -> AgentsClient:
    """Open a conversation and return its client as soon as the socket is open.

    Bridge media at ``ConversationInitiationMetadata``; the agent then says its first message.
    Barge-in: ``clear_media_buffer`` at ``Interruption``, or ``auto_truncate=True``.

    include_conversation_id: have the service tell its id when it refuses.
    base_url: another server of the same API, ``wss://api.eu.elevenlabs.io``.
    tools: functions that run when the agent calls client tools of their names; the agent must know
        those (they are set at ElevenLabs). voxpy's own.
    parameters: see ``voxpy.realtime.options.ClientParameters``. The audio formats are the agent's:
        with ``ulaw_8000`` at both sides a phone's mu-law passes through.

    Raises ConnectFailed, ScenarioError for a missing key or agent. VoxEngine:
    ElevenLabs.createAgentsClient.
    """
    if not agent_id:
        raise ScenarioError("agent_id must be the id of an agent at ElevenLabs")
    query = {"agent_id": agent_id}
    if include_conversation_id:
        query["include_conversation_id"] = "true"
    return await open_client(
        partial(AgentsClient, ELEVENLABS, ElevenLabsWire, tools),
        ELEVENLABS,
        function="ElevenLabs.create_agents_client",
        address=lambda base, _: socket_url(base, **query),
        api_key=xi_api_key,
        url=None if base_url is None else base_url.rstrip("/") + PATH,
        parameters=parameters,
    )
