"""The pages of a host: the phone at ``/``, calls at ``/calls`` and each at ``/calls/ID``.

What a page shows of a call it reads from the call's own files: of one that runs, as they grow. So
any worker can show any call, and a look costs the calls no more than reading a file.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote

import attrs
import trio
from starlette.responses import RedirectResponse, Response

from voxpy.channels.browser import webrtc
from voxpy.channels.browser.listener import BrowserListener, Offer
from voxpy.channels.listener import Listener, ListenerHost
from voxpy.channels.providers.http import query_of
from voxpy.engine import clock
from voxpy.engine.ports import Secrets
from voxpy.errors import ConfigError, ConnectFailed
from voxpy.history.record import RECORDING, TRACE
from voxpy.history.search import SessionRow
from voxpy.history.store import Store
from voxpy.host.api.sessions import Api
from voxpy.host.doors import Door, Problem, SocketDoor, Visitor, body, json_answer, told
from voxpy.host.guard import COOKIE, Guard, Identity, Refused
from voxpy.host.supervising import Supervising
from voxpy.inspector.onefile import one_file
from voxpy.inspector.peaks import peaks
from voxpy.pages import files
from voxpy.project.routing import Match, Routing
from voxpy.sockets.accepting import Upgrade
from voxpy.sockets.framesocket import FrameSocket
from voxpy.text.patterns import example_of, matches_everything

if TYPE_CHECKING:
    from starlette.requests import Request

ASK_S = 3.0
"""How often it is asked whether a call still runs."""
MOST_WAITING_BYTES = 1024 * 1024
if TYPE_CHECKING:
    from starlette.requests import Request

LOOK_S = 0.2
"""How often a trace that grows is looked at."""
PIECE_BYTES = 256 * 1024
SDP = "application/sdp"
SDP_BYTES = 32 * 1024
COOKIE_S = 30 * 86400
MOST_DESTINATIONS = 12


@attrs.frozen(kw_only=True)
class Pages:
    """The doors of the pages; ``api`` finds the calls that somebody may see."""

    api: Api
    guard: Guard
    routing: Callable[[], Routing]
    secrets: Secrets
    listeners: tuple[Listener, ...]
    listening: Callable[[], ListenerHost]
    tls: bool
    _turn: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    def doors(self) -> list[Door]:
        """Return every place of the pages that answers requests."""
        return [
            self._page("/", "phone.html"),
            self._page("/calls", "calls.html"),
            self._page("/calls/{id}", "call.html"),
            Door(path="/assets/{name}", answer=self._asset, open=True),
            Door(path="/login", methods=("POST",), answer=self._login, open=True),
            Door(path="/phone.json", answer=self._phone),
            Door(path="/whip/{to}", methods=("POST",), answer=self._offer),
            Door(path="/whip/{to}/{name}", methods=("DELETE",), answer=self._hang_up),
            Door(path="/calls/{id}/peaks", answer=self._peaks),
            Door(path="/calls/{id}/file.html", answer=self._one_file),
        ]

    def sockets(self) -> list[SocketDoor]:
        """Return the places of the pages that take WebSockets."""
        return [
            SocketDoor(path="/calls/live", serve=self._changes),
            SocketDoor(path="/calls/{id}/live", serve=self._live),
            SocketDoor(path="/calls/{id}/listen", serve=Supervising(self.api).serve),
        ]

    def _page(self, path: str, name: str) -> Door:
        async def answer(request: Request, who: Identity) -> Response:
            await trio.lowlevel.checkpoint()
            return _file(name)

        return Door(path=path, answer=answer, refuse=_sign_in)

    async def _asset(self, request: Request, _: Identity) -> Response:
        await trio.lowlevel.checkpoint()
        try:
            return _file(request.path_params["name"])
        except KeyError:
            raise Problem(404, "there is no such file") from None

    async def _login(self, request: Request, _: Identity) -> Response:
        given = parse_qs((await body(request, 4096)).decode("utf-8", "replace"))
        token = given.get("token", [""])[0].strip()
        headers = {**request.headers, "authorization": f"Bearer {token or '-'}"}
        who = self.guard.who(headers, request.client.host if request.client is not None else "")
        if isinstance(who, Refused):
            return _sign_in(request, who)
        back = given.get("back", ["/"])[0]
        if not back.startswith("/") or back[1:2] in ("/", "\\"):
            back = "/"
        answer = RedirectResponse(back, 303)
        answer.set_cookie(
            COOKIE,
            quote(token, safe=""),
            max_age=COOKIE_S,
            httponly=True,
            samesite="strict",
            secure=self.tls,
        )
        return answer

    # -- phone -------------------------------------------------------------------------------------

    async def _phone(self, request: Request, who: Identity) -> Response:
        """Tell the phone whom it can call: an example of each rule, and how to reach WebRTC."""
        await trio.lowlevel.checkpoint()
        listener = self._phone_listener()
        routing = self.routing()
        destinations = []
        for rule in routing.rules:
            example = "" if matches_everything(rule.pattern) else example_of(rule.pattern)
            reached = routing.match(example)  # a rule above may take it
            is_its = isinstance(reached, Match) and reached.rule is rule
            if example and is_its and who.sees(rule.name):
                destinations.append({"to": example, "rule": rule.name})
        return json_answer(
            {
                "destinations": destinations[:MOST_DESTINATIONS],
                "to": listener.to,
                "ice_servers": [each.to_json(self.secrets) for each in listener.ice_servers],
                "webrtc": webrtc.is_there(),
            }
        )

    def _phone_listener(self) -> BrowserListener:
        listener = next((e for e in self.listeners if isinstance(e, BrowserListener)), None)
        if listener is None:
            raise Problem(404, "the browser phone is not among channels: in routing.yaml")
        return listener

    async def _offer(self, request: Request, who: Identity) -> Response:
        """Take a call by WebRTC as WHIP does (RFC 9725): an offer for an answer and an address."""
        listener, host, router = self._phone_listener(), self.listening(), self.api.router
        if not webrtc.is_there():
            raise Problem(501, "WebRTC needs aiortc: pip install 'voxpy[webrtc]'")
        if not request.headers.get("content-type", "").startswith(SDP):
            raise Problem(415, f"an offer is {SDP}")
        busy = router.refusal(listener.name)
        if busy:
            raise Problem(503, busy)
        offer = Offer(
            sdp=(await body(request, SDP_BYTES)).decode("utf-8", "replace"),
            caller=request.query_params.get("from", ""),
            destination=request.path_params["to"],
            address=request.client.host if request.client is not None else "",
            asker=who,
            spawn=router.spawn,
        )
        try:
            answer, name = await listener.take_offer(offer, host)
        except ConnectFailed as error:
            raise Problem(400, str(error)) from error
        where = f"/whip/{quote(offer.destination, safe='')}/{name}"
        return Response(answer, 201, headers={"location": where}, media_type=SDP)

    async def _hang_up(self, request: Request, _: Identity) -> Response:
        await trio.lowlevel.checkpoint()
        if not self._phone_listener().hang_up(request.path_params["name"]):
            raise Problem(404, "there is no such call")
        return Response()

    # -- calls -------------------------------------------------------------------------------------

    async def _peaks(self, request: Request, who: Identity) -> Response:
        row = await self.api.find(request.path_params["id"], who)
        name = request.query_params.get("name", "call.wav")
        first = request.query_params.get("from", "0")
        path = row.folder / name
        await self.api.bring(row, Path(name).name)
        if Path(name).name != name or not first.isdecimal() or not path.is_file():
            raise Problem(404, "there is no such recording")
        found = await clock.off_loop(lambda: peaks(path, first=int(first)))
        return Response(found, media_type="application/octet-stream")

    async def _one_file(self, request: Request, who: Identity) -> Response:
        """Send the call as one file; of many who ask at once one after the other."""
        row = await self.api.find(request.path_params["id"], who)
        await self.api.bring(row, RECORDING, TRACE)
        async with self._turn:
            page = await clock.off_loop(one_file, row)
        # Looked at here it would be ours: with our token, and a page that may run its scripts.
        headers = {"content-disposition": f'attachment; filename="{row.session_id}.html"'}
        return Response(page, media_type="text/html; charset=utf-8", headers=headers)

    async def _changes(self, upgrade: Upgrade, visitor: Visitor) -> None:
        """Say each time that the history has changed, whichever process wrote it."""
        socket = await upgrade.accept()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_tell_changes, self.api.history, socket)
            await socket.run()
            nursery.cancel_scope.cancel()

    async def _live(self, upgrade: Upgrade, visitor: Visitor) -> None:
        """Send a trace from a place on, and what is added to it until the call is over."""
        try:
            row = await self.api.find(visitor.given["id"], visitor.who)
            await self.api.bring(row, TRACE)
        except Problem as problem:
            await upgrade.refuse(problem.status, body=problem.problem.encode())
            return
        start = query_of(upgrade.path).get("from", "0")
        socket = await upgrade.accept()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                self._tail, row, int(start) if start.isdecimal() else 0, socket, visitor
            )
            await socket.run()
            nursery.cancel_scope.cancel()

    async def _tail(self, row: SessionRow, at: int, socket: FrameSocket, visitor: Visitor) -> None:
        """Send whole lines from the byte ``at`` on; close when the call is over and all is told."""
        path = row.folder / TRACE
        over = row.state != "running"
        ask_at = clock.now() + ASK_S
        while socket.is_open:
            if socket.waiting_bytes < MOST_WAITING_BYTES:
                piece = await clock.off_loop(_lines_from, path, at)
                if piece:
                    socket.send(piece.decode("utf-8", "replace"))
                    at += len(piece)
                    continue
                if over:
                    break
            if clock.now() >= ask_at:
                # Not by its last line alone: a process that was killed writes none.
                row = await self.api.find(row.session_id, visitor.who)
                over = row.state != "running"
                ask_at = clock.now() + ASK_S
            await trio.sleep(LOOK_S)
        socket.close()


async def _tell_changes(history: Store, socket: FrameSocket) -> None:
    before: object = None
    while socket.is_open:
        with suppress(ConfigError):  # it cannot be reached: there is nothing to tell
            now = await clock.off_loop(history.changes)
            if before is not None and now != before:
                socket.send("changed")
            before = now
        await trio.sleep(history.look_s)


def _lines_from(path: Path, at: int) -> bytes:
    """Return the next whole lines of a file that may still grow."""
    try:
        with path.open("rb") as file:
            file.seek(at)
            piece = file.read(PIECE_BYTES)
            if len(piece) == PIECE_BYTES and b"\n" not in piece:
                piece += file.readline()
    except OSError:
        return b""
    return piece[: piece.rfind(b"\n") + 1]


def _file(name: str, status: int = 200) -> Response:
    return Response(
        files.content(name), status, headers=files.HEADERS, media_type=files.content_type(name)
    )


def _sign_in(request: Request, refused: Refused) -> Response:
    """Ask for a token, in place of a page; a page of another origin is only told no."""
    return (
        _file("login.html", 401) if refused.status == 401 else told(refused.status, refused.problem)
    )
