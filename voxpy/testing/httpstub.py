"""The web as a test plays it: what ``Net`` and the URL players are answered, and what they asked.

::

    http = {
        "https://shop.test/orders/*": {"status": "shipped"},  # JSON with status 200
        "POST https://shop.test/tickets": Reply(status=201, after_s=2),
        "https://shop.test/flaky": lambda asked: 500 if asked.number == 1 else "now it works",
    }
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import attrs
import httpx
import orjson
import trio

from voxpy.engine import clock
from voxpy.engine.http import (
    TIMEOUT,
    BodyPart,
    HttpHeader,
    HttpRequest,
    HttpRequestResult,
    OnPart,
)
from voxpy.errors import ScenarioError, nearest


@attrs.frozen(kw_only=True)
class Asked:
    """A request the scenario made. ``number`` counts those for the same stub, from 1."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    at_s: float
    number: int

    def json(self) -> Any:
        """Return the body as JSON. Raises ValueError if it is none."""
        return orjson.loads(self.body)


@attrs.frozen(kw_only=True)
class Reply:
    """An answer. A ``body`` that is neither text nor bytes is sent as JSON.

    It comes ``after_s`` virtual seconds, or never within the request's timeout. ``fails`` is one of
    VoxEngine's internal codes in place of a status: -3 host not found, -4 no connection, -6 the
    network failed (see HttpRequestResult).
    """

    status: int = 200
    body: Any = ""
    headers: Mapping[str, str] = attrs.field(factory=dict)
    after_s: float = 0.0
    fails: int | None = None


Web = Mapping[str, Any] | Callable[[Asked], Any]
"""Answers by address, or a function that is asked for every request.

An answer is a Reply, or its body alone, or a whole number, which is a status; or a function of the
request that returns one of these.
An address may begin with a method and hold ``*``; without a ``?`` of its own it fits any query.
The first that fits counts.
"""


class HttpStub:
    """Sends the requests of a world's sessions nowhere. ``asked`` is every one of them."""

    def __init__(self, web: Web | None) -> None:
        self._web: Web = web if web is not None else {}
        self._counts: dict[str, int] = {}
        self.asked: list[Asked] = []
        self.unanswered: list[ScenarioError] = []

    async def fetch(self, request: HttpRequest, on_part: OnPart | None) -> HttpRequestResult:
        """Take the place of ``voxpy.engine.http.fetch``.

        Raises ScenarioError, and keeps it, for an address nobody answers for.
        """
        address = str(request.url)
        pattern, answer = self._find(request.method, address)
        self._counts[pattern] = number = self._counts.get(pattern, 0) + 1
        asked = Asked(
            method=request.method,
            url=address,
            headers=dict(request.headers.items()),
            body=request.body or b"",
            at_s=clock.now(),
            number=number,
        )
        self.asked.append(asked)
        reply = _reply(answer(asked) if callable(answer) else answer)
        if reply.after_s > request.timeout_s:
            await trio.sleep(request.timeout_s)
            why = f"no complete answer within {request.timeout_s:g} s"
            return HttpRequestResult(code=TIMEOUT, error=why)
        await trio.sleep(reply.after_s)
        return _result(request, reply, on_part)

    def _find(self, method: str, address: str) -> tuple[str, Any]:
        if callable(self._web):
            return "", self._web
        bare = address.partition("?")[0]
        for pattern, answer in self._web.items():
            wanted, _, rest = pattern.rpartition(" ")
            if wanted not in ("", method):
                continue
            if fnmatchcase(
                address if "?" in rest else bare, rest.replace("[", "[[]").replace("?", "[?]")
            ):
                return pattern, answer
        if self._web:
            has = f"http= answers for {', '.join(map(repr, self._web))}{nearest(bare, self._web)}"
        else:
            has = f"give the world http={{{bare!r}: ...}}"
        error = ScenarioError(f"{method} {bare}: nobody answers at this address in a test; {has}")
        self.unanswered.append(error)
        raise error


def _reply(answer: Any) -> Reply:
    if isinstance(answer, Reply):
        return answer
    if isinstance(answer, int):
        return Reply(status=answer)
    return Reply(body=answer)


def _result(request: HttpRequest, reply: Reply, on_part: OnPart | None) -> HttpRequestResult:
    if reply.fails is not None:
        return HttpRequestResult(code=reply.fails, error="failed by the test")
    headers = dict(reply.headers)
    if isinstance(reply.body, str | bytes):
        body = reply.body.encode() if isinstance(reply.body, str) else reply.body
    else:
        body = orjson.dumps(reply.body)
        if "content-type" not in map(str.lower, headers):
            headers["Content-Type"] = "application/json"
    if on_part is not None and reply.status == httpx.codes.OK:
        on_part(BodyPart(body, len(body)))
    return HttpRequestResult(
        code=reply.status,
        text=None if request.raw_output else body.decode("utf-8", "replace"),
        data=body if request.raw_output else None,
        headers=tuple(HttpHeader(key=k, value=v) for k, v in headers.items()),
        raw_headers="".join(f"{k}: {v}\r\n" for k, v in headers.items()),
    )
