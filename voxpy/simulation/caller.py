"""The simulated caller: it speaks, listens, interrupts, presses keys and hangs up.

A simulated callee is the same person at the end of a leg that we dialled. It hears only what
reaches it over the line: loudness tells it when the agent speaks, a recogniser what was said. What
it does and hears is noted as it happens.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Protocol

import trio

from voxpy.audio.convert import encode
from voxpy.audio.frame import PCMU
from voxpy.channels.simulated import FarEnd, PressedAs
from voxpy.media.playout import Playout
from voxpy.simulation.listening import Ears, Heard, Listening, Note, Samples

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


class PersonsLine(Protocol):
    """What a person needs of a line: ``SimulatedLeg`` is one, and a phone at a provider."""

    mouth: Playout

    def connect_far_end(self, far_end: FarEnd) -> None:
        """Put a person at the end of the line."""

    def far_end_presses(self, digits: str, how: PressedAs | None = None) -> None:
        """Send digits. Raises StepFailed if that is impossible."""

    def far_end_hangs_up(self) -> None:
        """End the call."""

    def far_end_sends_message(self, text: str) -> None:
        """Send a text message. Raises StepFailed if that is impossible."""

    def far_end_sends_info(self, mime_type: str, body: str) -> None:
        """Send an INFO. Raises StepFailed if that is impossible."""

    def far_end_transfers(self, to: str) -> None:
        """Ask to be put through to somebody. Raises StepFailed if that is impossible."""


class SimulatedCaller:
    """A person on a simulated line. ``run`` must be running while it is used.

    What it does is noted with the word ``role`` for itself and ``other`` for whom it hears.
    """

    def __init__(
        self,
        leg: PersonsLine,
        *,
        ears: Ears | None,
        note: Note,
        role: str = "caller",
        other: str = "agent",
    ) -> None:
        self._leg = leg
        self._note = note
        self._role = role
        self._waiting: dict[Callable[[], bool], trio.Event] = {}
        self._until_over = trio.Event()
        self._answered = False
        self.over: CallOver | None = None
        """How the call ended; None while it lasts."""
        self.ear = Listening(ears=ears, note=note, changed=self._pulse, role=role, other=other)
        self.heard: list[Heard] = self.ear.heard
        self.received: list[tuple[str, str]] = []
        leg.connect_far_end(self)

    # -- waiting --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Transcribe what is heard, until cancelled."""
        await self.ear.run()

    @property
    def agent_speaking(self) -> bool:
        """Whether the agent is audible, short pauses included."""
        return self.ear.agent_speaking

    async def wait_answered(self, within_s: float) -> None:
        """Wait until the call is up. Raises StepFailed."""
        await self.wait_until(lambda: self._answered, within_s, "the call was not answered")

    async def wait_over(self, within_s: float = math.inf) -> None:
        """Wait until the call is over, whoever ends it. Raises StepFailed."""
        with trio.move_on_after(within_s):
            await self._until_over.wait()
            return
        raise StepFailed(f"nobody hung up within {within_s:g} s")

    async def wait_agent_speaking(self, within_s: float) -> None:
        """Wait until the agent speaks. Raises StepFailed."""
        await self.wait_until(lambda: self.agent_speaking, within_s, "the agent said nothing")

    async def wait_agent_finished(self, within_s: float) -> None:
        """Wait until the agent has spoken since the caller last did, and is silent again."""

        def finished() -> bool:
            return self.ear.agent_spoke and self.ear.quiet_s >= FINISHED_AFTER_S

        await self.wait_until(finished, within_s, "the agent did not finish speaking")

    async def wait_heard(self, pattern: re.Pattern[str], within_s: float) -> None:
        """Wait until ``pattern`` is in what was heard since the caller last spoke."""

        def found() -> bool:
            return pattern.search(self.heard_since_turn()) is not None

        try:
            await self.wait_until(found, within_s, "")
        except StepFailed:
            heard = self.heard_since_turn() or "nothing"
            over = f" ({self.over})" if self.over is not None else ""
            raise StepFailed(
                f"expected to hear /{pattern.pattern}/ within {within_s:g} s; heard: {heard}{over}"
            ) from None

    def heard_since_turn(self) -> str:
        """Return everything heard since the caller last spoke or pressed a digit."""
        return self.ear.words()

    # -- doing ----------------------------------------------------------------------------------

    async def say(self, samples: Samples, text: str = "") -> None:
        """Speak 8 kHz audio and wait until it is said. Raises CallOver."""
        self.start_saying(samples, text)
        await self.wait_said()

    def start_saying(self, samples: Samples, text: str = "") -> None:
        """Begin to speak 8 kHz audio; whoever does so must await ``wait_said``."""
        self.ear.new_turn()
        self.ear.caller_talks()
        self._note(f"{self._role} speaks", text=text, seconds=round(len(samples) / 8000, 2))
        self._leg.mouth.write(encode(samples, PCMU))

    async def wait_said(self) -> None:
        """Wait until all that was begun is said. Raises CallOver."""
        try:
            await self.wait_until(lambda: self._leg.mouth.buffered_bytes == 0, float("inf"), "")
        finally:
            self.ear.caller_stops()
            self._note(f"{self._role} finished")

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
            await self.wait_until(lambda: False, math.inf, "")

    def press(self, digits: str, how: PressedAs | None = None) -> None:
        """Press digits; see ``SimulatedLeg.far_end_presses``."""
        self.ear.new_turn()
        self._note(f"{self._role} presses", digits=digits)
        self._leg.far_end_presses(digits, how)

    def send_message(self, text: str) -> None:
        """Send a text message inside the call."""
        self._note(f"{self._role} sends message", text=text)
        self._leg.far_end_sends_message(text)

    def send_info(self, mime_type: str, body: str) -> None:
        """Send an INFO."""
        self._note(f"{self._role} sends info", text=f"{mime_type}: {body}")
        self._leg.far_end_sends_info(mime_type, body)

    def hang_up(self) -> None:
        """End the call."""
        if self.over is None:
            self._note(f"{self._role} hangs up")
            self._leg.far_end_hangs_up()

    # -- FarEnd ---------------------------------------------------------------------------------

    def rings(self) -> None:
        """Note the ringing."""
        self._note(f"{self._role} hears ringing")

    def answered(self) -> None:
        """Note the answer."""
        self._answered = True
        self._pulse()

    def ended(self, code: int, reason: str) -> None:
        """Note the end."""
        self.ear.end_utterance()
        self.over = CallOver(code, reason)
        self._until_over.set()
        self._pulse()

    def hears(self, frame: bytes) -> None:
        """Listen to 20 ms."""
        self.ear.hear(frame)

    def receives(self, kind: str, content: str) -> None:
        """Keep what came besides audio."""
        self.received.append((kind, content))
        self._note(f"{self._role} receives {kind}", text=content)
        self._pulse()

    # -- the inside -----------------------------------------------------------------------------

    def _pulse(self) -> None:
        """Wake whoever waits for what is the case now, and nobody else, 50 times a second."""
        for met, woken in self._waiting.items():
            if met() or self.over is not None:
                woken.set()

    async def wait_until(self, met: Callable[[], bool], within_s: float, problem: str) -> None:
        """Wait until ``met()``, asked whenever something was heard.

        Raises StepFailed with ``problem``, and CallOver if the call ends and all of it is heard.
        """
        with trio.move_on_after(within_s):
            while not met():
                if self.over is not None and not self.ear.unheard:
                    raise self.over
                self._waiting[met] = trio.Event()
                try:
                    await self._waiting[met].wait()
                finally:
                    del self._waiting[met]
            return
        raise StepFailed(f"{problem} within {within_s:g} s")


async def transfer(person: SimulatedCaller, to: str, within_s: float) -> None:
    """Let a person ask to be put through, as the transfer key of a phone does, and wait.

    A transfer that worked ends the call, which the other two go on with. Raises StepFailed.
    """
    person.received = [(kind, text) for kind, text in person.received if kind != "transfer"]
    person._note(f"{person._role} transfers", text=to)
    person._leg.far_end_transfers(to)

    def outcome() -> str:
        told = [text for kind, text in person.received if kind == "transfer"]
        return told[-1] if told and not told[-1].startswith("1") else ""

    await person.wait_until(lambda: bool(outcome()), within_s, f"no transfer to {to}")
    if not outcome().startswith("200"):
        raise StepFailed(f"the transfer to {to} failed: {outcome()}")
    person.hang_up()
