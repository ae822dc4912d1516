"""Which processes are still there: each holds a lock on a file of its own while it lives.

The system takes the lock back when a process ends, however it ends. A process id alone would not
tell: in a container every incarnation of a host has the same one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

__all__ = ["Presence", "is_gone"]

FOLDER = "hosts"


class Presence:
    """Says that we are alive, from ``begin`` to ``end``."""

    def __init__(self, base: Path, host_id: str) -> None:
        self._path = base / FOLDER / host_id
        self._descriptor: int | None = None

    def begin(self) -> None:
        """Take the lock; nothing if we have it. Raises OSError."""
        if self._descriptor is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._descriptor = descriptor

    def end(self) -> None:
        """Give the lock back and remove the file. Idempotent."""
        if self._descriptor is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None


def is_gone(base: Path, host_id: str) -> bool:
    """Return whether no process holds the lock of ``host_id`` any more; removes what it left."""
    path = base / FOLDER / host_id
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return True
    except OSError:  # not ours to look at: somebody else's host on the same disk
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        return True
    finally:
        os.close(descriptor)
