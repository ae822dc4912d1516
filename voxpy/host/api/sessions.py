"""The management API: other programs start sessions, see them and end them, over HTTP.

``StartScenarios`` is VoxEngine's, with its parameters and its answer; what VoxEngine has no command
for is below ``/api``. Fields have the names of its GetCallHistory. Requests to a session's access
URL become ``AppEvents.HttpRequest`` and are answered by what the scenario's handler returns.
"""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import attrs
import orjson
import trio
from starlette.responses import Response

from voxpy.engine import clock
from voxpy.engine.ending import EndReason
from voxpy.errors import ConfigError, RequestFailed
from voxpy.history.search import Filter, SessionRow, find_sessions, row_of
from voxpy.history.store import Store
from voxpy.history.uploads import Uploads
from voxpy.host.api.access import answer, asked
from voxpy.host.doors import (
    Door,
    FileAnswer,
    Problem,
    SocketDoor,
    Visitor,
    body,
    check_names,
    json_answer,
    parameters,
)
from voxpy.host.guard import Identity
from voxpy.host.requesthead import called_base
from voxpy.host.router import REQUESTS, CallRouter, CannotStart
from voxpy.sockets.accepting import Upgrade
from voxpy.websocket.incoming import receive_websocket

if TYPE_CHECKING:
    from starlette.requests import Request

ANY_METHOD = ("GET", "POST", "PUT", "PATCH", "DELETE")
MOST_LISTED = 1000
START_PARAMETERS = ("rule_name", "rule_id", "script_custom_data", "reference_ip")
FILTERS = ("state", "rule", "caller", "to", "reason", "custom_data", "errors", "since", "before")


@attrs.frozen(kw_only=True)
class Api:
    """The doors of the API, to the sessions that run and those of the history.

    ``uploads`` brings back what they left, where that goes to a store.
    """

    router: CallRouter
    history: Store
    uploads: Uploads | None
    public_url: str
    tls: bool
    users: Callable[[], Awaitable[Mapping[str, int]]]
    """At how many places each user of routing.yaml is registered."""
    drain: Callable[[], None]
    """Lets the whole host take no more calls and stop when those that run are over."""
    keep: Callable[[], None] = lambda: None
    """Says that the connection at hand has proven its worth."""

    def sockets(self) -> list[SocketDoor]:
        """Return where sessions take WebSockets."""
        place = REQUESTS + "/{id}/{token}"
        return [
            SocketDoor(path=place, serve=self._connect, open=True),
            SocketDoor(path=place + "/{rest:path}", serve=self._connect, open=True),
        ]

    async def _connect(self, upgrade: Upgrade, visitor: Visitor) -> None:
        given = visitor.given
        hosted = self.router.find(given["id"], given["token"])
        if hosted is None:
            await upgrade.refuse(404, body=b"there is no such session, or it is over")
            return
        self.keep()
        _, _, query = upgrade.path.partition("?")
        fields = asked("GET", given.get("rest", ""), query, dict(upgrade.headers))
        await receive_websocket(hosted.session, upgrade, fields)

    def doors(self) -> list[Door]:
        """Return every place of the API."""
        one = "/api/sessions/{id}"
        access = Door(
            path=REQUESTS + "/{id}/{token}",
            methods=ANY_METHOD,
            answer=self._ask,
            open=True,
            summary="Ask a session: AppEvents.HttpRequest, answered by its handler",
            takes=("*/*",),
            gives="text/plain",
        )
        return [
            Door(
                path="/platform_api/StartScenarios",
                methods=("POST",),  # a link on a stranger's page is a GET, and this one dials
                answer=self._start,
                summary="Start a session without a call",
                query=START_PARAMETERS,
                takes=("application/json", "application/x-www-form-urlencoded"),
                gives="Started",
            ),
            Door(
                path="/api/sessions",
                answer=self._list,
                summary="Running and past sessions, newest first",
                query=(*FILTERS, "limit"),
                gives="Sessions",
            ),
            Door(path=one, answer=self._show, summary="One session", gives="OneSession"),
            Door(
                path=one + "/hangup",
                methods=("POST",),
                answer=self._hang_up,
                summary="End a session",
            ),
            Door(
                path="/api/users",
                answer=self._users,
                summary="Users, and at how many places each is registered",
                gives="Users",
            ),
            Door(
                path="/api/drain",
                methods=("POST",),
                answer=self._drain,
                summary="Take no more calls, and stop when those that run are over",
                status=202,
            ),
            Door(
                path=one + "/{kind:str}",
                answer=self._text_file,
                summary="The session's `trace` (a line of JSON each) or `log`",
                gives="text/plain",
            ),
            Door(
                path=one + "/{kind:str}/{name:str}",
                answer=self._file,
                summary="One of its `recordings` or `transcripts`; Range works",
                gives="application/octet-stream",
            ),
            access,
            attrs.evolve(
                access,
                path=access.path + "/{rest:path}",
                summary="The same; what stands behind the access URL is `path`",
            ),
        ]

    # -- sessions ----------------------------------------------------------------------------------

    async def _start(self, request: Request, who: Identity) -> Response:
        given = await parameters(request, START_PARAMETERS)
        rule = str(given.get("rule_name") or given.get("rule_id") or "")
        if not rule:
            raise Problem(400, "rule_name is missing: which rule of routing.yaml is to run")
        if not who.sees(rule):
            raise Problem(404, f"there is no rule {rule!r}")
        data = given.get("script_custom_data") or ""
        if not isinstance(data, str):
            data = orjson.dumps(data).decode()
        called = called_base(request.headers, public_url=self.public_url, tls=self.tls)
        try:
            hosted = await self.router.start(rule, custom_data=data, base=called)
        except CannotStart as error:
            raise Problem(error.status, error.problem) from error
        return json_answer(
            {
                "result": 1,
                "media_session_access_url": hosted.context.access_url,
                "media_session_access_secure_url": hosted.context.access_url,
                "call_session_history_id": hosted.context.session_id,
            }
        )

    async def _list(self, request: Request, who: Identity) -> Response:
        query = dict(request.query_params)
        limit = _whole("limit", query.pop("limit", "20"), MOST_LISTED)
        check_names(query, FILTERS)
        wanted = Filter(
            since=_moment("since", query.get("since")),
            before=_moment("before", query.get("before")),
            state=query.get("state"),
            rule=query.get("rule"),
            caller=query.get("caller"),
            destination=query.get("to"),
            reason=query.get("reason"),
            custom_data=query.get("custom_data"),
            errors=query.get("errors", "") in ("1", "true", "yes"),
            rules=who.rules,
            limit=limit,
        )
        found = await self._find(wanted)
        return json_answer({"result": [session_json(row) for row in found], "count": len(found)})

    async def _find(self, wanted: Filter) -> list[SessionRow]:
        try:
            return await clock.off_loop(find_sessions, self.history, wanted)
        except ConfigError as error:
            raise Problem(503, "the call history cannot be read") from error

    async def find(self, session_id: str, who: Identity) -> SessionRow:
        """Return a session, one that runs or a past one. Raises Problem (404)."""
        hosted = self.router.running.get(session_id)
        if hosted is not None and not who.sees(hosted.context.rule_name):
            hosted = None
        try:
            found = await self._find(Filter(session_id=session_id, rules=who.rules, limit=1))
        except Problem:
            if hosted is None:
                raise
            found = []
        if found:
            return found[0]
        if hosted is None:  # else so young that it is not in the history, or that cannot be read
            raise Problem(404, "there is no such session")
        return row_of(hosted.record, hosted.folder.root)

    async def _show(self, request: Request, who: Identity) -> Response:
        row = await self.find(request.path_params["id"], who)
        return json_answer({"result": session_json(row)})

    async def _hang_up(self, request: Request, who: Identity) -> Response:
        await trio.lowlevel.checkpoint()
        hosted = self.router.running.get(request.path_params["id"])
        if hosted is None or not who.sees(hosted.context.rule_name):
            raise Problem(404, "there is no such session that runs")
        hosted.session.end(EndReason.OPERATOR, f"hung up over the API by {who.name}")
        return json_answer({"result": 1})

    async def _users(self, request: Request, who: Identity) -> Response:
        await trio.lowlevel.checkpoint()
        if who.rules is not None:
            raise Problem(403, "this token is for the sessions of its rules alone")
        found = [{"user_name": name, "places": n} for name, n in (await self.users()).items()]
        return json_answer({"result": found, "count": len(found)})

    async def _drain(self, request: Request, who: Identity) -> Response:
        await trio.lowlevel.checkpoint()
        if who.rules is not None:
            raise Problem(403, "this token is for the sessions of its rules alone")
        self.drain()
        return json_answer({"result": 1}, 202)

    # -- what sessions left ------------------------------------------------------------------------

    async def _text_file(self, request: Request, who: Identity) -> Response:
        kind = request.path_params["kind"]
        row = await self.find(request.path_params["id"], who)
        for name, url in row.files:
            if name == kind:
                return await self._send(request, row, url, "text/plain; charset=utf-8")
        raise Problem(404, "there is no such file")

    async def _file(self, request: Request, who: Identity) -> Response:
        kind = request.path_params["kind"].removesuffix("s")
        row = await self.find(request.path_params["id"], who)
        for name, url in row.files:
            if name == kind and _file_name(url) == request.path_params["name"]:
                return await self._send(request, row, url, None)
        raise Problem(404, "there is no such file")

    async def _send(
        self, request: Request, row: SessionRow, url: str, media_type: str | None
    ) -> Response:
        """Send a file of a session; nothing outside of its folder is one."""
        path = row.folder / _file_name(url)
        await self.bring(row, path.name)
        path = path.resolve()
        if path.parent != row.folder.resolve() or not path.is_file():
            raise Problem(404, "the file is gone")
        return FileAnswer(path, request, media_type=media_type)

    async def bring(self, row: SessionRow, *names: str) -> None:
        """Have these files here, if they are anywhere. Raises Problem (502) without the store."""
        gone = [name for name in names if not (row.folder / name).is_file()]
        if not gone or self.uploads is None or row.state == "running":
            return
        try:
            await self.uploads.fetch(row.session_id, gone)
        except RequestFailed as error:
            raise Problem(502, f"the store has not given {', '.join(gone)}: {error}") from error
        except OSError as error:
            raise Problem(507, f"no room for {', '.join(gone)}: {error.strerror}") from error

    # -- requests to a session ---------------------------------------------------------------------

    async def _ask(self, request: Request, _: Identity) -> Response:
        given = request.path_params
        hosted = self.router.find(given["id"], given["token"])
        if hosted is None:
            raise Problem(404, "there is no such session, or it is over")
        query = request.scope["query_string"].decode("latin-1")
        fields = asked(request.method, given.get("rest", ""), query, request.headers)
        told = await answer(hosted.session, await body(request), fields)
        if told.problem:
            raise Problem(told.status, told.problem)
        return Response(told.body, told.status, media_type=told.media_type)


# -- reading parameters ----------------------------------------------------------------------------


def _whole(name: str, text: str, most: int) -> int:
    if text.isdecimal() and len(text) < 10 and 0 < int(text) <= most:
        return int(text)
    raise Problem(400, f"{name} must be a whole number from 1 to {most}, not {text[:50]!r}")


def _moment(name: str, text: str | None) -> datetime.datetime | None:
    if not text:
        return None
    try:
        moment = datetime.datetime.fromisoformat(text.replace(" ", "+"))
        if moment.tzinfo is None:
            return moment.replace(tzinfo=datetime.UTC)
        return moment.astimezone(datetime.UTC)  # not before the year 1, nor after 9999
    except (ValueError, OverflowError):
        raise Problem(
            400, f"{name} must be a date and time (ISO 8601), not {text[:50]!r}"
        ) from None


# -- writing answers -------------------------------------------------------------------------------


def session_json(row: SessionRow) -> dict[str, Any]:
    """Return a session as the API tells of it: its files are addresses below this one's."""
    value = row.to_json()
    del value["folder"]
    here = f"/api/sessions/{row.session_id}"
    value["files"] = [
        {
            "kind": kind,
            "url": f"{here}/{kind}"
            if kind in ("trace", "log")
            else f"{here}/{kind}s/{_file_name(url)}",
        }
        for kind, url in row.files
    ]
    return value


def _file_name(url: str) -> str:
    return Path(unquote(urlsplit(url).path)).name
