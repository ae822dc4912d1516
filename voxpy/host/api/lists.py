"""The API of call lists: added, watched, stopped, and what came of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
from starlette.responses import Response

from voxpy.calllists.store import Lists, Progress
from voxpy.calllists.terms import Terms, Window, check_rows, parse_seconds, read_rows, write_results
from voxpy.engine import clock
from voxpy.errors import ConfigError, nearest
from voxpy.fleet.port import StoreAway
from voxpy.host.doors import Door, Problem, body, json_answer, parameters
from voxpy.project.project import ProjectFiles
from voxpy.project.routing import Rule

if TYPE_CHECKING:
    from starlette.requests import Request

    from voxpy.host.guard import Identity

T = TypeVar("T")
BODY_BYTES = 32 * 1024 * 1024
TERMS = ("rule_name", "name", "at_once", "per_minute", "window", "retry", "retry_after")


@attrs.frozen(kw_only=True)
class ListsApi:
    """The doors of call lists. ``look`` is called when there is something to do."""

    lists: Lists
    files: ProjectFiles
    look: Callable[[], None]

    def doors(self) -> list[Door]:
        """Return every place."""
        one = "/api/lists/{list_id}"
        return [
            Door(
                path="/api/lists",
                methods=("POST",),
                answer=self._add,
                summary="Add a call list: its rows as CSV, or as `rows` of a JSON object",
                query=TERMS,
                takes=("text/csv", "application/json"),
                gives="Added",
                status=201,
            ),
            Door(path="/api/lists", answer=self._all, summary="All call lists", gives="Lists"),
            Door(path=one, answer=self._show, summary="One call list", gives="OneList"),
            Door(
                path=one + "/results",
                answer=self._results,
                summary="What came of each row",
                gives="text/csv",
            ),
            Door(
                path=one + "/stop",
                methods=("POST",),
                answer=self._stop,
                summary="Begin no more calls of a list",
            ),
            Door(
                path=one + "/resume",
                methods=("POST",),
                answer=self._resume,
                summary="Go on with a list",
            ),
        ]

    async def _add(self, request: Request, who: Identity) -> Response:
        """Take the rows as CSV, with the terms in the query; or all of it as a JSON object."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "text/csv":
            given: dict[str, Any] = dict(request.query_params)
            text = (await body(request, BODY_BYTES)).decode("utf-8", "replace")
        else:
            given = await parameters(request, (*TERMS, "rows"), BODY_BYTES)
            text = ""
        for name in given:
            if name not in (*TERMS, "rows"):
                raise Problem(400, f"there is no parameter {name[:50]!r}{nearest(name, TERMS)}")
        rule = self._rule(str(given.get("rule_name", "")), who)
        most = rule.settings.limits.custom_data_bytes
        try:
            terms = _terms(given)
            file = str(given.get("name") or "the list")
            if text:
                rows = read_rows(text, file=file, most_bytes=most)
            else:
                rows = check_rows(given.get("rows"), file=file, most_bytes=most)
        except (ConfigError, ValueError) as error:
            raise Problem(400, str(error)) from error
        now = clock.calendar().timestamp()
        list_id = await self._do(self.lists.add(rows, file, rule.name, terms, now))
        self.look()
        return json_answer({"result": 1, "list_id": list_id, "count": len(rows)}, 201)

    def _rule(self, name: str, who: Identity) -> Rule:
        rules = {r.name: r for r in self.files.project.routing.rules if who.sees(r.name)}
        if name not in rules:
            raise Problem(404, f"there is no rule {name[:50]!r}{nearest(name, rules)}")
        return rules[name]

    async def _all(self, request: Request, who: Identity) -> Response:
        found = await self._do(self.lists.lists())
        shown = [one.to_json() for one in found if who.sees(one.rule_name)]
        return json_answer({"result": shown, "count": len(shown)})

    async def _find(self, request: Request, who: Identity) -> Progress:
        given = request.path_params["list_id"]
        if given.isdecimal() and len(given) < 16:
            for found in await self._do(self.lists.lists(int(given))):
                if who.sees(found.rule_name):
                    return found
        raise Problem(404, "there is no such list")

    async def _show(self, request: Request, who: Identity) -> Response:
        return json_answer({"result": (await self._find(request, who)).to_json()})

    async def _results(self, request: Request, who: Identity) -> Response:
        found = await self._find(request, who)
        rows = await self._do(self.lists.results(found.list_id))
        return Response(write_results(rows, found.columns), media_type="text/csv; charset=utf-8")

    async def _stop(self, request: Request, who: Identity) -> Response:
        found = await self._find(request, who)
        await self._do(self.lists.set_state(found.list_id, "stopped"))
        return json_answer({"result": 1})

    async def _resume(self, request: Request, who: Identity) -> Response:
        found = await self._find(request, who)
        await self._do(self.lists.set_state(found.list_id, "running"))
        self.look()
        return json_answer({"result": 1})

    async def _do(self, work: Awaitable[T]) -> T:
        try:
            return await work
        except (StoreAway, OSError) as error:
            raise Problem(503, "the call lists cannot be read or written now") from error


def _terms(given: Mapping[str, Any]) -> Terms:
    """Return how a list is to be worked through. Raises ConfigError, ValueError."""
    window, per_minute = given.get("window"), given.get("per_minute")
    usual = Terms()
    return Terms(
        at_once=_whole("at_once", given.get("at_once", usual.at_once)),
        per_minute=None if per_minute in (None, "") else float(per_minute),
        window=Window.parse(str(window)) if window else None,
        retry=_whole("retry", given.get("retry", usual.retry)),
        retry_after_s=parse_seconds(str(given.get("retry_after", usual.retry_after_s))),
    )


def _whole(name: str, value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a whole number, not {str(value)[:50]!r}") from None
