"""``Deepgram``: agents over Deepgram's Voice Agent API (VoxEngine: Deepgram module)."""

from __future__ import annotations

from functools import partial
from typing import Any, TypeAlias, Unpack

import attrs
import orjson
import trio

from voxpy.deepgram.wire import DeepgramWire, settings_message
from voxpy.engine.events import Namespace, event_class
from voxpy.realtime import tools as tool_sets
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
from voxpy.realtime.service import Headers, Service, bearer
from voxpy.realtime.speech import open_client
from voxpy.realtime.tools import Tools
from voxpy.realtime.turns import Fields, TurnClient
from voxpy.wire.realtime.endpoint import socket_url

__all__ = ["Deepgram", "Events", "VoiceAgentClient", "VoiceAgentEvents"]

KEEPALIVE_S = 5.0
"""Deepgram closes what says nothing for ten seconds."""


class VoiceAgentEvents(
    metaclass=EventNamespace,
    prefix="Deepgram.VoiceAgent",
    names={"HTTPResponse": "Deepgram.Agents.HTTPResponse"},
):
    """Events of the service (VoxEngine: Deepgram.VoiceAgentEvents)."""

    Unknown: TypeAlias = Unknown
    HTTPResponse: TypeAlias = HTTPResponse
    WebSocketError: TypeAlias = WebSocketError
    ConnectorInformation: TypeAlias = ConnectorInformation

    @event_class
    class Welcome(RealtimeAPIEvent):
        """The connection stands; the settings go out by themselves."""

        wire_type = "Welcome"

    @event_class
    class SettingsApplied(RealtimeAPIEvent):
        """The agent is configured: time to bridge media."""

        wire_type = "SettingsApplied"

    @event_class
    class ConversationText(RealtimeAPIEvent):
        """What was said, by ``role``: user or assistant."""

        wire_type = "ConversationText"
        role = Field(text_in)
        content = Field(text_in)

    @event_class
    class UserStartedSpeaking(RealtimeAPIEvent):
        """The caller begins to speak: time for ``clear_media_buffer``."""

        wire_type = "UserStartedSpeaking"

    @event_class
    class AgentThinking(RealtimeAPIEvent):
        """The agent thinks; ``content`` may say what."""

        wire_type = "AgentThinking"
        content = Field(text_in)

    @event_class
    class FunctionCallRequest(RealtimeAPIEvent):
        """The model calls functions: ``functions``."""

        wire_type = "FunctionCallRequest"

    @event_class
    class FunctionCallResponse(RealtimeAPIEvent):
        """A function that runs at the service has answered."""

        wire_type = "FunctionCallResponse"

    @event_class
    class PromptUpdated(RealtimeAPIEvent):
        """The answer to ``send_update_prompt``."""

        wire_type = "PromptUpdated"

    @event_class
    class SpeakUpdated(RealtimeAPIEvent):
        """The answer to ``send_update_speak``."""

        wire_type = "SpeakUpdated"

    @event_class
    class AgentAudioDone(RealtimeAPIEvent):
        """All audio of this turn is sent, which is before it has been heard."""

        wire_type = "AgentAudioDone"

    @event_class
    class Error(RealtimeAPIEvent):
        """Something is wrong: ``description``, ``code``."""

        wire_type = "Error"
        description = Field(text_in)
        code = Field(text_in)

    @event_class
    class Warning(RealtimeAPIEvent):
        """Something is odd: ``description``, ``code``."""

        wire_type = "Warning"
        description = Field(text_in)
        code = Field(text_in)

    @event_class
    class History(RealtimeAPIEvent):
        """A line of the conversation, or a call of a function, for the record."""

        wire_type = "History"


class Events(MediaEvents, metaclass=EventNamespace, prefix="Deepgram.Events"):
    """Events of the media stream from the service (VoxEngine: Deepgram.Events)."""


def _token(key: str) -> Headers:
    return [("Authorization", f"Token {key}")]


DEEPGRAM = Service(
    name="Deepgram",
    endpoint="wss://agent.deepgram.com/v1/agent/converse",
    secret="DEEPGRAM_API_KEY",  # noqa: S106  its name, not its value
    authentication=_token,
    events=VoiceAgentEvents,
    media_events=Events,
)


class VoiceAgentClient(TurnClient[DeepgramWire]):
    """A conversation with a voice agent (VoxEngine: Deepgram.VoiceAgentClient).

    Made by ``Deepgram.create_voice_agent_client``. Every method takes the service's own object
    without its ``type``, and returns at once.
    """

    def __init__(self, settings: Fields, tools: Tools | None, *args: Any) -> None:
        super().__init__(DEEPGRAM, DeepgramWire, tools, *args)
        schemas = () if tools is None else tools.schemas()
        self._settings = settings_message(settings, schemas, self._legs_g711())
        self._link.wire.settings = self._settings

    def send_update_speak(self, parameters: Fields) -> None:
        """Change the voice: ``speak``."""
        self._typed("UpdateSpeak", parameters)

    def send_update_prompt(self, parameters: Fields) -> None:
        """Add to the prompt: ``prompt``."""
        self._typed("UpdatePrompt", parameters)

    def send_inject_agent_message(self, parameters: Fields) -> None:
        """Have the agent say ``message``."""
        self._typed("InjectAgentMessage", parameters)
        self._link.wire.asks()

    def send_inject_user_message(self, parameters: Fields) -> None:
        """Write to the agent in the caller's place: ``content``."""
        self._typed("InjectUserMessage", parameters)
        self._link.wire.asks()

    def send_function_call_response(self, parameters: Fields) -> None:
        """Answer a function: ``id``, ``name``, ``content``. Not with ``use_tools``."""
        self._typed("FunctionCallResponse", parameters)
        self._link.wire.answered(str(parameters.get("id")))

    # -- the inside ------------------------------------------------------------------------------

    async def _open(self) -> None:
        await super()._open()
        self._announce.command("Settings", dict(self._settings))
        self._session.spawn(f"{self._id} keepalive", self._keep_alive)

    async def _keep_alive(self) -> None:
        while not self._closing and self._gone is None:
            await trio.sleep(KEEPALIVE_S)
            self._link.send(orjson.dumps({"type": "KeepAlive"}))


class Deepgram(metaclass=Namespace):
    """The Deepgram module; also what ``require(Modules.Deepgram)`` returns."""

    Events: TypeAlias = Events
    Silent: TypeAlias = tool_sets.Silent
    ToolSet: TypeAlias = tool_sets.ToolSet
    VoiceAgentClient: TypeAlias = VoiceAgentClient
    VoiceAgentEvents: TypeAlias = VoiceAgentEvents

    @staticmethod
    async def create_voice_agent_client(
        *,
        api_key: str | None = None,
        access_token: str | None = None,
        settings_options: Fields | None = None,
        url: str | None = None,
        tools: Tools | None = None,
        **parameters: Unpack[ClientParameters],
    ) -> VoiceAgentClient:
        """Open a connection, send the settings, and return the client when the socket is open.

        Bridge media at ``SettingsApplied``; the agent then says its ``greeting``. Barge-in:
        ``clear_media_buffer`` at ``UserStartedSpeaking``, or ``auto_truncate=True``.

        access_token: in place of the key, from Deepgram's token API.
        settings_options: the ``Settings``, without ``type``: ``agent`` with ``listen``, ``think``,
            ``speak``, ``greeting``. Where it names no ``audio``, ``audio_format`` decides: G.711
            of a phone passes through.
        url: another endpoint of the same API. voxpy's own.
        tools: functions the model may call; they join ``agent.think.functions``. voxpy's own.
        parameters: see ``voxpy.realtime.options.ClientParameters``.

        Raises ConnectFailed, ScenarioError for a missing key. VoxEngine:
        Deepgram.createVoiceAgentClient.
        """
        service = DEEPGRAM
        if access_token:
            service = attrs.evolve(service, authentication=bearer)
        return await open_client(
            partial(VoiceAgentClient, settings_options or {}, tools),
            service,
            function="Deepgram.create_voice_agent_client",
            address=lambda base, _: socket_url(base),
            api_key=access_token or api_key,
            url=url,
            parameters=parameters,
        )
