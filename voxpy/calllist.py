"""``CallList``: what a scenario tells of the row of a call list that it was started for.

VoxEngine: CallList. The row itself is JSON in ``VoxEngine.custom_data()``. A session that reports
nothing and ends without an error counts as a success.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import orjson

from voxpy.engine.context import current
from voxpy.engine.events import Event
from voxpy.engine.http import HttpRequestResult
from voxpy.engine.ports import ListReport
from voxpy.engine.trace import event_fields
from voxpy.engine.units import fitted
from voxpy.errors import HelpsWithNames, ScenarioError

__all__ = ["CallList", "CallListNamespace"]

Data = Mapping[str, Any]
Callback = Callable[[HttpRequestResult], Any]
NO_LIST = 404
LARGEST_BYTES = 64 * 1024


class CallListNamespace(HelpsWithNames):
    """The functions of VoxEngine's CallList; made once, as ``CallList``.

    Each takes an object that JSON can hold. The result's ``code`` is 200, or 404 in a session that
    no list has started; nothing raises but ScenarioError for what is no such object.
    """

    __slots__ = ()

    def report_result(self, data: Data, callback: Callback | None = None) -> None:
        """Report success: the row is done, and ``data`` its result."""
        self._later("result", data, callback)

    async def report_result_async(self, data: Data) -> HttpRequestResult:
        """Do as ``report_result`` and wait until it is kept."""
        return await self._report("result", data)

    def report_error(self, data: Data, callback: Callback | None = None) -> None:
        """Report a failure: another attempt follows if the list has one left."""
        self._later("error", data, callback)

    async def report_error_async(self, data: Data) -> HttpRequestResult:
        """Do as ``report_error`` and wait until it is kept."""
        return await self._report("error", data)

    def report_progress(self, data: Data, callback: Callback | None = None) -> None:
        """Report how far it is; changes nothing for the list."""
        self._later("progress", data, callback)

    async def report_progress_async(self, data: Data) -> HttpRequestResult:
        """Do as ``report_progress`` and wait until it is kept."""
        return await self._report("progress", data)

    def request_next_attempt(self, data: Data, callback: Callback | None = None) -> None:
        """Ask for another attempt, if the list has one left: at ``start_at`` (ISO 8601) or usual.

        What the row's columns are called may be in ``data`` as well: they change for that attempt.
        """
        self._later("next attempt", data, callback)

    async def request_next_attempt_async(self, data: Data) -> HttpRequestResult:
        """Do as ``request_next_attempt`` and wait until it is kept."""
        return await self._report("next attempt", data)

    def _later(self, kind: ListReport, data: Data, callback: Callback | None) -> None:
        session = current("CallList")
        report = partial(self._report, kind, _checked(data))

        async def perform() -> None:
            result = await report()
            if callback is not None and session.ended is None:
                session.post_callback("CallList callback", fitted(callback, result))

        name = session.new_id("report")
        if session.spawn(name, perform):  # what is on its way at the end is waited for
            return
        session.add_closer(name, perform)

    async def _report(self, kind: ListReport, data: Data) -> HttpRequestResult:
        session = current("CallList")
        given = _checked(data)
        called_by = session.context.call_list
        session.trace.command(f"CallList: {kind}", content=given, known=called_by is not None)
        if called_by is None:
            problem = "this session was not started by a call list"
            return HttpRequestResult(code=NO_LIST, error=problem)
        await called_by.report(kind, given)
        return HttpRequestResult(code=200, text='{"result":true}')

    def _title(self) -> str:
        return "CallList"


def _plain(value: Any) -> Any:
    """Return what JSON can hold of an event; scenarios report it as it came."""
    if not isinstance(value, Event):
        raise TypeError(f"{type(value).__name__} is no value of JSON")
    unit, fields = event_fields(value)
    return {"name": value.name, "unit": unit, **fields}


def _checked(data: Any) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        kind = type(data).__name__
        raise ScenarioError(f"CallList: give a mapping, such as {{'answer': 'yes'}}, not {kind}")
    try:
        written = orjson.dumps(data, default=_plain)
    except TypeError as error:
        raise ScenarioError(f"CallList: JSON cannot hold this: {error}") from error
    if len(written) > LARGEST_BYTES:
        raise ScenarioError(f"CallList: a report holds {LARGEST_BYTES} bytes, not {len(written)}")
    value: dict[str, Any] = orjson.loads(written)
    return value


CallList = CallListNamespace()
