"""Why a session ended: one EndReason, seen in the trace and in the call record."""

from __future__ import annotations

import enum

import attrs

__all__ = ["End", "EndReason"]


class EndReason(enum.Enum):
    """Every way a session can end. ``finish_reason`` is the word of VoxEngine's call history."""

    TERMINATED = "terminated"
    HANDLER_ERROR = "handler error"
    LOAD_ERROR = "load error"
    LIMIT = "limit exceeded"
    NO_CALLS = "no calls"
    WATCHDOG = "watchdog"
    HOST_SHUTDOWN = "host shutdown"
    INTERNAL_ERROR = "internal error"

    @property
    def finish_reason(self) -> str:
        """VoxEngine: GetCallHistory, finish_reason; "JS session error" is "Session error" here."""
        return _FINISH_REASONS[self]

    @property
    def is_error(self) -> bool:
        """Whether the scenario or voxpy failed, rather than the call being over."""
        return self in _ERRORS


_ERRORS = frozenset(
    {EndReason.HANDLER_ERROR, EndReason.LOAD_ERROR, EndReason.LIMIT, EndReason.INTERNAL_ERROR}
)
_FINISH_REASONS = {
    EndReason.TERMINATED: "Normal termination",
    EndReason.HANDLER_ERROR: "Session error",
    EndReason.LOAD_ERROR: "Session error",
    EndReason.LIMIT: "Session error",
    EndReason.NO_CALLS: "Timeout",
    EndReason.WATCHDOG: "Timeout",
    EndReason.HOST_SHUTDOWN: "Terminated administratively",
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
