"""``Ultravox``: agents over Ultravox's WebSocket calls (VoxEngine: Ultravox module)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, TypeAlias, Unpack
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import httpx

from voxpy.engine.context import current
from voxpy.engine.events import Namespace, event_class
from voxpy.errors import ConnectFailed, ScenarioError
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
from voxpy.realtime.service import Service
from voxpy.realtime.speech import FAILED, choose, open_client
from voxpy.realtime.tools import Tools
from voxpy.realtime.turns import Fields, TurnClient
from voxpy.sockets.streamhttp import service_client
from voxpy.text import json
from voxpy.ultravox.wire import UltravoxWire, call_body
from voxpy.wire.realtime.endpoint import refusal_reason, socket_url

__all__ = ["Events", "HTTPEndpoint", "Ultravox", "WebSocketAPIClient", "WebSocketAPIEvents"]

API = "https://api.ultravox.ai"


class WebSocketAPIEvents(metaclass=EventNamespace, prefix="Ultravox.WebSocketAPI"):
    """Events of the service (VoxEngine: Ultravox.WebSocketAPIEvents)."""

    Unknown: TypeAlias = Unknown
    HTTPResponse: TypeAlias = HTTPResponse
    WebSocketError: TypeAlias = WebSocketError
    ConnectorInformation: TypeAlias = ConnectorInformation

    @event_class
    class State(RealtimeAPIEvent):
        """What the agent does: ``listening``, ``thinking``, ``speaking`` ..."""

        wire_type = "state"
        state = Field(text_in)

    @event_class
    class Transcript(RealtimeAPIEvent):
        """What was said: ``role``, ``text`` or ``delta``, ``final``."""

        wire_type = "transcript"
        role = Field(text_in)
        text = Field(text_in)
        delta = Field(text_in)

    @event_class
    class ClientToolInvocation(RealtimeAPIEvent):
        """The agent calls a tool of the client's: ``toolName``, ``invocationId``."""

        wire_type = "client_tool_invocation"

    @event_class
    class DataConnectionToolInvocation(RealtimeAPIEvent):
        """The agent calls a tool of the data connection's."""

        wire_type = "data_connection_tool_invocation"

    @event_class
    class Debug(RealtimeAPIEvent):
        """Something for whoever develops the agent."""

        wire_type = "debug"

    @event_class
    class PlaybackClearBuffer(RealtimeAPIEvent):
        """The caller interrupts: time for ``clear_media_buffer``."""

        wire_type = "playback_clear_buffer"


class Events(MediaEvents, metaclass=EventNamespace, prefix="Ultravox.Events"):
    """Events of the media stream from the service (VoxEngine: Ultravox.Events)."""


ULTRAVOX = Service(
    name="Ultravox",
    endpoint=API,
    secret="ULTRAVOX_API_KEY",  # noqa: S106  its name, not its value
    authentication=lambda _: [],  # the address that is joined is itself the key
    events=WebSocketAPIEvents,
    media_events=Events,
)


class WebSocketAPIClient(TurnClient[UltravoxWire]):
    """A call at Ultravox (VoxEngine: Ultravox.WebSocketAPIClient).

    Made by ``Ultravox.create_web_socket_api_client``. Every method takes the service's own object
    without its ``type``, and returns at once.
    """

    def input_text_message(self, parameters: Fields) -> None:
        """Write to the agent in the caller's place: ``text``, ``deferResponse``."""
        self._typed("input_text_message", parameters)
        if not parameters.get("deferResponse"):
            self._link.wire.asks()

    def user_text_message(self, parameters: Fields) -> None:
        """Write to the agent in the caller's place: ``text``, ``urgency``."""
        self._typed("user_text_message", parameters)
        if parameters.get("urgency") != "later":
            self._link.wire.asks()

    def set_output_medium(self, parameters: Fields) -> None:
        """Have the agent speak or write from now on: ``medium``, ``voice`` or ``text``."""
        self._typed("set_output_medium", parameters)

    def client_tool_result(self, parameters: Fields) -> None:
        """Answer a client tool: ``invocationId``, ``result``. Not with ``use_tools``."""
        self._typed("client_tool_result", parameters)
        self._link.wire.answered(str(parameters.get("invocationId")))

    def data_connection_tool_result(self, parameters: Fields) -> None:
        """Answer a tool of the data connection: ``invocationId``, ``result``."""
        self._typed("data_connection_tool_result", parameters)
        self._link.wire.answered(str(parameters.get("invocationId")))

    def forced_agent_message(self, parameters: Fields) -> None:
        """Have the agent say ``content``."""
        self._typed("forced_agent_message", parameters)
        self._link.wire.asks()

    def hang_up(self, parameters: Fields) -> None:
        """Have the agent end its call, with ``message`` as its last words."""
        self._typed("hang_up", parameters)


class HTTPEndpoint(metaclass=Namespace):
    """How one comes into a call (VoxEngine: Ultravox.HTTPEndpoint)."""

    CREATE_CALL = "CreateCall"
    CREATE_AGENT_CALL = "CreateAgentCall"
    JOIN_CALL = "JoinCall"


class Ultravox(metaclass=Namespace):
    """The Ultravox module; also what ``require(Modules.Ultravox)`` returns."""

    Events: TypeAlias = Events
    HTTPEndpoint: TypeAlias = HTTPEndpoint
    Silent: TypeAlias = tool_sets.Silent
    ToolSet: TypeAlias = tool_sets.ToolSet
    WebSocketAPIClient: TypeAlias = WebSocketAPIClient
    WebSocketAPIEvents: TypeAlias = WebSocketAPIEvents

    @staticmethod
    async def create_web_socket_api_client(
        *,
        endpoint: str = HTTPEndpoint.CREATE_CALL,
        authorizations: Mapping[str, str] | None = None,
        path_parameters: Mapping[str, str] | None = None,
        query_parameters: Mapping[str, Any] | None = None,
        body: Fields | None = None,
        join_url: str | None = None,
        url: str | None = None,
        tools: Tools | None = None,
        **parameters: Unpack[ClientParameters],
    ) -> WebSocketAPIClient:
        """Create a call, join it, and return its client as soon as the socket is open.

        Bridge media at once; the agent speaks first unless the call says otherwise. Barge-in:
        ``clear_media_buffer`` at ``PlaybackClearBuffer``, or ``auto_truncate=True``.

        endpoint: ``CreateCall``; ``CreateAgentCall``, with ``path_parameters={"agent_id": …}``;
            ``JoinCall``, with ``join_url``.
        authorizations: ``{"X-API-Key": …}``, Ultravox's key.
        body: the request that creates the call: ``systemPrompt``, ``voice``, ``selectedTools`` ...
            A medium is added unless it has one: PCM at 16 kHz over a WebSocket.
        url: another server of the same API. voxpy's own.
        tools: functions the agent may call; they join ``selectedTools``. voxpy's own.
        parameters: see ``voxpy.realtime.options.ClientParameters``.

        Raises ConnectFailed, ScenarioError for a missing key or wrong argument. VoxEngine:
        Ultravox.createWebSocketAPIClient.
        """
        function = "Ultravox.create_web_socket_api_client"
        if endpoint not in HTTPEndpoint.members().values():
            kinds = ", ".join(HTTPEndpoint.members().values())
            raise ScenarioError(f"endpoint must be one of {kinds}, not {endpoint!r}")
        key = next(iter((authorizations or {}).values()), None)
        whole = call_body(body or {}, () if tools is None else tools.schemas())
        if endpoint == HTTPEndpoint.JOIN_CALL:
            if not join_url:
                raise ScenarioError("JoinCall needs join_url=")
            key = key or "join"  # the address is the key
        else:
            base, key = choose(function, ULTRAVOX, key, url)
            address = _address(base, endpoint, path_parameters or {}, query_parameters or {})
            join_url = await _create(function, address, key, whole)
        return await open_client(
            partial(WebSocketAPIClient, ULTRAVOX, partial(UltravoxWire, whole), tools),
            ULTRAVOX,
            function=function,
            address=lambda base, _: socket_url(base),
            api_key=key,
            url=join_url,
            parameters=parameters,
        )


def _address(base: str, endpoint: str, path: Mapping[str, str], query: Mapping[str, Any]) -> str:
    where = "/api/calls"
    if endpoint == HTTPEndpoint.CREATE_AGENT_CALL:
        agent = path.get("agent_id") or path.get("agentId")
        if not agent:
            raise ScenarioError('CreateAgentCall needs path_parameters={"agent_id": …}')
        where = f"/api/agents/{quote(str(agent), safe='')}/calls"
    there = urlsplit(base)
    scheme = {"ws": "http", "wss": "https"}.get(there.scheme, there.scheme)
    return urlunsplit((scheme, there.netloc, where, urlencode(dict(query)), ""))


async def _create(function: str, address: str, key: str, body: Fields) -> str:
    """Create the call; return where it is joined. Raises ConnectFailed."""
    session = current(function)
    session.trace.command("Ultravox.create_call", url=address)
    try:
        async with service_client(session) as client:
            answer = await client.post(address, headers={"X-API-Key": key}, json=dict(body))
    except httpx.HTTPError as error:
        problem = ConnectFailed(f"{address}: {error}")
    else:
        if answer.is_success:
            told = json.loads(answer.content)
            if isinstance(told, dict) and isinstance(told.get("joinUrl"), str):
                return str(told["joinUrl"])
            problem = ConnectFailed(f"{address}: the answer has no joinUrl")
        else:
            why = refusal_reason(answer.status_code, answer.content)
            problem = ConnectFailed(f"{address}: refused: {why}", status=answer.status_code)
    session.troubles.agent_failed("Ultravox", f"{FAILED}: {problem}")
    raise problem
