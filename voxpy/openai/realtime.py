"""``OpenAI``'s speech-to-speech sessions, today's and the beta's (VoxEngine: OpenAI module).

Wire: OpenAI's "Realtime API" guides and reference (general availability; the beta as of 2024), and
for Azure "GPT Realtime API via WebSockets": there the deployment is the ``model`` of the address,
and the key goes into ``api-key``. Over a WebSocket the client owns playback, so there is no
``output_audio_buffer.clear``: that event is of WebRTC and SIP.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal, TypeAlias, Unpack
from urllib.parse import urlsplit

import attrs

from voxpy.engine.events import Namespace
from voxpy.errors import ScenarioError
from voxpy.realtime import client, events
from voxpy.realtime.envelope import EventNamespace, MediaEvents
from voxpy.realtime.options import ClientParameters
from voxpy.realtime.service import FORMATS, Habits, Headers, Service, bearer
from voxpy.realtime.speech import open_client
from voxpy.wire.realtime.endpoint import socket_url

DEFAULT_MODEL = "gpt-realtime"
DEFAULT_BETA_MODEL = "gpt-4o-realtime-preview"
_AZURE = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")
_NO_CLEAR = "over a WebSocket playback is the client's; use clear_media_buffer()"


class RealtimeAPIEvents(metaclass=EventNamespace, prefix="OpenAI.RealtimeAPI"):
    """Events of the service (VoxEngine: OpenAI.RealtimeAPIEvents)."""

    Unknown: TypeAlias = events.Unknown
    HTTPResponse: TypeAlias = events.HTTPResponse
    Error: TypeAlias = events.Error
    SessionCreated: TypeAlias = events.SessionCreated
    SessionUpdated: TypeAlias = events.SessionUpdated
    ConversationItemAdded: TypeAlias = events.ConversationItemAdded
    ConversationItemDone: TypeAlias = events.ConversationItemDone
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
    InputAudioBufferSpeechStarted: TypeAlias = events.InputAudioBufferSpeechStarted
    InputAudioBufferSpeechStopped: TypeAlias = events.InputAudioBufferSpeechStopped
    InputAudioBufferTimeoutTriggered: TypeAlias = events.InputAudioBufferTimeoutTriggered
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
    WebSocketError: TypeAlias = events.WebSocketError
    ConnectorInformation: TypeAlias = events.ConnectorInformation


class Events(MediaEvents, metaclass=EventNamespace, prefix="OpenAI.Events"):
    """Events of the media stream from the service (VoxEngine: OpenAI.Events)."""


class BetaEvents(metaclass=EventNamespace, prefix="OpenAI.Beta.RealtimeAPI"):
    """Events of the beta (VoxEngine: OpenAI.Beta.RealtimeAPIEvents)."""

    Unknown: TypeAlias = events.Unknown
    Error: TypeAlias = events.Error
    SessionCreated: TypeAlias = events.SessionCreated
    SessionUpdated: TypeAlias = events.SessionUpdated
    ConversationCreated: TypeAlias = events.ConversationCreated
    ConversationItemCreated: TypeAlias = events.ConversationItemCreated
    ConversationItemRetrieved: TypeAlias = events.ConversationItemRetrieved
    ConversationItemInputAudioTranscriptionCompleted: TypeAlias = (
        events.ConversationItemInputAudioTranscriptionCompleted
    )
    ConversationItemInputAudioTranscriptionDelta: TypeAlias = (
        events.ConversationItemInputAudioTranscriptionDelta
    )
    ConversationItemInputAudioTranscriptionFailed: TypeAlias = (
        events.ConversationItemInputAudioTranscriptionFailed
    )
    ConversationItemTruncated: TypeAlias = events.ConversationItemTruncated
    ConversationItemDeleted: TypeAlias = events.ConversationItemDeleted
    InputAudioBufferCommitted: TypeAlias = events.InputAudioBufferCommitted
    InputAudioBufferCleared: TypeAlias = events.InputAudioBufferCleared
    InputAudioBufferSpeechStarted: TypeAlias = events.InputAudioBufferSpeechStarted
    InputAudioBufferSpeechStopped: TypeAlias = events.InputAudioBufferSpeechStopped
    ResponseCreated: TypeAlias = events.ResponseCreated
    ResponseDone: TypeAlias = events.ResponseDone
    ResponseOutputItemAdded: TypeAlias = events.ResponseOutputItemAdded
    ResponseOutputItemDone: TypeAlias = events.ResponseOutputItemDone
    ResponseContentPartAdded: TypeAlias = events.ResponseContentPartAdded
    ResponseContentPartDone: TypeAlias = events.ResponseContentPartDone
    ResponseTextDelta: TypeAlias = events.ResponseTextDelta
    ResponseTextDone: TypeAlias = events.ResponseTextDone
    ResponseAudioTranscriptDelta: TypeAlias = events.ResponseAudioTranscriptDelta
    ResponseAudioTranscriptDone: TypeAlias = events.ResponseAudioTranscriptDone
    ResponseAudioDone: TypeAlias = events.ResponseAudioDone
    ResponseFunctionCallArgumentsDelta: TypeAlias = events.ResponseFunctionCallArgumentsDelta
    ResponseFunctionCallArgumentsDone: TypeAlias = events.ResponseFunctionCallArgumentsDone
    RateLimitsUpdated: TypeAlias = events.RateLimitsUpdated


class BetaMediaEvents(MediaEvents, metaclass=EventNamespace, prefix="OpenAI.Beta.Events"):
    """Events of the media stream from the service (VoxEngine: OpenAI.Beta.Events)."""


OPENAI = Service(
    name="OpenAI",
    endpoint="wss://api.openai.com/v1/realtime",
    secret="OPENAI_API_KEY",  # noqa: S106  its name, not its value
    authentication=bearer,
    events=RealtimeAPIEvents,
    media_events=Events,
    refuses={"output_audio_buffer.clear": _NO_CLEAR},
)
_HEARING_ONLY = {
    name: {"audio": {"input": session["audio"]["input"]}} for name, session in FORMATS.items()
}
_BETA_FORMATS = {"pcm16": "pcm16", "pcmu": "g711_ulaw", "pcma": "g711_alaw"}
BETA = attrs.evolve(
    OPENAI,
    name="OpenAI.Beta",
    authentication=lambda key: [*bearer(key), ("OpenAI-Beta", "realtime=v1")],
    events=BetaEvents,
    media_events=BetaMediaEvents,
    formats={
        ours: {"input_audio_format": theirs, "output_audio_format": theirs}
        for ours, theirs in _BETA_FORMATS.items()
    },
    habits=Habits(typed_sessions=False),
)


class RealtimeAPIClientType(metaclass=Namespace):
    """What a session is for (VoxEngine: OpenAI.RealtimeAPIClientType)."""

    REALTIME = "realtime"
    TRANSCRIPTION = "transcription"


def _azure(key: str) -> Headers:
    return [("api-key", key)]


def realtime_url(query: Mapping[str, str], base: str, _number: int) -> str:
    """Return the address of a session: ``base`` may be that of all the API, ``…/v1``."""
    if not urlsplit(base).path.rstrip("/").endswith("/realtime"):
        before, mark, asked = base.partition("?")
        base = f"{before.rstrip('/')}/realtime{mark}{asked}"
    return socket_url(base, **query)


async def create_realtime_api_client(
    *,
    api_key: str | None = None,
    model: str | None = None,
    type: Literal["realtime", "transcription"] = "realtime",
    base_url: str | None = None,
    **parameters: Unpack[ClientParameters],
) -> client.RealtimeAPIClient:
    """Open a connection and return its client as soon as the socket is open.

    Wait for ``SessionCreated``, send ``session_update``, bridge media at ``SessionUpdated``.

    model: ``gpt-realtime`` unless given; at Azure the deployment.
    type: ``transcription`` only writes down what it hears: no answers, no sound.
    base_url: another server of the protocol; ``…/v1`` or the whole address. At a host of Azure's
        the key goes into its header ``api-key``.
    parameters: see ``voxpy.realtime.options.ClientParameters``.

    Raises ConnectFailed, ScenarioError for a missing key or wrong argument. VoxEngine:
    OpenAI.createRealtimeAPIClient.
    """
    kinds = RealtimeAPIClientType.members().values()
    if type not in kinds:
        raise ScenarioError(f"type must be one of {', '.join(kinds)}, not {type!r}")
    service, query = OPENAI, {"model": model or DEFAULT_MODEL}
    if type == RealtimeAPIClientType.TRANSCRIPTION:
        service, query = attrs.evolve(service, formats=_HEARING_ONLY), {"intent": type}
    if base_url is not None and (urlsplit(base_url).hostname or "").endswith(_AZURE):
        service = attrs.evolve(service, authentication=_azure)
    return await open_client(
        partial(client.RealtimeAPIClient, service),
        service,
        function="OpenAI.create_realtime_api_client",
        address=partial(realtime_url, query),
        api_key=api_key,
        url=base_url,
        parameters=parameters,
    )


class BetaRealtimeAPIClient(client.RealtimeAPIClient):
    """The client of the beta: positional arguments (VoxEngine: OpenAI.Beta.RealtimeAPIClient)."""

    def session_update(self, session: Mapping[str, Any], event_id: str | None = None) -> None:
        """Send ``session.update``; ``session`` in the beta's flat shape."""
        self._send_named("session.update", event_id, session=session)

    def conversation_item_create(
        self,
        item: Mapping[str, Any],
        previous_item_id: str | None = None,
        event_id: str | None = None,
    ) -> None:
        """Send ``conversation.item.create``."""
        after = {} if previous_item_id is None else {"previous_item_id": previous_item_id}
        self._send_named("conversation.item.create", event_id, item=item, **after)

    def conversation_item_retrieve(  # type: ignore[override]
        self, item_id: str, event_id: str | None = None
    ) -> None:
        """Send ``conversation.item.retrieve``."""
        self._send_named("conversation.item.retrieve", event_id, item_id=item_id)

    def conversation_item_truncate(  # type: ignore[override]
        self, item_id: str, content_index: int, audio_end_ms: int, event_id: str | None = None
    ) -> None:
        """Send ``conversation.item.truncate``."""
        self._send_named(
            "conversation.item.truncate",
            event_id,
            item_id=item_id,
            content_index=content_index,
            audio_end_ms=audio_end_ms,
        )

    def conversation_item_delete(  # type: ignore[override]
        self, item_id: str, event_id: str | None = None
    ) -> None:
        """Send ``conversation.item.delete``."""
        self._send_named("conversation.item.delete", event_id, item_id=item_id)

    def response_create(
        self, response_parameters: Mapping[str, Any] | None = None, event_id: str | None = None
    ) -> None:
        """Send ``response.create``."""
        given = {} if response_parameters is None else {"response": response_parameters}
        self._send_named("response.create", event_id, **given)

    def response_cancel(self, event_id: str | None = None) -> None:  # type: ignore[override]
        """Send ``response.cancel``."""
        self._send_named("response.cancel", event_id)

    def _send_named(self, event_type: str, event_id: str | None, **fields: Any) -> None:
        self._send(event_type, fields if event_id is None else {**fields, "event_id": event_id})


class Beta(metaclass=Namespace):
    """The protocol before general availability (VoxEngine: OpenAI.Beta).

    OpenAI has ended it; Azure's previews and other servers still speak it.
    """

    RealtimeAPIClient: TypeAlias = BetaRealtimeAPIClient
    RealtimeAPIEvents: TypeAlias = BetaEvents
    Events: TypeAlias = BetaMediaEvents

    @staticmethod
    async def create_realtime_api_client(
        *,
        api_key: str | None = None,
        model: str | None = None,
        base_url: str | None = None,
        **parameters: Unpack[ClientParameters],
    ) -> BetaRealtimeAPIClient:
        """Open a connection and return its client as soon as the socket is open.

        As ``OpenAI.create_realtime_api_client``, with the beta's header, names and session shape.
        """
        return await open_client(
            partial(BetaRealtimeAPIClient, BETA),
            BETA,
            function="OpenAI.Beta.create_realtime_api_client",
            address=partial(realtime_url, {"model": model or DEFAULT_BETA_MODEL}),
            api_key=api_key,
            url=base_url,
            parameters=parameters,
        )
