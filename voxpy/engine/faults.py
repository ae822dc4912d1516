"""What becomes of an exception: who is told of it, and what its author wants to read.

That is the message, file:line of their own code, and their frames without ours.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import trio


def _folder(file: str) -> str:
    return os.path.dirname(os.path.realpath(file)) + os.sep


_OURS = str(Path(__file__).resolve().parents[1]) + os.sep
_MACHINERY = (_OURS, _folder(trio.__file__))
_STANDARD_LIBRARY = _folder(traceback.__file__)
_INSTALLED = frozenset({"site-packages", "dist-packages"})


@contextmanager
def contained(report: Callable[[BaseException], None]) -> Iterator[None]:
    """Hand the error of the code inside to ``report`` instead of raising it.

    Cancellation and KeyboardInterrupt pass; a group is split, so that a Cancelled inside it passes
    and the rest is reported. SystemExit is reported: ``sys.exit()`` in one scenario must not end
    the calls of the others.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        passing, errors = group.split((trio.Cancelled, KeyboardInterrupt))
        if errors is not None:
            report(errors)
        if passing is not None:
            raise passing from None
    except (Exception, SystemExit) as error:  # user code may raise anything
        report(error)


@attrs.frozen
class Fault:
    """An error in user code. ``frames`` is a traceback without voxpy's own frames."""

    message: str
    where: str
    frames: str


def explain(error: BaseException) -> Fault:
    """Return ``error`` as its author should see it.

    voxpy's and trio's frames are left out. ``where`` is the innermost frame of the author's own,
    rather than of a library they called, or the place a SyntaxError points at; of a group, that of
    its first member that has one.
    """
    told = traceback.TracebackException.from_exception(error)
    _cut_machinery(told)
    return Fault(_message(error), _where(error), "".join(told.format(chain=False)))


def _message(error: BaseException) -> str:
    name = type(error).__name__
    if isinstance(error, SyntaxError):
        return f"{name}: {error.msg}"
    if isinstance(error, BaseExceptionGroup):
        return f"{name} of {'; '.join(_message(e) for e in error.exceptions)}"
    text = f"{name}: {error}"
    return text + next((hint for part, hint in _HINTS.items() if part in text), "")


_TRIO = (
    " (voxpy runs on trio, not on asyncio: write trio.sleep(1) for asyncio.sleep(1), "
    "trio.fail_after(5) for asyncio.wait_for, trio.open_nursery() for create_task and gather)"
)
_AWAIT = (
    " (what was called returns when it is awaited: "
    "agent = await Inworld.create_realtime_api_client(...))"
)
_HINTS = {
    "RuntimeError: no running event loop": _TRIO,
    "TypeError: trio got unexpected": _TRIO,
    "TypeError: trio.run received unrecognized yield message": _TRIO,
    "RuntimeError: There is no current event loop": _TRIO,
    "AttributeError: 'coroutine' object has no attribute": _AWAIT,
    "TypeError: object NoneType can't be used in 'await' expression": (
        " (what was awaited does its work at once and returns nothing: leave out the await)"
    ),
}
"""What to add to messages of Python and trio whose cause is always the same in a scenario."""


def _where(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename and not error.filename.startswith("<"):
        return f"{error.filename}:{error.lineno}"
    if isinstance(error, BaseExceptionGroup):
        inner = next((w for w in map(_where, error.exceptions) if w), "")
        if inner:
            return inner
    kept = [f for f in traceback.extract_tb(error.__traceback__) if not is_machinery(f.filename)]
    own = [f for f in kept if not _is_library(f.filename)] or kept
    return f"{own[-1].filename}:{own[-1].lineno}" if own else ""


def _cut_machinery(told: traceback.TracebackException) -> None:
    kept = [f for f in told.stack if not is_machinery(f.filename)]
    told.stack = traceback.StackSummary.from_list(kept)
    for member in told.exceptions or ():
        _cut_machinery(member)


def is_machinery(filename: str) -> bool:
    """Return whether a frame of this file is voxpy's or trio's."""
    return filename.startswith((*_MACHINERY, "<"))


def _is_library(filename: str) -> bool:
    return filename.startswith(_STANDARD_LIBRARY) or not _INSTALLED.isdisjoint(Path(filename).parts)
