"""WebSockets to a session's access URL (VoxEngine: AppEvents.WebSocket)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import trio

from voxpy.engine.context import running
from voxpy.engine.session import Session
from voxpy.events import AppEvents
from voxpy.sockets.accepting import Upgrade
from voxpy.websocket.socket import WebSocket

BESIDES_CALLS = 3
"""VoxEngine: at most as many inbound sockets as calls, and three."""
LOADED_WITHIN_S = 10.0


@attrs.define
class Incoming:
    """What a session's scenario has said of sockets that come in."""

    allowed: bool = False
    trace: bool = False
    statistics: bool = False
    open: int = 0


def incoming(session: Session) -> Incoming:
    """Return what the session keeps of it."""
    found: Incoming = session.parts.setdefault("incoming websockets", Incoming())
    return found


async def receive_websocket(session: Session, upgrade: Upgrade, asked: Mapping[str, Any]) -> None:
    """Give a WebSocket that somebody wants to open to the scenario; return when it is over.

    ``asked`` are the fields of the request as ``AppEvents.WebSocket`` has them.
    """
    reason = await _refusal(session)
    if reason:
        event = AppEvents.NewWebSocketFailed(reason=reason, **asked)
        session.post(session.listeners, event)
        await upgrade.refuse(403, body=reason.encode())
        return
    known = incoming(session)
    known.open += 1
    try:
        socket = await upgrade.accept(subprotocol=next(iter(upgrade.subprotocols), None))
        with running(session):
            unit = WebSocket(
                session, str(asked["path"]), trace=known.trace, statistics=known.statistics
            )
            session.post(session.listeners, AppEvents.WebSocket(websocket=unit, **asked))
            begun = session.spawn(unit.id(), unit.live, socket)
        if begun:
            await unit.over.wait()
        else:
            await socket.aclose()
    finally:
        known.open -= 1


async def _refusal(session: Session) -> str:
    """Say why no socket is taken, once the scenario has had its chance to allow them."""
    turn = trio.Event()
    session.post_callback("a websocket that waits", turn.set)
    with trio.move_on_after(LOADED_WITHIN_S):
        await turn.wait()
    if session.ended is not None or not turn.is_set():
        return "the session is over"
    known = incoming(session)
    if not known.allowed:
        return "the scenario has not called VoxEngine.allow_websocket_connections()"
    most = session.presence.count + BESIDES_CALLS
    if known.open >= most:
        return f"the session has {known.open} sockets; with its calls it may have {most}"
    return ""
