"""What simulated callers and callees do: lists of steps. Pure data; the format is in voxpy.host."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import attrs

from voxpy.channels.simulated import PressedAs
from voxpy.simulation.service import Moment, ServiceScript, Speech

__all__ = [
    "Beep",
    "CalleeScript",
    "CallerScript",
    "Expect",
    "HangUp",
    "Info",
    "Interrupt",
    "LineOptions",
    "Message",
    "Pause",
    "Play",
    "Press",
    "Say",
    "StayOn",
    "Step",
    "Wait",
]

ANSWER_WITHIN_S = 30.0
AGENT_WITHIN_S = 30.0
HEARD_WITHIN_S = 15.0


@attrs.frozen(kw_only=True)
class Step:
    """One thing to do. ``line`` is where it stands in the caller's file, 0 if nowhere."""

    line: int = 0


@attrs.frozen(kw_only=True)
class Wait(Step):
    """Wait until the call is answered, the agent speaks or has finished, or the call is over."""

    what: Literal["answered", "agent_speaking", "agent_finished", "hung_up"]
    within_s: float = AGENT_WITHIN_S


@attrs.frozen(kw_only=True)
class Pause(Step):
    """Stay silent for a while."""

    seconds: float


@attrs.frozen(kw_only=True)
class Say(Step):
    """Speak, and wait until that is said."""

    text: str


@attrs.frozen(kw_only=True)
class Play(Step):
    """Play a WAV file to the far end, and wait until its end."""

    path: Path


@attrs.frozen(kw_only=True)
class Beep(Step):
    """Let the far end hear the tone of an answering machine."""

    hz: float = 1000.0
    seconds: float = 0.5


@attrs.frozen(kw_only=True)
class Interrupt(Step):
    """Wait until the agent speaks, then ``after_s`` seconds, then speak over it.

    Not met if the agent has fallen silent by then: that would be no interruption.
    """

    after_s: float
    text: str
    within_s: float = AGENT_WITHIN_S


@attrs.frozen(kw_only=True)
class Press(Step):
    """Press digits ``0-9*#``. ``how`` None: as the session wants them."""

    digits: str
    how: PressedAs | None = None


@attrs.frozen(kw_only=True)
class Message(Step):
    """Send a text message inside the call."""

    text: str


@attrs.frozen(kw_only=True)
class Info(Step):
    """Send a SIP INFO or its equivalent."""

    mime_type: str
    body: str


@attrs.frozen(kw_only=True)
class Expect(Step):
    """Have heard the agent say something since the caller last spoke or pressed a digit.

    ``heard`` is searched, ignoring case, in what the recogniser made of the audio that reached the
    caller.
    """

    heard: re.Pattern[str]
    within_s: float = HEARD_WITHIN_S


@attrs.frozen(kw_only=True)
class StayOn(Step):
    """Do nothing until the call is over: a person speaks instead (``--mic``)."""


@attrs.frozen(kw_only=True)
class HangUp(Step):
    """End the call."""


@attrs.frozen(kw_only=True)
class LineOptions:
    """How bad the line is, in both directions; see voxpy.audio.line.Line."""

    loss: float = 0.0
    jitter_ms: float = 0.0
    noise_dbfs: float | None = None
    seed: int = 1


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

    def is_called(self, destination: str) -> bool:
        """Return whether ``destination``, with or without its ``+``, is this callee's."""
        forms = (destination, destination.removeprefix("+"))
        return any(self.destination.fullmatch(form) for form in forms)


@attrs.frozen(kw_only=True)
class CallerScript:
    """A simulated caller, and whom the scenario can reach.

    ``may_be_refused``: a rejected call is a fine end for this caller. Of ``callees`` the first
    whose destination matches takes a call. ``service``, ``moments`` and ``speech`` are the local
    agent's: how it behaves, what goes wrong when, and whether anybody really speaks.
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
    service: ServiceScript | None = None
    moments: tuple[Moment, ...] = ()
    speech: Speech = "real"
    source: str = ""
