"""Audio as programs have it: bytes, int16 arrays, or async iterators of either."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from voxpy.errors import ScenarioError

__all__ = ["Sound", "pieces_of"]

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
