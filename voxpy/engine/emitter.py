"""Who listens to what: the listener table (pure) and the object that scenarios subscribe on."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import attrs

from voxpy.engine.events import Event
from voxpy.errors import ScenarioError

__all__ = [
    "Emitter",
    "Handler",
    "ListenerTable",
    "Waiter",
    "check_handler",
    "check_kind",
    "describe",
]

E = TypeVar("E", bound=Event)
Handler = Callable[[E], Awaitable[None] | None]


def describe(handler: Callable[..., Any]) -> str:
    """Return ``name (file:line)`` of a handler, for messages a scenario author can act on."""
    plain = inspect.unwrap(getattr(handler, "func", handler))  # look through functools.partial
    plain = getattr(plain, "__func__", plain)
    name = getattr(plain, "__qualname__", None) or repr(plain)
    code = getattr(plain, "__code__", None)
    return f"{name} ({code.co_filename}:{code.co_firstlineno})" if code else name


@attrs.define(eq=False)
class Waiter:
    """One ``wait_event`` in progress: ``deliver`` is called once, with the event."""

    kind: type[Event]
    deliver: Callable[[Event], None]


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

    @property
    def kinds(self) -> frozenset[type[Event]]:
        """Event classes that have at least one listener."""
        return frozenset(kind for kind, handlers in self._handlers.items() if handlers)


class _Session(Protocol):
    async def wait_event(self, listeners: ListenerTable, kind: type[E], timeout_s: float) -> E: ...


class Emitter:
    """Base of everything scenarios can listen to: calls, clients, players."""

    def __init__(self, session: _Session, *, catalog: str) -> None:
        self._session = session
        self._catalog = catalog
        self.listeners = ListenerTable()

    def add_event_listener(self, kind: type[E], handler: Handler[E]) -> None:
        """Call ``handler(event)`` for every event of class ``kind``; sync or async.

        Raises ScenarioError if ``kind`` is no event class or ``handler`` is not callable.
        """
        self.listeners.add(check_kind(kind, self._catalog), check_handler(kind, handler))

    def remove_event_listener(self, kind: type[E], handler: Handler[E] | None = None) -> None:
        """Remove ``handler``, or without it every handler of ``kind``."""
        self.listeners.remove(check_kind(kind, self._catalog), handler)

    async def wait_event(self, kind: type[E], *, timeout_s: float = float("inf")) -> E:
        """Wait for the next event of class ``kind`` and return it.

        Raises trio.TooSlowError after ``timeout_s`` seconds, ScenarioError for a wrong ``kind``.
        """
        check_kind(kind, self._catalog)
        return await self._session.wait_event(self.listeners, kind, timeout_s)


def check_kind(kind: Any, catalog: str) -> type[Event]:
    """Return ``kind`` if it is an event class, else raise ScenarioError naming the catalog."""
    if isinstance(kind, type) and issubclass(kind, Event) and kind.name:
        return kind
    raise ScenarioError(f"{kind!r} is not an event: pass a member of {catalog}")


def check_handler(kind: type[Event], handler: Any) -> Callable[..., Any]:
    """Return ``handler`` if it can be called; raise ScenarioError at the subscription if not."""
    if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
        raise ScenarioError(
            f"the listener for {kind.name}, {describe(handler)}, contains `yield`: "
            "calling it would run nothing of it"
        )
    if callable(handler):
        return handler  # type: ignore[no-any-return]
    raise ScenarioError(
        f"the listener for {kind.name} must be a function, not {type(handler).__name__} "
        f"({handler!r}); pass the function itself, without calling it"
    )
