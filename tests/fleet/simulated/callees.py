"""People on a list, whom hosts call: each knows how often, and whether by two at once."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import attrs
import trio

from tests.fleet.simulated.quietleg import QuietLeg
from voxpy.engine.ports import Leg, LegConnected, OutgoingCall, Ringing

if TYPE_CHECKING:
    from tests.fleet.simulated.hosts import SimulatedHost
    from tests.fleet.simulated.world import World

ANSWERS = 0.7


@attrs.frozen(eq=False)
class _Placed:
    """A call to somebody, while it lasts."""

    leg: QuietLeg

    def lost(self) -> None:
        """Notice that the host has died."""
        self.leg.over.set()


class Callees:
    """``calls`` are how often each was called, ``now`` the calls under way."""

    def __init__(self, world: World, *, most_calls: int, most_at_once: int) -> None:
        self.calls: Counter[str] = Counter()
        self.now: Counter[str] = Counter()
        self._world = world
        self._most_calls, self._most_at_once = most_calls, most_at_once

    def ring(self, call: OutgoingCall, host: SimulatedHost) -> Leg:
        """Be called: it rings, and somebody answers, or not."""
        to, world = call.destination, self._world
        self.calls[to] += 1
        self.now[to] += 1
        if self.calls[to] > self._most_calls:
            world.wrong(f"{to} is called for the {self.calls[to]}. time, by {host.name}")
        if not world.strained:
            if self.now[to] > 1:
                world.wrong(f"{to} is called by {host.name} while somebody talks to it already")
            if self.now.total() > self._most_at_once:
                world.wrong(f"{self.now.total()} people of the list are called at once")
        leg = QuietLeg(call.leg_id, to, incoming=False)
        world.nursery.start_soon(self._be_called, leg, host)
        return leg

    async def _be_called(self, leg: QuietLeg, host: SimulatedHost) -> None:
        draw, placed = self._world.draw, _Placed(leg)
        rings_s, answers, talk_s = draw.uniform(1, 5), draw.random(), self._world.talk_s()
        host.mine.add(placed)
        try:
            await trio.lowlevel.checkpoint()
            leg.far_end(Ringing())
            with trio.move_on_after(rings_s):
                await leg.over.wait()
            if leg.over.is_set():
                return
            if answers > ANSWERS:
                leg.end(486, "Busy Here")
                return
            leg.far_end(LegConnected())
            with trio.move_on_after(talk_s):
                await leg.over.wait()
            leg.end(200, "Hung up")
        finally:
            self.now[leg.destination] -= 1
            host.mine.discard(placed)


@attrs.frozen
class Way:
    """Implements ``voxpy.channels.outgoing.Way``: a host's way to everybody."""

    callees: Callees
    host: SimulatedHost

    def dial(self, call: OutgoingCall) -> Leg:
        return self.callees.ring(call, self.host)

    def dial_by(self, trunk: object, call: OutgoingCall) -> Leg:
        return self.callees.ring(call, self.host)
