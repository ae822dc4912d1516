"""What the local agent answers over HTTP: the requests that services want beside their sockets.

One request per connection. ``ROUTES`` says which; each is a function of a service's file.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import aclosing

import attrs
import h11
import orjson
import trio

from voxpy.errors import VoxpyError
from voxpy.localagent.engines import Engines
from voxpy.localagent.responder import Act
from voxpy.localagent.services import text, ultravox
from voxpy.text import json
from voxpy.wire.realtime.endpoint import Refusal

LONGEST_BODY_BYTES = 4 * 1024 * 1024
READ_BYTES = 64 * 1024
_calls = itertools.count(1)


@attrs.frozen
class Asked:
    """A request: its path, its headers by lower-case name, its JSON."""

    path: str
    headers: dict[str, str]
    body: dict[str, object]


async def serve_request(
    stream: trio.abc.Stream, first: bytes, engines: Engines, *, refusal: Refusal | None
) -> None:
    """Answer the request that begins with ``first``."""
    http = h11.Connection(h11.SERVER)
    http.receive_data(first)
    try:
        asked = await _read(stream, http)
        if asked is None:
            await _answer(stream, http, 400, {"error": {"message": "no JSON object"}})
        elif refusal is not None:
            await _answer(stream, http, refusal.status, json.loads(refusal.body))
        elif ultravox.CREATES.fullmatch(asked.path):
            host = asked.headers.get("host", "localhost")
            secure = isinstance(stream, trio.SSLStream)
            told = ultravox.created(asked.body, host, next(_calls), secure=secure)
            await _answer(stream, http, 201, told)
        elif asked.path in text.ROUTES:
            await _write_text(stream, http, asked, engines)
        else:
            await _answer(stream, http, 404, {"error": {"message": f"nothing at {asked.path}"}})
    except (h11.RemoteProtocolError, trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # no client of ours, or one that left


async def _read(stream: trio.abc.Stream, http: h11.Connection) -> Asked | None:
    head: h11.Request | None = None
    body = b""
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            if http.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                await stream.send_all(http.send(go_on) or b"")
            http.receive_data(bytes(await stream.receive_some(READ_BYTES)))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
            if len(body) > LONGEST_BODY_BYTES:
                return None
        else:
            break
    if head is None:
        raise h11.RemoteProtocolError("left before a request")
    try:
        given = json.loads(body or b"{}")
    except ValueError:
        return None
    if not isinstance(given, dict):
        return None
    path = head.target.decode("latin-1").partition("?")[0]
    headers = {n.decode("latin-1"): v.decode("latin-1") for n, v in head.headers}
    return Asked(path, headers, given)


async def _answer(stream: trio.abc.Stream, http: h11.Connection, status: int, told: object) -> None:
    body = orjson.dumps(told)
    headers = [("content-type", "application/json"), ("content-length", str(len(body)))]
    events = [
        h11.Response(status_code=status, headers=[*headers, ("connection", "close")]),
        h11.Data(data=body),
        h11.EndOfMessage(),
    ]
    await stream.send_all(b"".join(http.send(event) or b"" for event in events))


async def _write_text(
    stream: trio.abc.Stream, http: h11.Connection, asked: Asked, engines: Engines
) -> None:
    """Let the brain answer in writing, piece by piece if the client wants it so."""
    route = text.ROUTES[asked.path]
    acts = engines.responder.respond(text.turn_of(asked.body, asked.path))
    writer = route(asked.body)
    if not asked.body.get("stream"):
        try:
            async with aclosing(acts):  # type: ignore[type-var]
                async for act in acts:
                    writer.take(act)
        except VoxpyError as error:
            await _answer(stream, http, 500, {"error": {"message": str(error)}})
            return
        await _answer(stream, http, 200, writer.whole())
        return
    headers = [("content-type", "text/event-stream"), ("connection", "close")]
    await stream.send_all(http.send(h11.Response(status_code=200, headers=headers)) or b"")
    async for event in _pieces(acts, writer):
        await stream.send_all(http.send(h11.Data(data=event)) or b"")
    await stream.send_all(http.send(h11.EndOfMessage()) or b"")


async def _pieces(acts: AsyncIterator[Act], writer: text.Writer) -> AsyncIterator[bytes]:
    for event in writer.begin():
        yield event
    try:
        async with aclosing(acts):  # type: ignore[type-var]
            async for act in acts:
                for event in writer.take(act):
                    yield event
    except VoxpyError as error:
        yield b"data: " + orjson.dumps({"error": {"message": str(error)}}) + b"\n\n"
        return
    for event in writer.end():
        yield event
