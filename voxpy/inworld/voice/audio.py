"""Audio as programs have it: bytes, int16 arrays, async iterators of either; and as they get it."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt
import trio

from voxpy.errors import ScenarioError

Sound: TypeAlias = bytes | npt.NDArray[np.int16]


async def pieces_of(audio: Sound | AsyncIterator[Sound]) -> AsyncGenerator[bytes, None]:
    """Yield bytes, whatever the audio came as. Raises ScenarioError for what is no audio."""
    given: Any = audio  # programs are not always type checked
    if isinstance(given, bytes | bytearray | memoryview | np.ndarray):
        yield _bytes(given)
    elif hasattr(given, "__aiter__"):
        async for piece in given:
            yield _bytes(piece)
    else:
        raise ScenarioError(f"audio is bytes, an int16 array, or an async iterator, not {audio!r}")


def _bytes(piece: Any) -> bytes:
    if isinstance(piece, np.ndarray):
        if piece.dtype != np.int16:
            raise ScenarioError(f"an array of audio must be int16, not {piece.dtype}")
        return piece.astype("<i2").tobytes()
    return bytes(piece)


class AudioStream:
    """Audio of one response or back-channel, in the session's output format.

    Iterate over it from one task. It ends when the service has sent everything; or at once, with
    what waits dropped, when it is stopped. ``id`` is a ``response_id`` or a ``backchannel_id``.
    """

    name: ClassVar[str] = ""

    def __init__(self, id: str) -> None:
        self.id = id
        self._pieces: deque[bytes] = deque()
        self._ended = False
        self._changed = trio.Event()

    @property
    def ended(self) -> bool:
        """Whether nothing more will arrive."""
        return self._ended

    def put(self, data: bytes) -> None:
        """Append audio; ignored after the end."""
        if data and not self._ended:
            self._pieces.append(data)
            self._changed.set()

    def end(self) -> None:
        """Nothing more will arrive. Idempotent."""
        self._ended = True
        self._changed.set()

    def stop(self) -> None:
        """End now and drop what was not read. Idempotent."""
        self._pieces.clear()
        self.end()

    def __aiter__(self) -> AudioStream:
        return self

    async def __anext__(self) -> bytes:
        await trio.lowlevel.checkpoint()
        while not self._pieces:
            if self._ended:
                raise StopAsyncIteration
            self._changed = trio.Event()
            await self._changed.wait()
        return self._pieces.popleft()
