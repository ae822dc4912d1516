"""What scenarios hold and listen to, and where the media of two of them meets.

``Unit`` is the base of everything with an id and listeners; ``MediaUnit`` of what also takes media
(VoxEngine: VoxMediaUnit), ``MediaSource`` of what has media to send as well. All of them answer a
misspelt name with the nearest real one.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

import attrs

from voxpy.engine.events import Event
from voxpy.errors import HelpsWithNames, NotSupported, ScenarioError, nearest
from voxpy.media.unit import MediaPort

if TYPE_CHECKING:
    from voxpy.engine.session import Session

E = TypeVar("E", bound=Event)
Handler = Callable[[E], Awaitable[None] | None]
BareHandler = Callable[[], Awaitable[None] | None]
"""A listener that needs no event: ``VoxEngine.terminate``."""
Catalog = Mapping[str, type]
"""What scenarios call the namespaces of a unit's events, and the namespaces."""


# -- listeners -------------------------------------------------------------------------------------


def describe(handler: Callable[..., Any]) -> str:
    """Return ``name (file:line)`` of a handler, for messages a scenario author can act on."""
    plain = inspect.unwrap(getattr(handler, "func", handler))  # look through functools.partial
    plain = getattr(plain, "__func__", plain)
    name = getattr(plain, "__qualname__", None) or repr(plain)
    code = getattr(plain, "__code__", None)
    return f"{name} ({code.co_filename}:{code.co_firstlineno})" if code else name


@attrs.define(eq=False)
class Waiter:
    """One ``wait_event`` in progress.

    ``deliver`` is called once, with the event; or ``fail`` with the reason why it will not come.
    """

    kind: type[Event]
    deliver: Callable[[Event], None]
    fail: Callable[[Exception], None] = lambda _: None


class ListenerTable:
    """Listeners by event class, in the order added. Pure; knows nothing of who runs them."""

    def __init__(self) -> None:
        self._handlers: dict[type[Event], list[Callable[..., Any]]] = {}
        self._waiters: list[Waiter] = []

    def add(self, kind: type[Event], handler: Callable[..., Any]) -> None:
        """Append ``handler``. The same handler added twice is called twice, as in VoxEngine."""
        self._handlers.setdefault(kind, []).append(handler)

    def remove(self, kind: type[Event], handler: Callable[..., Any] | None = None) -> None:
        """Remove one registration of ``handler``, or all of ``kind``; absent ones are ignored."""
        if handler is None:
            self._handlers.pop(kind, None)
        elif handler in self._handlers.get(kind, ()):
            self._handlers[kind].remove(handler)

    def add_waiter(self, waiter: Waiter) -> None:
        """Let ``waiter`` have the next event of its kind."""
        self._waiters.append(waiter)

    def remove_waiter(self, waiter: Waiter) -> None:
        """Forget a waiter that gave up; absent ones are ignored."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)

    def snapshot(self, kind: type[Event]) -> tuple[Callable[..., Any], ...]:
        """Return the handlers an event starting now goes to; later changes do not alter it."""
        return tuple(self._handlers.get(kind, ()))

    def take_waiters(self, kind: type[Event]) -> list[Waiter]:
        """Remove and return the waiters for ``kind``."""
        taken = [w for w in self._waiters if w.kind is kind]
        if taken:
            self._waiters = [w for w in self._waiters if w.kind is not kind]
        return taken

    def fail_waiters(self, error: Exception, kinds: Collection[type[Event]] | None = None) -> None:
        """Wake those who wait for one of ``kinds`` (None: for anything) with this error."""
        for waiter in tuple(self._waiters):
            if kinds is None or waiter.kind in kinds:
                self._waiters.remove(waiter)
                waiter.fail(error)

    @property
    def kinds(self) -> frozenset[type[Event]]:
        """Event classes that have at least one listener."""
        return frozenset(kind for kind, handlers in self._handlers.items() if handlers)


def check_kind(kind: Any, catalog: Catalog) -> type[Event]:
    """Return ``kind`` if it is an event of the catalog. Raises ScenarioError naming the catalog.

    An empty catalog takes any event. VoxEngine's wire string names one, too: ``"Call.Connected"``.
    """
    if isinstance(kind, str):
        kind = _named(kind, catalog)
    known = " or ".join(catalog)
    if not (isinstance(kind, type) and issubclass(kind, Event) and kind.name):
        raise ScenarioError(f"{kind!r} is not an event: pass a member of {known}")
    if catalog and not any(kind in vars(names).values() for names in catalog.values()):
        raise ScenarioError(
            f"{kind.__qualname__} never happens here: the events are those of {known}; "
            "subscribe at the unit that tells of it"
        )
    return kind


def _named(name: str, catalog: Catalog) -> type[Event]:
    events = {
        member.name: member
        for names in catalog.values()
        for member in vars(names).values()
        if isinstance(member, type) and issubclass(member, Event)
    }
    if name not in events:
        known = " or ".join(catalog)
        raise ScenarioError(
            f"{name!r} is not an event: pass a member of {known}{nearest(name, events)}"
        )
    return events[name]


def fitted(handler: Callable[..., Any], *given: Any) -> Callable[[], Any]:
    """Return the call of ``handler`` with as many of these arguments as it takes.

    As in JavaScript, where whoever does not care for the event leaves it out.
    """
    plain = getattr(handler, "__func__", handler)
    code = getattr(plain, "__code__", None)
    if code is None:  # a class, a partial, something built in: rare, and slower
        try:
            parameters = inspect.signature(handler).parameters.values()
        except (TypeError, ValueError):
            return partial(handler, *given)
        if any(p.kind is p.VAR_POSITIONAL for p in parameters):
            return partial(handler, *given)
        room = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
        return partial(handler, *given[:room])
    if code.co_flags & inspect.CO_VARARGS:
        return partial(handler, *given)
    return partial(handler, *given[: code.co_argcount - (plain is not handler)])


def check_handler(kind: type[Event], handler: Any) -> Callable[..., Any]:
    """Return ``handler`` if it can be called; raise ScenarioError at the subscription if not."""
    if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
        raise ScenarioError(
            f"the listener for {kind.name}, {describe(handler)}, contains `yield`: "
            "calling it would run nothing of it"
        )
    if callable(handler):
        missing = _missing(fitted(handler, None))
        if missing:
            raise ScenarioError(
                f"the listener for {kind.name}, {describe(handler)}, needs {missing}: a listener "
                "is given the event and nothing else"
            )
        return handler  # type: ignore[no-any-return]
    raise ScenarioError(
        f"the listener for {kind.name} must be a function, not {type(handler).__name__} "
        f"({handler!r}); pass the function itself, without calling it"
    )


def _missing(call: Callable[[], Any]) -> str:
    """Return the arguments that a call would still lack."""
    try:
        parameters = inspect.signature(call).parameters.values()
    except (TypeError, ValueError):
        return ""
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [p.name for p in parameters if p.default is p.empty and p.kind not in kinds]
    return ", ".join(map(repr, needed))


# -- units -----------------------------------------------------------------------------------------


class Unit(HelpsWithNames):
    """Base of everything scenarios can listen to: calls, clients, players, recognisers."""

    _catalog: ClassVar[Catalog] = {}

    def __init__(self, session: Session, unit_id: str, *, catalog: Catalog | None = None) -> None:
        self._session = session
        self._id = unit_id
        self._events = self._catalog if catalog is None else catalog
        self.listeners = ListenerTable()

    def id(self) -> str:
        """Return the id, unique in the session."""
        return self._id

    @overload
    def add_event_listener(self, kind: type[E], handler: Handler[E]) -> None: ...

    @overload
    def add_event_listener(self, kind: type[Event], handler: BareHandler) -> None: ...

    @overload
    def add_event_listener(self, kind: str, handler: Callable[..., Any]) -> None: ...

    def add_event_listener(self, kind: type[Any] | str, handler: Callable[..., Any]) -> None:
        """Call ``handler(event)`` for every event of class ``kind``; sync or async.

        A handler that takes no argument is called without the event. Raises ScenarioError if
        ``kind`` is no event of this unit or ``handler`` cannot be called so.
        """
        found = check_kind(kind, self._events)
        self.listeners.add(found, check_handler(found, handler))
        if found.never:
            text = f"{found.__qualname__} never comes: {found.never}"
            self._session.trace.warning(text, unit=self.id())

    def remove_event_listener(
        self, kind: type[Event] | str, handler: Callable[..., Any] | None = None
    ) -> None:
        """Remove ``handler``, or without it every handler of ``kind``."""
        self.listeners.remove(check_kind(kind, self._events), handler)

    async def wait_event(self, kind: type[E], *, timeout_s: float = float("inf")) -> E:
        """Wait for the next event of class ``kind`` and return it.

        Raises trio.TooSlowError after ``timeout_s`` seconds, ScenarioError for a wrong ``kind``,
        NotSupported for one that never comes.
        """
        check_kind(kind, self._events)
        if kind.never:
            raise NotSupported(f"{kind.__qualname__} never comes: {kind.never}")
        return await self._session.wait_event(self.listeners, kind, timeout_s)

    def _post(self, event: Event) -> None:
        self._session.post(self.listeners, event)


class MediaUnit(Unit):
    """A unit that media can be sent to, or comes from (VoxEngine: VoxMediaUnit).

    It has one port, ``media``; a unit that mixes has one for every peer instead.
    """

    media: MediaPort

    _hints: ClassVar[Mapping[str, str]] = {
        "send_media_to": ": it only hears; send something to it, as call.send_media_to(unit)"
    }

    def _media_for(self, peer: MediaUnit, tag: str = "") -> MediaPort | None:
        """Return where the media of ``peer`` meets this unit's, or None if nowhere any more.

        For ``send_media_to``, not for scenarios. ``tag`` tells streams of one WebSocket apart.
        """
        return self.media

    def _expect(self, tag: str, encoding: str | None, custom: Mapping[str, Any] | None) -> None:
        """Learn how the media that is about to come shall be sent on: a WebSocket cares."""


class MediaSource(MediaUnit):
    """A unit that has something to say."""

    def send_media_to(
        self,
        unit: MediaUnit,
        *,
        encoding: str | None = None,
        tag: str | None = None,
        custom_parameters: Mapping[str, Any] | None = None,
    ) -> None:
        """Let ``unit`` hear this one, in place of what it heard before.

        The keyword arguments are for WebSockets: ``encoding`` of WebSocketAudioEncoding (PCM16_8KHZ
        by default), ``tag`` of one of several streams, ``custom_parameters`` for its start. Raises
        ScenarioError if ``unit`` takes no media. VoxEngine: Call.sendMediaTo
        and those of the others.
        """
        given: Any = unit  # scenarios are not always type checked
        if isinstance(given, MediaUnit):
            given._expect(tag or "", encoding, custom_parameters)
        self._session.connect_media(self, unit, tag=tag or "")

    def stop_media_to(self, unit: MediaUnit, *, tag: str | None = None) -> None:
        """Let ``unit`` hear this one no longer; nothing happens if it did not.

        Raises ScenarioError if ``unit`` takes no media. VoxEngine: Call.stopMediaTo
        and those of the others.
        """
        self._session.disconnect_media(self, unit, tag=tag or "")


# -- where media meets -----------------------------------------------------------------------------


def media_ports(source: Any, target: Any, tag: str = "") -> tuple[MediaPort, MediaPort] | None:
    """Return the ports between which media is to flow, or None if one of the two has stopped.

    Raises ScenarioError if one is no media unit, or both are the same conference.
    """
    for unit in (source, target):
        if not isinstance(unit, MediaUnit):
            raise ScenarioError(_no_unit(unit))
    from_port, to_port = source._media_for(target, tag), target._media_for(source, tag)
    return None if from_port is None or to_port is None else (from_port, to_port)


def ways_between(unit1: Any, unit2: Any) -> list[tuple[Any, Any]]:
    """Return the pairs (source, target) of the two that can be connected: a player does not hear.

    If there is no way, the first pair, for the error that names why. Raises as ``media_ports``.
    """
    ways = []
    for source, target in ((unit1, unit2), (unit2, unit1)):
        ports = media_ports(source, target)
        if ports is None or (ports[0].source is not None and ports[1].sink is not None):
            ways.append((source, target))
    return ways or [(unit1, unit2)]


def _no_unit(given: Any) -> str:
    if inspect.iscoroutine(given):
        given.close()  # it never runs now; Python need not warn of that, too
        return (
            f"{given.__qualname__}(...) is not a media unit yet: it is awaited first, "
            f"as in: unit = await {given.__name__}(...)"
        )
    return (
        f"{type(given).__name__} is not a media unit; calls, players, recorders, "
        "conferences and AI clients are"
    )
