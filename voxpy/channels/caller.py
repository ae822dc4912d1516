"""The simulated caller: it speaks, listens, interrupts, presses keys and hangs up.

It hears only what reaches it over the line: loudness tells it when the agent speaks, a recogniser
what was said. What it does and hears is noted as it happens.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import trio

from voxpy.audio.convert import encode
from voxpy.audio.frame import PCMU
from voxpy.channels.listening import Ears, Heard, Listening, Note, Samples
from voxpy.channels.simulated import SimulatedLeg

__all__ = ["CallOver", "SimulatedCaller", "StepFailed"]

FINISHED_AFTER_S = 0.8
"""Silence after which the caller takes the agent to have finished."""


class StepFailed(Exception):
    """A step of a caller's script was not met."""


class CallOver(StepFailed):
    """The far end ended the call while the caller was waiting for something."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"the call was over: {code} {reason}")


class SimulatedCaller:
    """A person on a simulated line. ``run`` must be running while it is used."""

    def __init__(self, leg: SimulatedLeg, *, ears: Ears | None, note: Note) -> None:
        self._leg = leg
        self._note = note
        self._changed = trio.Event()
        self._answered = False
        self._over: CallOver | None = None
        self._ear = Listening(ears=ears, note=note, changed=self._pulse)
        self.received: list[tuple[str, str]] = []
        leg.connect_far_end(self)

    # -- waiting --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Transcribe what is heard, until cancelled."""
        await self._ear.run()

    @property
    def heard(self) -> list[Heard]:
        """What was heard, utterance by utterance."""
        return self._ear.heard

    @property
    def over(self) -> CallOver | None:
        """How the call ended, or None while it lasts."""
        return self._over

    @property
    def agent_speaking(self) -> bool:
        """Whether the agent is audible, short pauses included."""
        return self._ear.agent_speaking

    async def wait_answered(self, within_s: float) -> None:
        """Wait until the call is up. Raises StepFailed."""
        await self._until(lambda: self._answered, within_s, "the call was not answered")

    async def wait_over(self) -> None:
        """Wait until the call is over, whoever ends it."""
        while self._over is None:
            await self._changed.wait()

    async def wait_agent_speaking(self, within_s: float) -> None:
        """Wait until the agent speaks. Raises StepFailed."""
        await self._until(lambda: self.agent_speaking, within_s, "the agent said nothing")

    async def wait_agent_finished(self, within_s: float) -> None:
        """Wait until the agent has spoken since the caller last did, and is silent again."""

        def finished() -> bool:
            return self._ear.agent_spoke and self._ear.quiet_s >= FINISHED_AFTER_S

        await self._until(finished, within_s, "the agent did not finish speaking")

    async def wait_heard(self, pattern: re.Pattern[str], within_s: float) -> None:
        """Wait until ``pattern`` is in what was heard since the caller last spoke."""

        def found() -> bool:
            return pattern.search(self.heard_since_turn()) is not None

        try:
            await self._until(found, within_s, "")
        except StepFailed:
            heard = self.heard_since_turn() or "nothing"
            over = f" ({self._over})" if self._over is not None else ""
            raise StepFailed(
                f"expected to hear /{pattern.pattern}/ within {within_s:g} s; heard: {heard}{over}"
            ) from None

    def heard_since_turn(self) -> str:
        """Return everything heard since the caller last spoke or pressed a digit."""
        return self._ear.words()

    # -- doing ----------------------------------------------------------------------------------

    async def say(self, samples: Samples, text: str = "") -> None:
        """Speak 8 kHz audio and wait until it is said. Raises CallOver."""
        self._ear.new_turn()
        self._ear.caller_talks()
        self._note("caller speaks", text=text, seconds=round(len(samples) / 8000, 2))
        self._leg.mouth.write(encode(samples, PCMU))
        try:
            await self._until(lambda: self._leg.mouth.buffered_bytes == 0, float("inf"), "")
        finally:
            self._ear.caller_stops()
            self._note("caller finished")

    async def interrupt(
        self, samples: Samples, text: str, *, after_s: float, within_s: float
    ) -> None:
        """Speak over the agent ``after_s`` after it began. Raises StepFailed if it is silent."""
        await self.wait_agent_speaking(within_s)
        await self.pause(after_s)
        if not self.agent_speaking:
            raise StepFailed(
                f"the agent had finished before it could be interrupted after {after_s:g} s"
            )
        await self.say(samples, text)

    async def pause(self, seconds: float) -> None:
        """Stay silent. Raises CallOver if the call ends meanwhile."""
        with trio.move_on_after(seconds):  # before the answer no frame would wake us
            await self._until(lambda: False, math.inf, "")

    def press(self, digits: str) -> None:
        """Press digits."""
        self._ear.new_turn()
        self._note("caller presses", digits=digits)
        self._leg.caller_presses(digits)

    def hang_up(self) -> None:
        """End the call."""
        if self._over is None:
            self._note("caller hangs up")
            self._leg.caller_hangs_up()

    # -- FarEnd ---------------------------------------------------------------------------------

    def rings(self) -> None:
        """Note the ringing."""
        self._note("caller hears ringing")

    def answered(self) -> None:
        """Note the answer."""
        self._answered = True
        self._pulse()

    def ended(self, code: int, reason: str) -> None:
        """Note the end."""
        self._ear.end_utterance()
        self._over = CallOver(code, reason)
        self._pulse()

    def hears(self, frame: bytes) -> None:
        """Listen to 20 ms."""
        self._ear.hear(frame)

    def receives(self, kind: str, content: str) -> None:
        """Keep what came besides audio."""
        self.received.append((kind, content))
        self._note(f"caller receives {kind}", text=content)
        self._pulse()

    # -- the inside -----------------------------------------------------------------------------

    def _pulse(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()

    async def _until(self, met: Callable[[], bool], within_s: float, problem: str) -> None:
        with trio.move_on_after(within_s):
            while not met():
                if self._over is not None and not self._ear.unheard:
                    raise self._over
                await self._changed.wait()
            return
        raise StepFailed(f"{problem} within {within_s:g} s")
