"""The same caller on another day: what differs between the repetitions of a test. Pure.

Seed 0 is the script as it is written. With any other the caller hesitates before it speaks and
presses keys, pauses and breaks in earlier or later, and the line loses other packets. The same
seed, the same caller.
"""

from __future__ import annotations

import random

import attrs

from voxpy.simulation.script import CallerScript, LineOptions

__all__ = ["varied"]


def varied(script: CallerScript, seed: int) -> CallerScript:
    """Return the caller of a seed, an integer from 0."""
    if seed == 0:
        return script
    lots = random.Random(seed)
    callees = tuple(attrs.evolve(c, line=_line_seed(c.line, seed)) for c in script.callees)
    return attrs.evolve(
        script,
        steps=tuple(varied for step in script.steps for varied in step.varied(lots)),
        line=_line_seed(script.line, seed),
        callees=callees,
    )


def _line_seed(line: LineOptions, seed: int) -> LineOptions:
    return attrs.evolve(line, seed=line.seed + seed)
