"""How a session ends: why, seen in the trace and in the call record, and how it is closed.

Everything here belongs to one ``engine.session.Session``: the calls it has, without which it ends
after a while; its troubles, each of which may end it; and what must be closed when it does.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Awaitable, Callable
from typing import Protocol

import attrs
import trio

from voxpy.engine import clock
from voxpy.engine.faults import contained, explain
from voxpy.engine.settings import OnHandlerError
from voxpy.engine.trace import Trace
from voxpy.errors import LimitExceeded, ScenarioError


class EndReason(enum.Enum):
    """Every way a session can end. ``finish_reason`` is the word of VoxEngine's call history."""

    TERMINATED = "terminated"
    HANDLER_ERROR = "handler error"
    LOAD_ERROR = "load error"
    LIMIT = "limit exceeded"
    NO_CALLS = "no calls"
    WATCHDOG = "watchdog"
    AGENT_FAILED = "agent failed"
    HOST_SHUTDOWN = "host shutdown"
    OPERATOR = "ended by an operator"
    INTERNAL_ERROR = "internal error"

    @property
    def finish_reason(self) -> str:
        """VoxEngine: GetCallHistory, finish_reason; "JS session error" is "Session error" here."""
        return _FINISH_REASONS[self]

    @property
    def is_error(self) -> bool:
        """Whether the scenario, its agent or voxpy failed, rather than the call being over."""
        return self in _ERRORS


_ERRORS = frozenset(
    {
        EndReason.HANDLER_ERROR,
        EndReason.LOAD_ERROR,
        EndReason.LIMIT,
        EndReason.AGENT_FAILED,
        EndReason.INTERNAL_ERROR,
    }
)
_FINISH_REASONS = {
    EndReason.TERMINATED: "Normal termination",
    EndReason.HANDLER_ERROR: "Session error",
    EndReason.LOAD_ERROR: "Session error",
    EndReason.LIMIT: "Session error",
    EndReason.NO_CALLS: "Timeout",
    EndReason.WATCHDOG: "Timeout",
    EndReason.AGENT_FAILED: "Session error",
    EndReason.HOST_SHUTDOWN: "Terminated administratively",
    EndReason.OPERATOR: "Terminated administratively",
    EndReason.INTERNAL_ERROR: "Internal error",
}


@attrs.frozen
class End:
    """The end of a session. ``detail`` is a sentence; ``frames`` a traceback of user code."""

    reason: EndReason
    detail: str = ""
    frames: str = ""

    def system_error(self) -> str | None:
        """What ``Terminating.system_error`` carries: the detail of an error, else None."""
        return self.detail if self.reason.is_error else None


class Presence:
    """The calls of one session, by id."""

    def __init__(self) -> None:
        self.had_calls = False
        self._calls: set[str] = set()
        self._changed = trio.Event()

    @property
    def count(self) -> int:
        """How many calls there are."""
        return len(self._calls)

    def began(self, call_id: str) -> None:
        """Note that the session has this call."""
        self.had_calls = True
        self._calls.add(call_id)
        self._note_change()

    def ended(self, call_id: str) -> None:
        """Note that the call is over; one that is not there is ignored."""
        self._calls.discard(call_id)
        self._note_change()

    async def watch(self, limit_s: float, absent: Callable[[], None]) -> None:
        """Call ``absent()`` once there has been no call for ``limit_s`` seconds, then return.

        Every call that comes or goes starts the count again.
        """
        while True:
            with trio.move_on_after(math.inf if self._calls else limit_s) as scope:
                await self._changed.wait()
            if scope.cancelled_caught:
                absent()
                return

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


class _End(Protocol):
    def __call__(self, reason: EndReason, detail: str = "", *, frames: str = "") -> None: ...


class Troubles:
    """The errors of one session, in ``errors`` as they came. ``loaded`` is set by the session."""

    def __init__(self, *, trace: Trace, end: _End, on_handler_error: OnHandlerError) -> None:
        self.errors: list[BaseException] = []
        self.abandoned = 0
        self.loaded = False
        self._failed_agents: dict[str, str] = {}
        self._trace = trace
        self._end = end
        self._on_handler_error = on_handler_error

    def handler_failed(self, error: BaseException, what: str) -> None:
        """Tell of an error in scenario code; ends the session if the policy says so.

        While the files are being loaded it always does.
        """
        fault = explain(error)
        self.errors.append(error)
        message = str(error) if isinstance(error, ScenarioError) else fault.message
        where = "" if not fault.where or fault.where in message else f" at {fault.where}"
        self._trace.write(
            "error", what, message=fault.message, where=fault.where, frames=fault.frames
        )
        if not self.loaded:
            self._end(EndReason.LOAD_ERROR, message + where, frames=fault.frames)
        elif self._on_handler_error == "terminate":
            detail = f"{message}{where}, in {what}"
            self._end(EndReason.HANDLER_ERROR, detail, frames=fault.frames)

    def tool_failed(self, error: BaseException, what: str) -> None:
        """Tell of an error in a tool: the model has a sentence of it, the author wants the frames.

        It ends nothing: the model goes on, and may try again.
        """
        fault = explain(error)
        self.errors.append(error)
        self._trace.write(
            "error", what, message=fault.message, where=fault.where, frames=fault.frames
        )

    def agent_failed(self, unit: str, message: str) -> None:
        """Tell of a speech service that does not do its part; the session goes on."""
        if self._failed_agents.get(unit) == message:
            self._trace.step("agent failed again", unit=unit)
        else:
            self._failed_agents[unit] = message
            self._trace.write("error", "agent failed", unit=unit, message=message)

    def agent_works(self) -> None:
        """Take back what ``agent_failed`` told: the call has an agent, be it another one."""
        self._failed_agents.clear()

    def cause(self, reason: EndReason, detail: str) -> tuple[EndReason, str]:
        """Return why the session ends. A call that ends with its agent failed was no normal one."""
        if reason is EndReason.TERMINATED and self._failed_agents:
            return EndReason.AGENT_FAILED, "; ".join(self._failed_agents.values())
        return reason, detail

    def handler_slow(self, what: str, took_s: float) -> None:
        """Name a handler that blocks the loop."""
        # On virtual time the duration is real and would make two equal runs differ.
        fields = {} if clock.is_virtual() else {"took_ms": round(took_s * 1000)}
        self._trace.warning("handler blocks the loop", handler=what, **fields)

    def handler_abandoned(self, what: str) -> None:
        """Count and name a handler that ignored its cancellation and was left alone."""
        self.abandoned += 1
        self._trace.warning("abandoned: it ignores its cancellation", handler=what)

    def exceeded(self, error: LimitExceeded) -> None:
        """End the session at one of its bounds."""
        self.errors.append(error)
        self._trace.write("error", "limit", message=str(error))
        self._end(EndReason.LIMIT, str(error))

    def internal(self, name: str, error: BaseException) -> None:
        """End the session for an error in a task of ours."""
        self.errors.append(error)
        message = f"{type(error).__name__}: {error}"
        self._trace.write("error", name, message=message)
        self._end(EndReason.INTERNAL_ERROR, f"{name}: {message}")


Close = Callable[[], Awaitable[None]]


class Closers:
    """The closers of one session; two may have the same name."""

    def __init__(self, trace: Trace, failed: Callable[[str, BaseException], None]) -> None:
        self._trace = trace
        self._failed = failed
        self._closers: list[tuple[str, Close]] = []

    def add(self, name: str, close: Close) -> Callable[[], None]:
        """Await ``close()`` at the end; return what takes that back."""
        entry = (name, close)
        self._closers.append(entry)
        return lambda: self._closers.remove(entry) if entry in self._closers else None

    async def close_all(self, deadline_s: float) -> None:
        """Close everything at once, each within ``deadline_s`` seconds, cancelled or not.

        One that takes longer is cut and named in the trace; one that raises is reported.
        """
        closers, self._closers = self._closers, []
        async with trio.open_nursery() as nursery:
            for name, close in closers:
                nursery.start_soon(self._close, name, close, deadline_s)

    async def _close(self, name: str, close: Close, deadline_s: float) -> None:
        with trio.move_on_after(deadline_s, shield=True) as scope:
            with contained(lambda error: self._failed(f"closing {name}", error)):
                await close()
        if scope.cancelled_caught:
            self._trace.warning("did not close in time", unit=name, after_s=deadline_s)
