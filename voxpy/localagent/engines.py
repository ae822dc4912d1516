"""The speech engines of a process, shared by all calls, and how they are run off the event loop."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import attrs
import numpy as np
import numpy.typing as npt
import trio

from voxpy.engine import clock
from voxpy.engine.speech import Speaks, SpeechGate, Transcribes
from voxpy.localagent.responder import Responder

T = TypeVar("T")
Samples = npt.NDArray[np.int16]

THREADS = 2
"""More than the cores of a small machine would only make them wait for each other."""


@attrs.frozen(kw_only=True)
class Engines:
    """What an agent hears, thinks and speaks with. ``gate`` makes a new gate for each call."""

    gate: Callable[[], SpeechGate]
    ears: Transcribes
    voice: Speaks
    responder: Responder
    limiter: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(THREADS))
    gates: trio.Lock = attrs.field(factory=trio.Lock)
    """Held while a gate computes on the event loop."""
    connections: Iterator[int] = attrs.field(factory=lambda: itertools.count(1))
    """Numbers for the connections served with these, so that no two use the same item ids."""

    async def run(self, work: Callable[..., T], *args: Any) -> T:
        """Do blocking ``work(*args)`` in a thread; inline on virtual time: it sees no threads."""
        if clock.is_virtual():
            await trio.lowlevel.checkpoint_if_cancelled()  # a whole one costs more than most work
            return work(*args)
        return await trio.to_thread.run_sync(work, *args, limiter=self.limiter)

    async def ask(self, gate: SpeechGate, samples: Samples) -> float:
        """Return ``gate.probability(samples)``; one gate at a time, see SpeechEngines."""
        async with self.gates:
            return gate.probability(samples)


def local_engines(responder: Responder) -> Engines:
    """Return the engines of ``voxpy[local]``, not loaded yet: each loads when first used.

    Raises EngineMissing, then or at first use, for what is not installed.
    """
    from voxpy.localagent.ears import Ears
    from voxpy.localagent.vad import SileroGate
    from voxpy.localagent.voice import Voice

    return Engines(gate=SileroGate, ears=Ears(), voice=Voice(), responder=responder)
