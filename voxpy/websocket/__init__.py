"""WebSockets of scenarios, opened by them or by whoever knows a session's access URL."""

from voxpy.websocket.events import (
    WebSocketAudioEncoding,
    WebSocketCloseCode,
    WebSocketEvents,
    WebSocketReadyState,
)
from voxpy.websocket.socket import WebSocket

__all__ = [
    "WebSocket",
    "WebSocketAudioEncoding",
    "WebSocketCloseCode",
    "WebSocketEvents",
    "WebSocketReadyState",
]
