"""The four random bytes of every frame a client sends (RFC 6455 section 10.3)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from voxpy.wire.websocket.protocol import MASK_BYTES

POOL_BYTES = 4096
"""Asking the system for four bytes at a time costs as much as masking a frame with them."""


def _masks() -> Iterator[bytes]:
    while True:
        pool = os.urandom(POOL_BYTES)
        for at in range(0, POOL_BYTES, MASK_BYTES):
            yield pool[at : at + MASK_BYTES]


new_mask: Callable[[], bytes] = _masks().__next__
"""Return four bytes nobody can foresee."""
