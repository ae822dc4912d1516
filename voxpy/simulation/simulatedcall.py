"""One simulated call: a person on a simulated line, a session for it, and whom the session calls.

The same for ``voxpy run`` and for the test kit; they differ in who acts for the caller.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import attrs
import trio

from voxpy.channels.simulated import SimulatedLeg
from voxpy.engine.ending import End, EndReason
from voxpy.engine.session import SessionContext
from voxpy.history.record import CallRecord
from voxpy.host.sessions import HostedSession, Keeping
from voxpy.localagent.connection import AgentConnection
from voxpy.media.graph import Tap
from voxpy.simulation.callees import Callees, Voices, make_lines
from voxpy.simulation.caller import SimulatedCaller, StepFailed
from voxpy.simulation.moments import Moments
from voxpy.simulation.script import CallerScript
from voxpy.simulation.soundcard import SoundCard

__all__ = ["LocalCallResult", "SimulatedCall"]

SETTLE_S = 10.0
"""After the end of a call, for the caller's recogniser to understand what it heard last."""

Act = Callable[[SimulatedCaller], Awaitable[None]]


@attrs.frozen(kw_only=True)
class LocalCallResult:
    """How the call went. ``failure`` is why the caller's script was not met, if it was not."""

    end: End
    record: CallRecord
    folder: Path
    failure: str = ""
    interrupted: bool = False


class SimulatedCall:
    """A call that is about to come in. ``run`` is its life, once.

    Of ``script`` only the people and the moments count here: who calls whom over which line, who
    may be called, what happens when. The context's dialer is these people. ``connections``
    are those to the local agent, as they come.
    """

    def __init__(
        self,
        context: SessionContext,
        keeping: Keeping,
        script: CallerScript,
        voices: Voices,
        *,
        sound: SoundCard | None = None,
        connections: Sequence[AgentConnection] = (),
    ) -> None:
        self.script = script
        self.leg = _make_leg(script)
        self.callees = Callees(
            script.callees, voices, note=self._note, failed=lambda *told: self._failed(*told)
        )
        if sound is not None:
            keeping = attrs.evolve(keeping, taps=[*keeping.taps, _sound_tap(sound, self.leg)])
        self.hosted = HostedSession(attrs.evolve(context, dialer=self.callees), self.leg, keeping)
        self.caller = SimulatedCaller(
            self.leg, ears=voices.ears(script), note=partial(self._note, self.leg.leg_id)
        )
        session = self.hosted.session
        self._moments = Moments(
            script.moments,
            hang_up=self.caller.hang_up,
            drain=lambda: session.end(EndReason.HOST_SHUTDOWN, "drained by the script"),
            connections=connections,
        )
        self.hosted.trace.add_sink(self._moments.take)

    async def run(self, act: Act) -> LocalCallResult:
        """Let the call come in and ``act(caller)`` be what the caller does, until the session ends.

        A StepFailed of ``act`` makes the caller hang up and is told in the result.
        """
        performed = trio.Event()

        async def perform() -> None:
            try:
                await act(self.caller)
            except StepFailed as error:
                self._failed("caller", error)
                self.caller.hang_up()
            finally:
                performed.set()

        async def settle() -> None:
            with trio.move_on_after(SETTLE_S):
                await performed.wait()
                await self.callees.settle()

        async with trio.open_nursery() as nursery:
            self.callees.start = nursery.start_soon
            nursery.start_soon(self.caller.run)
            nursery.start_soon(perform)
            nursery.start_soon(self._moments.run)
            end = await self.hosted.run(afterwards=settle)
            nursery.cancel_scope.cancel()
        return self.result(end)

    def result(self, end: End) -> LocalCallResult:
        """Return how the call went, now that it is over."""
        return LocalCallResult(
            end=end,
            record=self.hosted.record,
            folder=self.hosted.folder.root,
            failure=self.hosted.record.personal["caller_failed"],
            interrupted=end.reason is EndReason.HOST_SHUTDOWN,
        )

    def _note(self, unit: str, name: str, **fields: object) -> None:
        if not self.hosted.finished:  # a recogniser in its thread may outlive a cut off session
            self.hosted.trace.step(name, unit=unit, **fields)

    def _failed(self, who: str, error: StepFailed) -> None:
        """Note that a script was not met, unless that is only because the session itself failed."""
        hosted = self.hosted
        end = hosted.session.ended
        broken = end is not None and (end.reason.is_error or end.reason is EndReason.HOST_SHUTDOWN)
        if not broken and not hosted.finished:
            text = str(error) if who == "caller" else f"{who}: {error}"
            hosted.record.personal["caller_failed"] = (
                hosted.record.personal["caller_failed"] or text
            )
            role = who.split()[0]
            hosted.trace.write("error", role, message=f"the {role}'s script was not met", text=text)


def _sound_tap(sound: SoundCard, leg: SimulatedLeg) -> Tap:
    """Play each tick, and let the person at the microphone speak into the leg."""

    def tap(said: bytes, heard: bytes) -> None:
        sound.tap(said, heard)
        spoken = sound.spoken()
        if spoken:
            leg.mouth.write(spoken)

    return tap


def _make_leg(script: CallerScript) -> SimulatedLeg:
    to_session, to_far_end = make_lines(script.line)
    return SimulatedLeg(
        leg_id="call-1",
        callerid=script.callerid,
        destination=script.destination,
        display_name=script.display_name,
        headers=script.headers,
        to_session=to_session,
        to_far_end=to_far_end,
    )
