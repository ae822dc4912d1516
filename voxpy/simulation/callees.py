"""Whom a session on this machine can call: simulated people who answer, are busy, or do not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import attrs
import trio

from voxpy.channels.simulated import SimulatedLeg
from voxpy.engine.ports import SERVICE_UNAVAILABLE, Leg, OutgoingCall, RefusedLeg
from voxpy.errors import EngineMissing
from voxpy.localagent.engines import Engines
from voxpy.simulation.acting import REASONS, act_callee, prepare_sounds
from voxpy.simulation.caller import SimulatedCaller, StepFailed
from voxpy.simulation.callerfile import ANYBODY
from voxpy.simulation.listening import Ears
from voxpy.simulation.script import CalleeScript, Script
from voxpy.simulation.steps import Sounds

NO_ANSWER_S = 60.0


@attrs.frozen
class Voices:
    """How people get their sound, and their ears. ``speech`` raises EngineMissing."""

    speech: Callable[[], Engines]
    ears: Callable[[Script], Ears | None]
    _ready: dict[Script, Sounds] = attrs.field(factory=dict)

    async def make_ready(self, callees: Iterable[CalleeScript]) -> None:
        """Make the sounds of these before the call. Raises ConfigError for a bad file."""
        for callee in callees:
            self._ready[callee] = await prepare_sounds(callee, self.speech)

    async def prepare(self, callee: CalleeScript) -> Sounds:
        """Return the sounds of a callee; those of ANYBODY are made while it rings."""
        ready = self._ready.get(callee)
        return await prepare_sounds(callee, self.speech) if ready is None else ready


class Callees:
    """Implements ``voxpy.engine.ports.Dialer`` over simulated legs.

    The first of ``scripts`` that fits a destination takes the call, ANYBODY if none does. ``note``
    gets (unit, name, **fields) of what they do, ``failed`` who it was and a script that was not
    met. They live in a nursery: ``start`` is its ``start_soon``.
    """

    def __init__(
        self,
        scripts: Sequence[CalleeScript],
        voices: Voices,
        *,
        note: Callable[..., None],
        failed: Callable[[str, StepFailed], None],
    ) -> None:
        self._scripts = (*scripts, ANYBODY)
        self._voices = voices
        self._note = note
        self._failed = failed
        self._busy = 0
        self._quiet = trio.Event()
        self.start: Callable[..., None] | None = None

    def dial(self, call: OutgoingCall) -> Leg:
        """Return the leg to a callee, who begins to act at once."""
        known = self._scripts[:-1] if call.kind == "conference" else self._scripts
        if not any(s.is_called(call.destination) for s in known):
            reason = (
                "one call alone has no conference sessions: voxpy serve has; or write one under "
                f"callees:, {call.destination!r}"
            )
            return RefusedLeg(call, SERVICE_UNAVAILABLE, reason)
        script = next(s for s in self._scripts if s.is_called(call.destination))
        to_session, to_far_end = script.line.lines()
        leg = SimulatedLeg(
            leg_id=call.leg_id,
            callerid=call.callerid,
            destination=call.destination,
            display_name=call.display_name,
            incoming=False,
            client_type=call.client_type,
            to_session=to_session,
            to_far_end=to_far_end,
        )
        leg.transfers.calls_elsewhere = self.put_through
        note = partial(self._note, call.leg_id)
        callee = SimulatedCaller(
            leg, ears=self._voices.ears(script), note=note, role="callee", other="caller"
        )
        assert self.start is not None
        self._busy += 1
        self.start(self._live, leg, callee, script)
        return leg

    def put_through(self, to: str, done: Callable[[int, str], None]) -> None:
        """Let a transferred person call ``to``: it rings and answers or not as its script says.

        What they then say to each other, beyond this session's ear, is not acted.
        """
        assert self.start is not None
        script = next(s for s in self._scripts if s.is_called(to))
        self._busy += 1
        self.start(self._ring, script, done)

    async def _ring(self, script: CalleeScript, done: Callable[[int, str], None]) -> None:
        code = 408 if script.never_answers else script.refuses_with or 200
        try:
            await trio.sleep(NO_ANSWER_S if script.never_answers else script.rings_s)
            done(code, REASONS.get(code, "Refused"))
        finally:
            self._idle()

    async def settle(self) -> None:
        """Wait until every callee has done what it does."""
        while self._busy:
            await self._quiet.wait()

    async def _live(self, leg: SimulatedLeg, callee: SimulatedCaller, script: CalleeScript) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(callee.run)
                await self._act(leg, callee, script)
                nursery.cancel_scope.cancel()
        finally:
            self._idle()

    def _idle(self) -> None:
        self._busy -= 1
        self._quiet.set()
        self._quiet = trio.Event()

    async def _act(self, leg: SimulatedLeg, callee: SimulatedCaller, script: CalleeScript) -> None:
        try:
            await act_callee(callee, leg, script, partial(self._voices.prepare, script))
        except StepFailed as failure:
            self._failed(f"callee {leg.destination}", failure)
            callee.hang_up()
        except EngineMissing as missing:  # of ANYBODY only: the others are prepared for
            self._note(leg.leg_id, "callee cannot speak", reason=str(missing))
            leg.callee.refuses(480, "The simulated callee has no voice")
