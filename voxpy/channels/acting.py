"""Acts a caller's script, step by step, on a simulated caller."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial, singledispatch

import numpy as np
import numpy.typing as npt
import trio

from voxpy.channels.caller import CallOver, SimulatedCaller, StepFailed
from voxpy.channels.script import (
    CallerScript,
    Expect,
    HangUp,
    Interrupt,
    Pause,
    Play,
    Press,
    Say,
    StayOn,
    Step,
    Wait,
)

__all__ = ["SPOKEN", "act", "spoken_steps"]

Samples = npt.NDArray[np.int16]
SPOKEN = (Say, Interrupt, Play)
Sounds = Mapping[Step, Samples]
"""The audio of every step that makes any, at 8 kHz, made before the call so that nobody waits."""


def spoken_steps(script: CallerScript) -> list[Step]:
    """Return the steps that need audio."""
    return [step for step in script.steps if isinstance(step, SPOKEN)]


async def act(caller: SimulatedCaller, script: CallerScript, sounds: Sounds) -> None:
    """Do every step and hang up.

    Raises StepFailed, whose message names the script's file and line and what happened instead. A
    call that is over is a fine end when nothing but hanging up was left to do, or when it was
    refused and the script allows that.
    """
    for number, step in enumerate(script.steps, start=1):
        try:
            await _do(step, caller, sounds)
        except StepFailed as failure:
            if isinstance(failure, CallOver) and _fine(failure, script, number):
                return
            where = f"{script.source}:{step.line}: " if step.line else ""
            raise StepFailed(f"{where}step {number} ({_title(step)}): {failure}") from None
    caller.hang_up()


def _fine(over: CallOver, script: CallerScript, number: int) -> bool:
    rest = script.steps[number - 1 :]
    refused = 300 <= over.code <= 699
    return (refused and script.may_be_refused) or all(isinstance(s, HangUp) for s in rest)


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
        "hung_up": partial(_hung_up, caller),
    }
    await waits[step.what](step.within_s)


async def _hung_up(caller: SimulatedCaller, within_s: float) -> None:
    with trio.move_on_after(within_s):
        await caller.wait_over()
        return
    raise StepFailed(f"nobody hung up within {within_s:g} s")


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
async def _(step: Interrupt, caller: SimulatedCaller, sounds: Sounds) -> None:
    await caller.interrupt(sounds[step], step.text, after_s=step.after_s, within_s=step.within_s)


@_do.register
async def _(step: Press, caller: SimulatedCaller, sounds: Sounds) -> None:
    caller.press(step.digits)


@_do.register
async def _(step: Expect, caller: SimulatedCaller, sounds: Sounds) -> None:
    await caller.wait_heard(step.heard, step.within_s)


@_do.register
async def _(step: StayOn, caller: SimulatedCaller, sounds: Sounds) -> None:
    await caller.wait_over()


@_do.register
async def _(step: HangUp, caller: SimulatedCaller, sounds: Sounds) -> None:
    caller.hang_up()
