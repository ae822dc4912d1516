"""Places of the HTTP port that are no channel's: the API, access URLs, pages.

A ``Door`` answers requests and a ``SocketDoor`` takes WebSockets; both get who asks, unless they
are ``open`` to everybody. Whoever has such places gives the host a list of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import attrs
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, compile_path

from voxpy.host.guard import Guard, Identity, Refused
from voxpy.sockets.accepting import Upgrade

ANYBODY = Identity(name="anybody", rules=frozenset())
CLOSED = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""No other page may read, frame or run what is answered here; a page opens what it needs."""

Answer = Callable[[Request, Identity], Awaitable[Response]]


class Problem(Exception):
    """What is told in place of an answer: ``{"error": {"code": ..., "msg": ...}}``, as VoxEngine
    does, with the HTTP status that fits."""

    def __init__(self, status: int, problem: str) -> None:
        self.status = status
        self.problem = problem
        super().__init__(problem)


@attrs.frozen(kw_only=True)
class Door:
    """Answers requests. ``path`` is Starlette's: ``/calls/{id}``. May raise Problem.

    ``refuse`` makes the answer for whoever may not ask; a page has a form there.
    """

    path: str
    answer: Answer
    methods: Sequence[str] = ("GET",)
    open: bool = False
    refuse: Callable[[Request, Refused], Response] | None = None

    def route(self, guard: Guard, note: Callable[[str, str], None]) -> Route:
        """Return it as a route; ``note`` is told of everybody who is refused: why, and address."""
        endpoint = partial(self._serve, guard, note)
        return Route(self.path, endpoint, methods=list(self.methods))

    async def _serve(
        self, guard: Guard, note: Callable[[str, str], None], request: Request
    ) -> Response:
        address = request.client.host if request.client is not None else ""
        who = ANYBODY if self.open else guard.who(request.headers, address)
        if isinstance(who, Refused):
            note(f"{request.method} {self.path}: {who.problem}", address)
            answer = (self.refuse or _refused)(request, who)
        else:
            try:
                answer = await self.answer(request, who)
            except Problem as problem:
                answer = told(problem.status, problem.problem)
        for name, value in CLOSED.items():
            answer.headers.setdefault(name, value)
        return answer


@attrs.frozen(kw_only=True)
class Visitor:
    """Who asks for a WebSocket: ``given`` are the parts of the path by name."""

    who: Identity
    address: str
    given: Mapping[str, str]


@attrs.frozen(kw_only=True)
class SocketDoor:
    """Takes WebSockets. ``path`` as a Door's. ``serve`` accepts or refuses, and owns the stream."""

    path: str
    serve: Callable[[Upgrade, Visitor], Awaitable[None]]
    open: bool = False

    def given(self, path: str) -> Mapping[str, str] | None:
        """Return the parts of a path if it leads here."""
        found = compile_path(self.path)[0].match(path)
        return None if found is None else found.groupdict()


def json_answer(value: Any, status: int = 200) -> Response:
    """Return JSON; what it lacks, such as a date, as text."""
    return Response(orjson.dumps(value, default=str), status, media_type="application/json")


def told(status: int, problem: str) -> Response:
    """Return an error in VoxEngine's shape."""
    return json_answer({"error": {"code": status, "msg": problem}}, status)


def _refused(request: Request, refused: Refused) -> Response:
    answer = told(refused.status, refused.problem)
    if refused.status == 401:
        answer.headers["www-authenticate"] = 'Bearer realm="voxpy"'
    return answer
