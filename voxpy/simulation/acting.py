"""Acts a script, step by step, on a simulated caller or callee; before that, makes its sounds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from voxpy.audio.frame import Samples
from voxpy.channels.simulated import SimulatedLeg
from voxpy.engine import clock
from voxpy.localagent.engines import Engines
from voxpy.simulation.caller import CallOver, SimulatedCaller, StepFailed
from voxpy.simulation.listening import Ears
from voxpy.simulation.script import CalleeScript, CallerScript, Script
from voxpy.simulation.sounds import engine_ears, speech_for_line
from voxpy.simulation.steps import Sounds, Step

Stay = Callable[[SimulatedCaller], Awaitable[None]]
REASONS = {
    200: "OK",
    404: "Not Found",
    408: "Request Timeout",
    480: "Temporarily Unavailable",
    486: "Busy Here",
    603: "Decline",
}
"""RFC 3261 section 21, of what callees usually refuse with."""


# -- before ----------------------------------------------------------------------------------------


def needs_voice(script: Script) -> bool:
    """Return whether a person needs speech engines, to be heard or to understand."""
    return needs_ears(script) or any(step.needs_voice for step in script.all_steps)


def needs_ears(script: Script) -> bool:
    """Return whether a person wants to know the words of what it hears."""
    return any(step.needs_ears for step in script.all_steps)


def line_ears(script: Script, speech: Callable[[], Engines]) -> Ears | None:
    """Return a person's own recogniser, only if its script wants to know what it hears."""
    return engine_ears(speech()) if needs_ears(script) else None


async def prepare_sounds(script: Script, speech: Callable[[], Engines]) -> dict[Step, Samples]:
    """Make everything a person will say, so that no step waits for its sound.

    ``speech`` is called only if something is to be spoken. Raises ConfigError for a file that
    cannot be played, and what ``speech`` raises.
    """

    async def speak(text: str) -> Samples:
        engines = speech()
        return await engines.run(speech_for_line, engines, text, script.voice)

    return {step: await step.sound(speak) for step in script.all_steps if step.is_audible}


# -- the acts --------------------------------------------------------------------------------------


async def act(
    caller: SimulatedCaller, script: CallerScript, sounds: Sounds, stay: Stay | None = None
) -> None:
    """Do every step and hang up; before that, ``stay`` may keep the caller on the line.

    Raises StepFailed, whose message names the script's file and line and what happened instead. A
    call that is over is a fine end when nothing but hanging up was left to do, or when it was
    refused and the script allows that.
    """
    await _perform(caller, script.steps, sounds, script.source, may_fail=script.may_be_refused)
    if stay is not None:
        await stay(caller)
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
            await step.act(person, sounds)
        except StepFailed as failure:
            refused = isinstance(failure, CallOver) and 300 <= failure.code <= 699
            only_farewell = all(s.is_farewell for s in steps[number - 1 :])
            if isinstance(failure, CallOver) and ((refused and may_fail) or only_farewell):
                return
            where = f"{source}:{step.line}: " if source and step.line else ""
            raise StepFailed(f"{where}step {number} ({step.title}): {failure}") from None
