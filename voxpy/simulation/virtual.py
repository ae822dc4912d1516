"""Runs a trio program on virtual time, the same way every time."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import trio
import trio.testing

T = TypeVar("T")


def run_virtual(main: Callable[..., Awaitable[T]], *args: Any, seed: int = 0) -> T:
    """Run ``main(*args)`` on a MockClock that jumps to the next deadline whenever all wait.

    trio orders ready tasks at random on purpose; here by ``seed``, so that two runs of one call
    write the same trace. Whatever ``main`` raises comes out unchanged.
    """
    with seeded_scheduler(seed):
        return trio.run(main, *args, clock=trio.testing.MockClock(autojump_threshold=0))


class _Seeded(random.Random):
    """A generator of ours, to be told from trio's own."""


class seeded_scheduler:  # noqa: N801  reads as a statement
    """Makes trio's scheduler repeatable, with the switch trio has for hypothesis.

    Worlds side by side in one loop share the first one's.

    The switch is private: where a release of trio lacks it, runs are still right, but two of them
    may order simultaneous events differently.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._scheduler: Any = getattr(getattr(trio, "_core", None), "_run", None)

    def __enter__(self) -> None:
        if not hasattr(self._scheduler, "_ALLOW_DETERMINISTIC_SCHEDULING"):
            return
        if isinstance(self._scheduler._r, _Seeded):
            return
        self._before = (self._scheduler._ALLOW_DETERMINISTIC_SCHEDULING, self._scheduler._r)
        self._scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True
        self._scheduler._r = _Seeded(self._seed)

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "_before"):
            scheduler = self._scheduler
            scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r = self._before
