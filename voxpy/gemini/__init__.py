"""``Gemini``: speech-to-speech agents over Google's Live API (VoxEngine: Gemini module)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, TypeAlias, Unpack

import attrs
import orjson
import trio

from voxpy.engine import clock
from voxpy.engine.events import Namespace, event_class
from voxpy.errors import EngineMissing, ScenarioError
from voxpy.gemini.wire import GeminiWire, camel, setup_message
from voxpy.realtime import tools as tool_sets
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
from voxpy.realtime.tools import Tools
from voxpy.realtime.turns import TurnClient
from voxpy.realtime.wire import Happening, Link, LinkReports, Ready
from voxpy.text import json
from voxpy.wire.realtime.endpoint import socket_url

__all__ = ["Backend", "Events", "Gemini", "LiveAPIClient", "LiveAPIEvents"]

DEFAULT_MODEL = "gemini-2.5-flash-native-audio-preview-12-2025"
VERTEX_MODEL = "gemini-live-2.5-flash-native-audio"
_PATH = "/ws/google.ai.generativelanguage.{version}.GenerativeService.BidiGenerateContent"
_VERTEX_PATH = "/ws/google.cloud.aiplatform.{version}.LlmBidiService/BidiGenerateContent"
MOVE_WITHIN_S = 15.0
"""A connection that resumes the session must be ready by then; Google gives a minute's notice."""
LOOK_EVERY_S = 0.04

Fields = Mapping[str, Any]


class LiveAPIEvents(metaclass=EventNamespace, prefix="Gemini.LiveAPI"):
    """Events of the service (VoxEngine: Gemini.LiveAPIEvents).

    ``event.data.payload`` is what stands below the message's name: of ``ServerContent`` an object
    with ``interrupted``, ``turnComplete``, ``inputTranscription`` ...; audio is left out.
    """

    Unknown: TypeAlias = Unknown
    HTTPResponse: TypeAlias = HTTPResponse
    WebSocketError: TypeAlias = WebSocketError
    ConnectorInformation: TypeAlias = ConnectorInformation

    @event_class
    class SetupComplete(RealtimeAPIEvent):
        """The session is configured: time to bridge media."""

        wire_type = "setupComplete"

    @event_class
    class ServerContent(RealtimeAPIEvent):
        """What the model says or writes, what it understood, and that it was interrupted."""

        wire_type = "serverContent"

    @event_class
    class ToolCall(RealtimeAPIEvent):
        """The model calls functions: ``functionCalls``."""

        wire_type = "toolCall"

    @event_class
    class ToolCallCancellation(RealtimeAPIEvent):
        """The model does not want these results any more: ``ids``."""

        wire_type = "toolCallCancellation"


class Events(MediaEvents, metaclass=EventNamespace, prefix="Gemini.Events"):
    """Events of the media stream from the service (VoxEngine: Gemini.Events)."""


def _api_key(key: str) -> Headers:
    return [("x-goog-api-key", key)]


GEMINI = Service(
    name="Gemini",
    endpoint="wss://generativelanguage.googleapis.com" + _PATH.format(version="v1beta"),
    secret="GEMINI_API_KEY",  # noqa: S106  its name, not its value
    authentication=_api_key,
    events=LiveAPIEvents,
    media_events=Events,
)


class LiveAPIClient(TurnClient[GeminiWire]):
    """A session of the Live API (VoxEngine: Gemini.LiveAPIClient).

    Made by ``Gemini.create_live_api_client``. Every method takes the service's own object, forwards
    it unchanged, and returns at once.
    """

    def __init__(self, setup: Fields, *args: Any) -> None:
        super().__init__(GEMINI, GeminiWire, *args)
        self._setup = setup
        self._moving = False

    def send_client_content(self, parameters: Fields) -> None:
        """Send ``clientContent``: ``turns``, ``turnComplete``. What is written is answered."""
        self._command("clientContent", parameters, {"clientContent": parameters})
        self._link.wire.sends_content(parameters)

    def send_realtime_input(self, parameters: Fields) -> None:
        """Send ``realtimeInput``: ``text``, ``video``, ``activityStart`` ...; audio comes from
        whoever sends it media.
        """
        self._command("realtimeInput", parameters, {"realtimeInput": parameters})
        self._link.wire.sends_input(parameters)

    def send_tool_response(self, parameters: Fields) -> None:
        """Send ``toolResponse``: ``functionResponses``, each with ``id``, ``name``, ``response``.

        Not needed with ``use_tools``.
        """
        self._command("toolResponse", parameters, {"toolResponse": parameters})
        self._link.wire.answers(parameters)

    # -- the inside ------------------------------------------------------------------------------

    async def _open(self) -> None:
        await super()._open()
        self._command("setup", self._setup["setup"], self._setup)

    def _take(self, what: Happening) -> None:
        super()._take(what)
        wire = self._link.wire
        if wire.leaving and wire.handle and not self._moving:
            self._moving = True
            self._session.spawn(f"{self._id} move", self._move)

    async def _move(self) -> None:
        """Go on over another connection: the service ends each after a while, not the session.

        As a renewal of other services, in a pause of both sides; of the new connection's events the
        scenario hears nothing until it is the one.
        """
        ready = trio.Event()
        found = LinkReports(take=lambda what: ready.set() if isinstance(what, Ready) else None)
        number = len(self._counted) + 1
        link: Link[GeminiWire] = self._dial(number, GeminiWire(), found)
        self._session.spawn(f"{self._id} connection {number}", link.connection.run)
        resumed = {"sessionResumption": {"handle": self._link.wire.handle}}
        link.send(orjson.dumps({"setup": {**self._setup["setup"], **resumed}}))
        with trio.move_on_after(MOVE_WITHIN_S):
            await ready.wait()
        if not ready.is_set() or self._closing or self._gone is not None:
            link.connection.close()
            self._announce.step("session not resumed")
            return
        while self._gone is None:
            if self._link.wire.idle and not self._voice.sounding:
                break
            await trio.sleep(LOOK_EVERY_S)
        old, self._link = self._link, link
        link.reports, old.reports = self._reports, LinkReports()
        old.connection.close()
        self._moving = False
        self._announce.step("session resumed on another connection", number=number)
        if recent := self._ear.recent():
            self._send_audio(recent)


class Backend(metaclass=Namespace):
    """Which of Google's services it is (VoxEngine: Gemini.Backend)."""

    GEMINI_API = "GeminiAPI"
    VERTEX_AI = "VertexAI"


class Gemini(metaclass=Namespace):
    """The Gemini module; also what ``require(Modules.Gemini)`` returns."""

    Backend: TypeAlias = Backend
    Events: TypeAlias = Events
    LiveAPIClient: TypeAlias = LiveAPIClient
    LiveAPIEvents: TypeAlias = LiveAPIEvents
    Silent: TypeAlias = tool_sets.Silent
    ToolSet: TypeAlias = tool_sets.ToolSet

    @staticmethod
    async def create_live_api_client(
        *,
        api_key: str | None = None,
        model: str | None = None,
        backend: str = Backend.GEMINI_API,
        project: str | None = None,
        location: str | None = None,
        credentials: str | Fields | None = None,
        http_options: Fields | None = None,
        connect_config: Fields | None = None,
        tools: Tools | None = None,
        **parameters: Unpack[ClientParameters],
    ) -> LiveAPIClient:
        """Open a connection, send its setup, and return the client as soon as the socket is open.

        Bridge media at ``SetupComplete``; the model speaks first only when it is told something:
        ``send_client_content``. Barge-in: ``clear_media_buffer`` when a ``ServerContent`` has
        ``interrupted``, or ``auto_truncate=True``.

        model: ``models/`` may be left out.
        backend: ``GeminiAPI``, or ``VertexAI``, which needs ``project``, ``location`` and
            ``credentials``: a service account's key (its JSON), or an access token.
        http_options: ``baseUrl``, ``apiVersion``, ``headers``.
        connect_config: as Google's clients take it: ``systemInstruction``, ``speechConfig``,
            ``tools``, ``sessionResumption`` ... With ``sessionResumption`` the session goes on over
            another connection when the service ends this one (``goAway``). Transcripts of both
            sides are asked for unless it says None.
        tools: functions the model may call; they are part of the setup. voxpy's own.
        parameters: see ``voxpy.realtime.options.ClientParameters``.

        Raises ConnectFailed, ScenarioError for a missing key or wrong argument. VoxEngine:
        Gemini.createLiveAPIClient.
        """
        http = {camel(name): value for name, value in (http_options or {}).items()}
        if backend == Backend.VERTEX_AI:
            service, api_key, whole = _vertex(project, location, credentials, http, model)
        elif backend == Backend.GEMINI_API:
            path = _PATH.format(version=http.get("apiVersion", "v1beta"))
            endpoint = "wss://generativelanguage.googleapis.com" + path
            service = attrs.evolve(GEMINI, endpoint=endpoint)
            named = model or DEFAULT_MODEL
            whole = named if "/" in named else f"models/{named}"
        else:
            kinds = ", ".join(Backend.members().values())
            raise ScenarioError(f"backend must be one of {kinds}, not {backend!r}")
        if more := http.get("headers"):
            known = service.authentication
            service = attrs.evolve(
                service, authentication=lambda key: [*known(key), *dict(more).items()]
            )
        declared = () if tools is None else tools.schemas()
        setup = setup_message(whole, connect_config or {}, declared)
        return await open_client(
            partial(LiveAPIClient, setup, tools),
            service,
            function="Gemini.create_live_api_client",
            address=lambda base, _: socket_url(base),
            api_key=api_key,
            url=_at(http.get("baseUrl"), service.endpoint),
            parameters=parameters,
        )


def _at(base: Any, endpoint: str) -> str | None:
    """Return the endpoint at another host, if one is given."""
    if not base:
        return None
    return str(base).rstrip("/") + endpoint[endpoint.index("/ws/") :]


def _vertex(
    project: str | None, location: str | None, credentials: Any, http: Fields, model: str | None
) -> tuple[Service, str | None, str]:
    """Return the service, who one is to it, and the model's whole name."""
    if not (project and location):
        raise ScenarioError("VertexAI needs project= and location=")
    host = "aiplatform" if location == "global" else f"{location}-aiplatform"
    path = _VERTEX_PATH.format(version=http.get("apiVersion", "v1beta1"))
    service = attrs.evolve(
        GEMINI,
        endpoint=f"wss://{host}.googleapis.com{path}",
        secret="GOOGLE_CREDENTIALS",  # noqa: S106  its name, not its value
        authentication=lambda key: [("Authorization", f"Bearer {key}")],
    )
    name = model or VERTEX_MODEL
    if not name.startswith("projects/"):
        publisher = name if "/" in name else f"publishers/google/models/{name}"
        name = f"projects/{project}/locations/{location}/{publisher}"
    return service, _token(credentials), name


def _token(credentials: Any) -> str | None:
    """Return an access token: given, or signed with a service account's key (AIP-4111)."""
    if isinstance(credentials, str) and credentials.lstrip().startswith("{"):
        credentials = json.loads(credentials)
    if not isinstance(credentials, Mapping):
        return credentials  # type: ignore[no-any-return]  # a token, or nothing
    try:
        import jwt

        now = int(clock.wall().timestamp())
        email = credentials["client_email"]
        claims = {"iss": email, "sub": email, "iat": now, "exp": now + 3600}
        return jwt.encode(
            {**claims, "aud": "https://aiplatform.googleapis.com/"},
            credentials["private_key"],
            algorithm="RS256",
            headers={"kid": credentials.get("private_key_id")},
        )
    except KeyError as error:
        raise ScenarioError(f"credentials of a service account must have {error}") from error
    except (NotImplementedError, ImportError) as error:
        raise EngineMissing("signing with RS256 needs: pip install 'voxpy[providers]'") from error
