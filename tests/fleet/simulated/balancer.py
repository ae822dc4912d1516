"""The balancer of a simulated fleet, as Kamailio's dispatcher is, and the callers behind it."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING

import trio

from tests.fleet.simulated.hosts import SimulatedHost
from tests.fleet.simulated.quietleg import QuietLeg
from voxpy.engine import clock
from voxpy.engine.ports import LegEnded

if TYPE_CHECKING:
    from tests.fleet.simulated.world import World

PROBE_S = 2.0
"""Between two OPTIONS to each host."""
GIVES_UP_S = 2.0
"""On a host that does not answer an INVITE."""
UNAVAILABLE = 503


class Balancer:
    """Gives each call to the host with the fewest or the next in turn; to another one at a 503."""

    def __init__(self, world: World, *, by_load: bool) -> None:
        self.active: set[str] = set()
        """Hosts that answered the last OPTIONS with 200."""
        self._world = world
        self._by_load = by_load
        self._turn = itertools.count()

    async def probe(self) -> None:
        """Ask every host again and again."""
        while True:
            for host in self._world.hosts:
                answers = host.host is not None and host.up_since < float("inf")
                if answers and host.host is not None and not host.host.admission.draining:
                    self.active.add(host.name)
                else:
                    self.active.discard(host.name)
            await trio.sleep(PROBE_S)

    def order(self) -> list[SimulatedHost]:
        """Return whom to try, in that order."""
        there = [host for host in self._world.hosts if host.name in self.active]
        if self._by_load:
            return sorted(there, key=lambda host: len(host.mine) / host.carries)
        first = next(self._turn) % len(there) if there else 0
        return there[first:] + there[:first]


class Caller:
    """One call that comes in."""

    def __init__(self, world: World, number: int) -> None:
        self._world = world
        self._number = number
        self._host: SimulatedHost | None = None
        self._leg: QuietLeg | None = None
        self._lost = trio.Event()
        self.outcome = ""

    async def run(self, talk_s: float) -> None:
        """Call, talk and hang up, as far as that goes."""
        world, balancer = self._world, self._world.balancer
        for host in balancer.order():
            if await self._try(host, talk_s):
                break
        else:
            self.outcome = "refused"
            world.refused_one()
        world.outcomes[self.outcome] += 1

    async def _try(self, host: SimulatedHost, talk_s: float) -> bool:
        """Try one host; False if another is to be tried."""
        world = self._world
        running = host.host
        if running is None or host.up_since == float("inf"):
            with trio.move_on_after(GIVES_UP_S):
                await trio.sleep_forever()
            world.balancer.active.discard(host.name)
            return False
        told_to_stop = host.drained_at < clock.now()
        leg = QuietLeg("call-1", world.number(self._number))
        routed = running.router.receive(leg, "sip")
        running.router.spawn(routed.run)
        self._host, self._leg = host, leg
        host.mine.add(self)
        try:
            await leg.settled.wait()
            if self._lost.is_set():
                self.outcome = "died"
                return True
            if not leg.answered.is_set():
                world.said_no[host.name] += 1
                if leg.code != UNAVAILABLE:
                    world.wrong(f"{host.name} refuses a call with {leg.code}")
                return False
            world.answered += 1
            if told_to_stop:
                world.wrong(f"{host.name} takes a call after it said that it drains")
            await self._talk(leg, talk_s)
            return True
        finally:
            host.mine.discard(self)

    async def _talk(self, leg: QuietLeg, talk_s: float) -> None:
        async with trio.open_nursery() as nursery:

            async def first(event: trio.Event) -> None:
                await event.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(first, leg.over)
            nursery.start_soon(first, self._lost)
            await trio.sleep(talk_s)
            nursery.cancel_scope.cancel()
        if self._lost.is_set():
            self.outcome = "died"
        elif leg.over.is_set():
            self.outcome = "dropped"
            assert self._host is not None
            self._world.wrong(f"{self._host.name} dropped a call with {leg.code}")
        else:
            self.outcome = "done"
            leg.over.set()
            leg.far_end(LegEnded(code=200, reason="Hung up"))

    def lost(self) -> None:
        """Notice that the host has died."""
        self._lost.set()
        if self._leg is not None:
            self._leg.settled.set()


def new_outcomes() -> Counter[str]:
    """Return what became of calls, none yet."""
    return Counter(dict.fromkeys(("done", "died", "refused", "dropped"), 0))
