"""HTTP that answers again: ``Net``'s requests, and those to speech services piece by piece."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable, Sequence

import httpx
import trio

from voxpy.engine import clock
from voxpy.engine.http import (
    CONNECTION_ERROR,
    TIMEOUT,
    BodyPart,
    HttpHeader,
    HttpRequest,
    HttpRequestResult,
    OnPart,
)
from voxpy.lab.replay.recording import Input, Recording

OK = 200


class _Asked:
    """The requests of one kind that were made, each given once: equal ones in order."""

    def __init__(self, recording: Recording, kind: str, masked: Callable[[str], str]) -> None:
        self._recording = recording
        self._kind = kind
        self._masked = masked
        self._left = [i for i in recording.inputs if i.kind == kind and i.name == "asked"]

    def take(self, method: str, url: httpx.URL) -> tuple[Input, list[Input]] | None:
        """Return a request of then with all that came of it, or None if there was none."""
        wanted = (method, self._masked(str(url)))
        asked = next((a for a in self._left if (a.data["method"], a.personal) == wanted), None)
        if asked is None:
            return None
        self._left.remove(asked)
        about = self._recording.about(asked.of)
        return asked, [i for i in about if i.kind == self._kind and i is not asked]

    def unknown(self, method: str, url: httpx.URL) -> str:
        """Say that there was none."""
        return f"{method} {self._masked(str(url))} was not asked for in the recording"


class ReplayedWeb:
    """Takes the place of ``voxpy.engine.http.fetch``: equal requests are answered in order."""

    def __init__(self, recording: Recording, *, masked: Callable[[str], str]) -> None:
        self._asked = _Asked(recording, "http", masked)

    async def fetch(self, request: HttpRequest, on_part: OnPart | None) -> HttpRequestResult:
        """Answer as then, after as long; a request that was not made then has no connection."""
        found = self._asked.take(request.method, request.url)
        if found is None:
            await trio.lowlevel.checkpoint()
            why = self._asked.unknown(request.method, request.url)
            return HttpRequestResult(code=CONNECTION_ERROR, error=why)
        asked, came = found
        if not came:
            await trio.sleep(request.timeout_s)
            return HttpRequestResult(code=TIMEOUT, error="the recording ends before the answer")
        await trio.sleep(came[0].t - asked.t)
        result = _result(came[0])
        if on_part is not None and result.code == OK:
            body = result.data or (result.text or "").encode()
            on_part(BodyPart(body, len(body)))
        return result


def _result(answer: Input) -> HttpRequestResult:
    told = dict(answer.personal)
    told["headers"] = tuple(HttpHeader(**header) for header in told["headers"])
    if told["data"] is not None:
        told["data"] = base64.b64decode(told["data"])
    return HttpRequestResult(code=answer.data["code"], **told)


class ReplayedServices(httpx.AsyncBaseTransport):
    """Takes the place of HTTP to speech services: each piece of an answer comes after as long.

    What was cut off then, because the caller spoke, goes on for ever: it is cut off again.
    """

    def __init__(self, recording: Recording, *, masked: Callable[[str], str]) -> None:
        self._asked = _Asked(recording, "service", masked)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        found = self._asked.take(request.method, request.url)
        if found is None:
            await trio.lowlevel.checkpoint()
            raise httpx.ConnectError(self._asked.unknown(request.method, request.url))
        asked, came = found
        later_s = clock.now() - asked.t
        if not came:
            await trio.sleep_forever()
        await trio.sleep_until(later_s + came[0].t)
        if came[0].name == "failed":
            raise httpx.ConnectError(came[0].data["reason"])
        headers = came[0].personal["headers"]
        body = _Body(came[1:], later_s)
        return httpx.Response(came[0].data["status"], headers=headers, stream=body)


class _Body(httpx.AsyncByteStream):
    def __init__(self, came: Sequence[Input], later_s: float) -> None:
        self._came = came
        self._later_s = later_s

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for each in self._came:
            await trio.sleep_until(self._later_s + each.t)
            match each.name:
                case "part":
                    yield each.personal.encode()
                case "bytes":
                    yield base64.b64decode(each.personal)
                case "broke":
                    raise httpx.ReadError(each.data["reason"])
                case "ended":
                    return
        await trio.sleep_forever()
