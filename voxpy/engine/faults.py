"""From an exception to what its author wants to read: the message, file:line, and their frames."""

from __future__ import annotations

import traceback
from pathlib import Path

import attrs

__all__ = ["Fault", "explain"]

OURS = str(Path(__file__).resolve().parents[1])


@attrs.frozen
class Fault:
    """An error in user code. ``frames`` is a traceback without voxpy's own frames."""

    message: str
    where: str
    frames: str


def explain(error: BaseException) -> Fault:
    """Return ``error`` as its author should see it.

    voxpy's and trio's frames are left out; ``where`` is the innermost remaining frame, or the place
    a SyntaxError points at.
    """
    told = traceback.TracebackException.from_exception(error)
    own = [f for f in told.stack if not _is_machinery(f.filename)]
    if isinstance(error, SyntaxError):
        where = f"{error.filename}:{error.lineno}"
        return Fault(f"{type(error).__name__}: {error.msg}", where, "".join(told.format()))
    where = f"{own[-1].filename}:{own[-1].lineno}" if own else ""
    told.stack = traceback.StackSummary.from_list(own)
    message = f"{type(error).__name__}: {error}"
    if isinstance(error, BaseExceptionGroup):
        inner = "; ".join(explain(e).message for e in error.exceptions)
        message = f"{type(error).__name__} of {inner}"
        where = where or next((explain(e).where for e in error.exceptions), "")
    return Fault(message, where, "".join(told.format(chain=False)))


def _is_machinery(filename: str) -> bool:
    return filename.startswith(OURS) or f"{Path('trio')}/_" in filename or filename.startswith("<")
