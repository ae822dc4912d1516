"""Places of the HTTP port that are no channel's: the API, access URLs, pages.

A ``Door`` answers requests and a ``SocketDoor`` takes WebSockets; both get who asks, unless they
are ``open`` to everybody. Whoever has such places gives the host a list of them.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import attrs
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, compile_path

from voxpy.engine import clock
from voxpy.errors import nearest
from voxpy.host.guard import Guard, Identity, Refused
from voxpy.sockets.accepting import Upgrade
from voxpy.text import json

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

ANYBODY = Identity(name="anybody", rules=frozenset())
CLOSED = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""No other page may read, frame or run what is answered here; a page opens what it needs."""

BODY_BYTES = 256 * 1024
PIECE_BYTES = 64 * 1024

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
    # what the API's own description says of it; without a summary it says nothing
    summary: str = ""
    query: Sequence[str] = ()
    takes: Sequence[str] = ()
    gives: str = "Done"
    """The schema of the answer, or its media type."""
    status: int = 200

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


class FileAnswer(Response):
    """A file, or of it what ``Range`` asks for; one that grows is sent as far as it is there now.

    Read off the loop, and inline on virtual time, which Starlette's own would not do.
    """

    def __init__(self, path: Path, request: Request, *, media_type: str | None = None) -> None:
        size = path.stat().st_size
        first, last = _asked_range(request.headers.get("range", ""), size)
        guessed = media_type or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        whole = (first, last) == (0, size - 1) and "range" not in request.headers
        super().__init__(status_code=200 if whole else 206, media_type=guessed)
        self.headers["accept-ranges"] = "bytes"
        self.headers["content-length"] = str(last - first + 1)
        if not whole:
            self.headers["content-range"] = f"bytes {first}-{last}/{size}"
        self._path = path
        self._first, self._left = first, last - first + 1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, a piece at a time."""
        start = {"type": "http.response.start", "status": self.status_code}
        await send({**start, "headers": self.raw_headers})
        with self._path.open("rb") as file:
            file.seek(self._first)
            while self._left:
                piece = await clock.off_loop(file.read, min(PIECE_BYTES, self._left))
                if not piece:
                    break
                self._left -= len(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _asked_range(asked: str, size: int) -> tuple[int, int]:
    """Return the first and the last byte that are wanted (RFC 9110 section 14.1.2).

    Of several ranges, and of what is none, nothing is taken: the whole file is an answer to all of
    them. Raises Problem (416) for one behind the end.
    """
    found = re.fullmatch(r"bytes=(\d{0,15})-(\d{0,15})", asked)
    if not size or found is None or not (found[1] or found[2]):
        return 0, size - 1
    first = int(found[1]) if found[1] else max(0, size - int(found[2]))
    last = min(int(found[2]), size - 1) if found[1] and found[2] else size - 1
    if first > last:
        raise Problem(416, f"the file has {size} bytes")
    return first, last


def told(status: int, problem: str) -> Response:
    """Return an error in VoxEngine's shape."""
    return json_answer({"error": {"code": status, "msg": problem}}, status)


def _refused(request: Request, refused: Refused) -> Response:
    answer = told(refused.status, refused.problem)
    if refused.status == 401:
        answer.headers["www-authenticate"] = 'Bearer realm="voxpy"'
    return answer


# -- reading requests ------------------------------------------------------------------------------


async def body(request: Request, most_bytes: int = BODY_BYTES) -> bytes:
    """Return the body. Raises Problem for one that is too long."""
    data = b""
    async with aclosing(request.stream()) as parts:
        async for part in parts:
            data += part
            if len(data) > most_bytes:
                raise Problem(413, f"a body of over {most_bytes} bytes")
    return data


async def parameters(
    request: Request, known: Sequence[str], most_bytes: int = BODY_BYTES
) -> dict[str, Any]:
    """Return what a command is given: in the query, a form or a JSON object.

    Raises Problem for one that it does not know.
    """
    given: dict[str, Any] = dict(request.query_params)
    data = await body(request, most_bytes)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if data and kind == "application/json":
        try:
            value = json.loads(data)
        except ValueError as error:
            raise Problem(400, f"the body is no JSON: {error}") from error
        if not isinstance(value, dict):
            raise Problem(400, "the body must be a JSON object")
        given |= value
    elif data and kind == "application/x-www-form-urlencoded":
        given |= dict(parse_qsl(data.decode("utf-8", "replace"), keep_blank_values=True))
    elif data:
        told = "application/json or application/x-www-form-urlencoded"
        raise Problem(415, f"the body is {kind or 'of no type'}; send {told}")
    check_names(given, known)
    return given


def check_names(given: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise Problem for a parameter that is not known."""
    for name in given:
        if name not in known:
            hint = nearest(name, known) or f"; known are {', '.join(known)}"
            raise Problem(400, f"there is no parameter {name[:50]!r}{hint}")
