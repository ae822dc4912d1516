"""Acts a script, step by step, on a simulated caller or callee."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import singledispatch

import numpy as np
import numpy.typing as npt

from voxpy.channels.simulated import SimulatedLeg
from voxpy.engine import clock
from voxpy.simulation.caller import CallOver, SimulatedCaller, StepFailed
from voxpy.simulation.script import (
    Beep,
    CalleeScript,
    CallerScript,
    Expect,
    HangUp,
    Info,
    Interrupt,
    Message,
    Pause,
    Play,
    Press,
    Say,
    StayOn,
    Step,
    Wait,
)

__all__ = ["SPOKEN", "act", "act_callee", "spoken_steps"]

Samples = npt.NDArray[np.int16]
SPOKEN = (Say, Interrupt, Play, Beep)
REASONS = {
    404: "Not Found",
    408: "Request Timeout",
    480: "Temporarily Unavailable",
    486: "Busy Here",
    603: "Decline",
}
"""RFC 3261 section 21, of what callees usually refuse with."""
Sounds = Mapping[Step, Samples]
"""The audio of every step that makes any, at 8 kHz, made before the call so that nobody waits."""


def spoken_steps(script: CallerScript | CalleeScript) -> list[Step]:
    """Return the steps that need audio."""
    before = script.before_answer if isinstance(script, CalleeScript) else ()
    return [step for step in (*before, *script.steps) if isinstance(step, SPOKEN)]


async def act(caller: SimulatedCaller, script: CallerScript, sounds: Sounds) -> None:
    """Do every step and hang up.

    Raises StepFailed, whose message names the script's file and line and what happened instead. A
    call that is over is a fine end when nothing but hanging up was left to do, or when it was
    refused and the script allows that.
    """
    await _perform(caller, script.steps, sounds, script.source, may_fail=script.may_be_refused)
    caller.hang_up()


async def act_callee(
    callee: SimulatedCaller,
    leg: SimulatedLeg,
    script: CalleeScript,
    prepare: Callable[[], Awaitable[Sounds]],
) -> None:
    """Ring, take the call or not, do every step and hang up. Raises StepFailed as ``act`` does.

    What ``prepare`` makes is made while it rings. A caller who gives up before the answer is a fine
    end.
    """
    leg.callee.rings()
    rings_until = clock.now() + script.rings_s
    sounds = await prepare()
    try:
        await callee.pause(max(0.0, rings_until - clock.now()))
        if script.before_answer:
            leg.callee.sends_early_media()
            await _perform(callee, script.before_answer, sounds, script.source, may_fail=True)
        if script.never_answers:
            await callee.wait_over()
            return
    except CallOver:
        return
    if callee.over is not None:
        return
    if script.refuses_with is not None:
        code = script.refuses_with
        leg.callee.refuses(code, REASONS.get(code, "Refused"))
        return
    leg.callee.answers()
    await _perform(callee, script.steps, sounds, script.source)
    callee.hang_up()


async def _perform(
    person: SimulatedCaller,
    steps: Sequence[Step],
    sounds: Sounds,
    source: str,
    *,
    may_fail: bool = False,
) -> None:
    """Do the steps; a call that failed is a fine end for them if ``may_fail``."""
    for number, step in enumerate(steps, start=1):
        try:
            await _do(step, person, sounds)
        except StepFailed as failure:
            refused = isinstance(failure, CallOver) and 300 <= failure.code <= 699
            only_farewell = all(isinstance(s, HangUp) for s in steps[number - 1 :])
            if isinstance(failure, CallOver) and ((refused and may_fail) or only_farewell):
                return
            where = f"{source}:{step.line}: " if source and step.line else ""
            raise StepFailed(f"{where}step {number} ({_title(step)}): {failure}") from None


def _title(step: Step) -> str:
    match step:
        case Wait():
            return f"wait: {step.what}"
        case Say():
            return f"say: {step.text}"
        case Interrupt():
            return f"interrupt: {step.text}"
        case Expect():
            return f"expect: /{step.heard.pattern}/"
        case Press():
            return f"press: {step.digits}"
        case Play():
            return f"play: {step.path}"
    return type(step).__name__.lower()


@singledispatch
async def _do(step: Step, caller: SimulatedCaller, sounds: Sounds) -> None:
    raise TypeError(f"unknown step {step!r}")


@_do.register
async def _(step: Wait, caller: SimulatedCaller, sounds: Sounds) -> None:
    waits: Mapping[str, Callable[[float], Awaitable[None]]] = {
        "answered": caller.wait_answered,
        "agent_speaking": caller.wait_agent_speaking,
        "agent_finished": caller.wait_agent_finished,
        "hung_up": caller.wait_over,
    }
    await waits[step.what](step.within_s)


@_do.register
async def _(step: Pause, caller: SimulatedCaller, sounds: Sounds) -> None:
    await caller.pause(step.seconds)


@_do.register
async def _(step: Say, caller: SimulatedCaller, sounds: Sounds) -> None:
    await caller.say(sounds[step], step.text)


@_do.register
async def _(step: Play, caller: SimulatedCaller, sounds: Sounds) -> None:
    await caller.say(sounds[step], f"[{step.path.name}]")


@_do.register
async def _(step: Beep, caller: SimulatedCaller, sounds: Sounds) -> None:
    await caller.say(sounds[step], "[beep]")


@_do.register
async def _(step: Interrupt, caller: SimulatedCaller, sounds: Sounds) -> None:
    await caller.interrupt(sounds[step], step.text, after_s=step.after_s, within_s=step.within_s)


@_do.register
async def _(step: Press, caller: SimulatedCaller, sounds: Sounds) -> None:
    caller.press(step.digits, step.how)


@_do.register
async def _(step: Message, caller: SimulatedCaller, sounds: Sounds) -> None:
    caller.send_message(step.text)


@_do.register
async def _(step: Info, caller: SimulatedCaller, sounds: Sounds) -> None:
    caller.send_info(step.mime_type, step.body)


@_do.register
async def _(step: Expect, caller: SimulatedCaller, sounds: Sounds) -> None:
    await caller.wait_heard(step.heard, step.within_s)


@_do.register
async def _(step: StayOn, caller: SimulatedCaller, sounds: Sounds) -> None:
    await caller.wait_over()


@_do.register
async def _(step: HangUp, caller: SimulatedCaller, sounds: Sounds) -> None:
    caller.hang_up()
