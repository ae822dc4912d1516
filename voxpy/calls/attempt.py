"""What is particular to a call that we make: whether it is answered in time, and how it failed."""

from __future__ import annotations

import attrs
import trio

from voxpy.engine.ports import Leg, LegEnded

__all__ = ["Attempt"]


class Attempt:
    """The time from dialling to the answer or the failure. Unused on an incoming call."""

    def __init__(self, leg: Leg) -> None:
        self._leg = leg
        self._given_up: tuple[int, str] | None = None
        self._answered = False
        self._settled = trio.Event()

    async def settled(self) -> None:
        """Wait until the call is answered or over."""
        await self._settled.wait()

    def answered(self) -> None:
        """Note the answer."""
        self._answered = True
        self._settled.set()

    def give_up(self, code: int, reason: str) -> None:
        """Take the call back; it fails with ``code`` and ``reason`` unless it is answered yet."""
        self._given_up = code, reason
        self._leg.hangup({})

    def over(self, event: LegEnded) -> LegEnded:
        """Note the end and return it as it is to be told: the leg knows only of a cancellation."""
        self._settled.set()
        if self._given_up is None or self._answered:
            return event
        code, reason = self._given_up
        return attrs.evolve(event, code=code, reason=reason)
