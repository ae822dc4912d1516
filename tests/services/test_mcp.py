"""A Model Context Protocol server in memory, and the client of scenarios."""

from __future__ import annotations

from typing import Any

import h11
import orjson
import pytest
import trio

import voxpy as voxpy_package
from voxpy import MCP
from voxpy.errors import NotSupported
from voxpy.testing import CallKit

TOOL = {"name": "get_weather", "inputSchema": {"type": "object"}}
SCENARIO = """
from voxpy import AppEvents, CallEvents, Logger, MCP, VoxEngine
from voxpy.errors import ConnectFailed

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    event.call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    event.call.answer()
    S = MCP.ServerEvents
    client = await MCP.create_client(mcp_server_connection_config={
        "endpoint": "http://tools.test/mcp", "headers": {"Authorization": "Bearer t"}})
    client.add_event_listener(
        S.ToolsList, lambda e: Logger.write(e.data.payload["tools"][0]["name"]))
    client.add_event_listener(
        S.ToolResult, lambda e: Logger.write(e.data.payload["content"][0]["text"]))
    client.add_event_listener(S.MCPError, lambda e: Logger.write(e.data.payload["message"]))
    client.list_tools()
    client.call_tool({"name": "get_weather", "arguments": {"city": "Oslo"}})
    client.call_tool({"name": "unheard_of", "arguments": {}})
"""


class Server:
    """Speaks Streamable HTTP: JSON for most, server-sent events for a tool's result."""

    def __init__(self) -> None:
        self.asked: list[tuple[dict[str, str], dict[str, Any]]] = []

    async def __call__(self, stream: trio.abc.Stream) -> None:
        http = h11.Connection(h11.SERVER)
        try:
            while await self._one(stream, http):
                http.start_next_cycle()
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
            pass

    async def _one(self, stream: trio.abc.Stream, http: h11.Connection) -> bool:
        body, headers = b"", {}
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(bytes(await stream.receive_some(65536)))
            elif isinstance(event, h11.Request):
                headers = {n.decode(): v.decode() for n, v in event.headers}
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return False
        message = orjson.loads(body)
        self.asked.append((headers, message))
        status, kind, answer = self._answer(message)
        told = [("content-type", kind), ("content-length", str(len(answer)))]
        told.append(("mcp-session-id", "session-1"))
        for piece in (
            h11.Response(status_code=status, headers=told),
            h11.Data(data=answer),
            h11.EndOfMessage(),
        ):
            await stream.send_all(http.send(piece) or b"")
        return True

    def _answer(self, message: dict[str, Any]) -> tuple[int, str, bytes]:
        head = {"jsonrpc": "2.0", "id": message.get("id")}
        params = message.get("params") or {}
        result: dict[str, Any]
        match message["method"]:
            case "initialize":
                result = {"protocolVersion": "2025-06-18", "serverInfo": {"name": "tools"}}
            case "tools/list":
                result = {"tools": [TOOL]}
            case "tools/call" if params["name"] == "get_weather":
                text = f"sunny in {params['arguments']['city']}"
                result = {"content": [{"type": "text", "text": text}]}
                event = orjson.dumps({**head, "result": result})
                return 200, "text/event-stream", b"event: message\ndata: " + event + b"\n\n"
            case "tools/call":
                error = {"code": -32602, "message": "no such tool"}
                return 200, "application/json", orjson.dumps({**head, "error": error})
            case _:
                return 202, "application/json", b""
        return 200, "application/json", orjson.dumps({**head, "result": result})


async def test_tools_of_a_server(voxpy: CallKit, autojump_clock: object) -> None:
    server = Server()
    async with voxpy.world(SCENARIO, serve=server) as world:
        caller = await world.dial()
        await caller.wait_answered()
        await caller.pause(1)
        caller.hang_up()
        await world.wait_ended()
    said = [str(e.personal["text"]) for e in world.find("Logger.write")]
    assert sorted(said) == ["get_weather", "no such tool", "sunny in Oslo"]
    headers = next(h for h, m in server.asked if m["method"] == "tools/list")
    assert headers["mcp-session-id"] == "session-1"
    assert headers["mcp-protocol-version"] == "2025-06-18"
    assert headers["authorization"] == "Bearer t"


async def test_another_transport_is_not_supported() -> None:
    config = {"endpoint": "http://tools.test", "transport": "sse"}
    with pytest.raises(NotSupported, match="streamable_http"):
        await MCP.create_client(mcp_server_connection_config=config)


@pytest.mark.parametrize("name", ["XAI", "Google", "VoxTTS"])
def test_voices_that_cannot_be_had_say_why(name: str) -> None:
    with pytest.raises(NotSupported, match="use"):
        getattr(voxpy_package, name)
