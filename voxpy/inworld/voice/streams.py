"""Audio that arrives piece by piece, for whoever plays it: an async iterator of bytes."""

from __future__ import annotations

from collections import deque
from typing import ClassVar

import trio

__all__ = ["AudioStream"]


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
