"""``MCP``: tools of a Model Context Protocol server (VoxEngine: MCP module).

Wire: Model Context Protocol, revision 2025-06-18, "Transports: Streamable HTTP": JSON-RPC by POST,
answered as JSON or as server-sent events; the session's id travels in ``Mcp-Session-Id``.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any, ClassVar, TypeAlias

import httpx

from voxpy.engine.context import current
from voxpy.engine.events import Namespace, event_class
from voxpy.engine.session import Session
from voxpy.engine.units import Catalog, Unit
from voxpy.errors import ConnectFailed, NotSupported, ScenarioError
from voxpy.realtime.envelope import (
    ConnectorInformation,
    EventData,
    EventNamespace,
    MediaEvents,
    RealtimeAPIEvent,
    Unknown,
)
from voxpy.sockets.streamhttp import service_client
from voxpy.text import json
from voxpy.text.product import product
from voxpy.wire.realtime.endpoint import refusal_reason

__all__ = ["MCP", "Client", "Events", "ServerEvents"]

REVISION = "2025-06-18"
TRANSPORTS = ("streamable_http", "streamable-http", "http")

Fields = Mapping[str, Any]


class ServerEvents(metaclass=EventNamespace, prefix="MCP.Server"):
    """Events of a server (VoxEngine: MCP.ServerEvents); ``data.payload`` is its result."""

    Unknown: TypeAlias = Unknown
    ConnectorInformation: TypeAlias = ConnectorInformation

    @event_class
    class ToolsList(RealtimeAPIEvent):
        """The answer to ``list_tools``: ``tools``."""

    @event_class
    class ToolResult(RealtimeAPIEvent):
        """The answer to ``call_tool``: ``content``, ``isError``; ``id`` is the request's."""

    @event_class
    class MCPError(RealtimeAPIEvent):
        """A request failed: ``message``, ``code``."""


class Events(MediaEvents, metaclass=EventNamespace, prefix="MCP.Events"):
    """VoxEngine has them of every client; nothing posts them here: there is no media."""


class Client(Unit):
    """A connection to a server (VoxEngine: MCP.Client). Made by ``MCP.create_client``."""

    _catalog: ClassVar[Catalog] = {"MCP.ServerEvents": ServerEvents, "MCP.Events": Events}

    def __init__(self, session: Session, endpoint: str, headers: Mapping[str, str]) -> None:
        super().__init__(session, session.new_id("mcp"))
        self._endpoint = endpoint
        self._headers = {"Accept": "application/json, text/event-stream", **headers}
        self._client = service_client(session)
        self._ids = count(1)
        self._closed = False

    def web_socket_id(self) -> str:
        """Raises NotSupported: it talks HTTP, without a WebSocket."""
        raise NotSupported("MCP.Client.web_socket_id(): it talks HTTP, no WebSocket")

    def list_tools(self, parameters: Fields | None = None) -> None:
        """Ask for the tools; ``ToolsList`` follows. ``{"cursor": …}`` asks for more of them."""
        self._ask("tools/list", "ToolsList", parameters or {})

    def call_tool(self, parameters: Fields) -> None:
        """Call a tool: ``name``, ``arguments``; ``ToolResult`` follows."""
        self._ask("tools/call", "ToolResult", parameters)

    def close(self) -> None:
        """End it. Idempotent."""
        self._session.trace.command("MCP.Client.close", unit=self.id())
        if not self._closed:
            self._closed = True
            self._session.spawn(f"{self.id()} closing", self._client.aclose)

    # -- the inside ------------------------------------------------------------------------------

    def _ask(self, method: str, event: str, given: Fields) -> None:
        wrong: Any = given  # scenarios are not always type checked
        if not isinstance(wrong, Mapping):
            raise ScenarioError(f"{method} takes a dict, not {type(wrong).__name__}")
        self._session.trace.command(f"MCP {method}", unit=self.id(), payload=dict(given))
        self._session.spawn(f"{self.id()} {method}", self._run, method, event, dict(given))

    async def _run(self, method: str, event: str, given: dict[str, Any]) -> None:
        try:
            result = await self._request(method, given)
        except ConnectFailed as error:
            self._tell("MCPError", {"message": str(error), "status": error.status})
            return
        if "error" in result:
            self._tell("MCPError", dict(result["error"]))
        else:
            self._tell(event, {"id": result.get("id"), **(result.get("result") or {})})

    async def _begin(self, name: str, version: str) -> None:
        """Shake hands. Raises ConnectFailed."""
        about = {"name": name, "version": version}
        asked = {"protocolVersion": REVISION, "capabilities": {}, "clientInfo": about}
        answer = await self._request("initialize", asked)
        if "error" in answer:
            why = answer["error"].get("message")
            raise ConnectFailed(f"{self._endpoint}: the server refused the session: {why}")
        told = answer.get("result") or {}
        self._headers["MCP-Protocol-Version"] = str(told.get("protocolVersion") or REVISION)
        await self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        self._tell("ConnectorInformation", {"id": self.id(), "endpoint": self._endpoint, **told})

    async def _request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a request. Raises ConnectFailed if there is none."""
        number = next(self._ids)
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        response = await self._send(message)
        found = [m for m in _messages(response) if m.get("id") == number]
        if not found:
            raise ConnectFailed(f"{self._endpoint}: no answer to {method}")
        return found[-1]

    async def _send(self, message: Fields) -> httpx.Response:
        try:
            response = await self._client.post(
                self._endpoint, headers=self._headers, json=dict(message)
            )
        except httpx.HTTPError as error:
            raise ConnectFailed(f"{self._endpoint}: {error}") from error
        if not response.is_success:
            why = refusal_reason(response.status_code, response.content)
            raise ConnectFailed(f"{self._endpoint}: refused: {why}", status=response.status_code)
        if known := response.headers.get("mcp-session-id"):
            self._headers["Mcp-Session-Id"] = known
        return response

    def _tell(self, name: str, payload: dict[str, Any]) -> None:
        kind: Any = ServerEvents.members()[name]
        if not self._closed:
            self._post(kind(client=self, data=EventData(custom_event=name, payload=payload)))


def _messages(response: httpx.Response) -> list[dict[str, Any]]:
    """Return the JSON-RPC messages of an answer, in either form."""
    text = response.text
    if response.headers.get("content-type", "").startswith("text/event-stream"):
        parts = [
            "\n".join(line[5:].strip() for line in block.splitlines() if line.startswith("data:"))
            for block in text.replace("\r\n", "\n").split("\n\n")
        ]
    else:
        parts = [text]
    found = []
    for part in filter(None, parts):
        try:
            value = json.loads(part)
        except ValueError:
            continue
        found += [v for v in (value if isinstance(value, list) else [value]) if isinstance(v, dict)]
    return found


class MCP(metaclass=Namespace):
    """The MCP module; also what ``require(Modules.MCP)`` returns."""

    Client: TypeAlias = Client
    Events: TypeAlias = Events
    ServerEvents: TypeAlias = ServerEvents

    @staticmethod
    async def create_client(*, mcp_server_connection_config: Fields) -> Client:
        """Connect to a server, shake hands, and return the client.

        mcp_server_connection_config: ``endpoint`` (an http or https address), ``headers``,
            ``clientName``, ``clientVersion``, ``transport``: ``streamable_http``.

        Raises ConnectFailed, ScenarioError for a missing endpoint, NotSupported for another
        transport: the older one over SSE is deprecated, and servers speak both. VoxEngine:
        MCP.createClient.
        """
        config = dict(mcp_server_connection_config)
        endpoint = config.get("endpoint")
        if not isinstance(endpoint, str) or not endpoint.startswith(("http://", "https://")):
            raise ScenarioError(f"endpoint must be an http or https address, not {endpoint!r}")
        transport = str(config.get("transport") or TRANSPORTS[0]).lower()
        if transport not in TRANSPORTS:
            raise NotSupported(f"transport {transport!r}: use {TRANSPORTS[0]!r}")
        session = current("MCP.create_client")
        client = Client(session, endpoint, dict(config.get("headers") or {}))
        session.trace.command("MCP.create_client", unit=client.id(), url=endpoint)
        session.add_closer(client.id(), client._client.aclose)
        name, _, version = product().partition("/")
        await client._begin(
            str(config.get("clientName") or name), str(config.get("clientVersion") or version)
        )
        return client
