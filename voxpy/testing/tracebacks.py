"""Errors of a scenario as its author wants to read them in a test: without the machinery."""

from __future__ import annotations

from types import TracebackType

from voxpy.engine.faults import is_machinery

__all__ = ["readable"]


def readable(error: BaseException) -> Exception:
    """Return the error with only its author's frames in the traceback.

    One that is no Exception (``sys.exit()`` in a scenario) comes as a RuntimeError.
    """
    if not isinstance(error, Exception):
        return RuntimeError(repr(error))
    return error.with_traceback(_own(error.__traceback__))


def _own(trace: TracebackType | None) -> TracebackType | None:
    if trace is None:
        return None
    rest = _own(trace.tb_next)
    if is_machinery(trace.tb_frame.f_code.co_filename):
        return rest
    return TracebackType(rest, trace.tb_frame, trace.tb_lasti, trace.tb_lineno)
