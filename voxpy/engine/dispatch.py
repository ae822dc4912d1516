"""The queue of a session and the one place that runs scenario code.

Dispatch is JavaScript's: events in the order posted, the listeners of each in the order added; a
sync handler runs to its end, an async handler up to its first suspension, then the next one starts.
What comes after a first suspension is unordered against other handlers, but always in one thread.

trio starts tasks in random order by design, so each async handler is started with ``nursery.start``
and stepped inside its own task until its coroutine first yields to the run loop; only then does the
dispatcher go on.

A handler that swallows its cancellation would keep its session for ever. trio has no means against
it; here each handler is stepped by hand, so that one that does not end can be left alone: its task
returns, and its coroutine is thrown away.
"""

from __future__ import annotations

import ctypes
import inspect
import types
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import attrs
import trio

from voxpy.engine.events import Event
from voxpy.engine.faults import contained
from voxpy.engine.units import ListenerTable, describe, fitted
from voxpy.errors import LimitExceeded, NoSession

SWALLOWED_MOST = 100
"""Cancellations that a handler may swallow. Each comes at once after the one before: a loop around
``except BaseException`` takes all of the CPU from every other call until it is stopped."""


@attrs.frozen(kw_only=True)
class Reports:
    """Whom the dispatcher tells what it sees."""

    failed: Callable[[BaseException, str], None]
    slow: Callable[[str, float], None]
    exceeded: Callable[[LimitExceeded], None]
    abandoned: Callable[[str], None] = lambda _: None


class Reply:
    """What the listeners of one event return, for whoever waits for an answer.

    ``value`` is the first that is not None. ``heard`` is whether anybody listened, once the event's
    turn has come. ``failed``: one of them raised, or was cut off.
    """

    def __init__(self) -> None:
        self.value: Any = None
        self.heard = False
        self.failed = False
        self._left = 0
        self._settled = trio.Event()

    def expect(self, handlers: int, *, heard: bool) -> None:
        """Learn how many are called now."""
        self.heard = heard
        self._left = handlers
        if not handlers:
            self._settled.set()

    def take(self, value: Any, *, failed: bool) -> None:
        """Learn what one of them returned."""
        self._left -= 1
        self.failed = self.failed or failed
        if self.value is None:
            self.value = value
        if self.value is not None or self._left <= 0:
            self._settled.set()

    def cut(self) -> None:
        """Let whoever waits have what there is: the session has ended."""
        self._settled.set()

    async def wait(self) -> None:
        """Wait for a value, or until nobody can give one any more."""
        await self._settled.wait()


@attrs.define(eq=False)
class _Running:
    """An async handler that has not returned yet."""

    what: str
    task: trio.lowlevel.Task | None = None
    reply: Reply | None = None
    left: bool = False
    swallowed: int = 0

    def gives_up(self) -> bool:
        """Note that it was cancelled; return whether it is left alone now."""
        self.swallowed += 1
        self.left = self.left or self.swallowed > SWALLOWED_MOST
        return self.left


@attrs.frozen
class _Delivery:
    """One entry of the queue: an event for its listeners, or a callback of our own vocabulary."""

    title: str
    event: Any = None
    listeners: ListenerTable | None = None
    callback: Callable[[], Any] | None = None
    reply: Reply | None = None


class Dispatcher:
    """Runs the handlers of one session. ``stopped()`` is asked before each handler."""

    def __init__(
        self,
        *,
        queue_limit: int,
        live_limit: int,
        slow_s: float,
        stopwatch: Callable[[], float],
        stopped: Callable[[], bool],
        reports: Reports,
    ) -> None:
        self._send, self._receive = trio.open_memory_channel[_Delivery](queue_limit)
        self._queue_limit = queue_limit
        self._live_limit = live_limit
        self._slow_s = slow_s
        self._stopwatch = stopwatch
        self._stopped = stopped
        self._reports = reports
        self._named_slow: set[str] = set()
        self._live: set[_Running] = set()

    @property
    def live_handlers(self) -> Counter[str]:
        """The async handlers that have not returned yet, by name."""
        return Counter(running.what for running in self._live)

    def abandon(self) -> None:
        """Leave the handlers alone that are cancelled and still at work.

        What they shield from cancellation is shielded no longer.
        """
        for running in self._live:
            running.left = True
            if running.task is not None:
                _unshield(running.task)

    def post(
        self, listeners: ListenerTable, event: Any, *, name: str = "", reply: Reply | None = None
    ) -> None:
        """Queue ``event`` for the listeners it has when its turn comes. Never blocks.

        ``name`` is for what has none of its own: a voice delivers the wire's events as well.
        ``reply`` gets what they return.
        """
        self._put(_Delivery(name or event.name, event=event, listeners=listeners, reply=reply))

    def post_callback(self, title: str, callback: Callable[[], Any]) -> None:
        """Queue a single call, such as a timer's; it may return an awaitable."""
        self._put(_Delivery(title, callback=callback))

    def _put(self, delivery: _Delivery) -> None:
        if self._stopped():
            return
        try:
            self._send.send_nowait(delivery)
        except trio.WouldBlock:
            self._reports.exceeded(
                LimitExceeded(
                    f"the session's queue is full: {self._queue_limit} events wait and "
                    f"{delivery.title} is one too many; some handler blocks the loop"
                )
            )

    async def run(self, nursery: trio.Nursery) -> None:
        """Deliver what is posted until cancelled; async handlers live in ``nursery``."""
        async for delivery in self._receive:
            if self._stopped():
                return
            if delivery.callback is not None:
                await self._call(nursery, delivery.callback, delivery.title)
            elif delivery.event is not None and delivery.listeners is not None:
                await self._hand_over(
                    nursery,
                    delivery.listeners,
                    delivery.event,
                    delivery.title,
                    reply=delivery.reply,
                )

    async def deliver(
        self, nursery: trio.Nursery, listeners: ListenerTable, event: Event, *, last: bool = False
    ) -> None:
        """Hand one event to its listeners. ``last`` delivers although the session has stopped."""
        await self._hand_over(nursery, listeners, event, event.name, last=last)

    async def _hand_over(
        self,
        nursery: trio.Nursery,
        listeners: ListenerTable,
        event: Any,
        name: str,
        *,
        last: bool = False,
        reply: Reply | None = None,
    ) -> None:
        waiters = listeners.take_waiters(type(event))
        for waiter in waiters:
            waiter.deliver(event)
        handlers = listeners.snapshot(type(event))
        if reply is not None:
            reply.expect(len(handlers), heard=bool(waiters or handlers))
        for handler in handlers:
            if self._stopped() and not last:
                return
            what = f"{name} handler {describe(handler)}"
            await self._call(nursery, fitted(handler, event), what, last=last, reply=reply)

    async def _call(
        self,
        nursery: trio.Nursery,
        call: Callable[[], Any],
        what: str,
        *,
        last: bool = False,
        reply: Reply | None = None,
    ) -> None:
        result: Any = None
        failed = True
        began = self._stopwatch()
        with self.contain(what, last=last):
            result = call()
            failed = False
        spent_s = self._stopwatch() - began
        if not inspect.isawaitable(result):
            self._watch_speed(what, spent_s)
            if reply is not None:
                reply.take(result, failed=failed)
            return
        if len(self._live) >= self._live_limit:
            _discard(result)
            waiting = ", ".join(f"{n}x {name}" for name, n in self.live_handlers.most_common(5))
            self._reports.exceeded(
                LimitExceeded(
                    f"{self._live_limit} handlers are still running and one more would start "
                    f"({what}); waiting: {waiting}"
                )
            )
            return
        running = _Running(what, reply=reply)
        self._live.add(running)
        await nursery.start(self._run_async, result, running, spent_s, last)

    async def _run_async(
        self,
        awaitable: Awaitable[Any],
        running: _Running,
        spent_s: float,
        last: bool,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        if self._stopped() and not last:  # while this task was on its way
            _discard(awaitable)
            self._live.discard(running)
            task_status.started()
            return
        what, running.task = running.what, trio.lowlevel.current_task()
        # Counted from here: other tasks may have run since the dispatcher asked for this one.
        began = self._stopwatch() - spent_s

        def suspended() -> None:
            self._watch_speed(what, self._stopwatch() - began)
            task_status.started()

        value, failed = None, True
        try:
            with self.contain(what, last=last):
                value = await until_suspended(awaitable, suspended, gives_up=running.gives_up)
                failed = False
        finally:
            if running.reply is not None:
                running.reply.take(value, failed=failed)
            self._live.discard(running)
            if running.left:
                self._reports.abandoned(what)

    def _watch_speed(self, what: str, took_s: float) -> None:
        if took_s > self._slow_s and what not in self._named_slow:
            self._named_slow.add(what)
            self._reports.slow(what, took_s)

    @contextmanager
    def contain(self, what: str, *, last: bool = False) -> Iterator[None]:
        """Report errors of user code instead of raising them; see ``contained``.

        That the session is over is no error of a handler that its end finds at work: it runs to its
        next await, and cannot know.
        """

        def failed(error: BaseException) -> None:
            if not (isinstance(error, NoSession) and self._stopped() and not last):
                self._reports.failed(error, what)

        with contained(failed):
            yield


async def until_suspended(
    awaitable: Awaitable[Any],
    announce: Callable[[], None],
    *,
    gives_up: Callable[[], bool] = lambda: False,
) -> Any:
    """Await ``awaitable``; call ``announce()`` when it first suspends, or when it has finished.

    ``gives_up`` is asked each time it is cancelled, whether to throw it away instead.
    """
    coroutine = awaitable if inspect.iscoroutine(awaitable) else _as_coroutine(awaitable)
    announced = False

    def once() -> None:
        nonlocal announced
        if not announced:
            announced = True
            announce()

    try:
        return await _relay(coroutine, once, gives_up)
    finally:
        once()


@types.coroutine
def _relay(
    coroutine: Coroutine[Any, Any, Any],
    suspended: Callable[[], None],
    gives_up: Callable[[], bool],
) -> Generator[Any, Any, Any]:
    """Step a coroutine by hand, forwarding every trap and every answer of the run loop."""
    answer: Any = None
    thrown: BaseException | None = None
    while True:
        try:
            if thrown is not None:
                error, thrown = thrown, None
                trap = coroutine.throw(error)
            else:
                trap = coroutine.send(answer)
        except StopIteration as stop:
            return stop.value
        suspended()
        try:
            answer = yield trap
        except BaseException as error:  # it belongs to the coroutine
            thrown = error
        # Cancellation comes as an answer, which trio's own frame inside the coroutine raises.
        cancelled = getattr(answer, "error", None)
        if isinstance(cancelled, trio.Cancelled) and gives_up():
            _throw_away(coroutine)
            raise cancelled


async def _as_coroutine(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _discard(awaitable: Any) -> None:
    """Close a coroutine that will not run, so that Python does not warn about it."""
    close = getattr(awaitable, "close", None)
    if close is not None:
        close()


def _throw_away(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Run what a coroutine has to say at its end; one that ignores that, too, is kept for ever.

    Python would close it again when its memory is freed, and outside of trio a loop around
    ``except BaseException`` never comes to an await: the process could not even exit.
    """
    with suppress(Exception):
        coroutine.close()
    if getattr(coroutine, "cr_frame", None) is not None:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(coroutine))


def _unshield(task: trio.lowlevel.Task) -> None:
    """Let cancellation reach a task and its children through the shields that it has put up.

    The scopes are found by private attributes of trio: without them a handler that waits behind a
    shield keeps its session, as it does everywhere on trio.
    """
    status: Any = getattr(task, "_cancel_status", None)
    above = getattr(task.parent_nursery, "_cancel_status", None)
    while status is not None and status is not above:
        status._scope.shield = False
        status = status.parent
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            _unshield(child)
