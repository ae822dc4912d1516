"""When what came from outside is due again: at its time, or behind what provoked it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from voxpy.lab.replay.recording import Input

__all__ = ["Cue", "Prompts", "cues_of"]

PATIENCE_S = 2.0
"""How long something waits for what provoked it. If that never comes, it comes all the same: the
difference has been found by then, and what follows shows where it led.
"""


@attrs.frozen
class Cue:
    """Something of the far side. It came after so many prompts of ours."""

    input: Input
    after: int


def cues_of(
    inputs: Sequence[Input], is_prompt: Callable[[Input], bool]
) -> tuple[list[Cue], list[float]]:
    """Return the cues in order and the times of the prompts."""
    cues: list[Cue] = []
    prompted: list[float] = []
    for each in inputs:
        if is_prompt(each):
            prompted.append(each.t)
        else:
            cues.append(Cue(each, len(prompted)))
    return cues, prompted


class Prompts:
    """Compares when our side said something then and now. Times are seconds of the session.

    A prompt that comes no more than ``tolerance_s`` late moves nothing, so that small delays never
    add up over a call.
    """

    def __init__(self, recorded: Sequence[float], *, tolerance_s: float) -> None:
        self._recorded = recorded
        self._tolerance_s = tolerance_s
        self._came: list[float] = []

    def came(self, now: float) -> None:
        """Our side said something."""
        self._came.append(now)

    @property
    def count(self) -> int:
        """How often it did."""
        return len(self._came)

    def due(self, cue: Cue) -> float:
        """Return when ``cue`` is due, as far as is known now."""
        at = cue.input.t
        if cue.after == 0:
            return at
        if cue.after > len(self._came):
            return at + PATIENCE_S
        came = self._came[cue.after - 1]
        late = came - self._recorded[cue.after - 1]
        return max(came, at + (late if late > self._tolerance_s else 0.0))
