"""``Grok``: speech-to-speech agents over xAI's Voice Agent API (VoxEngine: Grok module).

Wire: xAI, "Voice Agent API" (docs.x.ai): the Realtime protocol with ``conversation.created`` as its
first event, and voice, turn detection and instructions at the top of the session object.
"""

from __future__ import annotations

from functools import partial
from typing import TypeAlias, Unpack

from voxpy.engine.events import Namespace
from voxpy.realtime import client, events, tools
from voxpy.realtime.envelope import EventNamespace, MediaEvents
from voxpy.realtime.options import ClientParameters
from voxpy.realtime.service import Service, bearer
from voxpy.realtime.speech import open_client
from voxpy.wire.realtime.endpoint import socket_url

__all__ = ["Events", "Grok", "VoiceAgentAPIEvents"]

DEFAULT_MODEL = "grok-voice-latest"


class VoiceAgentAPIEvents(metaclass=EventNamespace, prefix="Grok.VoiceAgentAPI"):
    """Events of the service (VoxEngine: Grok.VoiceAgentAPIEvents)."""

    Unknown: TypeAlias = events.Unknown
    ConversationCreated: TypeAlias = events.ConversationCreated
    SessionUpdated: TypeAlias = events.SessionUpdated
    ConversationItemAdded: TypeAlias = events.ConversationItemAdded
    ConversationItemInputAudioTranscriptionCompleted: TypeAlias = (
        events.ConversationItemInputAudioTranscriptionCompleted
    )
    InputAudioBufferCommitted: TypeAlias = events.InputAudioBufferCommitted
    InputAudioBufferCleared: TypeAlias = events.InputAudioBufferCleared
    InputAudioBufferSpeechStarted: TypeAlias = events.InputAudioBufferSpeechStarted
    InputAudioBufferSpeechStopped: TypeAlias = events.InputAudioBufferSpeechStopped
    ResponseCreated: TypeAlias = events.ResponseCreated
    ResponseDone: TypeAlias = events.ResponseDone
    ResponseOutputItemAdded: TypeAlias = events.ResponseOutputItemAdded
    ResponseOutputItemDone: TypeAlias = events.ResponseOutputItemDone
    ResponseOutputAudioTranscriptDelta: TypeAlias = events.ResponseOutputAudioTranscriptDelta
    ResponseOutputAudioTranscriptDone: TypeAlias = events.ResponseOutputAudioTranscriptDone
    ResponseOutputAudioDone: TypeAlias = events.ResponseOutputAudioDone
    ResponseContentPartAdded: TypeAlias = events.ResponseContentPartAdded
    ResponseContentPartDone: TypeAlias = events.ResponseContentPartDone
    ResponseFunctionCallArgumentsDone: TypeAlias = events.ResponseFunctionCallArgumentsDone
    WebSocketError: TypeAlias = events.WebSocketError
    ConnectorInformation: TypeAlias = events.ConnectorInformation


class Events(MediaEvents, metaclass=EventNamespace, prefix="Grok.Events"):
    """Events of the media stream from the service (VoxEngine: Grok.Events)."""


GROK = Service(
    name="Grok",
    endpoint="wss://api.x.ai/v1/realtime",
    secret="XAI_API_KEY",  # noqa: S106  its name, not its value
    authentication=bearer,
    events=VoiceAgentAPIEvents,
    media_events=Events,
    refuses={"output_audio_buffer.clear": "use clear_media_buffer()"},
)


class Grok(metaclass=Namespace):
    """The Grok module; also what ``require(Modules.Grok)`` returns."""

    Events: TypeAlias = Events
    Silent: TypeAlias = tools.Silent
    ToolSet: TypeAlias = tools.ToolSet
    VoiceAgentAPIClient: TypeAlias = client.RealtimeAPIClient
    VoiceAgentAPIEvents: TypeAlias = VoiceAgentAPIEvents

    @staticmethod
    async def create_voice_agent_api_client(
        *,
        x_ai_api_key: str | None = None,
        model: str | None = None,
        url: str | None = None,
        **parameters: Unpack[ClientParameters],
    ) -> client.RealtimeAPIClient:
        """Open a connection and return its client as soon as the socket is open.

        Send ``session_update`` at ``ConversationCreated``, bridge media at ``SessionUpdated``.

        x_ai_api_key: xAI's key, or an ephemeral token.
        model: ``grok-voice-latest`` unless given.
        url: another endpoint of the same protocol. voxpy's own.
        parameters: see ``voxpy.realtime.options.ClientParameters``.

        Raises ConnectFailed, ScenarioError for a missing key. VoxEngine:
        Grok.createVoiceAgentAPIClient.
        """
        return await open_client(
            partial(client.RealtimeAPIClient, GROK),
            GROK,
            function="Grok.create_voice_agent_api_client",
            address=lambda base, _: socket_url(base, model=model or DEFAULT_MODEL),
            api_key=x_ai_api_key,
            url=url,
            parameters=parameters,
        )
