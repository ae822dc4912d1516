"""What every event is, and the events a session has of its own (before any call exists).

The constant *is* the payload class: ``add_event_listener(AppEvents.Started, f)`` subscribes to the
class that ``f`` will receive an instance of, so type checkers know the argument of every listener.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, dataclass_transform

import attrs

from voxpy.errors import HelpsWithNames, UnknownName, nearest

C = TypeVar("C", bound=type)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(attrs.field,))
def event_class(cls: C) -> C:
    """Make an event a frozen, slotted, keyword-only attrs class.

    Equality and repr come from Event: generating them for a hundred classes would more than double
    the time the vocabulary takes to import.
    """
    return attrs.frozen(kw_only=True, eq=False, repr=False)(cls)


@event_class
class Event(HelpsWithNames):
    """Base of all events. ``name`` is VoxEngine's wire string, as written to the trace.

    ``never`` is why nothing posts it: whoever subscribes reads that, whoever waits is refused.
    """

    name: ClassVar[str] = ""
    never: ClassVar[str] = ""

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, f) == getattr(other, f) for f in _fields(self))

    __hash__ = None  # type: ignore[assignment]  # payloads hold mappings

    def __repr__(self) -> str:
        told = ", ".join(f"{f}={getattr(self, f)!r}" for f in _fields(self))
        return f"{type(self).__qualname__}({told})"


def _fields(event: Any) -> list[str]:
    return [field.name for field in attrs.fields(type(event))]


class Namespace(type):
    """A class that only holds names, such as ``CallEvents``; misspelt ones fail with a hint."""

    def members(cls) -> dict[str, Any]:
        """Return the public names of the namespace, in the order they were written."""
        return {k: v for k, v in vars(cls).items() if not k.startswith("_")}

    if not TYPE_CHECKING:  # a type checker must keep rejecting unknown names by itself

        def __getattr__(cls, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            raise UnknownName(f"{cls.__name__} has no {name!r}{nearest(name, cls.members())}")


@event_class
class Started(Event):
    """The session exists and every scenario file of the rule has been executed. Always first."""

    name: ClassVar[str] = "Application.Started"
    session_id: str
    rule_name: str = ""
    custom_data: str = ""
    log_url: str = ""
    access_url: str = ""
    access_secure_url: str = ""
    account_id: int = 0
    application_id: int = 0
    conference_name: str = ""


@event_class
class Terminating(Event):
    """The session is ending: timers are dead, one last HTTP request is allowed."""

    name: ClassVar[str] = "Application.Terminating"
    system_error: str | None = None


@event_class
class Terminated(Event):
    """The session is over; only ``Logger.write`` still works."""

    name: ClassVar[str] = "Application.Terminated"
    system_error: str | None = None


class OpenName(str):
    """A constant of a list without end: ``VoiceList.Amazon.Neural.en_US_Joanna``.

    VoxEngine names every voice and language of every provider; here any name is one, and what it
    stands for is read from it. Its text is the parts with colons between them.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> OpenName:
        if name.startswith("_"):
            raise AttributeError(name)
        return OpenName(f"{self}:{name}")


class OpenNames(type):
    """A namespace in which every name is there: ``Language.US_ENGLISH_FEMALE``."""

    def __getattr__(cls, name: str) -> OpenName:
        if name.startswith("_"):
            raise AttributeError(name)
        return OpenName(f"{cls.__name__}:{name}")
