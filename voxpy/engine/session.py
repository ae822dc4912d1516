"""The life of one session: its nurseries, its end, and what everything inside it shares.

::

    Session.run
     └─ io nursery              legs, provider connections; outlives the handlers
         └─ handlers nursery    dispatcher, async handlers, timers, watchdogs
             ... until the first cause to end ...
         cancel the handlers
         deliver Terminating    within a grace
         close the units        legs say BYE, sockets close, each under a shielded deadline
     └─ deliver Terminated

The whole is shielded from outside cancellation, which is a cause to end like any other: a cancelled
session still says BYE.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import attrs
import trio

from voxpy.engine import clock
from voxpy.engine.dispatch import Dispatcher, Reply, Reports
from voxpy.engine.ending import Closers, End, EndReason, Presence, Troubles
from voxpy.engine.events import Event, Terminated, Terminating
from voxpy.engine.faults import contained
from voxpy.engine.inputs import Inputs
from voxpy.engine.loader import Program
from voxpy.engine.masking import Masker
from voxpy.engine.ports import (
    CallListTask,
    Dialer,
    NoDialer,
    OpenStream,
    RealtimeEndpoint,
    Secrets,
    SessionFiles,
)
from voxpy.engine.settings import Settings
from voxpy.engine.speech import SpeechEngines, no_speech
from voxpy.engine.storage import Storage
from voxpy.engine.trace import Trace
from voxpy.engine.units import ListenerTable, Waiter, media_ports
from voxpy.errors import NoSession, NotSupported, ScenarioError
from voxpy.media.graph import MediaGraph

if TYPE_CHECKING:
    import httpx

    from voxpy.engine.http import Fetch

E = TypeVar("E", bound=Event)

STARTED = "Application.Started"
VIRTUAL_SLOW_S = 0.5
"""A real duration among virtual ones: so high that two runs of a sound scenario never differ."""


def _folders(program: Program) -> tuple[Path, ...]:
    # realpath, because resolve() raises for a link that has come to lead to itself
    paths = (Path(os.path.realpath(file.path)) for file in program.files)
    return tuple(dict.fromkeys(path.parent for path in paths))


def _silent_trace() -> Trace:
    return Trace(now=lambda: 0.0, masking=Masker())


class _NoFolder:
    """Of a session that keeps nothing."""

    def path(self, name: str) -> Path:
        raise NotSupported(f"{name} has no place: this session has no folder")

    def url(self, path: Path) -> str:
        return path.as_uri()

    def here(self, url: str) -> Path | None:
        return None


@attrs.frozen(kw_only=True)
class SessionContext:
    """Everything a session is given from outside.

    One object leads from the command line to the scenario: a process makes it with what all of its
    sessions share, the call router puts in which rule runs, and whoever keeps a session (a host, a
    replay) puts in where it leaves its trace, its files and what came from outside.
    """

    # of the process
    secrets: Secrets
    media_clock: clock.MediaClock
    open_stream: OpenStream
    realtime: RealtimeEndpoint
    speech: Callable[[], SpeechEngines] = no_speech
    """Gives the engines, the same ones every time. Raises EngineMissing if there are none."""
    dialer: Dialer = attrs.field(factory=NoDialer)
    conference: str = ""
    """The name by which it was called, if it is the session of a conference."""
    fetch: Fetch | None = None
    """Sends HTTP requests in place of ``voxpy.engine.http.fetch``, which takes long to import."""
    services: httpx.AsyncBaseTransport | None = None
    """Takes requests to speech services in place of HTTP over ``open_stream``."""
    storage: Storage = attrs.field(factory=Storage)
    """What ``ApplicationStorage`` keeps; in memory unless a host gives its file."""
    # of the rule that runs
    session_id: str = ""
    rule_name: str = ""
    program: Program = attrs.field(default=Program(()))
    settings: Settings = attrs.field(factory=Settings)
    # of who started it
    custom_data: str = ""
    access_url: str = attrs.field(default="", repr=False)
    """Where requests to this session go, with the token that lets them in; empty: nowhere."""
    log_url: str = ""
    call_list: CallListTask | None = None
    """Of which list's row it is, if of any."""
    # of whoever keeps the session
    trace: Trace = attrs.field(factory=_silent_trace)
    files: SessionFiles = attrs.field(factory=_NoFolder)
    inputs: Inputs = attrs.field(factory=Inputs)
    """Keeps what comes from outside, for a replay."""


class Session:
    """One run of a rule's scenarios for one call or start request."""

    def __init__(self, context: SessionContext) -> None:
        self.session_id = context.session_id
        self.context = context
        self.trace = context.trace
        self.listeners = ListenerTable()
        self.graph = MediaGraph()
        self.custom_data = context.custom_data
        self.folders: tuple[Path, ...] = ()  # of its scenario files, once it runs
        self.ended: End | None = None
        self.afterwards: dict[str, Callable[[], Awaitable[None]]] = {}
        """Work that the host awaits when the session is over, before it closes the trace."""
        self._replies: set[Reply] = set()
        self.parts: dict[str, Any] = {}  # what a module of the vocabulary keeps for this session
        limits = context.settings.limits
        self.troubles = Troubles(
            trace=self.trace,
            end=self.end,
            on_handler_error=context.settings.on_handler_error,
        )
        self.errors = self.troubles.errors
        self._closers = Closers(self.trace, self.troubles.internal)
        self.presence = Presence()
        self._dispatcher = Dispatcher(
            queue_limit=limits.event_queue,
            live_limit=limits.live_handlers,
            # On virtual time the engines run inline, inside whatever handler is at work.
            slow_s=VIRTUAL_SLOW_S if clock.is_virtual() else limits.slow_handler_s,
            stopwatch=clock.busy_s,
            stopped=lambda: self.ended is not None,
            reports=Reports(
                failed=self.troubles.handler_failed,
                slow=self.troubles.handler_slow,
                exceeded=self.troubles.exceeded,
                abandoned=self.troubles.handler_abandoned,
            ),
        )
        self._ending = trio.Event()
        self._last_word = trio.CancelScope()
        self._hurried = False
        self._io: trio.Nursery | None = None
        self._handlers: trio.Nursery | None = None
        self._ids: Counter[str] = Counter()
        self._at_start: list[tuple[str, Callable[..., Awaitable[None]], tuple[Any, ...]]] = []
        self._stop_media: Callable[[], None] = lambda: None

    # -- for the vocabulary and for channels: synchronous, never blocking ------------------------

    def post(
        self,
        listeners: ListenerTable,
        event: Event,
        *,
        private: bool = False,
        reply: Reply | None = None,
    ) -> None:
        """Queue ``event`` for the scenario. After the end it is traced as late and dropped.

        ``private``: without a word of its content in the trace (``privacy=True``). ``reply`` learns
        when its turn has come, and what its listeners return.
        """
        if self.ended is not None:
            self.trace.step("late event dropped", event=event.name)
            return
        if private:
            self.trace.step("private event", event=event.name)
        else:
            self.trace.event(event)
        self._dispatcher.post(listeners, event, reply=reply)

    async def ask(self, listeners: ListenerTable, event: Event) -> Reply:
        """Post an event and wait for what its listeners return, or for the end of the session."""
        reply = Reply()
        if self.ended is None:
            self._replies.add(reply)
            try:
                self.post(listeners, event, reply=reply)
                await reply.wait()
            finally:
                self._replies.discard(reply)
        return reply

    def new_id(self, prefix: str) -> str:
        """Return an id that is unique in the session: ``client-1``, ``client-2``."""
        self._ids[prefix] += 1
        return f"{prefix}-{self._ids[prefix]}"

    def post_callback(self, title: str, callback: Callable[[], Any]) -> None:
        """Queue one call of scenario code that is no event (a timer, ``on_web_socket_close``)."""
        self._dispatcher.post_callback(title, callback)

    def end(self, reason: EndReason, detail: str = "", *, frames: str = "") -> None:
        """End the session for ``reason``; the first cause wins, later ones are ignored."""
        if self.ended is None:
            reason, detail = self.troubles.cause(reason, detail)
            self.ended = End(reason, detail, frames)
            self._ending.set()
            for reply in self._replies:
                reply.cut()
            if self._handlers is not None:  # at once: whoever says this runs to its next await
                self._handlers.cancel_scope.cancel()
            self.trace.write("session", "ending", reason=reason.value, detail=detail)

    def spawn(self, name: str, task: Callable[..., Awaitable[None]], *args: Any) -> bool:
        """Run a task of ours that outlives the handler which starts it; an error ends the session.

        When the session has ended nothing is started, and False returned: what a scenario makes in
        that moment, which it cannot know of, does nothing. Raises NoSession before it has begun.
        """
        if self.ended is not None:
            self.trace.step("not started: the session has ended", task=name)
            return False
        if self._io is None:
            raise NoSession(f"{name} cannot start: the session has not begun")
        self._io.start_soon(self._guard, name, task, *args, name=name)
        return True

    def on_start(self, name: str, task: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Run a task of ours among the handlers, at once if they run already; it ends with them."""
        if self._handlers is None:
            self._at_start.append((name, task, args))
        else:
            self._handlers.start_soon(self._guard, name, task, *args)

    def add_closer(self, name: str, close: Callable[[], Awaitable[None]]) -> Callable[[], None]:
        """Await ``close()`` at the end, under a shielded deadline; return what takes that back."""
        return self._closers.add(name, close)

    def call_began(self, call_id: str) -> None:
        """Note that the session has this call; without any it ends after a minute."""
        self.presence.began(call_id)

    def call_ended(self, call_id: str) -> None:
        """Note that the call is over."""
        self.presence.ended(call_id)

    def connect_media(self, source: Any, target: Any, *, tag: str = "") -> None:
        """Send the media of one unit to another; ignored if one that mixes has stopped.

        Raises ScenarioError if one is no media unit.
        """
        command = "send_media_to"
        ports = media_ports(source, target, tag)
        if ports is None:
            self.trace.command(command, unit=source.id(), target=target.id(), ignored="has stopped")
            return
        from_port, to_port = ports
        replaced = self.graph.connect(from_port, to_port)
        fields = {"replaces": replaced.name} if replaced is not None else {}
        self.trace.command(command, unit=from_port.name, target=to_port.name, **fields)

    def disconnect_media(self, source: Any, target: Any, *, tag: str = "") -> None:
        """Undo ``connect_media``; a link that does not exist is ignored."""
        ports = media_ports(source, target, tag)
        if ports is not None:
            from_port, to_port = ports
            self.trace.command("stop_media_to", unit=from_port.name, target=to_port.name)
            self.graph.disconnect(from_port, to_port)

    def trace_module(self, module: str) -> None:
        """Record that the scenario required a module."""
        self.trace.step("module loaded", module=module)

    async def wait_event(self, listeners: ListenerTable, kind: type[E], timeout_s: float) -> E:
        """Wait for the next ``kind`` posted to ``listeners``.

        Raises trio.TooSlowError, and what says that the event will not come.
        """
        arrived = trio.Event()
        taken: list[Event | Exception] = []

        def take(what: Event | Exception) -> None:
            taken.append(what)
            arrived.set()

        waiter = Waiter(kind, take, take)
        listeners.add_waiter(waiter)
        try:
            with trio.fail_after(timeout_s):
                await arrived.wait()
        finally:
            listeners.remove_waiter(waiter)
        if isinstance(taken[0], Exception):
            raise taken[0]
        return cast("E", taken[0])

    # -- the life ----------------------------------------------------------------------------------

    async def run(self) -> End:
        """Execute the scenario files, deliver events until the end, close everything.

        Returns why it ended. If the caller is cancelled, everything is closed all the same and
        Cancelled propagates afterwards.
        """
        program = self.context.program
        self.folders = _folders(program)
        try:
            async with trio.open_nursery() as outside:
                outside.start_soon(self._obey_cancellation)
                with trio.CancelScope(shield=True):
                    await self._live(program)
                outside.cancel_scope.cancel()
        finally:  # a KeyboardInterrupt leaves no module behind either
            program.unload(self.session_id)
        assert self.ended is not None
        return self.ended

    async def _obey_cancellation(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self._hurried = True
            self.end(EndReason.HOST_SHUTDOWN, "cancelled")
            self._last_word.cancel()

    async def _live(self, program: Program) -> None:
        limits = self.context.settings.limits
        self._stop_media = self.context.media_clock.add(self._tick)
        try:
            async with trio.open_nursery() as io:
                self._io = io
                io.start_soon(self._abandon_the_stuck, limits.terminating_grace_s)
                with contained(lambda error: self.troubles.internal("handlers", error)):
                    await self._handle(program)
                self._handlers = None
                await self._say(Terminating, limits.terminating_grace_s)
                await self._closers.close_all(limits.close_s)
                io.cancel_scope.cancel()
        finally:
            self._stop_media()
            self._io = None
        await self._say(Terminated, limits.terminating_grace_s)
        self.trace.write("session", "ended")

    async def _handle(self, program: Program) -> None:
        """Run the handlers until the end. What an abandoned one leaves behind may raise."""
        limit_s = self.context.settings.limits.session_without_calls_s
        async with trio.open_nursery() as handlers:
            self._handlers = handlers
            handlers.start_soon(self._guard, "dispatcher", self._work, program, handlers)
            handlers.start_soon(self.presence.watch, limit_s, self._no_calls)
            for name, task, args in self._at_start:
                handlers.start_soon(self._guard, name, task, *args)
            await self._ending.wait()
            handlers.cancel_scope.cancel()  # for an end that came before this nursery

    async def _work(self, program: Program, handlers: trio.Nursery) -> None:
        for file in program.files:
            self.trace.step("loading scenario", file=str(file.path))
        with self._dispatcher.contain("loading"):
            before = len(self._ids), len(self.parts)
            program.execute(self.session_id)
            at_work = (len(self._ids), len(self.parts)) != before  # it has dialled, set a timer ...
            if not self.listeners.kinds and not at_work and self.ended is None:
                names = ", ".join(str(f.path) for f in program.files)
                raise ScenarioError(
                    f"{names}: registers no listener, so nothing would ever run; subscribe with "
                    "VoxEngine.add_event_listener(AppEvents.CallAlerting, handler)"
                )
            self.troubles.loaded = True
        await self._dispatcher.run(handlers)

    async def _say(self, kind: type[Terminating | Terminated], grace_s: float) -> None:
        """Deliver one of the two last events; its handlers have ``grace_s`` seconds."""
        assert self.ended is not None
        event = kind(system_error=self.ended.system_error())
        self.trace.event(event)
        self._last_word = trio.CancelScope(deadline=clock.now() + (0 if self._hurried else grace_s))
        async with trio.open_nursery() as outside:
            outside.start_soon(self._abandon_the_stuck, 2 * grace_s)
            with self._last_word, contained(lambda e: self.troubles.internal(event.name, e)):
                async with trio.open_nursery() as nursery:
                    await self._dispatcher.deliver(nursery, self.listeners, event, last=True)
            outside.cancel_scope.cancel()

    def _no_calls(self) -> None:
        limit_s = self.context.settings.limits.session_without_calls_s
        advice = ""
        if self.presence.had_calls:
            advice = (
                "; did you forget to call VoxEngine.terminate() in a listener of "
                "CallEvents.Disconnected?"
            )
        elif STARTED not in {kind.name for kind in self.listeners.kinds}:
            unheard = "nothing listens to AppEvents.Started, all that a session without a call gets"
            self.trace.warning(unheard)
            advice = f"; {unheard}"
        self.end(EndReason.NO_CALLS, f"no call for {limit_s:g} s{advice}")

    async def _abandon_the_stuck(self, grace_s: float) -> None:
        """Leave the handlers alone that swallow their cancellation, or shield themselves from it.

        ``grace_s`` seconds after the end; one that spins on its cancellations goes sooner.
        """
        await self._ending.wait()
        await trio.sleep(grace_s)
        self._dispatcher.abandon()

    async def _guard(self, name: str, task: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Await a task of ours; its error ends the session, never the host."""
        with contained(lambda error: self.troubles.internal(name, error)):
            await task(*args)

    def _tick(self, now: float) -> None:
        try:
            self.graph.tick(now)
        except Exception as error:  # the clock is shared by all sessions
            self._stop_media()  # or it would fail again 20 ms later, until all units are closed
            self.troubles.internal("media", error)
