"""What all events have in common, the error object, and ways to read the large open objects.

Sessions, items, parts and responses stay plain JSON objects on purpose: they are large, open and
differ between services. Their aliases below carry the rule that :mod:`codec` runs on them.
"""

# No "from __future__ import annotations" here: the codec reads the field types of these classes.
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, TypeVar, dataclass_transform

import attrs

from voxpy.wire.realtime.events import rules
from voxpy.wire.realtime.events.problems import excerpt

JsonObject = Annotated[dict[str, Any], rules.json_object]
JsonObjects = Annotated[list[dict[str, Any]], rules.objects]
Item = Annotated[dict[str, Any], rules.item]
Part = Annotated[dict[str, Any], rules.part]
Response = Annotated[dict[str, Any], rules.response]

NOTHING: Mapping[str, Any] = MappingProxyType({})
C = TypeVar("C", bound=type)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(attrs.field,))
def wire_event(cls: C) -> C:
    """Make an event a frozen, slotted, keyword-only attrs class.

    Equality and repr come from WireEvent: generating them for sixty classes would nearly double
    the time this package takes to import, and a generated repr would print whole audio frames.
    """
    return attrs.frozen(kw_only=True, eq=False, repr=False)(cls)


@wire_event
class WireEvent:
    """Base of every event of both roles. ``type`` is its name on the wire.

    ``extra`` holds what the class has no field for, and optional fields that came as ``null`` (on
    the wire null and absent differ); so that parsing and encoding give the same JSON value again.
    """

    type: ClassVar[str] = ""
    event_id: str | None = None
    extra: Mapping[str, Any] = NOTHING

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, f) == getattr(other, f) for f in _names(type(self)))

    __hash__ = None  # type: ignore[assignment]  # extra is a mapping

    def __repr__(self) -> str:
        shown = ((name, getattr(self, name)) for name in _names(type(self)))
        told = (f"{n}={_short(v)}" for n, v in shown if v is not None and v != NOTHING)
        return f"{type(self).__name__}({', '.join(told)})"


def _names(cls: Any) -> list[str]:
    return [field.name for field in attrs.fields(cls)]


def _short(value: Any) -> str:
    return excerpt(value) if isinstance(value, str) else repr(value)


class ClientEvent(WireEvent):
    """Base of what a client sends."""

    __slots__ = ()


class ServerEvent(WireEvent):
    """Base of what a server sends."""

    __slots__ = ()


E = TypeVar("E", bound=WireEvent)


def events_among(names: Mapping[str, Any], base: type[E]) -> dict[str, type[E]]:
    """Return the events of one role among a module's names, by their names on the wire.

    Bases that only lend fields to others have no ``type`` and are left out.
    """
    classes = (n for n in names.values() if isinstance(n, type) and issubclass(n, base))
    return {cls.type: cls for cls in classes if cls.type}


@attrs.frozen(eq=False, repr=False)
class Unknown(ClientEvent, ServerEvent):
    """An event of a type this package has no class for; ``raw`` is the whole frame, unchanged."""

    raw: Mapping[str, Any]

    @property
    def type(self) -> str:  # type: ignore[override]  # every other class has one fixed type
        """Name of the event on the wire."""
        return str(self.raw.get("type", ""))


@attrs.frozen(kw_only=True)
class Error:
    """The ``error`` object of ``error`` and ``…transcription.failed`` events.

    ``event_id`` is the id the client gave the event at fault. ``extra`` as in WireEvent.
    """

    message: str
    type: str | None = None
    code: str | None = None
    param: str | None = None
    event_id: str | None = None
    extra: Mapping[str, Any] = NOTHING


@attrs.frozen(kw_only=True)
class FunctionCall:
    """One finished function call of a response. ``arguments`` is JSON text, not yet parsed."""

    item_id: str
    call_id: str
    name: str
    arguments: str


def nulls(**fields: Any) -> dict[str, None]:
    """Return those of ``fields`` that are None: the ``extra`` that sends them as ``null``."""
    return {name: None for name, value in fields.items() if value is None}


def item_text(item: Mapping[str, Any]) -> str:
    """Return the words of an item: the text or transcript of its parts, joined by spaces.

    Audio parts without a transcript give nothing. The output of a function is its ``output``.
    """
    if item.get("type") == "function_call_output":
        return str(item.get("output") or "")
    parts = item.get("content") or ()
    words = (part.get("text") or part.get("transcript") or "" for part in parts)
    return " ".join(word for word in words if word)


def heard_part(text: str, share: float) -> str:
    """Return about the first ``share`` (0 to 1) of a text, ending with a whole word.

    An estimate: the wire carries no word timings, so words are taken to be spoken evenly.
    """
    end = int(len(text) * share)
    if end >= len(text):
        return text
    whole = text[: end + 1].rfind(" ")
    return text[: max(whole, 0)].rstrip()


def function_calls(response: Mapping[str, Any]) -> list[FunctionCall]:
    """Return the function calls in a ``response.done`` response, in order.

    Empty for any response that did not complete: a cancelled one must not run tools.
    """
    if response.get("status") != "completed":
        return []
    return [
        FunctionCall(
            item_id=item.get("id") or "",
            call_id=item.get("call_id") or "",
            name=item.get("name") or "",
            arguments=item.get("arguments") or "",
        )
        for item in response.get("output") or ()
        if item.get("type") == "function_call"
    ]


def end_reason(response: Mapping[str, Any]) -> str | None:
    """Return why a response did not complete (``turn_detected``, ``content_filter``), if it says.

    For a failed response this is the code of its error, or the error's type.
    """
    details = response.get("status_details") or {}
    error = details.get("error")
    reason = details.get("reason")
    if reason is None and isinstance(error, Mapping):
        reason = error.get("code") or error.get("type")
    return reason if isinstance(reason, str) else None
