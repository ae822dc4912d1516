"""Blocking work that must not hold up the event loop: disks, codecs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import trio

from voxpy.engine import clock

__all__ = ["off_loop"]

T = TypeVar("T")


async def off_loop(work: Callable[..., T], *args: Any) -> T:
    """Do ``work(*args)`` in a thread and return its result; inline on virtual time.

    (Autojump does not see threads.) Always a checkpoint. Not cancelled in the middle: whoever is
    cancelled learns of it when the work is done. Raises what ``work`` raises.
    """
    if clock.is_virtual():
        await trio.lowlevel.checkpoint()
        return work(*args)
    return await trio.to_thread.run_sync(work, *args)
