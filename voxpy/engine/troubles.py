"""What a session does about everything that can go wrong in it: trace, keep, and perhaps end."""

from __future__ import annotations

from typing import Protocol

from voxpy.engine import clock
from voxpy.engine.ending import EndReason
from voxpy.engine.faults import explain
from voxpy.engine.settings import OnHandlerError
from voxpy.engine.trace import Trace
from voxpy.errors import LimitExceeded, ScenarioError

__all__ = ["Troubles"]


class _End(Protocol):
    def __call__(self, reason: EndReason, detail: str = "", *, frames: str = "") -> None: ...


class Troubles:
    """The errors of one session, in ``errors`` as they came. ``loaded`` is set by the session."""

    def __init__(self, *, trace: Trace, end: _End, on_handler_error: OnHandlerError) -> None:
        self.errors: list[BaseException] = []
        self.loaded = False
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

    def handler_slow(self, what: str, took_s: float) -> None:
        """Name a handler that blocks the loop."""
        # On virtual time the duration is real and would make two equal runs differ.
        fields = {} if clock.is_virtual() else {"took_ms": round(took_s * 1000)}
        self._trace.warning("handler blocks the loop", handler=what, **fields)

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
