"""The functions of ``VoxEngine`` that make WebSockets, or let them come in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from voxpy.engine.context import current

if TYPE_CHECKING:
    from voxpy.websocket.socket import WebSocket


class SocketFunctions:
    """A part of the VoxEngine namespace."""

    __slots__ = ()

    def create_websocket(
        self,
        url: str,
        *,
        protocols: Sequence[str] | str = "chat",
        headers: Sequence[Mapping[str, str]] = (),
        statistics: bool = False,
        trace: bool = False,
        privacy: bool = False,
    ) -> WebSocket:
        """Open a WebSocket to ``ws(s)://host/path``; return it at once, connecting.

        ``headers`` are ``{"name": ..., "value": ...}``. ``statistics`` counts its messages in the
        trace when it is over, ``trace`` writes every text message there, ``privacy`` no content at
        all. What comes of it are ``WebSocketEvents``. Raises ScenarioError for what is no such URL.
        VoxEngine: VoxEngine.createWebSocket.
        """
        from voxpy.websocket.socket import create_websocket

        return create_websocket(
            current("VoxEngine.create_websocket"),
            url,
            protocols=protocols,
            headers=headers,
            statistics=statistics,
            trace=trace,
            privacy=privacy,
        )

    def allow_websocket_connections(self) -> None:
        """Take WebSockets to the session's access URL: each is an ``AppEvents.WebSocket``.

        VoxEngine: VoxEngine.allowWebSocketConnections.
        """
        self._incoming("allow_websocket_connections", allowed=True)

    def enable_trace_for_incoming_websockets(self) -> None:
        """Write what comes by inbound sockets to the trace, of those that open from now on."""
        self._incoming("enable_trace_for_incoming_websockets", trace=True)

    def disable_trace_for_incoming_websockets(self) -> None:
        """Undo ``enable_trace_for_incoming_websockets``."""
        self._incoming("disable_trace_for_incoming_websockets", trace=False)

    def enable_statistics_for_incoming_websockets(self) -> None:
        """Count what goes by inbound sockets, of those that open from now on."""
        self._incoming("enable_statistics_for_incoming_websockets", statistics=True)

    def disable_statistics_for_incoming_websockets(self) -> None:
        """Undo ``enable_statistics_for_incoming_websockets``."""
        self._incoming("disable_statistics_for_incoming_websockets", statistics=False)

    def _incoming(self, command: str, **changed: bool) -> None:
        from voxpy.websocket.incoming import incoming

        session = current(f"VoxEngine.{command}")
        session.trace.command(f"VoxEngine.{command}")
        for name, value in changed.items():
            setattr(incoming(session), name, value)
