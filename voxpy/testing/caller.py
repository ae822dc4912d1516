"""A caller in the hands of a test."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from contextlib import suppress

from voxpy.channels.simulated import PressedAs
from voxpy.localagent.engines import Engines, Samples
from voxpy.simulation.caller import CallOver, SimulatedCaller, transfer
from voxpy.simulation.sounds import speech_for_line
from voxpy.testing.worldcall import WorldCall

ANSWER_WITHIN_S = 30.0
HEARS_WITHIN_S = 15.0
AGENT_WITHIN_S = 30.0


class Caller:
    """A person on the phone. Waits raise StepFailed, saying what happened instead.

    What it hears is what came over the line, through a recogniser, utterance by utterance: half a
    second of silence ends one. Waits raise CallOver, a StepFailed, if the call ends meanwhile.
    ``call`` is what is known of the call.
    """

    def __init__(
        self,
        person: SimulatedCaller,
        call: WorldCall,
        *,
        engines: Engines,
        voice: str,
        start: Callable[..., None],
    ) -> None:
        """``start`` is ``start_soon`` of a nursery that ends with the call's world."""
        self.call = call
        self._person = person
        self._engines = engines
        self._voice = voice
        self._start = start
        self._sounds: dict[str, Samples] = {}

    # -- waiting ---------------------------------------------------------------------------------

    async def wait_answered(self, *, within_s: float = ANSWER_WITHIN_S) -> None:
        """Wait until the call is up."""
        await self._person.wait_answered(within_s)

    async def wait_hears(
        self, pattern: str | re.Pattern[str], *, within_s: float = HEARS_WITHIN_S
    ) -> str:
        """Wait until ``pattern`` is in what was heard since the caller last spoke or pressed a key.

        Case is ignored, unless a compiled pattern says otherwise. Returns all that was heard since.
        """
        wanted = re.compile(pattern, re.IGNORECASE) if isinstance(pattern, str) else pattern
        await self._person.wait_heard(wanted, within_s)
        return self._person.heard_since_turn()

    async def wait_hears_silence(
        self, *, for_s: float = 1.0, within_s: float = AGENT_WITHIN_S
    ) -> None:
        """Wait until nothing has been audible ``for_s`` seconds."""
        ear = self._person.ear
        problem = f"the agent was not silent for {for_s:g} s"
        await self._person.wait_until(lambda: ear.quiet_s >= for_s, within_s, problem)

    async def wait_agent_speaks(self, *, within_s: float = AGENT_WITHIN_S) -> None:
        """Wait until the agent is audible."""
        await self._person.wait_agent_speaking(within_s)

    async def wait_agent_finished(self, *, within_s: float = AGENT_WITHIN_S) -> None:
        """Wait until the agent has spoken since the caller last did, and is silent again."""
        await self._person.wait_agent_finished(within_s)

    async def wait_over(self, *, within_s: float = math.inf) -> None:
        """Wait until the call is over, whoever ends it. Raises StepFailed if it does not end."""
        await self._person.wait_over(within_s)

    async def pause(self, seconds: float) -> None:
        """Be silent for so long."""
        await self._person.pause(seconds)

    # -- doing -----------------------------------------------------------------------------------

    async def say(self, text: str) -> None:
        """Speak, and wait until that is said."""
        await self._person.say(self._sound(text), text)

    def say_nowait(self, text: str) -> None:
        """Begin to speak; what is said before it is over is said behind it."""
        self._person.start_saying(self._sound(text), text)
        self._start(self._finish_saying)

    async def interrupt(
        self, text: str, *, after_s: float = 1.0, within_s: float = AGENT_WITHIN_S
    ) -> None:
        """Speak over the agent ``after_s`` seconds after it began.

        Raises StepFailed if the agent has fallen silent by then.
        """
        sound = self._sound(text)
        await self._person.interrupt(sound, text, after_s=after_s, within_s=within_s)

    def press(self, digits: str, *, how: PressedAs | None = None) -> None:
        """Press keys ``0-9*#``: as the session wants them, or as ``how`` says."""
        self._person.press(digits, how)

    def send_message(self, text: str) -> None:
        """Send a text message inside the call."""
        self._person.send_message(text)

    def send_info(self, mime_type: str, body: str) -> None:
        """Send a SIP INFO or its equivalent."""
        self._person.send_info(mime_type, body)

    async def transfer(self, to: str, *, within_s: float = 70.0) -> None:
        """Ask to be put through to ``to``, and hang up when that has worked.

        Raises StepFailed if it does not.
        """
        await transfer(self._person, to, within_s)

    def hang_up(self) -> None:
        """End the call; before the answer that is a caller who gives up."""
        self._person.hang_up()

    # -- what there was --------------------------------------------------------------------------

    @property
    def heard(self) -> list[str]:
        """What was heard, utterance by utterance."""
        return [utterance.text for utterance in self._person.heard]

    @property
    def received(self) -> list[tuple[str, str]]:
        """What came besides audio: ``("digits", "1")``, ``("message", …)``, ``("info", …)``."""
        return self._person.received

    @property
    def hears_agent(self) -> bool:
        """Whether the agent is audible, short pauses included."""
        return self._person.agent_speaking

    @property
    def is_over(self) -> bool:
        """Whether the call is over."""
        return self._person.over is not None

    @property
    def end_code(self) -> int | None:
        """The SIP status the call ended with: 200 after a hang-up; None while it lasts."""
        return None if self._person.over is None else self._person.over.code

    async def _finish_saying(self) -> None:
        with suppress(CallOver):
            await self._person.wait_said()

    def _sound(self, text: str) -> Samples:
        if text not in self._sounds:
            self._sounds[text] = speech_for_line(self._engines, text, self._voice)
        return self._sounds[text]
