"""``Inworld``: speech-to-speech agents over Inworld's Realtime API (VoxEngine: Inworld module)."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, Unpack

import attrs

from voxpy.engine.events import Namespace
from voxpy.errors import ScenarioError
from voxpy.inworld import tts
from voxpy.realtime import client, events, session, tools
from voxpy.realtime.envelope import EventNamespace, MediaEvents
from voxpy.realtime.options import ClientParameters, CloseEvent
from voxpy.realtime.service import Habits, Service
from voxpy.realtime.speech import open_client
from voxpy.wire.realtime.endpoint import authorization, session_url

if TYPE_CHECKING:
    from voxpy.inworld import voice

__all__ = ["INWORLD", "CloseEvent", "Events", "Inworld", "RealtimeAPIEvents", "numbered_url"]


class RealtimeAPIEvents(metaclass=EventNamespace, prefix="Inworld.RealtimeAPI"):
    """Events of the service; listen with ``client.add_event_listener``.

    VoxEngine: Inworld.RealtimeAPIEvents.
    """

    Unknown: TypeAlias = events.Unknown
    HTTPResponse: TypeAlias = events.HTTPResponse
    Error: TypeAlias = events.Error
    SessionCreated: TypeAlias = events.SessionCreated
    SessionUpdated: TypeAlias = events.SessionUpdated
    ConversationItemAdded: TypeAlias = events.ConversationItemAdded
    ConversationItemDone: TypeAlias = events.ConversationItemDone
    ConversationItemDeleted: TypeAlias = events.ConversationItemDeleted
    ConversationItemRetrieved: TypeAlias = events.ConversationItemRetrieved
    ConversationItemTruncated: TypeAlias = events.ConversationItemTruncated
    ConversationItemInputAudioTranscriptionDelta: TypeAlias = (
        events.ConversationItemInputAudioTranscriptionDelta
    )
    ConversationItemInputAudioTranscriptionCompleted: TypeAlias = (
        events.ConversationItemInputAudioTranscriptionCompleted
    )
    ResponseCreated: TypeAlias = events.ResponseCreated
    ResponseDone: TypeAlias = events.ResponseDone
    ResponseOutputItemAdded: TypeAlias = events.ResponseOutputItemAdded
    ResponseOutputItemDone: TypeAlias = events.ResponseOutputItemDone
    ResponseContentPartAdded: TypeAlias = events.ResponseContentPartAdded
    ResponseContentPartDone: TypeAlias = events.ResponseContentPartDone
    ResponseOutputTextDelta: TypeAlias = events.ResponseOutputTextDelta
    ResponseOutputTextDone: TypeAlias = events.ResponseOutputTextDone
    ResponseOutputAudioDone: TypeAlias = events.ResponseOutputAudioDone
    ResponseOutputAudioTranscriptDelta: TypeAlias = events.ResponseOutputAudioTranscriptDelta
    ResponseOutputAudioTranscriptDone: TypeAlias = events.ResponseOutputAudioTranscriptDone
    ResponseFunctionCallArgumentsDelta: TypeAlias = events.ResponseFunctionCallArgumentsDelta
    ResponseFunctionCallArgumentsDone: TypeAlias = events.ResponseFunctionCallArgumentsDone
    InputAudioBufferSpeechStarted: TypeAlias = events.InputAudioBufferSpeechStarted
    InputAudioBufferSpeechStopped: TypeAlias = events.InputAudioBufferSpeechStopped
    InputAudioBufferCommitted: TypeAlias = events.InputAudioBufferCommitted
    InputAudioBufferCleared: TypeAlias = events.InputAudioBufferCleared
    InputAudioBufferTimeoutTriggered: TypeAlias = events.InputAudioBufferTimeoutTriggered
    OutputAudioBufferStarted: TypeAlias = events.OutputAudioBufferStarted
    OutputAudioBufferStopped: TypeAlias = events.OutputAudioBufferStopped
    OutputAudioBufferCleared: TypeAlias = events.OutputAudioBufferCleared
    RateLimitsUpdated: TypeAlias = events.RateLimitsUpdated
    WebSocketError: TypeAlias = events.WebSocketError
    ConnectorInformation: TypeAlias = events.ConnectorInformation


class Events(MediaEvents, metaclass=EventNamespace, prefix="Inworld.Events"):
    """Events of the media stream from the service (VoxEngine: Inworld.Events)."""


def _authentication(key: str, scheme: str | None = None) -> list[tuple[str, str]]:
    return [("Authorization", authorization(key, scheme))]


INWORLD = Service(
    name="Inworld",
    endpoint="wss://api.inworld.ai/api/v1/realtime/session",
    secret="INWORLD_API_KEY",  # noqa: S106  its name, not its value
    authentication=_authentication,
    events=RealtimeAPIEvents,
    media_events=Events,
    habits=Habits(mulaw_thirds=True, answers_tools=True),
)


def numbered_url(session_key: str, base: str, number: int) -> str:
    """Return the URL of a client's first, second ... session: each needs a key of its own."""
    return session_url(base, session_key if number == 1 else f"{session_key}-{number}")


class _Names(Namespace):
    if not TYPE_CHECKING:

        def __getattr__(cls, name: str) -> Any:  # noqa: N805  the class is its instance
            if name != "RealtimeVoice":  # which most scenarios do without
                return super().__getattr__(name)
            cls.RealtimeVoice = importlib.import_module("voxpy.inworld.voice").RealtimeVoice
            return cls.RealtimeVoice


class Inworld(metaclass=_Names):
    """The Inworld module; also what ``require(Modules.Inworld)`` returns."""

    RealtimeAPIClient: TypeAlias = client.RealtimeAPIClient
    RealtimeAPIEvents: TypeAlias = RealtimeAPIEvents
    Events: TypeAlias = Events
    RealtimeTTSPlayer: TypeAlias = tts.RealtimeTTSPlayer
    SessionParameters: TypeAlias = session.SessionParameters
    ToolSet: TypeAlias = tools.ToolSet
    Silent: TypeAlias = tools.Silent
    if TYPE_CHECKING:
        RealtimeVoice: TypeAlias = voice.RealtimeVoice

    @staticmethod
    def create_realtime_tts_player(
        *,
        create_context_parameters: Mapping[str, Any] | None = None,
        api_key: str | None = None,
    ) -> tts.RealtimeTTSPlayer:
        """Return a player that speaks what its ``send`` is given.

        create_context_parameters: ``{"create": {"modelId": …, "voiceId": …}}``; ``audioConfig``
            with ``MULAW`` at 8000 passes through a phone line.

        Raises ScenarioError for a missing key. VoxEngine: Inworld.createRealtimeTTSPlayer.
        """
        return tts.RealtimeTTSPlayer(INWORLD, create_context_parameters or {}, api_key=api_key)

    @staticmethod
    async def create_realtime_api_client(
        *,
        api_key: str | None = None,
        session_key: str,
        auth_scheme: Literal["basic", "bearer"] | None = None,
        url: str | None = None,
        mulaw_thirds: bool = True,
        **parameters: Unpack[ClientParameters],
    ) -> client.RealtimeAPIClient:
        """Open a connection and return its client as soon as the socket is open.

        The provider's session is not ready then: wait for ``SessionCreated``, send the
        configuration, and bridge media at the first ``SessionUpdated``.

        api_key: a portal key (already Base64, sent verbatim as Basic) or a JWT (sent as Bearer).
        session_key: any unique string; identifies the session at the service. A renewed client
            (``renew_after_s``) adds ``-2``, ``-3`` ...
        auth_scheme: overrides what the key's form suggests.
        url: another endpoint of the same protocol; default: the host's choice.
        mulaw_thirds: the service reckons 8 kHz mu-law in thirds of the real milliseconds, and so
            must a truncation. Used by ``auto_truncate`` alone. voxpy's own.
        parameters: see ``voxpy.realtime.options.ClientParameters``.

        Raises ConnectFailed (refused, unreachable, no answer in 10 s), ScenarioError for a missing
        key or wrong argument. VoxEngine: Inworld.createRealtimeAPIClient.
        """
        given: Any = session_key  # scenarios are not always type checked
        if not isinstance(given, str) or not given:
            raise ScenarioError(f"session_key must be a unique string, not {given!r}")
        service = attrs.evolve(
            INWORLD,
            authentication=partial(_authentication, scheme=auth_scheme),
            habits=attrs.evolve(INWORLD.habits, mulaw_thirds=mulaw_thirds),
        )
        return await open_client(
            partial(client.RealtimeAPIClient, service),
            service,
            function="Inworld.create_realtime_api_client",
            address=partial(numbered_url, session_key),
            api_key=api_key,
            url=url,
            parameters=parameters,
        )
