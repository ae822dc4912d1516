"""The same caller on another day: what differs between the repetitions of a test. Pure.

Seed 0 is the script as it is written. With any other the caller hesitates before it speaks and
presses keys, pauses and breaks in earlier or later, and the line loses other packets. The same
seed, the same caller.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import attrs

from voxpy.simulation.script import (
    CallerScript,
    Interrupt,
    LineOptions,
    Pause,
    Play,
    Press,
    Say,
    Step,
)

__all__ = ["varied"]

LONGEST_HESITATION_S = 0.6
PAUSES = (0.8, 1.3)
INTERRUPTIONS = (0.6, 1.4)


def varied(script: CallerScript, seed: int) -> CallerScript:
    """Return the caller of a seed, an integer from 0."""
    if seed == 0:
        return script
    lots = random.Random(seed)
    callees = tuple(attrs.evolve(c, line=_line_seed(c.line, seed)) for c in script.callees)
    return attrs.evolve(
        script,
        steps=tuple(_steps(script.steps, lots)),
        line=_line_seed(script.line, seed),
        callees=callees,
    )


def _line_seed(line: LineOptions, seed: int) -> LineOptions:
    return attrs.evolve(line, seed=line.seed + seed)


def _steps(steps: tuple[Step, ...], lots: random.Random) -> Iterator[Step]:
    for step in steps:
        match step:
            case Pause():
                yield attrs.evolve(step, seconds=step.seconds * lots.uniform(*PAUSES))
            case Interrupt():
                yield attrs.evolve(step, after_s=step.after_s * lots.uniform(*INTERRUPTIONS))
            case Say() | Play() | Press():
                yield Pause(line=step.line, seconds=lots.uniform(0.0, LONGEST_HESITATION_S))
                yield step
            case _:
                yield step
