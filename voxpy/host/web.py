"""The HTTP side of a host: health, metrics, and what providers ask before a call.

An ASGI application (Starlette); ``voxpy.host.exchange`` reads requests and writes answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import attrs
import orjson
import trio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from voxpy.channels.listener import Listener, ListenerHost
from voxpy.channels.providers import http
from voxpy.fleet.membership import Fleet
from voxpy.host.admission import Admission
from voxpy.host.doors import Door
from voxpy.host.guard import Guard
from voxpy.host.metrics import CONTENT_TYPE, Metrics, Snapshot, exposition
from voxpy.host.requesthead import called_base

if TYPE_CHECKING:
    from starlette.requests import Request

BODY_BYTES = 64 * 1024
"""A webhook's form has some hundred bytes, its JSON a few thousand."""
JSON = "application/json"


@attrs.frozen(kw_only=True)
class Web:
    """``application`` answers. ``public_url`` is how providers reach us, if that is known.

    ``figures`` gives the metrics of the whole host, all workers included; ``unkept`` says what
    cannot be kept of calls; ``listening`` what the listeners work with.
    """

    admission: Admission
    metrics: Metrics
    figures: Callable[[], Snapshot]
    unkept: Callable[[], str]
    listeners: Sequence[Listener]
    listening: Callable[[], ListenerHost]
    public_url: str
    tls: bool
    guard: Guard
    fleet: Fleet
    doors: Sequence[Door] = ()
    application: Starlette = attrs.field(init=False)

    @application.default
    def _application(self) -> Starlette:
        routes = [Route("/health", self._health), Route("/metrics", self._metrics)]
        for listener in self.listeners:
            for path in listener.webhooks:
                routes += [
                    Route(at, self._webhook(listener, path), methods=["GET", "POST"])
                    for at in (path, path + "/{call}")
                ]
        note = self._note_refused
        routes += [door.route(self.guard, note) for door in self.doors]
        return Starlette(routes=routes, exception_handlers={HTTPException: _refusal})

    def _note_refused(self, problem: str, address: str) -> None:
        self.listening().refused("not allowed", problem, address)

    async def _health(self, request: Request) -> Response:
        """200 while calls are taken; 503 once the host stops, so that balancers look elsewhere."""
        await trio.lowlevel.checkpoint()
        admission = self.admission
        refusal = admission.refusal()
        status = "ok" if refusal is None else "stopping" if admission.draining else "busy"
        figures = self.figures()
        body = {"status": status, "calls": _sum(figures, "voxpy_calls_running")}
        if self.fleet.host:
            up = "up" if all(v for n, _, v in figures if n == "voxpy_fleet_store_up") else "away"
            body["fleet"] = {"name": self.fleet.host, "hosts": len(self.fleet.hosts), "store": up}
        if refusal is not None:
            body["detail"] = refusal.detail
        elif unkept := self.unkept():
            body |= {"status": "degraded", "detail": unkept}
        return self._answer("/health", _json(body, 503 if admission.draining else 200))

    async def _metrics(self, request: Request) -> Response:
        await trio.lowlevel.checkpoint()
        answer = Response(exposition(self.figures()), media_type=None)
        answer.headers["content-type"] = CONTENT_TYPE
        return self._answer("/metrics", answer)

    def _webhook(self, listener: Listener, path: str) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            body = await _body(request)
            if body is None:
                too_long = Response(f"a body of over {BODY_BYTES} bytes", status_code=413)
                return self._answer(path, too_long)
            base = called_base(request.headers, public_url=self.public_url, tls=self.tls)
            called = _as_called(request, base, body)
            if called.has_too_many_fields:
                too_many = Response(f"over {http.MOST_FIELDS} fields", status_code=413)
                return self._answer(path, too_many)
            told = listener.on_request(called, base, self.listening())
            response = Response(told.body, told.status, media_type=told.content_type)
            return self._answer(path, response)

        return answer

    def _answer(self, path: str, response: Response) -> Response:
        self.metrics.add("voxpy_http_requests", path, str(response.status_code))
        return response


async def _refusal(request: Request, error: Any) -> Response:
    """Say what Starlette says; older versions of it go to a thread for that."""
    await trio.lowlevel.checkpoint()
    return PlainTextResponse(error.detail, error.status_code, error.headers)


def _json(value: Any, status: int) -> Response:
    return Response(orjson.dumps(value), status, media_type=JSON)


def _sum(figures: Snapshot, name: str) -> int:
    return int(sum(value for n, _, value in figures if n == name))


async def _body(request: Request) -> bytes | None:
    """Return the body, or None for one that is too long."""
    body = b""
    async with aclosing(request.stream()) as parts:
        async for part in parts:
            body += part
            if len(body) > BODY_BYTES:
                return None
    return body


def _as_called(request: Request, base: str, body: bytes) -> http.Request:
    # Not request.url: it is made of the Host header, which may be anything.
    query = request.scope["query_string"].decode("latin-1")
    path = request.scope["raw_path"].decode("latin-1")
    target = f"{path}?{query}" if query else path
    return http.Request(
        url=base + target, method=request.method, headers=dict(request.headers), body=body
    )
