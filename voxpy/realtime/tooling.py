"""Runs the functions a model calls, for a RealtimeAPIClient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import trio

from voxpy.engine.session import Session
from voxpy.wire.realtime.events.types import FunctionCall

__all__ = ["ToolOwner", "ToolRunner", "Tools"]


class Tools(Protocol):
    """What ``use_tools`` takes; ``voxpy.realtime.tools.ToolSet`` is one."""

    def schemas(self) -> list[dict[str, Any]]:
        """Return the functions as they stand in ``session.tools``."""

    async def call(self, name: str, arguments_json: str) -> str:
        """Return the output as JSON text, an error included; raises nothing but Cancelled."""


class ToolOwner(Protocol):
    """Whose tools they are."""

    client_id: str

    def awaits_output(self, call_id: str) -> bool:
        """Return whether this call still needs an output."""

    def tool_output(self, call_id: str, output: str) -> None:
        """Send the output of a call."""


class ToolRunner:
    """Calls the functions of one response after another, in order; responses run side by side.

    Cancelled with its client: nobody could be told the outputs any more. ``private`` keeps
    arguments and outputs out of the trace.
    """

    def __init__(self, session: Session, owner: ToolOwner, tools: Tools, *, private: bool) -> None:
        self._session = session
        self._owner = owner
        self._tools = tools
        self._private = private
        self._scopes: set[trio.CancelScope] = set()

    @property
    def running(self) -> bool:
        """Whether a function is at work."""
        return bool(self._scopes)

    def start(self, calls: Sequence[FunctionCall]) -> None:
        """Run these calls in a task of the session."""
        if calls and self._session.ended is None:
            scope = trio.CancelScope()
            self._scopes.add(scope)
            names = ", ".join(call.name for call in calls)
            self._session.spawn(f"tools {names}", self._run, calls, scope)

    def cancel(self) -> None:
        """Give up what runs."""
        for scope in self._scopes:
            scope.cancel()

    async def _run(self, calls: Sequence[FunctionCall], scope: trio.CancelScope) -> None:
        try:
            with scope:
                for call in calls:
                    await self._call(call)
        finally:
            self._scopes.discard(scope)

    async def _call(self, call: FunctionCall) -> None:
        self._note("tool called", call, {"arguments": call.arguments})
        output = await self._tools.call(call.name, call.arguments or "{}")
        if self._owner.awaits_output(call.call_id):  # else the scenario answered it itself
            self._note("tool answered", call, {"output": output})
            self._owner.tool_output(call.call_id, output)

    def _note(self, title: str, call: FunctionCall, content: Mapping[str, str]) -> None:
        shown = {} if self._private else {"payload": content}
        self._session.trace.step(
            title, unit=self._owner.client_id, tool=call.name, call_id=call.call_id, **shown
        )
