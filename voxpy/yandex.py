"""``Yandex``: speech-to-speech agents over Yandex AI Studio's Realtime API.

VoxEngine: Yandex module.

Wire: Yandex Cloud, "Creating a voice agent via Realtime API": the Realtime protocol; the address
names a model of a folder, ``gpt://<folder>/<model>``, and the key is an ``Api-Key``.
"""

from __future__ import annotations

from functools import partial
from typing import TypeAlias, Unpack

from voxpy.engine.events import Namespace
from voxpy.errors import ScenarioError
from voxpy.realtime import client, events, session, tools
from voxpy.realtime.envelope import EventNamespace, MediaEvents
from voxpy.realtime.options import ClientParameters
from voxpy.realtime.service import Headers, Service
from voxpy.realtime.speech import open_client
from voxpy.wire.realtime.endpoint import socket_url

__all__ = ["Events", "RealtimeAPIEvents", "Yandex"]

DEFAULT_MODEL = "speech-realtime-250923"


class RealtimeAPIEvents(metaclass=EventNamespace, prefix="Yandex.RealtimeAPI"):
    """Events of the service (VoxEngine: Yandex.RealtimeAPIEvents)."""

    Unknown: TypeAlias = events.Unknown
    HTTPResponse: TypeAlias = events.HTTPResponse
    WebSocketError: TypeAlias = events.WebSocketError
    ConnectorInformation: TypeAlias = events.ConnectorInformation
    Error: TypeAlias = events.Error
    SessionCreated: TypeAlias = events.SessionCreated
    SessionUpdated: TypeAlias = events.SessionUpdated
    ConversationItemCreated: TypeAlias = events.ConversationItemCreated
    ConversationItemRetrieved: TypeAlias = events.ConversationItemRetrieved
    ConversationItemInputAudioTranscriptionCompleted: TypeAlias = (
        events.ConversationItemInputAudioTranscriptionCompleted
    )
    ConversationItemInputAudioTranscriptionDelta: TypeAlias = (
        events.ConversationItemInputAudioTranscriptionDelta
    )
    ConversationItemInputAudioTranscriptionSegment: TypeAlias = (
        events.ConversationItemInputAudioTranscriptionSegment
    )
    ConversationItemInputAudioTranscriptionFailed: TypeAlias = (
        events.ConversationItemInputAudioTranscriptionFailed
    )
    ConversationItemTruncated: TypeAlias = events.ConversationItemTruncated
    ConversationItemDeleted: TypeAlias = events.ConversationItemDeleted
    InputAudioBufferCommitted: TypeAlias = events.InputAudioBufferCommitted
    InputAudioBufferCleared: TypeAlias = events.InputAudioBufferCleared
    InputAudioBufferDTMFEventReceived: TypeAlias = events.InputAudioBufferDTMFEventReceived
    InputAudioBufferSpeechStarted: TypeAlias = events.InputAudioBufferSpeechStarted
    InputAudioBufferSpeechStopped: TypeAlias = events.InputAudioBufferSpeechStopped
    InputAudioBufferTimeoutTriggered: TypeAlias = events.InputAudioBufferTimeoutTriggered
    OutputAudioBufferCleared: TypeAlias = events.OutputAudioBufferCleared
    OutputAudioBufferStarted: TypeAlias = events.OutputAudioBufferStarted
    OutputAudioBufferStopped: TypeAlias = events.OutputAudioBufferStopped
    ResponseCreated: TypeAlias = events.ResponseCreated
    ResponseDone: TypeAlias = events.ResponseDone
    ResponseOutputItemAdded: TypeAlias = events.ResponseOutputItemAdded
    ResponseOutputItemDone: TypeAlias = events.ResponseOutputItemDone
    ResponseContentPartAdded: TypeAlias = events.ResponseContentPartAdded
    ResponseContentPartDone: TypeAlias = events.ResponseContentPartDone
    ResponseOutputTextDelta: TypeAlias = events.ResponseOutputTextDelta
    ResponseOutputTextDone: TypeAlias = events.ResponseOutputTextDone
    ResponseOutputAudioTranscriptDelta: TypeAlias = events.ResponseOutputAudioTranscriptDelta
    ResponseOutputAudioTranscriptDone: TypeAlias = events.ResponseOutputAudioTranscriptDone
    ResponseOutputAudioDone: TypeAlias = events.ResponseOutputAudioDone
    ResponseFunctionCallArgumentsDelta: TypeAlias = events.ResponseFunctionCallArgumentsDelta
    ResponseFunctionCallArgumentsDone: TypeAlias = events.ResponseFunctionCallArgumentsDone
    ResponseMCPCallArgumentsDelta: TypeAlias = events.ResponseMCPCallArgumentsDelta
    ResponseMCPCallArgumentsDone: TypeAlias = events.ResponseMCPCallArgumentsDone
    ResponseMCPCallInProgress: TypeAlias = events.ResponseMCPCallInProgress
    ResponseMCPCallCompleted: TypeAlias = events.ResponseMCPCallCompleted
    ResponseMCPCallFailed: TypeAlias = events.ResponseMCPCallFailed
    MCPListToolsInProgress: TypeAlias = events.MCPListToolsInProgress
    MCPListToolsCompleted: TypeAlias = events.MCPListToolsCompleted
    MCPListToolsFailed: TypeAlias = events.MCPListToolsFailed
    RateLimitsUpdated: TypeAlias = events.RateLimitsUpdated
    # VoxEngine's typings give it the name of ResponseMCPCallFailed: a listener would get both.


class Events(MediaEvents, metaclass=EventNamespace, prefix="Yandex.Events"):
    """Events of the media stream from the service (VoxEngine: Yandex.Events)."""


def _api_key(key: str) -> Headers:
    return [("Authorization", f"Api-Key {key}")]


YANDEX = Service(
    name="Yandex",
    endpoint="wss://rest-assistant.api.cloud.yandex.net/v1/realtime/openai",
    secret="YANDEX_API_KEY",  # noqa: S106  its name, not its value
    authentication=_api_key,
    events=RealtimeAPIEvents,
    media_events=Events,
    refuses={"output_audio_buffer.clear": "use clear_media_buffer()"},
)


class Yandex(metaclass=Namespace):
    """The Yandex module; also what ``require(Modules.Yandex)`` returns."""

    Events: TypeAlias = Events
    RealtimeAPIClient: TypeAlias = client.RealtimeAPIClient
    RealtimeAPIEvents: TypeAlias = RealtimeAPIEvents
    SessionParameters: TypeAlias = session.SessionParameters
    Silent: TypeAlias = tools.Silent
    ToolSet: TypeAlias = tools.ToolSet

    @staticmethod
    async def create_realtime_api_client(
        *,
        api_key: str | None = None,
        folder_id: str,
        model: str | None = None,
        url: str | None = None,
        **parameters: Unpack[ClientParameters],
    ) -> client.RealtimeAPIClient:
        """Open a connection and return its client as soon as the socket is open.

        Wait for ``SessionCreated``, send ``session_update``, bridge media at ``SessionUpdated``.

        folder_id: the folder of Yandex Cloud that is billed.
        model: ``speech-realtime-250923`` unless given; or a whole ``gpt://…`` address.
        url: another endpoint of the same protocol. voxpy's own.
        parameters: see ``voxpy.realtime.options.ClientParameters``.

        Raises ConnectFailed, ScenarioError for a missing key or folder. VoxEngine:
        Yandex.createRealtimeAPIClient.
        """
        if not folder_id:
            raise ScenarioError("folder_id must be the id of a folder of Yandex Cloud")
        name = model or DEFAULT_MODEL
        whole = name if "://" in name else f"gpt://{folder_id}/{name}"
        return await open_client(
            partial(client.RealtimeAPIClient, YANDEX),
            YANDEX,
            function="Yandex.create_realtime_api_client",
            address=lambda base, _: socket_url(base, model=whole),
            api_key=api_key,
            url=url,
            parameters=parameters,
        )
