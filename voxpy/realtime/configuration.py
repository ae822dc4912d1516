"""What a scenario asked the service for, all its ``session.update`` put together. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from voxpy.realtime.formats import AudioChoice, with_formats
from voxpy.wire.realtime.events.session import laid_over

__all__ = ["Configuration"]

Fields = Mapping[str, Any]


class Configuration:
    """Completes updates on their way out, and can say all of it again to another session."""

    def __init__(self, choice: AudioChoice | None) -> None:
        self._choice = choice
        self._schemas: Sequence[Fields] = ()
        self._announced = True
        self._own_tools: list[Any] = []
        self._session: dict[str, Any] = {}

    @property
    def sent(self) -> bool:
        """Whether an update went out."""
        return bool(self._session)

    def use_tools(self, schemas: Iterable[Fields]) -> None:
        """Add these tools to the session with the next update; they replace earlier ones."""
        self._schemas = tuple(schemas)
        self._announced = False

    def complete(self, fields: Fields, *, legs: Iterable[str], ready: bool) -> Fields:
        """Return the fields of a ``session.update`` as they go out, and remember them.

        Until the session is ``ready`` the audio format is added, see ``with_formats``. Tools are
        added to those the update names; a tool of the scenario's yields to ours of the same name.
        """
        if not ready:
            fields = with_formats(fields, self._choice, legs=legs)
        session = fields.get("session")
        if not isinstance(session, Mapping):
            return fields
        own = session.get("tools", self._own_tools)
        if isinstance(own, list):  # else the service will say what is wrong with it
            self._own_tools = own
            if self._schemas and (not self._announced or "tools" in session):
                session = {**session, "tools": self._tools()}
                fields = {**fields, "session": session}
                self._announced = True
        self._session = laid_over(self._session, session)
        return fields

    def anew(self, current: Fields) -> dict[str, Any]:
        """Return the session to ask a fresh connection for.

        ``current`` is the session as the service last told it: what Inworld remembered of the
        caller (``providerData.memory.state``) is given to the new one, which takes it as a seed.
        """
        session = dict(self._session)
        state: Any = current
        for name in ("providerData", "memory", "state"):
            state = state.get(name) if isinstance(state, Mapping) else None
        if isinstance(state, Mapping):
            memory = {"providerData": {"memory": {"state": dict(state)}}}
            session = laid_over(session, memory)
        return session

    def _tools(self) -> list[Any]:
        ours = {schema.get("name") for schema in self._schemas}
        kept = [
            tool
            for tool in self._own_tools
            if not (isinstance(tool, Mapping) and tool.get("name") in ours)
        ]
        return [*kept, *self._schemas]
