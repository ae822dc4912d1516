"""What a scenario asked the service for, all its ``session.update`` put together. Pure.

Where it names no audio format, the best one is the leg's own: a G.711 leg then has its bytes passed
through, neither decoded nor resampled on the way; a wideband leg is served best by 24 kHz PCM, the
default of the protocol.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import NoneType
from typing import Any, Literal

from voxpy.audio.frame import PCMA, PCMU, Format, pcm16
from voxpy.realtime.service import FORMATS, Formats
from voxpy.wire.realtime.events.session import laid_over

AudioChoice = Literal["auto", "pcm16", "pcmu", "pcma"]

AUDIO_FORMATS: tuple[AudioChoice, ...] = ("auto", "pcm16", "pcmu", "pcma")

Fields = Mapping[str, Any]


class Configuration:
    """Completes updates on their way out, and can say all of it again to another session."""

    def __init__(self, choice: AudioChoice | None, formats: Formats = FORMATS) -> None:
        self._choice = choice
        self._formats = formats
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
            fields = with_formats(fields, self._choice, legs=legs, formats=self._formats)
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


def with_formats(
    fields: Fields,
    choice: AudioChoice | None,
    *,
    legs: Iterable[str],
    formats: Formats = FORMATS,
) -> Fields:
    """Return the fields of a ``session.update`` with the chosen format on both sides.

    ``legs`` are the encodings of the session's legs. ``auto`` is their G.711 if all agree on one;
    otherwise, and for None, nothing is added. Nor is it where the update names a format itself.
    """
    name = _common_g711(legs) if choice == "auto" else choice or ""
    wire = formats.get(name)
    session = fields.get("session")
    if wire is None or not isinstance(session, Mapping) or _names_one(session, wire):
        return fields  # named, or nothing that we understand: the service will say so
    return {**fields, "session": laid_over(session, wire)}


def _names_one(session: Fields, wire: Fields) -> bool:
    """Return whether ``session`` says anything where ``wire`` names formats."""
    for name, value in wire.items():
        if name not in session:
            continue
        if name.endswith("format") or not isinstance(session[name], Mapping | NoneType):
            return True
        if _names_one(session[name] or {}, value):
            return True
    return False


def _common_g711(legs: Iterable[str]) -> str:
    encodings = set(legs)
    only = encodings.pop() if len(encodings) == 1 else ""
    return "" if only == "pcm16" else only


def carried(encoding: str, rate_hz: int) -> Format:
    """Return the Format of what ``audio_format`` found. Raises ValueError if we carry none such.

    32-bit float is carried as 16-bit: the wire converts it.
    """
    if encoding in ("pcm16", "float32"):
        return pcm16(rate_hz)
    known = {"pcmu": PCMU, "pcma": PCMA}
    if encoding not in known:
        raise ValueError(f"{encoding} at {rate_hz} Hz")
    return known[encoding]
