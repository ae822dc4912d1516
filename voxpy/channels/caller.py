"""The simulated caller: it speaks, listens, interrupts, presses keys and hangs up.

It hears only what reaches it over the line: loudness tells it when the agent speaks, a recogniser
what was said. What it does and hears is noted as it happens.
"""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import attrs
import numpy as np
import numpy.typing as npt
import trio

from voxpy.audio.convert import decode, encode
from voxpy.audio.frame import FRAME_S, PCMU
from voxpy.audio.mix import audible
from voxpy.channels.simulated import SimulatedLeg
from voxpy.engine import clock

__all__ = ["CallOver", "Ears", "Heard", "SimulatedCaller", "StepFailed"]

Samples = npt.NDArray[np.int16]
Note = Callable[..., None]

UTTERANCE_GAP_S = 0.5
"""Silence that ends an utterance: longer than a pause between sentences, shorter than a turn."""
MURMUR_GAP_S = 0.2
"""Silence between a murmur into the caller's words and the reply to them."""
FINISHED_AFTER_S = 0.8
"""Silence after which the caller takes the agent to have finished."""


class Ears(Protocol):
    """A recogniser: 8 kHz int16 samples in, words out."""

    def __call__(self, samples: Samples) -> Awaitable[str]:
        """Return what was said, or an empty string."""


class StepFailed(Exception):
    """A step of a caller's script was not met."""


class CallOver(StepFailed):
    """The far end ended the call while the caller was waiting for something."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"the call was over: {code} {reason}")


@attrs.frozen
class Heard:
    """One utterance of the agent as the caller heard it; times in seconds of trio's clock."""

    began_at: float
    ended_at: float
    text: str


class SimulatedCaller:
    """A person on a simulated line. ``run`` must be running while it is used."""

    def __init__(self, leg: SimulatedLeg, *, ears: Ears | None, note: Note) -> None:
        self._leg = leg
        self._ears = ears
        self._note = note
        self._changed = trio.Event()
        self._answered = False
        self._over: CallOver | None = None
        self._utterance: list[bytes] = []
        self._began_at = 0.0
        self._last_audible_at: float | None = None
        self._spoke_until: float | None = None
        self._speaking = False
        self._interrupting_since: float | None = None
        self._awaiting_reply = False
        self._agent_turns = 0
        self._mark = 0
        self._turn_mark = 0
        self._to_transcribe, self._utterances = trio.open_memory_channel[
            tuple[float, float, bytes]
        ](64)
        self._unheard = 0
        self.heard: list[Heard] = []
        self.received: list[tuple[str, str]] = []
        leg.connect_far_end(self)

    # -- waiting --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Transcribe what is heard, until cancelled."""
        async for began_at, ended_at, audio in self._utterances:
            text = "" if self._ears is None else await self._ears(decode(audio, PCMU))
            self.heard.append(Heard(began_at, ended_at, text))
            self._unheard -= 1
            if text:
                self._note("caller heard", text=text, seconds=round(ended_at - began_at, 2))
            self._pulse()

    @property
    def over(self) -> CallOver | None:
        """How the call ended, or None while it lasts."""
        return self._over

    @property
    def agent_speaking(self) -> bool:
        """Whether the agent is audible, short pauses included."""
        return bool(self._utterance)

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
            spoke = self._agent_turns > self._turn_mark
            quiet_s = clock.now() - (self._last_audible_at or 0.0)
            return spoke and quiet_s >= FINISHED_AFTER_S

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
        return " ".join(h.text for h in self.heard[self._mark :] if h.text)

    # -- doing ----------------------------------------------------------------------------------

    async def say(self, samples: Samples, text: str = "") -> None:
        """Speak 8 kHz audio and wait until it is said. Raises CallOver."""
        self._new_turn()
        self._speaking = True
        if self.agent_speaking:
            self._interrupting_since = clock.now()
        self._note("caller speaks", text=text, seconds=round(len(samples) / 8000, 2))
        self._leg.mouth.write(encode(samples, PCMU))
        try:
            await self._until(lambda: self._leg.mouth.buffered_bytes == 0, float("inf"), "")
        finally:
            self._speaking = False
            self._spoke_until = clock.now()
            self._awaiting_reply = True
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
        self._new_turn()
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
        self._end_utterance()
        self._over = CallOver(code, reason)
        self._pulse()

    def hears(self, frame: bytes) -> None:
        """Listen to 20 ms."""
        now = clock.now()
        if audible(frame, PCMU):
            paused_s = now - (self._last_audible_at or 0.0)
            self._last_audible_at = now
            if not self._utterance:
                self._agent_began(now)
            elif paused_s >= MURMUR_GAP_S and self._is_reply():
                self._note("agent audible", **self._reply(now))
        if self._utterance:
            self._utterance.append(frame)
            quiet_s = now - (self._last_audible_at or now)
            if quiet_s >= UTTERANCE_GAP_S:
                self._end_utterance()
            elif self._interrupting_since is not None and quiet_s >= 10 * FRAME_S:
                since, self._interrupting_since = self._interrupting_since, None
                stopped_s = now - quiet_s - since
                self._note("agent fell silent", after_ms=round(stopped_s * 1000))
        self._pulse()

    def receives(self, kind: str, content: str) -> None:
        """Keep what came besides audio."""
        self.received.append((kind, content))
        self._note(f"caller receives {kind}", text=content)
        self._pulse()

    # -- the inside -----------------------------------------------------------------------------

    def _agent_began(self, now: float) -> None:
        self._agent_turns += 1
        self._began_at = now
        self._utterance.append(b"")
        self._note("agent audible", **(self._reply(now) if self._is_reply() else {}))

    def _is_reply(self) -> bool:
        return self._awaiting_reply and not self._speaking

    def _reply(self, now: float) -> dict[str, Any]:
        self._awaiting_reply = False
        return {"reply_ms": round((now - (self._spoke_until or now)) * 1000)}

    def _end_utterance(self) -> None:
        if not self._utterance:
            return
        audio, self._utterance = b"".join(self._utterance), []
        self._interrupting_since = None
        ended_at = self._last_audible_at or clock.now()
        self._note("agent silent", seconds=round(ended_at - self._began_at, 2))
        self._unheard += 1
        try:
            self._to_transcribe.send_nowait((self._began_at, ended_at, audio))
        except trio.WouldBlock:  # a recogniser this far behind will not catch up
            self._unheard -= 1

    def _new_turn(self) -> None:
        self._mark = len(self.heard) + self._unheard + self.agent_speaking
        self._turn_mark = self._agent_turns

    def _pulse(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()

    async def _until(self, met: Callable[[], bool], within_s: float, problem: str) -> None:
        with trio.move_on_after(within_s):
            while not met():
                if self._over is not None and not self._unheard:
                    raise self._over
                await self._changed.wait()
            return
        raise StepFailed(f"{problem} within {within_s:g} s")
