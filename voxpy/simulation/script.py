"""Simulated callers and callees as data: who they are, over which line they speak, what they do.

How their authors write them is in ``callerfile``; what they can do is the table of ``steps``.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from typing import Literal

import attrs

from voxpy.audio.line import Line
from voxpy.engine.speech import ENGLISH
from voxpy.simulation.moments import Moment
from voxpy.simulation.service import ServiceScript
from voxpy.simulation.steps import Step

Speech = Literal["real", "tones"]
"""Whether people speak, or sound a tone for each text, which needs no models and no time."""


@attrs.frozen(kw_only=True)
class LineOptions:
    """How bad the line is, in both directions; see voxpy.audio.line.Line."""

    loss: float = 0.0
    jitter_ms: float = 0.0
    noise_dbfs: float | None = None
    seed: int = 1

    def varied(self, seed: int) -> LineOptions:
        """Return the same line on another day."""
        return attrs.evolve(self, seed=self.seed + seed)

    def lines(self) -> tuple[Line, Line]:
        """Return the line towards the session and the one towards the person."""
        there, back = (
            Line(loss=self.loss, jitter_ms=self.jitter_ms, noise_dbfs=self.noise_dbfs, seed=seed)
            for seed in (self.seed, self.seed + 1)
        )
        return there, back


@attrs.frozen(kw_only=True)
class CalleeScript:
    """A person whom the scenario calls: anybody whose number or name matches ``destination``.

    It rings for ``rings_s`` seconds and its side plays ``before_answer`` (early media). Then it
    takes the call and does ``steps``, or refuses the call with a SIP status, or never answers.
    """

    destination: re.Pattern[str]
    rings_s: float = 1.0
    before_answer: tuple[Step, ...] = ()
    refuses_with: int | None = None
    never_answers: bool = False
    voice: str = "bright"
    line: LineOptions = attrs.field(factory=LineOptions)
    steps: tuple[Step, ...] = ()
    source: str = ""

    @property
    def all_steps(self) -> tuple[Step, ...]:
        """Everything it may do, in order."""
        return (*self.before_answer, *self.steps)

    def is_called(self, destination: str) -> bool:
        """Return whether ``destination``, with or without its ``+``, is this callee's."""
        forms = (destination, destination.removeprefix("+"))
        return any(self.destination.fullmatch(form) for form in forms)


@attrs.frozen(kw_only=True)
class CallerScript:
    """A simulated caller, and whom the scenario can reach.

    ``may_be_refused``: a rejected call is a fine end for this caller. Of ``callees`` the first
    whose destination matches takes a call. ``service``, ``moments`` and ``speech`` are the local
    agent's: how it behaves, what goes wrong when, and whether anybody really speaks; ``languages``
    what the host has where all is tones.

    With ``custom_data`` nobody calls: the session is started with that, as by the API.
    """

    callerid: str = "+15550100"
    destination: str = "+15550199"
    display_name: str = ""
    headers: Mapping[str, str] = attrs.field(factory=dict)
    voice: str = "alto"
    line: LineOptions = attrs.field(factory=LineOptions)
    steps: tuple[Step, ...] = ()
    may_be_refused: bool = False
    callees: tuple[CalleeScript, ...] = ()
    service: ServiceScript = attrs.field(factory=ServiceScript)
    moments: tuple[Moment, ...] = ()
    speech: Speech = "real"
    languages: tuple[str, ...] = ENGLISH
    custom_data: str | None = None
    source: str = ""

    @property
    def all_steps(self) -> tuple[Step, ...]:
        """Everything it may do, in order."""
        return () if self.custom_data is not None else self.steps

    def varied(self, seed: int) -> CallerScript:
        """Return the same caller on another day.

        Seed 0 is the script as it is written. With any other the caller hesitates before it speaks
        and presses keys, pauses and breaks in earlier or later, and the line loses other packets.
        """
        if seed == 0:
            return self
        lots = random.Random(seed)
        return attrs.evolve(
            self,
            steps=tuple(varied for step in self.steps for varied in step.varied(lots)),
            line=self.line.varied(seed),
            callees=tuple(attrs.evolve(c, line=c.line.varied(seed)) for c in self.callees),
        )


Script = CallerScript | CalleeScript
