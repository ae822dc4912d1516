"""What a process that serves calls does once, as soon as it listens."""

from __future__ import annotations

import gc

import voxpy

__all__ = ["warm_up"]


def warm_up() -> None:
    """Load the vocabulary that scenarios name, and keep the garbage collector off it.

    Otherwise the first call loads it, 0.1 s in which nobody is heard; and every full collection
    walks all that was ever imported, 50 ms with calls up. Takes about 0.2 s, once.
    """
    for name in voxpy.__all__:
        getattr(voxpy, name)
    gc.collect()
    gc.freeze()
