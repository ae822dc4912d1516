"""The files of a client's connections in the session's folder: every frame, and the counts."""

from __future__ import annotations

from typing import BinaryIO

import attrs
import orjson

from voxpy.engine import clock
from voxpy.engine.session import Session
from voxpy.realtime.connection import ConnectionStatistics

__all__ = ["FrameLog"]


class FrameLog:
    """Writes ``<client id>-frames.txt`` and ``<client id>-statistics.json``, each if wanted.

    Frames are written as they are, but for secret values, which are masked.
    """

    def __init__(self, session: Session, client_id: str, *, frames: bool, statistics: bool) -> None:
        self._files = session.context.files
        self._masked = session.trace.masked
        self._client_id = client_id
        self._wants_frames = frames
        self._wants_statistics = statistics
        self._file: BinaryIO | None = None
        self._finished = False

    def note(self, direction: str, text: str) -> None:
        """Write one frame, ``<`` from the service or ``>`` to it."""
        if not self._wants_frames or self._finished:
            return
        if self._file is None:
            self._file = self._files.path(f"{self._client_id}-frames.txt").open("wb")
        line = f"{clock.wall():%H:%M:%S.%f} {direction} {self._masked(text)}\n"
        self._file.write(line.encode())
        self._file.flush()

    def finish(self, counted: list[ConnectionStatistics]) -> None:
        """Close the file and write the sums over all connections."""
        self._finished = True
        if self._file is not None:
            self._file.close()
        if self._wants_statistics:
            path = self._files.path(f"{self._client_id}-statistics.json")
            path.write_bytes(orjson.dumps(_sum(counted)))


def _sum(counted: list[ConnectionStatistics]) -> dict[str, int]:
    names = [field.name for field in attrs.fields(ConnectionStatistics)]
    return {name: sum(getattr(each, name) for each in counted) for name in names}
