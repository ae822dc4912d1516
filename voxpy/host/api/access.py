"""What comes to a session's access URL: requests, answered by the scenario's handler, and sockets.

The one place for a host and for a world on virtual time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import orjson
import trio

from voxpy.engine.dispatch import Reply
from voxpy.engine.session import Session
from voxpy.events import AppEvents

ANSWER_S = 30.0
"""Within which a scenario's handler must have answered a request."""
MOST_WAITING = 16
"""Requests to one session that wait for its scenario: it cannot be made to run over its queue."""
TEXT, JSON, BINARY = "text/plain; charset=utf-8", "application/json", "application/octet-stream"


@attrs.frozen(kw_only=True)
class Answered:
    """What the scenario has answered; ``status`` is HTTP's, ``problem`` says why it is not 200."""

    status: int = 200
    body: bytes = b""
    media_type: str = TEXT
    problem: str = ""

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the body's JSON value."""
        return orjson.loads(self.body)


def asked(method: str, rest: str, query: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of ``AppEvents.HttpRequest`` and ``WebSocket`` but the body.

    ``rest`` is the path behind the access URL: what stands before is the token, and nobody's
    business. Of the headers only ``X-`` ones are shown.
    """
    path = f"/{rest}"
    return {
        "method": method,
        "path": f"{path}?{query}" if query else path,
        "headers": [
            {"key": name, "value": value}
            for name, value in headers.items()
            if name.lower().startswith("x-")
        ],
    }


async def answer(session: Session, content: bytes, fields: Mapping[str, Any]) -> Answered:
    """Raise ``AppEvents.HttpRequest`` in a session and return what its handler returns."""
    waiting = session.parts.setdefault("http requests", _Waiting())
    if waiting.count >= MOST_WAITING:
        return _failed(429, f"{MOST_WAITING} requests wait for this session already")
    waiting.count += 1
    try:
        text = content.decode("utf-8", "replace")
        session.context.inputs.note("request", "came", personal={**fields, "content": text})
        event = AppEvents.HttpRequest(content=text, **fields)
        with trio.move_on_after(ANSWER_S):
            return _answered(session, await session.ask(session.listeners, event))
        return _failed(504, f"the scenario has not answered within {ANSWER_S:g} s")
    finally:
        waiting.count -= 1


@attrs.define
class _Waiting:
    count: int = 0


def _answered(session: Session, reply: Reply) -> Answered:
    value = reply.value
    if isinstance(value, str):
        return Answered(body=value.encode("utf-8", "replace"))
    if isinstance(value, bytes):
        return Answered(body=value, media_type=BINARY)
    if value is not None:
        body = orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)
        return Answered(body=body, media_type=JSON)
    if not reply.heard and session.ended is not None:
        return _failed(410, "the session ended before the scenario could answer")
    if not reply.heard:
        return _failed(404, "the scenario does not listen to AppEvents.HttpRequest")
    if reply.failed:
        return _failed(500, "the scenario's handler failed; its log says how")
    return Answered()


def _failed(status: int, problem: str) -> Answered:
    return Answered(status=status, problem=problem)
