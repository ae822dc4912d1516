"""From a tape to a file on disk, half a second at a time, never on the event loop."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

import trio

from voxpy.audio.frame import FRAME_S
from voxpy.engine.clock import off_loop, off_loop_soon
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
        self.tape = Tape(on_block=self._hand_over)
        self.saved_s = 0.0
        self.saved = trio.Event()
        self._file = file
        self._kind = kind
        self._tracks = Tracks(kind.rate_hz, stereo=stereo)
        self._writer: SoundWriter | None = None
        self._failed = failed
        self._broken = False
        self._stopped = trio.Event()
        self._writing: trio.Event | None = None  # until a block is written
        self._more = False  # half a second has come meanwhile

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
        self._stopped.set()

    async def run(self) -> None:
        """Write until stopped; the file is closed in any case."""
        try:
            await self._stopped.wait()
            await self._settle()
            if not self._broken:
                await off_loop(self._work, self.tape.take(), True)
        except OSError as error:
            self._break_off(error)
        finally:
            with trio.CancelScope(shield=True):  # a thread may have the file
                await self._settle()
            self.close()
            self.saved.set()

    async def _settle(self) -> None:
        if self._writing is not None:
            await self._writing.wait()

    def _hand_over(self) -> None:
        """Have what is on the tape written, after what is being written."""
        self._more = self._writing is not None
        if self._broken:
            self.tape.take()
        elif not (self._more or self._stopped.is_set()):
            self._writing = trio.Event()
            off_loop_soon(partial(self._work, self.tape.take(), False), self._written)

    def _written(self, error: Exception | None) -> None:
        assert self._writing is not None
        self._writing.set()
        self._writing = None
        if error is not None:
            self._break_off(error)
        elif self._more:
            self._hand_over()

    def _break_off(self, error: Exception) -> None:
        self._broken = True
        self.close()
        what = (error.strerror if isinstance(error, OSError) else None) or error
        self._failed(f"the recording cannot be written: {what}")

    def _work(self, block: Block, last: bool) -> None:
        """Write a block, in a thread."""
        if self._writer is None:
            self._writer = self._kind.open(self._file, channels=self._tracks.channels)
        if block:
            self._writer.write(self._tracks.pcm(block))
        if last:
            self._writer.close()
        self.saved_s += len(block) * FRAME_S

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
