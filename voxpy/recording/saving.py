"""From a tape to a file on disk, half a second at a time, never on the event loop."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import trio

from voxpy.audio.frame import FRAME_S
from voxpy.engine.clock import off_loop, off_loop_together
from voxpy.media.recorder import Block, Tape, Tracks
from voxpy.recording.files import FileKind, SoundWriter

LONGEST_NAME = 80


class Saving:
    """One file being recorded. Put frames on ``tape``, run ``run``, and ``stop`` it in the end.

    ``failed`` is called once, on the loop, with what went wrong with the file; what was written
    until then stays. ``saved_s`` is how much that is.
    """

    def __init__(
        self,
        file: BinaryIO,
        kind: FileKind,
        *,
        stereo: bool,
        failed: Callable[[str], None],
    ) -> None:
        self.tape = Tape(on_block=self._wake)
        self.saved_s = 0.0
        self.saved = trio.Event()
        self._file = file
        self._kind = kind
        self._tracks = Tracks(kind.rate_hz, stereo=stereo)
        self._writer: SoundWriter | None = None
        self._failed = failed
        self._broken = False
        self._stopping = False
        self._woken = trio.Event()

    @classmethod
    def create(
        cls,
        path: Path,
        kind: FileKind,
        *,
        stereo: bool,
        failed: Callable[[str], None],
    ) -> Saving:
        """Make the file ``path`` and record into it. Raises OSError."""
        # Unbuffered: what is written is out of the process, should it be killed.
        file = path.open("wb", buffering=0)
        return cls(file, kind, stereo=stereo, failed=failed)

    @property
    def lost_s(self) -> float:
        """Seconds that the disk was too slow for."""
        return self.tape.lost_frames * FRAME_S

    def stop(self) -> None:
        """Take nothing more; ``saved`` is set when the file is complete. Idempotent."""
        self._stopping = True
        self._woken.set()

    async def run(self) -> None:
        """Write until stopped; the file is closed in any case."""
        last = False
        try:
            while not last:
                await self._woken.wait()
                self._woken = trio.Event()
                last = self._stopping
                await self._write(last=last)
        finally:
            self.close()
            self.saved.set()

    def _wake(self) -> None:
        self._woken.set()

    async def _write(self, *, last: bool) -> None:
        block = self.tape.take()
        if self._broken:
            return
        try:
            go = off_loop if last else off_loop_together
            self.saved_s += await go(self._work, block, last)
        except OSError as error:
            self._broken = True
            self.close()
            self._failed(f"the recording cannot be written: {error.strerror or error}")

    def _work(self, block: Block, last: bool) -> float:
        """Write a block, in a thread; return its seconds."""
        if self._writer is None:
            self._writer = self._kind.open(self._file, channels=self._tracks.channels)
        if block:
            self._writer.write(self._tracks.pcm(block))
        if last:
            self._writer.close()
        return len(block) * FRAME_S

    def close(self) -> None:
        """Let go of the file, complete or not; for what never ran. Idempotent."""
        if self._writer is not None and not self._file.closed:
            with suppress(OSError):
                self._writer.close()
        self._file.close()


def file_name(prefix: str, name: str, suffix: str) -> str:
    """Return the name of a file from words of a scenario, which may be paths or keys.

    In ``prefix`` and ``name``, of which one may be empty, letters, digits, dots, dashes and lines
    stay, everything else becomes one dash; neither begins with a dot nor is longer than 80
    characters.
    """
    parts = [plain for part in (prefix, name) if (plain := _plain(part))]
    return ("-".join(parts) or "recording") + suffix


def _plain(words: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", words)
    return re.sub(r"\.{2,}", ".", plain).strip("-.")[:LONGEST_NAME].rstrip("-.")
