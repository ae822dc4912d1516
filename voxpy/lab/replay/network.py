"""Services and web pages that say again what they said."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import orjson
import trio

from voxpy.engine.http import (
    TIMEOUT,
    BodyPart,
    HttpHeader,
    HttpRequest,
    HttpRequestResult,
    OnPart,
)
from voxpy.engine.inputs import APPEND
from voxpy.engine.ports import Endpoint
from voxpy.errors import ConnectFailed, RemoteProtocolError
from voxpy.lab.replay.cues import Cue, Prompts, cues_of
from voxpy.lab.replay.recording import Input, Recording
from voxpy.sockets import FrameSocket, SocketLimits, receive_upgrade
from voxpy.sockets.memory import memory_pair

__all__ = ["ReplayedNetwork", "ReplayedWeb"]

NO_CONNECTION = -4
OK = 200
NORMAL, NO_CODE = 1000, 1005
SAME_MOMENT_S = 1e-6
"""What adding and taking away the time a session began may leave of a difference."""
OURS = ("dials", "closing")
FROM_HTTP = ("content-length", "transfer-encoding", "connection")
"""Headers of a refusal that the handshake writes itself."""


class ReplayedNetwork:
    """Implements ``voxpy.engine.ports.OpenStream``: the n-th connection to a host is the n-th."""

    def __init__(
        self,
        recording: Recording,
        nursery: trio.Nursery,
        *,
        elapsed: Callable[[], float],
        began_s: float,
        tolerance_s: float,
    ) -> None:
        self._nursery = nursery
        self._elapsed = elapsed
        self._began_s = began_s
        self._tolerance_s = tolerance_s
        self._dialled = [i for i in recording.inputs if i.kind == "socket" and i.name == "dials"]
        self._recording = recording

    async def __call__(self, endpoint: Endpoint) -> trio.abc.Stream:
        """Open the next stream to this host. Raises ConnectFailed as then, or if there was none."""
        dialled = next(
            (i for i in self._dialled if urlsplit(i.data["url"]).hostname == endpoint.host), None
        )
        if dialled is None:
            await trio.lowlevel.checkpoint()
            raise ConnectFailed(
                f"{endpoint.host}:{endpoint.port}: the recording has no further connection to it"
            )
        self._dialled.remove(dialled)
        far_side = _FarSide(
            self._recording.about(dialled.of),
            elapsed=self._elapsed,
            began_s=self._began_s,
            tolerance_s=self._tolerance_s,
        )
        await far_side.fail_if_it_did()
        ours, theirs = memory_pair()
        self._nursery.start_soon(far_side.serve, theirs, self._nursery)
        return ours


class _FarSide:
    """One connection, from the other end."""

    def __init__(
        self,
        inputs: Sequence[Input],
        *,
        elapsed: Callable[[], float],
        began_s: float,
        tolerance_s: float,
    ) -> None:
        inputs = _without_our_close(inputs)
        self._cues, times = cues_of(inputs, lambda i: i.kind == "sent" or i.name in OURS)
        self._prompts = Prompts(times, tolerance_s=tolerance_s)
        self._elapsed = elapsed
        self._began_s = began_s
        self._prompted = trio.Event()
        self._prompts.came(elapsed())

    async def fail_if_it_did(self) -> None:
        """Raise ConnectFailed if there was no connection."""
        if self._cues and self._cues[0].input.name == "failed":
            await self._wait(self._cues[0])
            raise ConnectFailed(self._cues[0].input.data["reason"])

    async def serve(self, stream: trio.abc.Stream, nursery: trio.Nursery) -> None:
        """Answer the handshake, then say everything again until the client leaves."""
        try:
            upgrade = await receive_upgrade(stream, limits=SocketLimits.without_pings())
            if not self._cues:
                await trio.sleep_forever()  # the process was killed while it dialled
            answer = self._cues.pop(0)
            await self._wait(answer)
            told = answer.input
            if told.name == "refused":
                headers = [(k, v) for k, v in told.personal["headers"].items()
                           if k.lower() not in FROM_HTTP]  # fmt: skip
                body = told.personal["body"].encode()
                await upgrade.refuse(told.data["status"], body=body, headers=headers)
                return
            socket = await upgrade.accept()
        except (RemoteProtocolError, trio.BrokenResourceError):
            return  # the client left in the middle of its handshake
        socket.on_message = self._receive
        saying = trio.CancelScope()
        nursery.start_soon(self._say_all, socket, saying)
        await socket.run()
        saying.cancel()

    def _receive(self, message: str | bytes) -> None:
        if isinstance(message, str) and APPEND in message[:200]:
            return
        self._prompts.came(self._elapsed())
        self._prompted.set()

    async def _say_all(self, socket: FrameSocket, scope: trio.CancelScope) -> None:
        with scope:
            for cue in self._cues:
                await self._wait(cue)
                _say(socket, cue.input)

    async def _wait(self, cue: Cue) -> None:
        while (due := self._prompts.due(cue)) > self._elapsed() + SAME_MOMENT_S:
            self._prompted = trio.Event()
            with trio.move_on_at(self._began_s + due):
                await self._prompted.wait()


def _without_our_close(inputs: Sequence[Input]) -> list[Input]:
    """Return what came before we closed, if we did."""
    ours = [n for n, i in enumerate(inputs) if i.kind == "socket" and i.name == "closing"]
    return list(inputs[: ours[0]] if ours else inputs)


def _say(socket: FrameSocket, told: Input) -> None:
    if told.kind == "frame":
        socket.send(orjson.dumps(told.personal).decode())
    elif told.kind == "text":
        socket.send(told.personal)
    elif told.kind == "binary":
        socket.send(base64.b64decode(told.personal))
    elif told.name == "closed" and told.data["was_clean"]:
        code = told.data["code"]
        socket.close(NORMAL if code == NO_CODE else code, told.data["reason"])
    elif told.name == "closed":
        socket.abort()


class ReplayedWeb:
    """Takes the place of ``voxpy.engine.http.fetch``: equal requests are answered in order."""

    def __init__(self, recording: Recording, *, masked: Callable[[str], str]) -> None:
        self._recording = recording
        self._masked = masked
        self._asked = [i for i in recording.inputs if i.kind == "http" and i.name == "asked"]

    async def fetch(self, request: HttpRequest, on_part: OnPart | None) -> HttpRequestResult:
        """Answer as then, after as long; a request that was not made then has no connection."""
        wanted = (request.method, self._masked(str(request.url)))
        asked = next((a for a in self._asked if (a.data["method"], a.personal) == wanted), None)
        if asked is None:
            await trio.lowlevel.checkpoint()
            why = f"{request.method} {wanted[1]} was not asked for in the recording"
            return HttpRequestResult(code=NO_CONNECTION, error=why)
        self._asked.remove(asked)
        answer = next((i for i in self._recording.about(asked.of) if i.name == "answered"), None)
        if answer is None:
            await trio.sleep(request.timeout_s)
            return HttpRequestResult(code=TIMEOUT, error="the recording ends before the answer")
        await trio.sleep(answer.t - asked.t)
        result = _result(answer)
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
