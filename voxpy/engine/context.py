"""Which session is running: the ContextVar behind ``VoxEngine`` and the error without one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from voxpy.engine.session import Session
from voxpy.errors import NoSession

_current: ContextVar[Session | None] = ContextVar("voxpy_session", default=None)


@contextmanager
def running(session: Session) -> Iterator[Session]:
    """Make ``session`` the current one for the code inside, and for every task it starts."""
    token = _current.set(session)
    try:
        yield session
    finally:
        _current.reset(token)


def current_or_none() -> Session | None:
    """Return the running session, or None outside of one."""
    return _current.get()


def current(what: str = "VoxEngine") -> Session:
    """Return the running session.

    Raises NoSession, which says how to run the file, when there is none.
    """
    session = _current.get()
    if session is None:
        raise NoSession(
            f"{what} only works inside a session, and none is running: this file was started "
            "as an ordinary Python program. Run it with:  voxpy run <this file>"
        )
    return session
