"""Which files of which sessions go to the store of all hosts, and which have arrived.

The files are the queue. From its beginning a session has a mark, ``uploads/<host>/<session>``,
until all it left is stored and its recordings are deleted here; so a process that dies forgets
nothing. The marks of a host that is gone are taken over by any other of this folder: a rename,
which one of them wins.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import attrs
import orjson

from voxpy.history.objects import ObjectStore
from voxpy.text import json

FOLDER = "uploads"
SOUNDS = (".wav", ".mp3", ".flac")
TRANSCRIPT = ".transcript.json"
MADE_HERE = ("call.html",)
"""What ``voxpy show`` makes of the rest."""
YOUNG_S = 60.0
"""A mark may be older than the lock by which its host is known to live."""


BACK = "~"
"""Ends the mark of files that came back from the store: all of them go again."""


@attrs.define
class Mark:
    """Sizes of the stored files of a session; ``at``: all of them, then (seconds since 1970)."""

    stored: dict[str, int] = attrs.field(factory=dict)
    at: float | None = None


class Outbox:
    """The marks of one process, in the folder ``base``. Files are tiny; nothing here waits."""

    def __init__(self, base: Path, host_id: str, *, traces: bool) -> None:
        self.base = base.absolute()
        self.host_id = host_id
        self._own = self.base / FOLDER / host_id
        self._traces = traces

    def begin(self, session_id: str, mark: Mark | None = None) -> None:
        """Mark a session. Raises OSError."""
        self._own.mkdir(parents=True, exist_ok=True)
        writing = self._own / f".{session_id}.{secrets.token_hex(4)}"
        writing.write_bytes(orjson.dumps(attrs.asdict(mark or Mark())))
        writing.replace(self._own / session_id)

    def read(self, session_id: str) -> Mark:
        """Return a session's mark; an empty one if it is absent or unreadable."""
        try:
            value = json.loads((self._own / session_id).read_bytes())
            return Mark(
                stored={str(name): int(size) for name, size in value["stored"].items()},
                at=None if value["at"] is None else float(value["at"]),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return Mark()

    def end(self, session_id: str) -> None:
        """Forget a session."""
        with suppress(OSError):
            (self._own / session_id).unlink()

    def folder(self, session_id: str) -> Path:
        """Return where a session's files lie here."""
        return self.base / "sessions" / session_id.removesuffix(BACK)

    def lacking(self, session_id: str, mark: Mark) -> list[Path]:
        """Return what is to be stored of a session that is over and is not, as it is now."""
        found: list[Path] = []
        with suppress(OSError):
            if not session_id.endswith(BACK):
                found = sorted(self.folder(session_id).iterdir())
        return [p for p in found if self.wants(p.name) and _size(p) != mark.stored.get(p.name, -1)]

    def wants(self, name: str) -> bool:
        """Whether a file of this name is stored."""
        if is_recording(name):
            return True
        return self._traces and not name.startswith(".") and name not in MADE_HERE

    def delete(self, session_id: str, mark: Mark) -> None:
        """Delete here what is stored: recordings, and whatever came back from the store."""
        folder, back = self.folder(session_id), session_id.endswith(BACK)
        for name, size_bytes in mark.stored.items():
            path = folder / name
            with suppress(OSError):
                if (back or is_recording(name)) and _size(path) == size_bytes:
                    path.unlink()
        if back:
            with suppress(OSError):
                folder.rmdir()  # of another host's session nothing is left
        self.end(session_id)

    def adopt(self, is_gone: Callable[[str], bool], now: float) -> list[str]:
        """Take over the sessions of hosts that are gone; ``now`` in seconds since 1970."""
        taken: list[str] = []
        with suppress(OSError):
            for theirs in (self.base / FOLDER).iterdir():
                if theirs != self._own and is_gone(theirs.name):
                    taken += self._take(theirs, now - YOUNG_S)
        return taken

    def _take(self, theirs: Path, before: float) -> Iterator[str]:
        for path in theirs.iterdir():
            with suppress(OSError):
                if path.name.startswith("."):
                    path.unlink()
                elif path.stat().st_mtime < before:
                    self._own.mkdir(parents=True, exist_ok=True)
                    path.rename(self._own / path.name)
                    yield path.name
        with suppress(OSError):
            theirs.rmdir()


def _size(path: Path) -> int:
    """Return the size of a file, or -1: nothing is stored of what is none."""
    try:
        return path.stat().st_size if path.is_file() else -1
    except OSError:
        return -1


def is_recording(name: str) -> bool:
    """Whether a file is a recording or its transcript, and not what a host needs of a call."""
    return name.endswith((*SOUNDS, TRANSCRIPT)) and not name.startswith(".")


def bring_back(
    objects: ObjectStore, outbox: Outbox, session_id: str, names: Iterable[str], now: float
) -> bool:
    """Get those of the files that are not here and were stored; they go again in time.

    Return whether any came. Raises RequestFailed and OSError.
    """
    came: dict[str, int] = {}
    for name in names:
        path = outbox.folder(session_id) / name
        if outbox.wants(name) and not path.is_file() and objects.get(session_id, name, path):
            came[name] = path.stat().st_size
    if came:
        before = outbox.read(session_id + BACK)
        outbox.begin(session_id + BACK, Mark(stored={**before.stored, **came}, at=now))
    return bool(came)
